"""Message Batches: half the price, within a day. No batch is submitted twice and no result lost, whenever it crashes.

A batch is noted in the store before it is submitted, and its id as soon as it is known. Where the id is not known,
since the program or the connection died in between, the batch is looked for among those that the provider lists.
"""

import asyncio
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from luau_rft.errors import UserError
from luau_rft.llm.base import Answer
from luau_rft.llm.books import Books
from luau_rft.llm.faults import Who, attribute, explained, refused
from luau_rft.llm.reply import TRIES, Again, Job

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

CLOCK_SKEW = timedelta(hours=1)  # how far our clock may be ahead of the provider's
RETRIED_ERRORS = ("rate_limit_error", "overloaded_error", "api_error", "timeout_error")


@dataclass(frozen=True, slots=True)
class Pace:
    """Limits and waiting times, in seconds."""

    retries: int = 8  # of one HTTP request, by the SDK
    timeout_s: float = 600.0
    poll_s: float = 1.0  # the first pause between looks at a batch, half as long again each time
    poll_most_s: float = 60.0
    settle_s: float = 30.0  # after which a batch that was submitted is listed, if it arrived
    batch_requests: int = 100_000
    batch_bytes: int = 250_000_000  # of the 256 MB that are allowed


@dataclass(slots=True)
class Flight:
    """A batch under way. ``jobs``: those of its questions that are asked now, by custom_id."""

    intent: str
    created: datetime  # of the intent
    custom_ids: dict[str, str]
    jobs: dict[str, Job]
    batch_id: str | None = None
    usd: float = 0.0  # set aside
    settled: set[str] = field(default_factory=set)  # custom_ids whose result was read


class Batches:
    """Asks questions by batches and keeps the answers in the books."""

    def __init__(
        self,
        client: "AsyncAnthropic",
        books: Books,
        pace: Pace,
        body: Callable[[Job], dict[str, Any]],
        value: Callable[[Job, Any], Answer | Again],
        ceiling: Callable[[Job], float],
        who: Who,
    ) -> None:
        """``body`` makes a request's parameters, ``value`` says what its message is worth."""
        self._client, self._model, self._books, self._pace = client, who.model, books, pace
        self._body, self._value, self._ceiling, self._who = body, value, ceiling, who
        self._failure: UserError | None = None

    async def answer(self, jobs: list[Job], submit: bool, few: int) -> list[Job]:
        """Finish the batches under way that hold some of the questions and, with ``submit``, ask for the others.

        Returns what is left to be asked directly: all others without ``submit``, and fewer than ``few`` that have to be
        asked again. Raises ``UserError`` where a user must act; batches under way are found again by the next run.
        """
        flights, fresh = await self._resume(jobs)
        fresh = self._books.missing(fresh)
        again: list[Job] = []
        while True:
            if submit:
                if not fresh and not flights and len(again) >= few:
                    fresh, again = again, []
                fresh = await self._submit(fresh, flights)
            if not flights:
                break
            for flight in await self._wait(flights):
                flights.remove(flight)
                again += await self._read(flight)
                if self._failure is not None:
                    raise self._failure
        return fresh + again

    async def _resume(self, jobs: list[Job]) -> tuple[list[Flight], list[Job]]:
        """Batches of an earlier run that hold some of the questions, and the jobs that are in none."""
        by_key = {job.question.key: job for job in jobs}
        flights = []
        for batch in self._books.store.open_batches():
            mine = {custom_id: by_key[key] for custom_id, key in batch.custom_ids.items() if key in by_key}
            if batch.model != self._model or not mine:
                continue
            flight = Flight(batch.intent, batch.created, batch.custom_ids, mine, batch.batch_id)
            if flight.batch_id is None:
                print(f"{self._books.stage}: looking for a batch that a crash may have left", flush=True)
                # It may also be another process that is just submitting it.
                flight.batch_id = await self._find(flight) or self._noted(flight.intent)
                if flight.batch_id is None:
                    self._books.store.closed(flight.intent)
                    continue
                self._books.store.submitted(flight.intent, flight.batch_id)
            for job in mine.values():
                del by_key[job.question.key]
            flight.usd = sum(self._ceiling(job) for job in mine.values())
            self._books.hold(flight.usd)
            flights.append(flight)
            print(
                f"{self._books.stage}: batch {flight.batch_id} of an earlier run holds {len(mine)} of the questions; "
                "its results are waited for, and what is canceled is asked anew",
                flush=True,
            )
        return flights, list(by_key.values())

    def _noted(self, intent: str) -> str | None:
        return next((batch.batch_id for batch in self._books.store.open_batches() if batch.intent == intent), None)

    async def _submit(self, jobs: list[Job], flights: list[Flight]) -> list[Job]:
        """Submit as many as limits and budget allow, and return the rest.

        Raises ``UserError`` where the budget allows none and none is under way.
        """
        rest = list(reversed(jobs))
        while rest:
            mark = secrets.token_hex(6)
            chosen: dict[str, Job] = {}
            requests: list[dict[str, Any]] = []
            size, usd = 0, 0.0
            while rest and len(requests) < self._pace.batch_requests:
                job = rest[-1]
                custom_id = f"{mark}-{hashlib.sha256(job.question.key.encode()).hexdigest()[:40]}"
                request = {"custom_id": custom_id, "params": self._body(job)}
                size += len(json.dumps(request)) + 2
                if requests and size > self._pace.batch_bytes:
                    break
                most = self._ceiling(job)
                if not self._books.reserve(most):
                    if not requests and not flights:
                        raise self._books.exhausted(most)
                    break
                usd += most
                chosen[custom_id] = rest.pop()
                requests.append(request)
            if not requests:
                break
            custom_ids = {custom_id: job.question.key for custom_id, job in chosen.items()}
            intent = self._books.store.intend(self._model, custom_ids)
            flight = Flight(intent, datetime.now(UTC), custom_ids, chosen, usd=usd)
            flight.batch_id = await self._create(flight, requests)
            self._books.store.submitted(intent, flight.batch_id)
            flights.append(flight)
            print(
                f"{self._books.stage}: batch {flight.batch_id} of {len(requests)} questions is submitted; its results "
                "come within a day, also when this is interrupted: the same command goes on",
                flush=True,
            )
        return rest[::-1]

    async def _create(self, flight: Flight, requests: list[dict[str, Any]]) -> str:
        """Submit, and after a failure that does not tell whether the batch arrived look for it first."""
        from anthropic import APIConnectionError, APIStatusError

        # Not by the SDK's own retries: they would submit anew a batch that had arrived.
        batches = self._client.with_options(max_retries=0).messages.batches
        for attempt in range(self._pace.retries + 1):
            if attempt:
                self._books.retried()
            try:
                created = await batches.create(requests=requests)
                if batch_id := attribute(created, "id"):
                    return batch_id
                last: Exception = ValueError("no batch")
            except (APIConnectionError, APIStatusError, ValueError) as error:  # the last is a body that is no JSON
                last = error
            status = getattr(last, "status_code", None)
            refused = status is not None and status != 408 and (status < 500 or status == 529)
            if refused and status not in (409, 429, 529):
                self._books.store.closed(flight.intent)
                raise explained(last, self._who) from None
            if not refused and (found := await self._find(flight)):
                return found
            if attempt < self._pace.retries:
                await asyncio.sleep(_pause(last, attempt))
        # Nothing is known to be under way: the last look found none.
        self._books.store.closed(flight.intent)
        raise explained(last, self._who) from None

    async def _find(self, flight: Flight) -> str | None:
        """The id of the batch that holds these custom_ids, None if none was submitted.

        A batch shows its custom_ids only once it has ended, so those that may be it are waited for.
        """
        await asyncio.sleep(self._pace.settle_s)
        candidates = []
        with self._explaining():
            async for batch in self._client.messages.batches.list(limit=100):
                if batch.created_at < flight.created - CLOCK_SKEW:
                    break
                counts = batch.request_counts
                requests = counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
                if requests == len(flight.custom_ids) and batch.archived_at is None:
                    candidates.append(batch.id)
        for batch_id in candidates:
            candidate = Flight(flight.intent, flight.created, flight.custom_ids, flight.jobs, batch_id)
            await self._wait([candidate])
            entries = self._entries(candidate)
            first = await anext(entries, None)
            await entries.aclose()
            if first is not None and first.custom_id in flight.custom_ids:
                return batch_id
        return None

    async def _wait(self, flights: list[Flight]) -> list[Flight]:
        """Those that have ended, once there are some."""
        pause = self._pace.poll_s
        while True:
            ended = []
            for flight in flights:
                with self._explaining(flight):
                    batch = await self._client.messages.batches.retrieve(flight.batch_id)
                    status = batch.processing_status
                if status == "ended":
                    ended.append(flight)
            if ended:
                return ended
            await asyncio.sleep(pause)
            pause = min(1.5 * pause, self._pace.poll_most_s)

    async def _read(self, flight: Flight) -> list[Job]:
        """Keep every result of an ended batch as it is read; the jobs that have to be asked again."""
        again: list[Job] = []
        async for entry in self._entries(flight):
            if entry.custom_id in flight.settled or entry.custom_id not in flight.jobs:
                continue
            flight.settled.add(entry.custom_id)
            job = flight.jobs[entry.custom_id]
            if entry.result.type == "succeeded":
                outcome = self._value(job, entry.result.message)
                if isinstance(outcome, Answer):
                    self._books.keep(outcome)
                else:
                    self._books.charge(outcome, entry.custom_id)
                    again.append(outcome.job)
            else:
                again += self._unanswered(job, entry.result)
        for custom_id, job in flight.jobs.items():
            if custom_id not in flight.settled:
                again += self._once_more(job, "without a result")
        self._books.release(flight.usd)
        # A batch with answers to questions that only other params ask stays open: it is read again for these.
        others = [key for custom_id, key in flight.custom_ids.items() if custom_id not in flight.jobs]
        if len(self._books.store.get(others)) == len(others):
            self._books.store.closed(flight.intent)
        return again

    def _unanswered(self, job: Job, result: Any) -> list[Job]:
        """A request of a batch that was not answered, and not paid: what to ask again, if it may succeed."""
        why = result.type  # canceled, expired
        if why == "errored":
            kind, message = attribute(result, "error.error.type", ""), attribute(result, "error.error.message", "")
            if kind not in RETRIED_ERRORS:
                self._failure = self._failure or refused(0, kind, "", message, self._who)
                return []
            why = kind
        return self._once_more(job, why)

    def _once_more(self, job: Job, why: str) -> list[Job]:
        if job.tries >= TRIES:
            self._failure = self._failure or UserError(
                f"a question came back {why} from {TRIES} batches. Run the "
                "same command later, or with LUAU_RFT_NOW=1 to ask directly at the full price"
            )
            return []
        self._books.retried()
        return [job.again()]

    async def _entries(self, flight: Flight) -> AsyncIterator[Any]:
        """The results of an ended batch, each once, also when the connection drops while they are read."""
        import httpx2  # anthropic's HTTP client
        from anthropic import AnthropicError, APIError

        seen: set[str] = set()
        for attempt in range(self._pace.retries + 1):
            try:
                results = await self._client.messages.batches.results(flight.batch_id)
                try:
                    async for entry in results:
                        if entry.custom_id not in seen:
                            seen.add(entry.custom_id)
                            yield entry
                finally:
                    await results.close()
                return
            except (httpx2.HTTPError, ValueError) as error:  # dropped, or dropped inside a line
                self._books.retried()
                last: Exception = error
                await asyncio.sleep(_pause(error, attempt))
            except APIError as error:
                raise self._explained(error, flight) from None
            except AnthropicError:  # results are kept for some weeks
                print(f"{self._books.stage}: the results of batch {flight.batch_id} are gone", flush=True)
                return
        raise explained(last, self._who) from None

    @contextmanager
    def _explaining(self, flight: Flight | None = None) -> Iterator[None]:
        from anthropic import APIError

        try:
            yield
        except (APIError, ValueError, AttributeError, TypeError) as error:  # the SDK does not check what it is sent
            raise self._explained(error, flight) from None

    def _explained(self, error: Exception, flight: Flight | None) -> UserError:
        from anthropic import NotFoundError

        if flight is None or not isinstance(error, NotFoundError):
            return explained(error, self._who)
        return UserError(
            f"batch {flight.batch_id} of {flight.created:%Y-%m-%d %H:%M} UTC holds answers to {len(flight.jobs)} "
            f"questions, but the key in {self._who.key_variable} does not see it: a key of another workspace has "
            "submitted it, or it was deleted. Set such a key and run the same command again; or give these answers up "
            f"with `luau-rft store forget {flight.batch_id}`, and they are asked and paid anew"
        )


def _pause(error: Exception, attempt: int) -> float:
    """Seconds before the next attempt: what the server says, or twice as long each time."""
    headers = attribute(error, "response.headers", {})
    try:
        return max(0.0, float(headers["retry-after"]))
    except (KeyError, ValueError):
        return min(0.5 * 2.0**attempt, 8.0)
