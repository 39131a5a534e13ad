"""Each mutant has one fault and compiles; it is noticed if the value falls, unless the same was seen to happen."""

from pathlib import Path

import pytest

from bench import task_mutants as bench
from luau_rft.luau.compiler import compile_error
from luau_rft.luau.tree import Tree
from luau_rft.roblox.scripts import split
from luau_rft.tasks import Task, load_task

TASKS = Path(__file__).parents[2] / "data" / "tasks"
LAVA = load_task(TASKS / "train" / "lava-floor")
CODE = """
local Players = game:GetService("Players")
local limit = 0
if #Players:GetPlayers() > limit then
	print("é", 0x10, true)
end
"""


def edits(source: str) -> list[tuple[str, str]]:
    return [
        (kind, source.encode()[: node.start].decode() + text + source.encode()[node.end :].decode())
        for kind, node, text in bench._edits(Tree(source))
    ]


def task(reference: str, checks: str = LAVA.checks) -> Task:
    return LAVA.model_copy(update={"reference": reference, "checks": checks})


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("drop", '\tprint("é", 0x10, true)', "\t"),
        ("negate", "#Players:GetPlayers() > limit", "not (#Players:GetPlayers() > limit)"),
        ("constant", "limit = 0", "limit = 1"),
        ("constant", "0x10", "(0x10 * 2)"),
        ("constant", '"é"', '"éx"'),
        ("constant", "true", "false"),
    ],
)
def test_each_kind_of_fault_is_made(kind, old, new):
    assert (kind, CODE.replace(old, new)) in edits(CODE)


def test_the_names_of_services_stay():
    assert all('game:GetService("Players")' in source for kind, source in edits(CODE) if kind == "constant")


@pytest.mark.parametrize(
    ("number", "other"), [("0", "1"), ("0.0", "1"), ("1_000", "(1_000 * 2)"), ("0b11", "(0b11 * 2)")]
)
def test_numbers_become_others(number, other):
    [node] = Tree(f"print({number})").of("number")
    assert bench._other(node) == other


@pytest.mark.parametrize("task_id", ["lava-floor", "pet-storage"])
def test_mutants_compile_differ_and_are_the_same_every_time(task_id):
    asked = load_task(TASKS / "train" / task_id)
    found = list(bench.mutants(asked))
    assert found == list(bench.mutants(asked))
    assert 3 <= len(found) <= bench.PER_TASK
    assert len({mutant.source for mutant in found} | {asked.reference}) == len(found) + 1
    assert {mutant.kind for mutant in found} == {"drop", "negate", "constant"}
    for mutant in found:
        assert all(compile_error(script.source) is None for script in split(mutant.source, asked.kind))


def test_a_fault_in_a_later_script_stands_at_its_place_and_line():
    scripts = "-- A.server.luau\nprint('é')\n-- B.server.luau\nprint(7)\n"
    found = {mutant.what: mutant.source for mutant in bench.mutants(task(scripts))}
    assert found["constant, line 4: 7"] == scripts.replace("7", "(7 * 2)")
    assert found["drop, line 2: print('é')"] == scripts.replace("print('é')", "")


def test_only_what_happens_differently_can_be_missed():
    checks = """
    return { checks = { { name = "a crate", use = "normal", run = function(place)
        place:expect(workspace:FindFirstChild("Crate"), "no crate")
    end } } }
    """
    reference = """
local crate = Instance.new("Part")
crate.Name = "Crate"
crate.Transparency = 0.5
local unused = 3
crate.Parent = workspace
"""
    asked = task(reference, checks).model_copy(update={"requires": LAVA.requires.model_copy(update={"events": []})})
    noticed = {
        mutant.what.split(", ")[0] + " " + mutant.what.split(": ")[1]: seen for mutant, seen in bench.judged([asked])
    }
    assert noticed['constant "Crate"'] is True
    assert noticed["drop crate.Parent = workspace"] is True
    assert noticed["constant 0.5"] is False
    assert noticed["constant 3"] is None


def test_the_benchmark_ends_with_its_result(monkeypatch, capsys):
    mutant = bench.Mutant(LAVA, "drop", "drop, line 1: f()", "")
    monkeypatch.setattr(bench, "judged", lambda tasks: [(mutant, True), (mutant, False), (mutant, None)])
    monkeypatch.setattr(bench, "load_tasks", lambda folder: [LAVA])
    monkeypatch.setattr("sys.argv", ["task_mutants", "--show-missed"])
    bench.main()
    assert capsys.readouterr().out.splitlines() == [
        "lava-floor: drop, line 1: f()",
        "2 tasks, 3 mutants",
        "drop: 1 do the same, 1 noticed, 1 not",
        "RESULT mutants_noticed 0.500 >=0.8",
    ]
