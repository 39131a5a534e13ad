"""Ask a paid model, and for nothing twice."""

from collections.abc import Iterable
from typing import Protocol

from luau_rft.errors import UserError
from luau_rft.llm import prices
from luau_rft.llm.base import Answer, Question
from luau_rft.llm.books import Books, Spending
from luau_rft.llm.estimate import Size, estimate
from luau_rft.progress import bar
from luau_rft.store import Store


class Provider(Protocol):
    """Who answers."""

    model: str
    batches: bool  # whether it has batches at a lower price
    priced: bool  # whether its price is known

    def ceiling(self, question: Question, batch: bool) -> float:
        """The most USD that one request for the question can cost."""

    def answer(
        self, missing: list[Question], everything: list[Question], books: Books, spending: Spending, batch: bool
    ) -> None:
        """Put an answer to every missing question into the books, each on arrival, retrying what may succeed.

        A request does not depend on what else is missing, only on ``everything``, so that a resumed run gets the same.
        Raises ``UserError`` where a user must act; what came until then is kept.
        """


def ask(
    questions: Iterable[Question],
    provider: Provider,
    store: Store,
    spending: Spending,
    in_all: int | None = None,
) -> dict[str, Answer]:
    """The answers to all questions of one stage, by key, in the questions' order.

    What is in the store is not asked, questions with the same key are asked once, and every answer is in the store
    before anything else happens with it. The first line that is printed says what the missing ones will cost.
    ``in_all``: how many questions the stage has, where it asks them in portions. Raises ``UserError`` at the budget and
    where a user must act; the same call goes on from there.
    """
    unique: dict[str, Question] = {}
    for question in questions:
        unique.setdefault(question.key, question)
    found = store.get(unique)
    missing = [question for key, question in unique.items() if key not in found]
    _close_finished_batches(store)
    if missing:
        # By all questions, not by those still missing, so that a resumed run pays the same.
        batch = provider.batches and spending.batched(max(in_all or 0, len(unique)))
        stage = missing[0].stage
        books = Books(store, spending.budget_usd, stage, provider.model, len(found), len(missing))
        print(_first_line(stage, len(found), missing, provider, batch), flush=True)
        with bar(stage, len(missing), books.note) as books.changed:
            try:
                provider.answer(missing, list(unique.values()), books, spending, batch)
            except UserError as error:
                raise UserError(f"{stage}: {error}. {books.state()}") from None
        found = store.get(unique)
    elif unique:
        print(f"{next(iter(unique.values())).stage}: nothing to ask: $0.00", flush=True)
    return {key: found[key] for key in unique}


def _first_line(stage: str, found: int, missing: list[Question], provider: Provider, batch: bool) -> str:
    told = f"{len(missing)} direct requests"
    if provider.priced:
        most = sum(provider.ceiling(question, batch) for question in missing)
        expected = estimate(provider.model, [Size.of(question) for question in missing], batch)
        told = f"{expected} by the prices of {prices.table().date}, at most ${most:.2f}"
    return f"{stage}: {provider.model}: {told}; {found} of {found + len(missing)} answers are in the store"


def _close_finished_batches(store: Store) -> None:
    """A crash may have come between a batch's last answer and the note that all are there."""
    for batch in store.open_batches():
        if len(store.get(batch.custom_ids.values())) == len(set(batch.custom_ids.values())):
            store.closed(batch.intent)
