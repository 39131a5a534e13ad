"""Validates the hand-written tasks: format, references against their own checks and scores, the splits apart."""

from collections.abc import Iterator
from pathlib import Path

from luau_rft.corpus.overlap import Overlap
from luau_rft.errors import UserError
from luau_rft.judges.execution import unknown_share, weigh
from luau_rft.luau.compiler import compile_error
from luau_rft.luau.sandbox import CheckResult, Program, Result, Sandbox
from luau_rft.roblox.scripts import split
from luau_rft.scorers.composite import score_code
from luau_rft.tasks import Task, load_task, task_folders

USES = ("normal", "edge", "abuse")
MIN_CHECKS = 4
MIN_VALUE = 0.95
MIN_COMPOSITE = 0.85
EASY_LINES = 30
SHARED_WORDS = 13  # so many in a row make two texts the same

_DOES_NOTHING = {"server": "", "client": "", "module": "return {}"}


def check_tasks(folder: str | Path, processes: int = 2) -> list[str]:
    """What is wrong with the tasks of a split, or of a folder with ``train`` and ``eval``; empty if all is in order.

    Prints which share of the checks met, with the references, something that the engine does not model.
    Raises ``UserError`` when there is no task at all.
    """
    splits = [path for name in ("train", "eval") if (path := Path(folder, name)).is_dir()] or [Path(folder)]
    problems: list[str] = []
    loaded = [_load(split, problems) for split in splits]
    if len(loaded) == 2:
        problems += _overlaps(*loaded)

    sound = []
    for task in (task for tasks in loaded for task in tasks):
        found = list(_source_problems(task))
        problems += found
        if not any("does not compile" in problem for problem in found):
            sound.append(task)

    programs = [Program(code, task.kind, task.checks) for task in sound for code in (task.reference, _nothing(task))]
    played: list[CheckResult] = []
    with Sandbox(processes) as pool:
        results = pool.run(programs)
        for task in sound:
            reference, nothing = next(results), next(results)
            problems += _run_problems(task, reference, nothing)
            played += reference.checks
    print(f"{folder}: {unknown_share(sum(check.passed is None for check in played), len(played))}")
    return problems


def _load(split: Path, problems: list[str]) -> list[Task]:
    tasks = []
    for path in task_folders(split):
        try:
            tasks.append(load_task(path))
        except UserError as error:
            problems.append(str(error))
    return tasks


def _nothing(task: Task) -> str:
    return _DOES_NOTHING[task.kind]


def _overlaps(train: list[Task], held_out: list[Task]) -> Iterator[str]:
    overlap = Overlap(held_out, SHARED_WORDS)
    for task in train:
        if shared := overlap.find(task.prompt, task.reference):
            yield f"{task.folder}: shares words with the eval task {shared[0]}: {shared[1]!r}"


def _source_problems(task: Task) -> Iterator[str]:
    scripts = [("reference", script.line, script.source) for script in split(task.reference, task.kind)]
    for name, above, source in [*scripts, ("checks", 0, task.checks)]:
        if error := compile_error(source):
            yield f"{task.folder / name}.luau:{above + error.line}: does not compile: {error.message}"
    reference = task.folder / "reference.luau"
    composite = score_code(task.reference, task.kind).composite
    if composite < MIN_COMPOSITE:
        yield f"{reference}: scores {composite:.2f}, less than {MIN_COMPOSITE}; see `luau-rft score {reference}`"
    lines = len(task.reference.splitlines())
    if task.difficulty == "easy" and lines > EASY_LINES:
        yield f"{reference}: {lines} lines; an easy task has at most {EASY_LINES}"


def _run_problems(task: Task, reference: Result, nothing: Result) -> Iterator[str]:
    checks = task.folder / "checks.luau"
    if reference.broken:
        yield f"{checks}: {reference.broken}"
        return
    if len(reference.checks) < MIN_CHECKS:
        yield f"{checks}: {len(reference.checks)} checks; a task has at least {MIN_CHECKS}"
    for use in sorted(set(USES) - {check.use for check in reference.checks}):
        yield f"{checks}: no check with use {use!r}"
    judgment = weigh(task, reference)
    if judgment.value is None:
        yield f"{task.folder / 'reference.luau'}: undecided, as the engine does not model all of it: {judgment.reason}"
    elif judgment.value < MIN_VALUE:
        yield f"{task.folder / 'reference.luau'}: judged {judgment.value}, less than {MIN_VALUE}: {judgment.reason}"
    for check in nothing.checks:
        if check.use == "normal" and check.passed:
            yield f"{checks}: {check.name!r}: a program that does nothing passes a check of normal use"
