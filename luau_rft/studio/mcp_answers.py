"""What the tools of the MCP server answer: the models that its clients see as schemas, and how they are filled."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict

from pydantic import BaseModel, Field

from luau_rft.agent import Agent, Checked, Delta, Event, Finished, Started
from luau_rft.errors import UserError
from luau_rft.judges import execution
from luau_rft.luau.sandbox import Program
from luau_rft.roblox import scripts as answered
from luau_rft.scorers import base
from luau_rft.scorers.command import Result
from luau_rft.scorers.composite import SCORERS, score_code
from luau_rft.studio.client import Bridge
from luau_rft.studio.mcp_jobs import Job, play
from luau_rft.studio.protocol import Inserted, Selection
from luau_rft.tasks import Task

MAX_FINDINGS = 100  # of one answer, so that it does not fill a client's context
MAX_LINES = 300


class Finding(BaseModel):
    rule: str
    scorer: str
    line: int
    column: int
    message: str
    penalty: float = Field(description="What it cost.")


class Score(BaseModel):
    """What the four scorers say, each in [0, 1]; ``composite`` is their mean, capped."""

    composite: float
    syntax: float
    api: float
    bugs: float
    quality: float
    compiles: bool
    cap: str | None = Field(description="Why the composite is capped, if it is.")
    findings: list[Finding]
    left_out: int = Field(description="Findings beyond those listed.")


class Check(BaseModel):
    name: str
    passed: bool | None = Field(description="null where the check met something that the engine does not model.")
    message: str | None


class Judgment(BaseModel):
    """By the task's checks, each in [0, 1]; null where a check could not be decided."""

    functionality: float | None
    correctness: float | None
    completeness: float | None
    reason: str


class Run(BaseModel):
    ok: bool = Field(description="No error that nothing caught, and no limit hit.")
    error: str | None
    line: int | None = Field(description="Of the error, in the code.")
    output: list[str]
    left_out: int = Field(description="Lines of output beyond those listed.")
    limit: str | None = Field(description="time, memory, output, recursion or crash: what ended the run.")
    not_modelled: list[str] = Field(description="What the headless engine does not know of Roblox.")
    virtual_seconds: float
    checks: list[Check]
    judgment: Judgment | None


class Script(BaseModel):
    name: str
    class_name: str = Field(description="Script, LocalScript or ModuleScript.")
    parent: str = Field(description="Where it belongs, such as StarterPlayer.StarterPlayerScripts.")
    composite: float


class Round(BaseModel):
    number: int
    score: float
    composite: float
    findings: int
    passed: int | None = Field(description="Checks of the task, if there is one.")


class Written(BaseModel):
    """The best round: ``score`` in [0, 1] is its composite, lowered by what went wrong when it ran."""

    code: str
    score: float
    composite: float
    scripts: list[Script]
    findings: list[Finding] = Field(description="The worst first; line 0 is the whole program.")
    left_out: int = Field(description="Findings beyond those listed.")
    passed: int | None = Field(description="Checks of the task, if there is one.")
    total: int | None
    notes: list[str] = Field(description="What a run met that is no fault of the program.")
    rounds: list[Round]
    reason: str = Field(description="Why no other round followed: good, no-gain, same-code, rounds or context.")
    model: str


class Insertions(BaseModel):
    """In the order of the code: full names, and where an earlier source is kept."""

    inserted: list[Inserted]


def score(code: str, kind: str | None = None) -> Score:
    """Score a program; see ``scorers/composite.py``."""
    scores = score_code(code, kind)
    values = {name: getattr(scores, name) for name in ("composite", *SCORERS, "compiles")}
    return Score(**values, cap=Result("", code, scores).cap, **_findings(scores.findings))


def run(program: Program, task: Task | None, job: Job) -> Run:
    """Run a program; with a ``task``, whose checks it holds, it is judged. Raises ``UserError`` for broken checks."""
    result = play(program, job)
    if result.broken:
        raise UserError(f"checks: {result.broken}; data/tasks/README.md tells how checks are written")
    judgment = execution.weigh(task, result) if task else None
    error = result.error or {"message": None, "line": None}
    return Run(
        ok=result.ok,
        error=error["message"],
        line=error["line"],
        output=result.output[:MAX_LINES],
        left_out=max(len(result.output) - MAX_LINES, 0),
        limit=result.limit,
        not_modelled=result.not_modelled,
        virtual_seconds=result.virtual_seconds,
        checks=[Check(name=check.name, passed=check.passed, message=check.message) for check in result.checks],
        judgment=judgment and Judgment(**{name: getattr(judgment, name) for name in Judgment.model_fields}),
    )


def written(agent: Agent, events: Iterator[Event], job: Job) -> Written:
    """What the agent's ``events`` come to, told as progress; a stopped job stops the model between two tokens."""
    length = 0
    with closing(events):
        for event in events:
            job.check()
            match event:
                case Started():
                    length = 0
                    job.message = f"round {event.number}: {event.model} begins"
                case Delta():
                    length += len(event.text)
                    job.message = f"round {event.number}: {length} characters written"
                case Checked():
                    report = event.round.report
                    found = f"score {report.score:.2f}, {len(report.findings)} findings"
                    job.message = f"round {event.round.number}: {found}"
                case Finished():
                    finished = event
    report = finished.best.report
    scripts = [
        Script(
            name=part.script.name,
            class_name=answered.CLASSES[part.script.kind],
            parent=".".join(part.script.folder),
            composite=part.composite,
        )
        for part in report.parts
    ]
    rounds = [
        Round(
            number=done.number,
            score=done.score,
            composite=done.report.scores.composite,
            findings=len(done.report.findings),
            passed=done.report.passed,
        )
        for done in finished.rounds
    ]
    return Written(
        code=finished.best.code,
        score=finished.best.score,
        composite=report.scores.composite,
        scripts=scripts,
        **_findings(report.findings),
        passed=report.passed,
        total=report.total,
        notes=list(report.notes),
        rounds=rounds,
        reason=finished.reason,
        model=agent.chat.name,
    )


def insert(scripts: Sequence[answered.Script], place: str | None, replace: bool) -> Insertions:
    """Have the bridge insert ``scripts``. Raises ``UserError`` where it, the place or Studio does not do it."""
    return Insertions(inserted=Bridge.find(place=place).insert(scripts, place, replace))


def read_selection(place: str | None) -> Selection:
    """What is selected in a place. Raises ``UserError`` as ``insert`` does."""
    return Bridge.find(place=place).read_selection(place)


def _findings(found: Sequence[base.Finding]) -> dict[str, object]:
    shown = [Finding(**asdict(finding)) for finding in found[:MAX_FINDINGS]]
    return {"findings": shown, "left_out": len(found) - len(shown)}
