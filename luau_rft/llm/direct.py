"""Direct requests, side by side."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from luau_rft.llm.base import Answer, Question
from luau_rft.llm.books import Books
from luau_rft.llm.reply import Again, Job


async def ask_directly(
    jobs: Iterable[Job],
    request: Callable[[Job], Awaitable[Answer | Again]],
    ceiling: Callable[[Job], float],
    books: Books,
    concurrency: int,
    first_alone: bool,
) -> None:
    """Ask for an answer to every job, ``concurrency`` at once, and keep each on arrival.

    ``first_alone``: the others wait for the first, so that they find in the provider's cache what it has written.
    Where one fails, or the budget is exhausted, those under way are still waited for: they are paid. Raises
    ``UserError`` then.
    """
    waiting = deque(jobs)
    running: dict[asyncio.Task[Answer | Again], tuple[Job, float]] = {}
    places = 1 if first_alone else concurrency
    failure: Exception | None = None
    try:
        while running or (waiting and failure is None):
            while waiting and failure is None and len(running) < places:
                if not books.missing([waiting[0]]):
                    waiting.popleft()
                    continue
                usd = ceiling(waiting[0])
                if not books.reserve(usd):
                    if not running:
                        raise books.exhausted(usd)
                    break
                job = waiting.popleft()
                running[asyncio.create_task(request(job))] = job, usd
            if not running:
                break
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            places = concurrency
            for task in done:
                _, usd = running.pop(task)
                try:
                    outcome = task.result()
                    if isinstance(outcome, Again):
                        books.charge(outcome)
                        waiting.appendleft(outcome.job)
                    else:
                        books.keep(outcome)
                except Exception as error:
                    failure = failure or error
                books.release(usd)
        if failure is not None:
            raise failure
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def by_shared_part(questions: Iterable[Question], at_once: int) -> list[Question]:
    """The questions in an order in which one of those that share a part comes well before the others, so that these
    find it in the provider's cache, and not so long before that the cache has forgotten it.
    """
    groups: dict[str, list[Question]] = {}
    for question in questions:
        groups.setdefault(question.shared, []).append(question)
    ordered, every = [], list(groups.values())
    for start in range(0, len(every), at_once):
        together = every[start : start + at_once]
        ordered += [group[0] for group in together]
        ordered += [question for group in together for question in group[1:]]
    return ordered
