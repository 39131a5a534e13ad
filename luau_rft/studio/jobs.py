"""What the plugin asks of the agent: one request at work at a time, the others wait on disk."""

import asyncio
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from luau_rft.errors import UserError
from luau_rft.studio.database import Database
from luau_rft.studio.guard import Refused
from luau_rft.studio.protocol import AgentRequest, Insert, JobDone, JobState, Progress
from luau_rft.studio.queue import Queue

MAX_WAITING = 20  # requests of one place
KEPT_S = 86_400


class Cancelled(Exception):
    """The user gave the request up."""


@dataclass
class Talk:
    """What a handler may do while it works, from its own thread."""

    report: Callable[[str], None]
    cancelled: threading.Event = field(default_factory=threading.Event)

    def say(self, message: str) -> None:
        """Tell the plugin how it goes. Raises ``Cancelled`` once the request is given up."""
        self.check()
        self.report(message)

    def check(self) -> None:
        if self.cancelled.is_set():
            raise Cancelled


@dataclass(frozen=True)
class Answer:
    """The scripts to insert; of a repair the first one replaces the script that the plugin sent."""

    scripts: Sequence[Insert]
    message: str
    score: float | None = None


# Runs in a thread of its own. ``UserError`` is told to the plugin's user.
Handler = Callable[[AgentRequest, Talk], Answer]


class Jobs:
    """``tell`` sends progress to a place, ``added`` says that commands wait for it."""

    def __init__(
        self,
        database: Database,
        queue: Queue,
        handler: Handler,
        tell: Callable[[str, Progress], None],
        added: Callable[[str], None],
        say: Callable[[str], None],
    ) -> None:
        self._database, self._queue, self._handler = database, queue, handler
        self._tell, self._added, self._say = tell, added, say
        self._something = asyncio.Event()
        self._current: tuple[str, str, Talk] | None = None
        self._stopping = False

    async def work(self) -> None:
        """Work on requests, in their order, until cancelled. What an earlier bridge was at work on has failed."""
        for row in self._database.execute("SELECT place, id FROM jobs WHERE state = 'running'").fetchall():
            self._end(row["place"], row["id"], "failed", "the bridge was ended meanwhile; ask again")
        while not self._stopping:
            self._something.clear()
            row = self._database.execute(
                "SELECT place, id, body FROM jobs WHERE state = 'queued' ORDER BY made, rowid LIMIT 1"
            ).fetchone()
            if row is None:
                await self._something.wait()
            else:
                await self._do(row["place"], AgentRequest.model_validate_json(row["body"]))

    def ask(self, place: str, request: AgentRequest) -> JobState:
        """Queue a request; one that is known tells its state. Raises ``Refused`` where too many wait."""
        known = self._state(place, request.id)
        if known is not None:
            return known
        if request.kind == "repair" and None in (request.source, request.name, request.class_):
            raise Refused(400, "bad-request", "a repair has the script's name, class and source")
        if request.kind == "generate" and not request.wish.strip():
            raise Refused(400, "bad-request", "wish: is empty")
        waiting = "SELECT count(*) FROM jobs WHERE place = ? AND state = 'queued'"
        if self._database.execute(waiting, (place,)).fetchone()[0] >= MAX_WAITING:
            raise Refused(429, "too-many", f"{MAX_WAITING} requests wait already", retry_after=10)
        with self._database.transaction():
            self._database.execute(
                "DELETE FROM jobs WHERE made < ? AND state NOT IN ('queued', 'running')", (time.time() - KEPT_S,)
            )
            self._database.execute(
                "INSERT INTO jobs (place, id, body, made) VALUES (?, ?, ?, ?)",
                (place, request.id, request.model_dump_json(), time.time()),
            )
        self._something.set()
        state = self._state(place, request.id)
        assert state is not None
        return state

    def cancel(self, place: str, ids: Sequence[str]) -> None:
        """Give requests up; what has ended stays as it is."""
        for id_ in ids:
            if self._current is not None and self._current[:2] == (place, id_):
                self._current[2].cancelled.set()
            elif (known := self._state(place, id_)) is not None and known.state == "queued":
                self._end(place, id_, "cancelled", "")

    def drop(self, place: str) -> None:
        """Forget a place's requests."""
        ids = [row[0] for row in self._database.execute("SELECT id FROM jobs WHERE place = ?", (place,))]
        self.cancel(place, ids)

    def stop(self) -> None:
        """Give up what is at work, for the next start to report; its thread ends when its handler next looks."""
        self._stopping = True
        if self._current is not None:
            self._current[2].cancelled.set()

    def all(self) -> list[JobState]:
        """What waits and what is at work."""
        rows = self._database.execute(
            "SELECT id, state, message FROM jobs WHERE state IN ('queued', 'running') ORDER BY made, rowid"
        )
        return [JobState(**dict(row)) for row in rows]

    async def _do(self, place: str, request: AgentRequest) -> None:
        loop = asyncio.get_running_loop()
        self._database.execute("UPDATE jobs SET state = 'running' WHERE place = ? AND id = ?", (place, request.id))
        self._tell(place, Progress(job=request.id, state="running"))

        def tell(message: str) -> None:
            self._tell(place, Progress(job=request.id, state="running", message=message[:2000]))

        talk = Talk(lambda message: loop.call_soon_threadsafe(tell, message))
        done: asyncio.Future[Answer] = loop.create_future()

        def run() -> None:
            try:
                answer = self._handler(request, talk)
                talk.check()
            except BaseException as error:  # an exit of the handler is not the bridge's
                told = isinstance(error, Exception) and not isinstance(error, StopIteration)
                outcome, value = done.set_exception, error if told else RuntimeError(repr(error))
            else:
                outcome, value = done.set_result, answer
            if not loop.is_closed():
                loop.call_soon_threadsafe(lambda: done.cancelled() or outcome(value))

        self._current = (place, request.id, talk)
        # A daemon: Ctrl+C ends the bridge, whatever a model is at.
        threading.Thread(target=run, name=f"request-{request.id}", daemon=True).start()
        try:
            answer = await done
            self._end(place, request.id, "done", answer.message, answer.score, _addressed(request, answer.scripts))
        except Cancelled:
            if not self._stopping:
                self._end(place, request.id, "cancelled", "")
        except UserError as error:
            self._end(place, request.id, "failed", str(error))
        except Exception as error:
            self._say(f"request {request.id} failed:\n{''.join(traceback.format_exception(error))}")
            self._end(place, request.id, "failed", f"{type(error).__name__}: {error}")
        finally:
            self._current = None

    def _end(
        self, place: str, id_: str, state: str, message: str, score: float | None = None, scripts: Sequence[Insert] = ()
    ) -> None:
        commands = [(str(uuid.uuid4()), script) for script in scripts]
        done = JobDone(job=id_, state=state, message=message, score=score, commands=[own for own, _ in commands])
        with self._database.transaction():
            self._database.execute(
                "UPDATE jobs SET state = ?, message = ? WHERE place = ? AND id = ?", (state, message, place, id_)
            )
            self._queue.add(place, [*commands, (str(uuid.uuid4()), done)])
        self._say(f"request {id_}: {state}{f', {message}' if message else ''}")
        self._added(place)

    def _state(self, place: str, id_: str) -> JobState | None:
        row = self._database.execute(
            "SELECT id, state, message FROM jobs WHERE place = ? AND id = ?", (place, id_)
        ).fetchone()
        return JobState(**dict(row)) if row else None


def _addressed(request: AgentRequest, scripts: Sequence[Insert]) -> list[Insert]:
    """The scripts as answers to the request: of a repair the first one goes where the plugin's script is."""
    addressed = [script.model_copy(update={"request": request.id}) for script in scripts]
    if request.kind == "repair" and addressed:
        where = {"name": request.name, "class_": request.class_, "parent": request.parent, "replace": True}
        addressed[0] = addressed[0].model_copy(update=where)
        addressed[1:] = [script.model_copy(update={"request": None}) for script in addressed[1:]]
    return addressed
