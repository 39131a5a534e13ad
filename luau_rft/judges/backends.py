"""The judges that params.yaml can name, behind one interface."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

from pydantic import Field

from luau_rft import tables
from luau_rft.config import Params, load
from luau_rft.judges import base, execution
from luau_rft.judges.base import Judgment, Request
from luau_rft.judges.model import ModelJudge
from luau_rft.llm.books import Spending
from luau_rft.llm.claude import Claude
from luau_rft.llm.openai import OpenAI
from luau_rft.progress import bar
from luau_rft.store import Store

Row = dict[str, Any]

# What a judge says: the columns that all tables of judgments share, whatever was judged.
JUDGED = tuple(name for name in tables.SCHEMAS["judgments"] if name not in tables.PRIMARY_KEYS["judgments"])


class OpenAIParams(Params):
    """Section ``judge.openai``."""

    url: str = Field(pattern=r"^https?://")
    model: str = Field(min_length=1)  # what the server calls it


class JudgeParams(base.JudgeParams):
    """Section ``judge``."""

    backend: Literal["execution", "claude", "openai"]
    model: str = Field(min_length=1)  # of claude
    answers: int = Field(ge=1)  # judgments a candidate, of claude and openai
    max_tokens: int = Field(ge=1)  # of one judgment
    show_execution: bool
    openai: OpenAIParams


class Judge(Protocol):
    """Who judges. A row has the columns ``JUDGED``."""

    name: str  # in the column ``judge``: backend and, where there is one, model

    def key(self, request: Request) -> str:
        """A hash of all that determines the row."""

    def known(self, rows: Mapping[str, Row], keys: Sequence[str]) -> dict[str, Row]:
        """The rows that need no new judgment, by key; ``rows`` are those that an earlier run left."""

    def judge(self, requests: Mapping[str, Request], in_all: int, title: str) -> Iterator[tuple[str, Row]]:
        """A row for every key; ``in_all`` is how many requests there were, known ones included.

        Raises ``UserError`` where a user must act; what was paid until then is kept.
        """


class ExecutionJudge:
    """Runs programs; it costs nothing and never varies."""

    name = execution.NAME

    def __init__(self, processes: int) -> None:
        self._processes = processes

    def key(self, request: Request) -> str:
        return execution.key(request)

    def known(self, rows: Mapping[str, Row], keys: Sequence[str]) -> dict[str, Row]:
        return {key: rows[key] for key in keys if key in rows}

    def judge(self, requests: Mapping[str, Request], in_all: int, title: str) -> Iterator[tuple[str, Row]]:
        with bar(title, len(requests)) as advance:
            judgments = execution.judge_all(list(requests.values()), self._processes)
            for key, judgment in zip(requests, judgments, strict=True):
                yield key, _row(key, judgment)
                advance(1)


def judge_of(params: JudgeParams, stage: str, now: bool = False) -> Judge:
    """The judge that the params name.

    ``stage`` is the one that asks; ``now`` sends direct requests whatever their number. Raises ``UserError`` where
    the section ``spending`` of params.yaml, which a paid judge needs, is wrong.
    """
    if params.backend == "execution":
        return ExecutionJudge(params.processes)
    spending = load("spending", Spending)
    if now:
        spending = spending.model_copy(update={"now": True})
    claude = params.backend == "claude"
    provider = Claude(params.model) if claude else OpenAI(params.openai.url, params.openai.model)
    runs = params.processes if params.show_execution else None
    return ModelJudge(params.backend, provider, spending, stage, params.answers, params.max_tokens, runs)


def judged(judge: Judge, requests: Sequence[Request], earlier: Mapping[str, Row], title: str) -> tuple[list[Row], int]:
    """A row for every request, in order, and how many were judged anew.

    ``earlier`` are rows of an earlier run by key: what was paid for them goes into the store, whoever judges now.
    Requests with the same key are judged once.
    """
    rows = {key: {name: row[name] for name in JUDGED} for key, row in earlier.items()}
    if paid := [row for row in rows.values() if row["judge"] != execution.NAME]:
        with Store() as store:
            store.fill("judgments", paid)
    keys = [judge.key(request) for request in requests]
    unique = dict(zip(keys, requests, strict=True))
    found = judge.known(rows, list(unique))
    missing = {key: request for key, request in unique.items() if key not in found}
    if missing:
        in_all = sum(not request.refusal for request in unique.values())
        found |= judge.judge(missing, in_all, title)
    return [found[key] for key in keys], len(missing)


def _row(key: str, judgment: Judgment) -> Row:
    names = ("functionality", "correctness", "completeness", "value", "reason")
    counts = ("checks_passed", "checks_total", "checks_unknown")
    fixed = {"key": key, "judge": execution.NAME, "spread": 0.0, "answers": 1, "cost_usd": 0.0}
    return {name: getattr(judgment, name) for name in names + counts} | fixed | {"input_tokens": 0, "output_tokens": 0}
