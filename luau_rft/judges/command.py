"""The commands ``luau-rft run`` and ``luau-rft judge``: play a program on the headless engine."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from luau_rft.errors import UserError
from luau_rft.judges import execution
from luau_rft.judges.base import Request, refusal
from luau_rft.luau.sandbox import Limits, Program, Result, Sandbox
from luau_rft.reward import Weights, reward
from luau_rft.scorers.command import check_kind, kind_of, read_source
from luau_rft.scorers.composite import score_code
from luau_rft.scorers.listing import printable
from luau_rft.tasks import Task, load_task

FORMATS = ("text", "json")
GRACE_S = 5.0  # of real time above the virtual time, before what hangs is killed
MAX_SECONDS = 3600.0
TASKS = Path("data/tasks")

_EXPLAINED = {
    "time": "it took more than {limits.steps} steps, {limits.seconds:g} s of game time or {limits.wall_s:g} s in all",
    "memory": "it needed more than {limits.memory_mb} MiB",
    "output": "it printed more than {limits.output_bytes} bytes; the rest is left out",
    "recursion": "a function called itself without an end",
    "crash": "its process died",
}


def run_file(
    file: str, checks: str | None = None, seconds: float = 10.0, kind: str | None = None, format: str = "text"
) -> int:
    """Run a program for ``seconds`` of virtual time, or against a file of checks, and print what happened.

    Returns 1 when it raised an error, hit a limit or failed a check, else 0. Raises ``UserError`` for files that cannot
    be read and checks that cannot be played.
    """
    _check(format, kind)
    if not 0 < seconds <= MAX_SECONDS:  # nan is neither
        raise UserError(f"--seconds: {seconds:g} is out of range; write a number above 0, up to {MAX_SECONDS:g}")
    if file == checks == "-":
        raise UserError("--checks: -: the program comes from the standard input already; give a file of checks")
    limits = Limits(seconds=seconds, wall_s=seconds + GRACE_S)
    program = Program(_read(file), _kind(file, kind), _read(checks) if checks else None, limits)
    with Sandbox(processes=1) as sandbox:
        [result] = sandbox.run([program])
    if result.broken:
        raise UserError(f"{checks}: {result.broken}; see data/tasks/README.md")
    _say(json.dumps(_as_json(result), indent=2) if format == "json" else _as_text(result, program))
    return int(not result.ok or any(check.passed is not True for check in result.checks))


def judge_file(task: str, file: str, format: str = "text") -> int:
    """Score a program, judge it by a task's checks and print both with the reward.

    ``task`` is a task's folder or its id. Returns 0. Raises ``UserError`` for what cannot be read.
    """
    _check(format, None)
    asked, code = find_task(task), _read(file)
    scores = score_code(code, asked.kind)
    [judgment] = execution.judge_all([Request(asked, code, refusal(code, scores.compiles))], processes=1)
    value = judgment.value
    total = None if value is None else reward(scores.composite, value, Weights())
    if format == "json":
        numbers = {"composite": scores.composite, "value": value, "reward": total}
        _say(json.dumps({"task": asked.id, **numbers, **asdict(judgment)}, indent=2))
        return 0
    parts = ("functionality", "correctness", "completeness")
    told = ", ".join(f"{part} {_number(getattr(judgment, part))}" for part in parts)
    _say(f"{asked.id}: {told}: judge {_number(value)}")
    _say(f"composite {scores.composite:.2f}, reward {_number(total)}")
    _say(printable(judgment.reason))
    return 0


def _say(text: str) -> None:
    if sys.stdout is not None:
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may not know every character
    print(text)


def _read(file: str) -> str:
    if os.path.isdir(file):
        raise UserError(f"{printable(file)}: a folder; give one file, or several scripts in it under their names")
    return read_source(file)


def _check(format: str, kind: str | None) -> None:
    if format not in FORMATS:
        raise UserError(f"--format: {format!r} is unknown; write one of {', '.join(FORMATS)}")
    check_kind(kind)


def _kind(file: str, kind: str | None) -> str:
    return kind or kind_of(file) or "server"


def find_task(name: str) -> Task:
    """The task of a folder or an id. Raises ``UserError``."""
    folders = [Path(name), *(TASKS / split / name for split in ("train", "eval"))]
    folder = next((path for path in folders if (path / "task.yaml").is_file()), None)
    if folder is None:
        raise UserError(f"{name}: no such task; give its folder, or its id in {TASKS}/train or {TASKS}/eval")
    return load_task(folder)


def _as_json(result: Result) -> dict[str, object]:
    error = result.error and {key: result.error[key] for key in ("message", "line", "traceback")}
    checks = [{"name": check.name, "passed": check.passed, "message": check.message} for check in result.checks]
    kept = ("output", "limit", "not_modelled", "virtual_seconds", "real_seconds")
    return {"ok": result.ok, "error": error, "checks": checks} | {name: getattr(result, name) for name in kept}


def _as_text(result: Result, program: Program) -> str:
    lines = []
    frames = [f"    {frame}" for frame in result.error["traceback"]] if result.error else []
    for entry in result.output:
        lines += entry.split("\n")
        if result.error and entry == f"error: {result.error['message']}":
            lines += frames
            frames = []
    marks = {True: "passed", False: "FAILED", None: "unknown"}
    for check in result.checks:
        lines.append(f"{marks[check.passed]}: {check.name}" + (f" ({check.message})" if check.message else ""))
    if program.checks is not None:
        passed = sum(check.passed is True for check in result.checks)
        lines.append(f"{passed} of {len(result.checks)} checks passed" if result.checks else "no check came to its end")
    lines += [f"not modelled: {what}" for what in result.not_modelled]
    if result.limit:
        lines.append(f"hit the {result.limit} limit: {_EXPLAINED[result.limit].format(limits=program.limits)}")
    lines.append(f"{result.virtual_seconds:.1f} s of game time in {result.real_seconds:.2f} s")
    return "\n".join(map(printable, lines))


def _number(value: float | None) -> str:
    return "undecided" if value is None else f"{value:.2f}"
