"""What the agent learns about a program: its scores, how it ran, and all that is wrong with it in one list.

    score = composite · (1 - 0.6 · weight of the failed checks) · 0.8 for each line with an error · 0.5 for a limit

So a program that runs without trouble has its composite for a score, and one that fails has less, the better its code
the more. What the engine does not model, and what an empty place lacks, is told beside and costs nothing.
"""

import os
import re
from dataclasses import dataclass, replace
from functools import lru_cache

from luau_rft.errors import UserError
from luau_rft.luau.sandbox import Limits, Program, Result, Sandbox
from luau_rft.luau.substance import substantive
from luau_rft.luau.tree import Tree, parse
from luau_rft.roblox.scripts import Script, split
from luau_rft.roblox.uses import services
from luau_rft.scorers.base import Finding
from luau_rft.scorers.composite import CAP_BROKEN, SCORERS, Scores, score_code
from luau_rft.tasks import Task

RUNS_HERE = hasattr(os, "fork")  # what the sandbox is made of
RUN_SECONDS = 5.0  # of game time, where no checks say how long
GRACE_S = 5.0  # of real time above the game time, before what hangs is killed
CHECKS_PENALTY = 0.6  # of all checks together
ERROR_PENALTY = 0.2  # of a line that raises an error
LIMIT_PENALTY = 0.5
RUN = "run"  # the scorer of findings that a run made

# Services and members that only scripts of a player's own machine can use.
_CLIENT_SERVICES = {"ContextActionService", "GuiService", "StarterGui", "UserInputService"}
_CLIENT_NAMES = {"BindToRenderStep", "FireServer", "InvokeServer", "LocalPlayer", "OnClientEvent", "RenderStepped"}
_PLACE = re.compile(r"^(?:[\w ]+\.)*[\w ]+:\d+: ")  # what an error's message begins with
_LACKING = " is not a valid member of "
_LIMITS = {
    "time": "it never came to an end: let every endless loop wait",
    "memory": "it needs too much memory",
    "output": "it prints without an end",
    "recursion": "a function calls itself without an end",
    "crash": "it crashed the machine that runs it",
}
# Put before a script, so that a single header is one of two.
_ABOVE = "-- Above.luau\n"


@dataclass(frozen=True, slots=True)
class Part:
    """One script of a program; ``placed`` tells whether a header says where it belongs. ``composite`` is its own."""

    script: Script
    placed: bool
    composite: float


@dataclass(frozen=True, slots=True)
class Report:
    """``findings`` of the scorers and of the run, the worst first; line 0 is the whole program.

    ``score`` is in [0, 1]. ``ran`` is False where nothing was run; ``passed`` of ``total`` checks are None without a
    task. ``notes`` tell what a run met that is no fault of the program, ``output`` is what it printed.
    """

    kind: str
    scores: Scores
    parts: tuple[Part, ...]
    findings: tuple[Finding, ...]
    score: float
    ran: bool = False
    passed: int | None = None
    total: int | None = None
    notes: tuple[str, ...] = ()
    output: tuple[str, ...] = ()

    @property
    def in_order(self) -> bool:
        """Whether nothing went wrong when it ran."""
        return not any(finding.scorer == RUN for finding in self.findings)


def check_code(code: str, kind: str | None = None, task: Task | None = None, run: bool = RUNS_HERE) -> Report:
    """Score a program and run it: against the checks of a task, or else alone in an empty place.

    ``kind`` is server, client or module; without one it is the task's, or what its header says, or what it looks like.
    Raises ``UserError`` for a task whose checks cannot be played.
    """
    told = kind or (task.kind if task else None)
    scripts, placed = scripts_of(code, told or kind_of_code(code))
    kind = told or scripts[0].kind
    scores = score_code(code, kind)
    parts = tuple(Part(script, placed, value) for script, value in zip(scripts, _composites(scripts), strict=True))
    score = scores.composite if code.strip() else 0.0  # less than any attempt
    report = Report(kind, scores, parts, _worst_first(scores.findings), score)
    if task is not None:
        total = _count(task.checks, task.kind, str(task.folder / "checks.luau"))
        report = replace(report, passed=0, total=total, score=round(score * (1 - CHECKS_PENALTY), 4))
    if not run or not scores.compiles or not code.strip():
        return report
    limits = Limits() if task else Limits(seconds=RUN_SECONDS, wall_s=RUN_SECONDS + GRACE_S)
    with Sandbox(processes=1) as sandbox:
        [result] = sandbox.run([Program(code, task.kind if task else kind, task.checks if task else None, limits)])
    return _with_run(report, result, task)


def kind_of_code(code: str) -> str:
    """What kind of script a program looks like.

    >>> kind_of_code("local player = game:GetService('Players').LocalPlayer"), kind_of_code("return {}")
    ('client', 'module')
    """
    tree = parse(code)
    if tree.root.children and tree.root.children[-1].type == "return_statement":
        return "module"
    names = {node.text for node in tree.of("identifier")} | {name for _, name in services(tree)}
    return "client" if names & (_CLIENT_NAMES | _CLIENT_SERVICES) else "server"


def scripts_of(code: str, kind: str) -> tuple[list[Script], bool]:
    """The scripts of a program, and whether headers say where they belong.

    >>> [script], placed = scripts_of("-- StarterGui/Menu.client.luau\\nprint(1)", "server")
    >>> script.name, script.kind, script.folder, placed
    ('Menu', 'client', ('StarterGui',), True)
    """
    scripts = split(code, kind)
    if len(scripts) > 1:
        return scripts, True
    headed = split(_ABOVE + code, kind)
    if len(headed) == 2:
        return [replace(headed[1], source=code, line=0)], True
    return scripts, False


def lines(findings: tuple[Finding, ...], most: int) -> list[str]:
    """Findings as lines for a model; line 0 is the whole program."""
    return [f"- {f'line {finding.line}: ' if finding.line else ''}{finding.message}" for finding in findings[:most]]


def _worst_first(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: (-finding.penalty, finding.line, finding.column)))


def _composites(scripts: list[Script]) -> list[float]:
    """The mean of the four scores of each script; what has substance is the program, not each of its scripts."""
    trees = [Tree(script.source) for script in scripts]
    statements = sum(len(substantive(tree)) for tree in trees)
    values = []
    for tree, script in zip(trees, scripts, strict=True):
        mean = sum(scorer(tree, script.kind, statements).value for scorer in SCORERS.values()) / len(SCORERS)
        values.append(round(mean if tree.compile_error is None else min(mean, CAP_BROKEN), 4))
        tree.release()
    return values


def _with_run(report: Report, result: Result, task: Task | None) -> Report:
    if result.limit == "crash" and result.error and not result.error.get("candidate"):
        return replace(report, notes=("it could not be run on this machine",))
    notes = [f"not modelled: {what}" for what in result.not_modelled]
    notes += result.warnings
    # No place has a member that its class does not have.
    invented = {finding.line for finding in report.findings if finding.rule == "unknown-member"}
    found: dict[tuple[int, str], Finding] = {}
    for error in result.errors:
        line, message = error.get("line") or 0, _PLACE.sub("", error["message"])
        if not error["candidate"]:
            continue
        if task is None and _LACKING in message and line not in invented:
            notes.append(f"line {line}: {message}: the place it ran in is empty")
        elif (line, RUN) not in found or not line:
            found[line, RUN if line else message] = _finding("run-time-error", line, message, ERROR_PENALTY)
    findings = list(found.values())
    if result.limit:
        findings.append(_finding("run-limit", 0, _LIMITS[result.limit], LIMIT_PENALTY))
    kept = 1.0
    for finding in findings:
        kept *= 1 - finding.penalty
    if task is not None:
        failed = _failed_checks(result)
        findings += failed
        kept *= 1 - sum(finding.penalty for finding in failed)
        report = replace(report, passed=sum(check.passed is True for check in result.checks))
    return replace(
        report,
        ran=True,
        findings=_worst_first((*report.findings, *findings)),
        score=round(report.scores.composite * kept, 4),
        notes=tuple(dict.fromkeys(notes)),
        output=tuple(result.output),
    )


def _failed_checks(result: Result) -> list[Finding]:
    """Each with its weight's share; what met something that the engine does not model has not failed."""
    if not result.checks:
        return [_finding("failed-check", 0, "no check came to its end", CHECKS_PENALTY)]
    weight = sum(check.weight for check in result.checks)
    findings = []
    for check in result.checks:
        if check.passed is False:
            why = f" ({_PLACE.sub('', check.message)})" if check.message else ""
            message = f"it must hold that {check.name}, and it does not{why}"
            findings.append(_finding("failed-check", 0, message, round(CHECKS_PENALTY * check.weight / weight, 4)))
    return findings


def _finding(rule: str, line: int, message: str, penalty: float) -> Finding:
    return Finding(rule, RUN, line, 1, message, penalty)


@lru_cache
def _count(checks: str, kind: str, where: str) -> int:
    """How many checks there are, found by playing them against an empty program. Raises ``UserError``."""
    if not RUNS_HERE:
        raise UserError("--task: checks cannot be played on this system; leave it out, or use Linux")
    with Sandbox(processes=1) as sandbox:
        [result] = sandbox.run([Program("", kind, checks)])
    if result.broken:
        raise UserError(f"{where}: {result.broken}; see data/tasks/README.md")
    return len(result.checks)
