"""Judges a candidate by asking a language model: Claude, or one behind an OpenAI-compatible server.

Every candidate is judged alone: the model learns neither who wrote it, nor what others wrote, nor the task's checks.
"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, pstdev
from typing import Any

from luau_rft import tables
from luau_rft.judges import execution
from luau_rft.judges.base import Judgment, Request
from luau_rft.judges.questions import MOST_CHARACTERS, Verdict, about_program, about_task, rubric, too_long
from luau_rft.llm.ask import Provider, ask
from luau_rft.llm.base import Answer, Question
from luau_rft.llm.books import Spending
from luau_rft.store import Store

KIND = "judgments"  # of rows in the store
PARTS = ("functionality", "correctness", "completeness")


class ModelJudge:
    """Asks ``answers`` times about a candidate and takes the mean.

    The model samples as its provider does unasked, so that answers to one question differ.
    """

    def __init__(
        self,
        backend: str,
        provider: Provider,
        spending: Spending,
        stage: str,
        answers: int,
        max_tokens: int,
        runs: int | None = None,
    ) -> None:
        """``max_tokens`` is the room for one answer. ``runs``: how many programs run side by side where the model is
        told what a run showed; None where it is not.
        """
        self.name = f"{backend}:{provider.model}"
        self._provider, self._spending, self._stage = provider, spending, stage
        self._answers, self._max_tokens, self._runs = answers, max_tokens, runs

    def key(self, request: Request) -> str:
        """A hash of all that determines the row."""
        task = request.task
        prompts = (rubric(), about_task(task), about_program(""), Verdict.model_json_schema())
        run = None if self._runs is None else execution.key(request)
        asked = (request.code, request.refusal)
        return tables.content_hash(self.name, prompts, asked, run, self._max_tokens, self._answers)

    def known(self, rows: Mapping[str, dict[str, Any]], keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The rows that were paid for; those of an earlier run are in the store, too."""
        with Store() as store:
            return store.rows(KIND, keys)

    def judge(self, requests: Mapping[str, Request], in_all: int, title: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """A row for every key. Raises ``UserError`` where a user must act; every answer until then is in the store."""
        runs: list[Judgment | None] = [None] * len(requests)
        if self._runs is not None:
            runs = list(execution.judge_all(list(requests.values()), self._runs))
        asked = {
            key: [] if _unasked(request) else self.questions(request, run)
            for (key, request), run in zip(requests.items(), runs, strict=True)
        }
        with Store() as store:
            questions = [question for several in asked.values() for question in several]
            answers = ask(questions, self._provider, store, self._spending, in_all * self._answers)
            for (key, request), run in zip(requests.items(), runs, strict=True):
                row = self._row(key, request, [answers[question.key] for question in asked[key]], run)
                store.put_row(KIND, key, row)
                yield key, row

    def questions(self, request: Request, run: Judgment | None = None) -> list[Question]:
        """What is asked about a candidate, ``run`` being what a run of it showed: the same text for every answer."""
        system, shared = rubric(), about_task(request.task)
        prompt = about_program(request.code, None if run is None else run.reason)
        parts = (self.name, system, shared, prompt, Verdict.model_json_schema(), self._max_tokens)
        keys = [tables.content_hash(*parts, number) for number in range(self._answers)]
        return [Question(key, self._stage, system, shared, prompt, self._max_tokens, Verdict) for key in keys]

    def _row(self, key: str, request: Request, answers: list[Answer], run: Judgment | None) -> dict[str, Any]:
        verdicts = [Verdict.model_validate_json(answer.text) for answer in answers if answer.status == "answered"]
        scores: dict[str, float | None] = {part: _mean(verdicts, part) for part in PARTS}
        if request.refusal:
            scores = dict.fromkeys(PARTS, 0.0)
        values = [fmean(getattr(verdict, part) for part in PARTS) for verdict in verdicts]
        return {
            "key": key,
            "judge": self.name,
            **scores,
            "value": Judgment(**scores, reason="").value,
            "spread": pstdev(values) if len(values) > 1 else None,
            "answers": len(verdicts),
            "reason": _unasked(request) or _reason(answers),
            "checks_passed": run.checks_passed if run else 0,
            "checks_total": run.checks_total if run else 0,
            "checks_unknown": run.checks_unknown if run else 0,
            "input_tokens": sum(used.input + used.cache_write + used.cache_read for used in (a.usage for a in answers)),
            "output_tokens": sum(answer.usage.output for answer in answers),
            "cost_usd": sum(answer.cost_usd for answer in answers),
        }


def _unasked(request: Request) -> str | None:
    """Why the model is not asked about a candidate; None when it is."""
    if request.refusal or not too_long(request.code):
        return request.refusal
    return f"It is longer than {MOST_CHARACTERS} characters, more than this judge reads."


def _mean(verdicts: list[Verdict], part: str) -> float | None:
    return fmean(getattr(verdict, part) for verdict in verdicts) if verdicts else None


def _reason(answers: list[Answer]) -> str:
    """The reasons of all answers, numbered where there are several."""
    told = [
        Verdict.model_validate_json(answer.text).reason
        if answer.status == "answered"
        else f"No judgment: the answer was {answer.status} ({answer.text})."
        for answer in answers
    ]
    return told[0] if len(told) == 1 else "\n".join(f"{number}. {text}" for number, text in enumerate(told, start=1))
