"""Each kind of mutant breaks what it says, where it can, and nothing else."""

import pytest

from bench.mutants import KINDS, mutants, spread
from luau_rft.luau.compiler import compile_error

NIL = """
local part = workspace:FindFirstChild("Door")
{}
"""
STORE = """
local Players = game:GetService("Players")
local ok, name = pcall(function()
	return Players:GetNameFromUserIdAsync(1)
end)
print(ok, name)
"""


def broken(source: str, kind: str) -> list[str]:
    assert compile_error(source) is None
    count, edits = mutants(source, kind, "seed")
    assert len(edits) <= count
    return [edit.apply(source) for edit in edits]


@pytest.mark.parametrize(
    ("kind", "source", "expected"),
    [
        ("dropped_end", "while x do f() end", "while x do f() "),
        ("python", "if a ~= b then f() end", "if a != b then f() end"),
        ("python", "if a then f() elseif b then g() end", "if a then f() elif b then g() end"),
        ("python", "-- why\nf()", "# why\nf()"),
        ("python", "for i = 1, 3 do f() end", "for i = 1, 3 : f() end"),
        ("python", "local function f() end", "def f() end"),
        ("python", "local M = require(script.M)", "import M"),
        ("python_constant", "f(nil)", "f(None)"),
        ("python_constant", "f(true)", "f(True)"),
        ("misspelt_local", "local abc = 1 f(abc)", "local abc = 1 f(acb)"),
        ("misspelt_local", "local abc = 1 abc = 2", "local abc = 1 aabc = 2"),
        (
            "misspelt_method",
            "local p = Instance.new('Part') p:Destroy()",
            "local p = Instance.new('Part') p:Destrooy()",
        ),
        ("misspelt_method", "game:GetService('Debris'):AddItem(x)", "game:GetService('Debris'):AddIetm(x)"),
        ("wrong_service", "game:GetService('Players')", 'game:GetService("players")'),
        ("wrong_service", "game:GetService('Debris'):AddItem(x)", 'game:GetService("Teams"):AddItem(x)'),
        ("deprecated", "task.wait(1)", "wait(1)"),
        ("deprecated", "workspace:Clone()", "workspace:clone()"),
        ("nil_check", NIL.format("if part then part:Destroy() end"), NIL.format("do part:Destroy() end")),
        ("nil_check", NIL.format("if part ~= nil then part:Destroy() end"), NIL.format("do part:Destroy() end")),
        ("nil_check", NIL.format("assert(part) part:Destroy()"), NIL.format(" part:Destroy()")),
        ("nil_check", NIL.format("if not part then return end part:Destroy()"), NIL.format(" part:Destroy()")),
        ("nil_check", NIL.format("f(part and part.Name)"), NIL.format("f(part.Name)")),
        ("nil_check", NIL.format("f(not part or part.Name)"), NIL.format("f(part.Name)")),
        (
            "loop_yield",
            "while true do workspace.Gravity = 1 task.wait(1) end",
            "while true do workspace.Gravity = 1  end",
        ),
        ("loop_yield", "repeat task.wait() until workspace.Gravity > 1", "repeat  until workspace.Gravity > 1"),
    ],
)
def test_a_kind_breaks_one_place(kind: str, source: str, expected: str) -> None:
    found = broken(source, kind)
    if kind in ("misspelt_local", "misspelt_method", "wrong_service", "deprecated"):  # one of several ways is drawn
        assert [len(text.split()) for text in found] == [len(expected.split())] * len(found)
        assert found
        assert source not in found
    else:
        assert expected in found


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("dropped_end", "repeat f() until x"),
        ("python", "f(a == b)"),
        ("python_constant", "f(1)"),
        ("misspelt_local", "f(workspace, x.abc, { abc = 1 })"),
        ("misspelt_method", "local p = f() p:Destroy()"),
        ("misspelt_method", "local p = Instance.new('Part') p = f() p:Destroy()"),
        ("misspelt_method", "local game = f() game:GetService('Debris'):AddItem(x)"),
        ("wrong_service", "other:GetService('Players')"),
        ("wrong_service", "game:GetService('Palyers')"),
        ("deprecated", "other:Clone() f.wait(1)"),
        ("nil_check", NIL.format("part:Destroy()")),
        ("nil_check", NIL.format("if part then f(part) end")),
        ("nil_check", NIL.format("if part then f() else part = 1 end")),
        ("nil_check", NIL.format("if not part then f() end part:Destroy()")),
        ("nil_check", NIL.format("if part then task.spawn(function() part:Destroy() end) end")),
        ("nil_check", "local part = workspace:WaitForChild('Door') if part then part:Destroy() end"),
        ("pcall", "pcall(function() f() end)"),
        ("pcall", "local Players = game:GetService('Players') Players:GetNameFromUserIdAsync(1)"),
        ("loop_yield", "while true do task.wait() f() end"),
        ("loop_yield", "while true do task.wait() task.wait() end"),
        ("loop_yield", "while true do task.wait() if x then break end end"),
        ("loop_yield", "for i = 1, 3 do task.wait() end"),
    ],
)
def test_a_kind_leaves_other_programs_alone(kind: str, source: str) -> None:
    assert broken(source, kind) == []


def test_a_misspelt_name_is_no_name_of_the_file_or_the_api() -> None:
    source = "local wait1, abc, acb, ab, bc, ac, bac, aabc = 1 f(abc)"
    texts = broken(source, "misspelt_local")
    assert [text[-5:-1] for text in texts] == ["abbc"]


def test_a_misspelt_method_is_that_of_no_subclass() -> None:
    source = "workspace:Clone()"
    assert {text.split(":")[1] for text in broken(source, "misspelt_method")} <= {
        "lone()", "Cone()", "Clne()", "Cloe()", "CClone()", "Cllone()", "Cloone()", "Clonne()",
        "lCone()", "Colne()", "Clnoe()", "Cloen()",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (STORE, "local ok, name = game:IsLoaded(), Players:GetNameFromUserIdAsync(1)"),
        (STORE.replace("ok, name", "ok"), "Players:GetNameFromUserIdAsync(1)\nlocal ok = game:IsLoaded()"),
        (
            STORE.replace("local ok, name = ", "").replace("print(ok, name)", ""),
            "do \nPlayers:GetNameFromUserIdAsync(1) end",
        ),
        (
            "local Players = game:GetService('Players')\n"
            "local ok, name = pcall(Players.GetNameFromUserIdAsync, Players, 1)",
            "local ok, name = game:IsLoaded(), Players:GetNameFromUserIdAsync(1)",
        ),
        (
            "local store = game:GetService('DataStoreService'):GetDataStore('A')\n"
            "local ok = pcall(function() store:SetAsync('a', 1) end)",
            "store:SetAsync('a', 1)\n\nlocal ok = game:IsLoaded()",
        ),
    ],
)
def test_pcall_is_unwrapped(source: str, expected: str) -> None:
    [text] = broken(source, "pcall")
    assert expected in text
    assert "pcall" not in text


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_fixes_the_mutants(kind: str) -> None:
    source = STORE + NIL.format("if part then part:Destroy() end while true do task.wait() end")
    assert mutants(source, kind, "1", most=2) == mutants(source, kind, "1", most=2)
    count, edits = mutants(source, kind, "1")
    assert 0 < len(edits) <= count
    assert all((compile_error(edit.apply(source)) is None) is KINDS[kind].compiles for edit in edits)


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_program_is_not_broken_again(kind: str) -> None:
    assert mutants(STORE + "while true do task.wait() end end", kind, "1") == (0, [])


def test_offsets_count_bytes() -> None:
    assert broken("local s = 'ä→' while s do f() end", "dropped_end") == ["local s = 'ä→' while s do f() "]


def test_spread_lets_groups_take_turns() -> None:
    assert spread(["a1", "a2", "a3", "b1"], lambda item: item[0]) == ["a1", "b1", "a2", "a3"]
