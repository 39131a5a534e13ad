from collections import Counter
from pathlib import Path

import pytest

from luau_rft.errors import UserError
from luau_rft.judges import execution
from luau_rft.judges.base import Request, refusal
from luau_rft.luau.compiler import compile_error
from luau_rft.luau.sandbox import CheckResult, Result
from luau_rft.roblox.scripts import split
from luau_rft.scorers.composite import score_code
from luau_rft.tasks import load_tasks

ROOT = Path(__file__).parents[2]
TASKS = {task.id: task for split in ("train", "eval") for task in load_tasks(ROOT / "data" / "tasks" / split)}
WRONG = sorted((ROOT / "tests" / "data" / "wrong").glob("*/*.luau"))
CHEATS = ROOT / "tests" / "data" / "cheats"
FOOLING = [
    path for group in ("keyword-stuffed", "error-swallowing") for path in sorted((CHEATS / group).glob("*.luau"))
]
MISBEHAVING = sorted((CHEATS / "misbehaving").glob("*.luau"))
# For the server, a client, a module, and for several scripts.
CHEATED = [
    "shop-remote", "lava-floor", "coin-store", "shop-toggle", "coin-label", "payload-check", "pet-storage",
    "vote-panel",
]  # fmt: skip


def judge(*pairs):
    return list(execution.judge_all([Request(TASKS[task_id], code) for task_id, code in pairs], processes=2))


@pytest.fixture(scope="module")
def references():
    return dict(zip(TASKS, judge(*((task.id, task.reference) for task in TASKS.values())), strict=True))


@pytest.fixture(scope="module")
def wrong():
    return dict(zip(WRONG, judge(*((path.parent.name, path.read_text()) for path in WRONG)), strict=True))


@pytest.fixture(scope="module")
def cheats():
    pairs = [(task_id, path) for task_id in CHEATED for path in FOOLING]
    pairs += [(task_id, path) for task_id in ("shop-remote", "coin-label") for path in MISBEHAVING]
    judgments = judge(*((task_id, path.read_text()) for task_id, path in pairs))
    return {(task_id, path.stem): judgment for (task_id, path), judgment in zip(pairs, judgments, strict=True)}


@pytest.mark.parametrize("task_id", TASKS)
def test_a_reference_is_judged_1_and_scores_well(references, task_id):
    judgment = references[task_id]
    assert judgment.value == 1, judgment.reason
    assert judgment.checks_passed == judgment.checks_total >= 4
    assert score_code(TASKS[task_id].reference, TASKS[task_id].kind).composite >= 0.85


@pytest.mark.parametrize("path", WRONG, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_wrong_solution_fails_a_check(wrong, path):
    kind = TASKS[path.parent.name].kind
    assert all(compile_error(script.source) is None for script in split(path.read_text(), kind))
    judgment = wrong[path]
    assert judgment.checks_passed < judgment.checks_total
    assert judgment.value <= 0.96
    assert "Failed: " in judgment.reason


def test_every_task_has_two_wrong_solutions():
    counts = Counter(path.parent.name for path in WRONG)
    assert counts.keys() == TASKS.keys()
    assert min(counts.values()) >= 2


def test_there_are_ten_programs_of_each_kind_that_fools():
    counts = Counter(path.parent.name for path in FOOLING)
    assert min(counts.values()) >= 10
    shapes = {tuple(line.split("--")[0].strip() for line in path.read_text().splitlines()) for path in FOOLING}
    assert len(shapes) == len(FOOLING)


@pytest.mark.parametrize("path", FOOLING, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_only_looks_like_a_solution_earns_next_to_nothing(cheats, path):
    assert all(compile_error(script.source) is None for script in split(path.read_text(), "server"))
    values = {task_id: cheats[task_id, path.stem].value for task_id in CHEATED}
    assert all(value is not None and value <= 0.15 for value in values.values()), values


@pytest.mark.parametrize("task_id", ["shop-remote", "coin-label"])
@pytest.mark.parametrize("name", [path.stem for path in MISBEHAVING])
def test_what_misbehaves_earns_nothing(cheats, task_id, name):
    assert cheats[task_id, name].value == 0
    assert cheats[task_id, name].checks_total == len(TASKS[task_id].checks.split("use = ")) - 1


@pytest.mark.parametrize(
    ("name", "limit"),
    [("infinite-loop", "time"), ("swallowing-loop", "time"), ("memory-bomb", "memory"), ("recursion", "recursion")],
)
def test_the_reason_names_the_limit(cheats, name, limit):
    assert f"Hit the {limit} limit." in cheats["shop-remote", name].reason


def test_every_reference_is_looked_at_by_a_judge():
    refused = {}
    for task in TASKS.values():
        compiles = not any(compile_error(script.source) for script in split(task.reference, task.kind))
        refused[task.id] = refusal(task.reference, compiles)
    assert {task_id: reason for task_id, reason in refused.items() if reason} == {}


def test_a_program_that_is_killed_counts_all_checks():
    hangs = 'string.find(string.rep("a", 1.6e7), string.rep("a", 8e6) .. "b", 1, true)'
    killed = Result(ok=False, limit="time")
    assert execution.weigh(BRIDGE, killed).reason.startswith("No check came to its end. Hit the time limit.")
    [judgment] = judge(("coin-store", hangs))
    assert (judgment.value, judgment.checks_passed, judgment.checks_total) == (0, 0, 6)


def test_an_empty_program_earns_nothing_in_any_task():
    empty = {"server": "", "client": "", "module": "return {}"}
    judgments = judge(*((task.id, empty[task.kind]) for task in TASKS.values()))
    assert [judgment.value for judgment in judgments] == [0] * len(TASKS)


def test_the_reason_tells_what_failed_and_why(wrong):
    reasons = {f"{path.parent.name}/{path.stem}": judgment.reason for path, judgment in wrong.items()}
    assert reasons["coin-label/rounds-to-nearest"] == (
        'Passed 5 of 6 checks. Failed: amounts are rounded down (1999 coins: expected "1.9K", got "2.0K").'
    )
    assert "Not seen: Humanoid:TakeDamage." in reasons["zombie-attack/walks-only"]
    assert "Errors: line 7: attempt to compare nil < number." in reasons["wolf-mood/exclusive-limits"]


def test_refused_code_is_not_run_and_counts_all_checks():
    code = (ROOT / "tests" / "data" / "cheats" / "misbehaving" / "not-compiling.luau").read_text()
    request = Request(TASKS["coin-store"], code, refusal(code, compiles=False))
    [judgment] = execution.judge_all([request], processes=1)
    assert (judgment.value, judgment.checks_passed, judgment.checks_total) == (0, 0, 6)
    assert judgment.reason == "It does not compile."
    assert "no substance" in refusal("print('done')", compiles=True)
    assert refusal(TASKS["coin-store"].reference, compiles=True) is None


def result(*checks, **fields):
    observed = {"services": ["Players"], "events": ["Part.Touched", "Players.PlayerAdded"]}
    listed = [CheckResult(use, use, 1, passed, "because") for use, passed in checks]
    return Result(**({"checks": listed, "observed": observed} | fields))


BRIDGE = TASKS["falling-bridge"]  # requires Players and Part.Touched
WHOLE = [("normal", True), ("normal", True), ("edge", True), ("abuse", True)]


def test_edge_and_abuse_count_only_with_normal_use():
    nothing = execution.weigh(BRIDGE, result(("normal", False), ("edge", True), ("abuse", True)))
    assert (nothing.functionality, nothing.completeness, nothing.correctness) == (0, 0, 0)
    half = execution.weigh(BRIDGE, result(("normal", True), ("normal", False), ("edge", True), ("abuse", False)))
    assert (half.functionality, half.completeness) == (0.5, 0.5)


def test_completeness_is_the_share_of_requirements_seen():
    seen = execution.weigh(BRIDGE, result(*WHOLE, observed={"events": ["Part.Touched"]}))
    assert (seen.functionality, seen.completeness, seen.correctness) == (1, 0.5, 0.5)
    assert "Not seen: Players." in seen.reason


def test_one_of_two_alternatives_is_enough():
    observed = {"services": ["Players"], "events": ["TextButton.MouseButton1Click", "Player.CharacterAdded"]}
    task = TASKS["shop-toggle"]
    seen = execution.weigh(task, result(*WHOLE, observed=observed | {"methods": ["Player:GetAttribute"]}))
    assert seen.completeness == 1


def test_errors_and_warnings_lower_correctness_once_a_line():
    errors = [
        {"message": "ServerScriptService.Script:4: no luck", "line": 4, "traceback": [], "candidate": True},
        {"message": "ServerScriptService.Script:4: no such luck", "line": 4, "traceback": [], "candidate": True},
        {"message": "checks:9: not the candidate's", "line": 9, "traceback": [], "candidate": False},
    ]
    warnings = ["Infinite yield possible on 'Workspace:WaitForChild(\"Rope\")'", "the script's own warning"]
    judgment = execution.weigh(BRIDGE, result(*WHOLE, errors=errors, warnings=warnings))
    assert (judgment.functionality, judgment.completeness) == (1, 1)
    assert judgment.correctness == pytest.approx(0.7)
    assert "Errors: line 4: no luck." in judgment.reason
    assert "own warning" not in judgment.reason


def test_what_is_not_modelled_leaves_the_judgment_open():
    unknown = result(*WHOLE[:3], ("abuse", None), not_modelled=["Terrain:FillBall"])
    judgment = execution.weigh(BRIDGE, unknown)
    assert (judgment.value, judgment.functionality, judgment.checks_unknown) == (None, None, 1)
    assert "Not modelled: Terrain:FillBall." in judgment.reason


def test_the_key_depends_on_what_is_judged():
    request = Request(BRIDGE, "print(1)")
    changed = [
        Request(BRIDGE, "print(2)"),
        Request(BRIDGE, "print(1)", "It does not compile."),
        Request(BRIDGE.model_copy(update={"checks": "return {}"}), "print(1)"),
        Request(BRIDGE.model_copy(update={"kind": "client"}), "print(1)"),
    ]
    assert len({execution.key(other) for other in [request, *changed]}) == 5
    renamed = BRIDGE.model_copy(update={"title": "Bridge", "folder": Path("elsewhere")})
    assert execution.key(Request(renamed, "print(1)")) == execution.key(request)


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        ("return {\n\tchecks = {\n", r"checks.luau:3: .*Expected"),
        ("return { checks = {} }", r"checks.luau: returns no checks"),
        ("error('broken')", r"checks.luau: checks:1: broken"),
    ],
)
def test_checks_that_cannot_run_are_named(checks, message):
    task = BRIDGE.model_copy(update={"checks": checks, "folder": Path("data/tasks/train/falling-bridge")})
    with pytest.raises(UserError, match=rf"data/tasks/train/falling-bridge/{message}"):
        list(execution.judge_all([Request(task, "print(1)")], processes=1))
