"""What the mutants know of names and types."""

import pytest

from bench.receivers import Names
from luau_rft.luau.tree import parse


def last_type(source: str) -> str | None:
    """The type of the receiver of the last call of a method ``f``."""
    tree = parse(source)
    call = tree.method_calls("f")[-1]
    return Names(tree).type_of(call.get("name").get("table"))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("workspace:f()", "Workspace"),
        ("local workspace = x workspace:f()", None),
        ("local p = Instance.new('Part') p:f()", "Part"),
        ("local p = Instance.new('Part') p = x p:f()", None),
        ("local p = Instance.new('Part') do local p = x p:f() end", None),
        ("local p = x do local p = Instance.new('Part') end p:f()", None),
        ("game:GetService('Players').LocalPlayer:f()", "Player"),
        ("game:GetService('Players').PlayerAdded:f()", "RBXScriptSignal"),
        ("Vector3.new(1, 2, 3):f()", "Vector3"),
        ("Vector3.zero:f()", "Vector3"),
        ("local function f(player: Player, x) player:f() end", "Player"),
        ("type Player = {} local function f(player: Player) player:f() end", None),
        ("(x :: Humanoid):f()", "Humanoid"),
        ("game:GetService('Players').PlayerAdded:Connect(function(p) p:f() end)", "Player"),
        ("for _, p in game:GetService('Players'):GetPlayers() do p:f() end", "Player"),
        ("for _, p in ipairs(game:GetService('Players'):GetPlayers()) do p:f() end", "Player"),
        ("for p in game:GetService('Players'):GetPlayers() do p:f() end", None),
        ("repeat local p = Instance.new('Part') until p:f()", "Part"),
        ("local function f() local f = workspace f:f() end", "Workspace"),
        ("unknown:f()", None),
    ],
)
def test_types(source: str, expected: str | None) -> None:
    assert last_type(source) == expected


def test_uses_leave_out_members_and_keys() -> None:
    tree = parse("local abc = 1 f(abc, x.abc, x:abc(), { abc = abc, [abc] = 2 })")
    names = Names(tree)
    [declaration] = names.uses
    assert [use.column for use in names.uses[declaration]] == [17, 46, 52]


def test_self_belongs_to_its_method() -> None:
    names = Names(parse("function M:f() return self end return self"))
    assert [len(uses) for uses in names.uses.values()] == [1]
