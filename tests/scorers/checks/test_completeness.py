import pytest

from luau_rft.luau.tree import parse
from luau_rft.scorers.checks import completeness


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("event:Connect(function() end)", 1),
        ("function M.start() end", 1),
        ("local function noop() end", 0),
        ("local callback = options.callback or function() end", 0),
        ("return { onClose = function() end }", 0),
    ],
)
def test_functions_that_should_do_something(source, count):
    assert len(list(completeness.empty_function(parse(source), None))) == count


@pytest.mark.parametrize("loop", ["for i = 1, 3 do end", "while f() do end", "if a then b() else end"])
def test_empty_blocks(loop):
    assert len(list(completeness.empty_block(parse(loop), None))) == 1


def test_dead_calls_do_not_make_up_for_prints():
    prints = "print('a')\n" * 2 + "print('b')\n" * 2
    assert list(completeness.debug_print(parse(prints + "if false then\n" + "f()\n" * 30 + "end"), None))
    assert not list(completeness.debug_print(parse(prints + "".join(f"f({i})\n" for i in range(30))), None))


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("function Base:update(_seconds: number) end", 0),
        ("function Base:update(seconds: number) end", 1),
        ("function Base:update() end", 1),
        ("function Base.update(_seconds) end", 1),
    ],
)
def test_an_abstract_method_may_be_empty(source, count):
    assert len(list(completeness.empty_function(parse(f"local Base = {{}} {source} return Base"), None))) == count


@pytest.mark.parametrize(
    ("source", "kind", "count"),
    [
        ("local function half(n: number) return math.floor(n) / 2 end return half", None, 0),
        ("local function half(n: number) return math.floor(n) / 2 end return half", "module", 0),
        ("local function half(n: number) return math.floor(n) / 2 end return half", "server", 1),
        ("export type Item = { name: string } return nil", None, 0),
        ("workspace.Gravity = 50", None, 1),
    ],
)
def test_a_function_may_be_all_there_is_to_a_module(source, kind, count):
    assert len(list(completeness.slight_program(parse(source), kind))) == count


GUARDED = """
local ready = {}
local remote = script.Remote
remote.OnServerEvent:Connect(function(player, text)
    if type(text) ~= "string" then
        return
    end
    local now = os.clock()
    if ready[player] and now < ready[player] then
        return
    end
    ready[player] = now + 3
    remote:FireAllClients(player.UserId, text)
end)
"""


@pytest.mark.parametrize(
    ("source", "count"),
    [
        (GUARDED, 0),
        (GUARDED.replace("remote.OnServerEvent:Connect(", "local on = ").replace("end)\n", "end\n"), 1),
        (
            GUARDED.replace("remote.OnServerEvent:Connect(", "local on = ").replace("end)\n", "end\n")
            + "remote.OnServerEvent:Connect(on)",
            0,
        ),
        (GUARDED.replace("remote:FireAllClients(player.UserId, text)", "print(text)"), 1),
        ("script.Remote.OnServerEvent:Connect(function(player) player:Kick() end)", 1),
        ("script.Parent.Touched:Connect(function(hit) if not hit then return end hit:Destroy() end)", 1),
        (
            "script.Parent.Touched:Connect(function(hit) " + "if not hit then return end " * 5 + "hit:Destroy() end)",
            1,
        ),
    ],
)
def test_a_handler_with_guards_is_not_slight(source, count):
    assert len(list(completeness.slight_program(parse(source), "server"))) == count
