"""The books of one stage's questions: what may still be spent, what was, and what goes into the store."""

import os
import time
from collections.abc import Callable, Iterable

from pydantic import Field

from luau_rft.config import Params
from luau_rft.errors import UserError
from luau_rft.llm.base import Answer, Usage
from luau_rft.llm.reply import Again, Job
from luau_rft.store import Store

NOW = "LUAU_RFT_NOW"  # set to 1: direct requests whatever the number of questions
FRESH_S = 1.0  # how old the sum of what was spent may be: another process may spend, too


class Spending(Params):
    """The section ``spending`` of params.yaml: of all stages that ask a paid model, and no stage's dependency."""

    budget_usd: float = Field(ge=0)  # of all that the store records, over all runs
    batch_from: int = Field(ge=1)  # questions of a stage from which on they are asked in batches, at half price
    concurrency: int = Field(ge=1)  # direct requests at once
    now: bool  # direct requests whatever the number of questions

    def batched(self, questions: int) -> bool:
        """Whether a stage with so many questions asks them in batches, where there are any."""
        now = self.now or os.environ.get(NOW, "") not in ("", "0")
        return not now and questions >= self.batch_from


class Books:
    """Keeps answers and charges, and says before every request whether the budget still allows it."""

    def __init__(self, store: Store, budget_usd: float, stage: str, model: str, found: int, missing: int) -> None:
        self.store = store
        self.stage = stage
        self._model = model
        self.total = found + missing
        self.done = found
        self.retries = 0
        self.usage = Usage()
        self.paid = 0.0  # USD, since these books were opened
        self.changed: Callable[[int], None] = lambda answers: None  # told of every answer and every retry
        self._budget = budget_usd
        self._reserved = 0.0
        self._spent = (0.0, float("-inf"))  # USD, and when they were counted

    def keep(self, answer: Answer) -> None:
        """Put an answer into the store."""
        self.store.put(answer, self.stage)
        self.done += 1
        self._count(answer.usage, answer.cost_usd)
        self.changed(1)

    def missing(self, jobs: Iterable[Job]) -> list[Job]:
        """Those whose answer another process has not put into the store in the meantime."""
        jobs = list(jobs)
        found = self.store.get(job.question.key for job in jobs)
        if found:
            self.done += len(found)
            self.changed(len(found))
        return [job for job in jobs if job.question.key not in found]

    def charge(self, again: Again, charge_id: str | None = None) -> None:
        """Note what was paid for an answer of no use; the same ``charge_id`` is charged once."""
        if again.usage != Usage():
            self.store.charge(self.stage, self._model, again.usage, again.cost_usd, again.why, charge_id)
        self._count(again.usage, again.cost_usd)
        self.retried()

    def retried(self) -> None:
        """Count a request that is sent again."""
        self.retries += 1
        self.changed(0)

    def reserve(self, usd: float) -> bool:
        """Set aside what a request may cost; False where the budget does not allow it."""
        if usd and self._total() + usd > self._budget:  # what is free is not stopped by what was spent elsewhere
            return False
        self._reserved += usd
        return True

    def hold(self, usd: float) -> None:
        """Set aside what a request that is already under way may cost."""
        self._reserved += usd

    def release(self, usd: float) -> None:
        """Give back what was set aside, once the true cost is in the store."""
        self._reserved = max(0.0, self._reserved - usd)

    def exhausted(self, usd: float) -> UserError:
        """The budget does not allow a request that may cost ``usd``."""
        return UserError(
            f"${self._total():.2f} of budget_usd {self._budget:g} are spent, and the next request may cost up to "
            f"${usd:.4f}. Raise spending.budget_usd in params.yaml and run the same command again: only what is "
            "missing is asked"
        )

    def state(self) -> str:
        """How far it got, for messages."""
        return f"{self.done} of {self.total} answers are in the store"

    def note(self) -> str:
        """What the progress line says beside the number of answers."""
        read, all_input = self.usage.cache_read, self.usage.input + self.usage.cache_write + self.usage.cache_read
        cached = f"{read / all_input:.0%}" if all_input else "0%"
        return f"cached {cached}, retries {self.retries}, ${self.paid:.4f}"

    def _count(self, usage: Usage, cost_usd: float) -> None:
        mine = self.usage
        self.usage = Usage(
            mine.input + usage.input,
            mine.cache_write + usage.cache_write,
            mine.cache_read + usage.cache_read,
            mine.output + usage.output,
        )
        self.paid += cost_usd
        self._spent = (0.0, float("-inf"))

    def _total(self) -> float:
        spent, counted = self._spent
        if time.monotonic() - counted > FRESH_S:
            spent = self.store.spent()
            self._spent = (spent, time.monotonic())
        return spent + self._reserved
