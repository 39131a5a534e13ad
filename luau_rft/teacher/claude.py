"""What the two uses of Claude as a teacher share: which rows are there already, and how the others are asked for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from luau_rft.config import Params, load
from luau_rft.llm.ask import Provider, ask
from luau_rft.llm.base import Answer, Question
from luau_rft.llm.books import Spending
from luau_rft.llm.claude import Claude
from luau_rft.store import Store


class ClaudeParams(Params):
    """What a section says about Claude, also where its teacher is another."""

    model: str = Field(pattern=r"\S")
    max_tokens: int = Field(ge=1)  # of one answer


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a stage gets what is paid for: from the store, or by asking."""

    stage: str
    store: Store
    provider: Provider
    spending: Spending

    def known(self, keys: Iterable[str]) -> Mapping[str, Mapping[str, Any]]:
        """The rows that came with a table, by their key."""
        return self.store.rows(self.stage, keys)

    def ask(self, questions: Sequence[Question]) -> dict[str, Answer]:
        """The answers by their key. Raises ``UserError`` at the budget and where a user must act."""
        if not questions:
            print(f"{self.stage}: nothing to ask: $0.00", flush=True)
        return ask(questions, self.provider, self.store, self.spending)


@contextmanager
def desk(stage: str, model: str, now: bool, table: Iterable[Mapping[str, Any]]) -> Iterator[Desk]:
    """The desk of ``stage`` at the user's store, into which the ``stage``'s rows of an earlier ``table`` go first.

    ``now`` asks directly whatever the number of questions.
    """
    spending = load("spending", Spending)
    with Store() as store:
        store.fill(stage, map(dict, table))
        yield Desk(stage, store, Claude(model), spending.model_copy(update={"now": now or spending.now}))
