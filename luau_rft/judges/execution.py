"""Judges a candidate by running it headless against the checks of its task.

- functionality: the weighted share of the checks that passed; edge and abuse checks count only if a check of normal use
  passed, for a program that does nothing also does nothing wrong.
- completeness: the share of the task's requirements that the engine saw happen, times the weighted share of the checks
  of normal use that passed. What a program does on the way to nothing is worth nothing, and a pure module, which has no
  requirements, is as complete as its normal use.
- correctness: completeness, less 0.2 of it for each line of the candidate that raised an error nothing caught, and 0.1
  for each warning of the engine.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

from luau_rft import tables
from luau_rft.errors import UserError
from luau_rft.judges import base
from luau_rft.judges.base import Judgment, Request
from luau_rft.luau import sandbox, worker
from luau_rft.luau.compiler import compile_error
from luau_rft.luau.sandbox import CheckResult, Limits, Program, Result, Sandbox
from luau_rft.roblox import api, place
from luau_rft.tasks import Task

NAME = "execution"
ERROR_PENALTY = 0.2
WARNING_PENALTY = 0.1

# Beginnings of the warnings that the engine gives; a script's own `warn` is no mistake.
_ENGINE_WARNINGS = ("Infinite yield possible", "Maximum event re-entrancy depth")
# How a message begins that the candidate's own code raised: its path in the place and the line; checks have no path.
_IN_CODE = re.compile(r"^\w+(?:\.\w+)+:(?=\d+:)")
_SHOWN = 5  # failures and errors that the reason spells out


def judge_all(requests: Sequence[Request], processes: int) -> Iterator[Judgment]:
    """Judge in order, ``processes`` programs side by side.

    Raises ``UserError`` naming the file of checks that cannot run.
    """
    with Sandbox(processes) as pool:
        totals = _count_checks(pool, {request.task.id: request.task for request in requests})
        results = pool.run([_program(request.task, request.code) for request in requests if not request.refusal])
        for request in requests:
            total = totals[request.task.id]
            if request.refusal:
                yield Judgment(0.0, 0.0, 0.0, request.refusal, checks_total=total)
            else:
                # A program that was killed in its first run does not tell what checks there are.
                yield replace(weigh(request.task, next(results)), checks_total=total)


def key(request: Request) -> str:
    """A hash of all that determines the judgment."""
    task = request.task
    asked = (task.kind, task.requires.model_dump(), task.checks, request.code, request.refusal)
    return tables.content_hash(NAME, _version(), asdict(Limits()), *asked)


def weigh(task: Task, result: Result) -> Judgment:
    """The judgment about a program whose runs against the task's checks showed ``result``."""
    checks = result.checks
    passed = sum(check.passed is True for check in checks)
    unknown = sum(check.passed is None for check in checks)
    counts = {"checks_passed": passed, "checks_total": len(checks), "checks_unknown": unknown}
    missing, required = _requirements(task, result)
    errors = _errors(result)
    warnings = [text for text in result.warnings if text.startswith(_ENGINE_WARNINGS)]
    reason = _reason(result, missing, errors, warnings)
    if unknown:
        return Judgment(None, None, None, reason, **counts)

    normal = _share([check for check in checks if check.use == "normal"])
    functionality = _share(checks) if normal else 0.0
    completeness = normal * (1 - len(missing) / max(required, 1))
    penalty = ERROR_PENALTY * len(errors) + WARNING_PENALTY * len(warnings)
    return Judgment(functionality, completeness * max(1 - penalty, 0.0), completeness, reason, **counts)


def unknown_share(unknown: int, total: int) -> str:
    """How many of ``total`` checks met what the engine does not model, in words.

    >>> unknown_share(3, 200)
    '3 of 200 checks met what the engine does not model (1.5 %)'
    """
    percent = 100 * unknown / max(total, 1)
    return f"{unknown} of {total} checks met what the engine does not model ({percent:.1f} %)"


def _share(checks: list[CheckResult]) -> float:
    weight = sum(check.weight for check in checks)
    return sum(check.weight for check in checks if check.passed) / weight if weight else 0.0


def _requirements(task: Task, result: Result) -> tuple[list[str], int]:
    """The requirements that no run was seen to fulfil, and how many there are."""
    wanted = [(kind, name) for kind, names in task.requires.model_dump().items() for name in names]
    seen = result.observed
    return [name for kind, name in wanted if not set(name.split("|")) & set(seen.get(kind, ()))], len(wanted)


def _errors(result: Result) -> list[str]:
    """The candidate's uncaught errors, one a line of its code: in its own threads and when a check called it."""
    messages = [error["message"] for error in result.errors if error["candidate"]]
    messages += [check.message for check in result.checks if _IN_CODE.match(check.message or "")]
    by_line: dict[str, str] = {}
    for message in messages:
        text = _IN_CODE.sub("", message)
        by_line.setdefault(text.split(":")[0] if text != message else message, text)
    return [f"line {text}" if line != text else text for line, text in by_line.items()]


def _reason(result: Result, missing: list[str], errors: list[str], warnings: list[str]) -> str:
    passed = sum(check.passed is True for check in result.checks)
    parts = [f"Passed {passed} of {len(result.checks)} checks." if result.checks else "No check came to its end."]
    for verdict, title in ((False, "Failed"), (None, "Unknown")):
        found = [f"{check.name} ({_told(check.message)})" for check in result.checks if check.passed is verdict]
        parts += _listed(title, found)
    parts += _listed("Not modelled", result.not_modelled)
    parts += [f"Hit the {result.limit} limit."] if result.limit else []
    parts += _listed("Not seen", missing)
    parts += _listed("Errors", errors)
    parts += _listed("Warnings", warnings)
    return " ".join(parts)


def _told(message: str | None) -> str:
    """A check's message without the line of the check that it came from."""
    return re.sub(r"^checks:\d+: ", "", message or "no message")


def _listed(title: str, items: list[str]) -> list[str]:
    rest = [f"{len(items) - _SHOWN} more"] if len(items) > _SHOWN else []
    return [f"{title}: {'; '.join(items[:_SHOWN] + rest)}."] if items else []


def _count_checks(pool: Sandbox, tasks: dict[str, Task]) -> dict[str, int]:
    """How many checks each task has, found by playing them against an empty program."""
    for task in tasks.values():
        if error := compile_error(task.checks):
            raise UserError(f"{task.folder / 'checks.luau'}:{error.line}: {error.message}; correct it")
    totals = {}
    for task, result in zip(tasks.values(), pool.run([_program(task, "") for task in tasks.values()]), strict=True):
        if result.broken:
            raise UserError(f"{task.folder / 'checks.luau'}: {result.broken}; see data/tasks/README.md")
        totals[task.id] = len(result.checks)
    return totals


def _program(task: Task, code: str) -> Program:
    return Program(code, task.kind, task.checks)


@cache
def _version() -> str:
    """A hash of everything that decides what a run shows and how it is weighed."""
    sources = [Path(module.__file__).read_text(encoding="utf-8") for module in (api, place, worker, sandbox, base)]
    here = Path(__file__).read_text(encoding="utf-8")
    return tables.content_hash(place.engine_files(), api.PATH.read_text(encoding="utf-8"), *sources, here)
