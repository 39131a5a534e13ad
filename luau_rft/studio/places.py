"""Which connection a place has now, and whether it is alive."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from luau_rft.studio.guard import Refused
from luau_rft.studio.protocol import LOST_S, PING_S, POLL_S, PROTOCOL, Hello, Progress

AWAY_S = 60.0  # after which a lost place counts as closed
_MAX_REPLACED = 50  # sessions of a place that are remembered as replaced


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. Tests shorten them."""

    ping_s: float = PING_S
    lost_s: float = LOST_S
    hello_s: float = 5.0  # for the first frame of a stream
    poll_s: float = POLL_S


class Connection:
    """The connection that is served for a place: one stream, or the polls of one session."""

    def __init__(self, hello: Hello, transport: Literal["stream", "poll"], timing: Timing, now: float) -> None:
        self.place = hello.place
        self.session = hello.session
        self.transport = transport
        self.open = True
        self.ended: str | None = None  # the reason why it may not go on
        self.turn = 0  # of polls: the last one is served
        self.seen = now
        self.sent: set[str] = set()  # ids of commands without a result
        self.progress: dict[str, Progress] = {}  # not yet sent, the newest of each request
        self.wake = asyncio.Event()
        self._timing = timing

    def state(self, now: float) -> Literal["connected", "lost", "away"]:
        """Polls count as alive while one is held; a stream, while it answers pings."""
        silent = now - self.seen
        if self.ended is None and ((self.open and self.transport == "poll") or silent < self._timing.lost_s):
            return "connected" if self.open or self.transport == "poll" else "away"
        vanished = self.ended == "no-answer" or self.transport == "poll" or self.open
        return "lost" if vanished and silent < AWAY_S else "away"

    def end(self, reason: str) -> None:
        self.ended = self.ended or reason
        self.wake.set()


@dataclass
class _Place:
    connection: Connection | None = None
    replaced: list[str] = field(default_factory=list)  # sessions that may not come back without their user


class Places:
    """The connections of all places."""

    def __init__(self, timing: Timing, now: Callable[[], float] = time.monotonic) -> None:
        self._timing = timing
        self._now = now
        self._places: dict[str, _Place] = {}

    def attach(self, hello: Hello, transport: Literal["stream", "poll"]) -> tuple[Connection, bool]:
        """The place's connection from now on, and whether it is a new one. Raises ``Refused`` (409)."""
        if hello.protocol != PROTOCOL:
            older = "plugin" if hello.protocol < PROTOCOL else "bridge"
            raise Refused(
                409,
                "protocol",
                f"the plugin speaks version {hello.protocol}, the bridge {PROTOCOL}: update the {older}",
            )
        if hello.mode != "edit":
            raise Refused(409, "not-edit", "commands go to the edit data model; this one is not served")
        place = self._places.setdefault(hello.place, _Place())
        old = place.connection
        rival = old is not None and old.session != hello.session and old.state(self._now()) == "connected"
        if rival and hello.session in place.replaced and not hello.takeover:
            raise Refused(409, "replaced", "another window has this place; take it over there or here")
        if hello.session in place.replaced:
            place.replaced.remove(hello.session)
        if (
            old is not None
            and old.session == hello.session
            and old.ended is None
            and transport == old.transport == "poll"
        ):
            old.turn += 1
            old.wake.set()
            return old, False
        if old is not None:
            if rival:
                place.replaced = [*place.replaced, old.session][-_MAX_REPLACED:]
            old.end("replaced" if old.session != hello.session else "superseded")
        place.connection = Connection(hello, transport, self._timing, self._now())
        return place.connection, True

    @contextmanager
    def alive(self, connection: Connection) -> Iterator[None]:
        """While a poll is held, or a stream is open."""
        connection.open = True
        self.seen(connection)
        turn = connection.turn
        try:
            yield
        finally:
            if connection.turn == turn:
                connection.open = False
                if connection.transport == "poll":
                    self.seen(connection)

    def seen(self, connection: Connection) -> None:
        connection.seen = self._now()

    def silent_s(self, connection: Connection) -> float:
        return self._now() - connection.seen

    def of(self, place: str) -> Connection | None:
        known = self._places.get(place)
        return known.connection if known else None

    def state(self, place: str) -> Literal["connected", "lost", "away"]:
        connection = self.of(place)
        return connection.state(self._now()) if connection else "away"

    def wake(self, place: str) -> None:
        """There is something to tell the place."""
        if connection := self.of(place):
            connection.wake.set()

    def end(self, place: str, reason: str) -> None:
        if connection := self.of(place):
            connection.end(reason)

    def any_open(self) -> bool:
        """Whether a poll is held or a stream is open."""
        return any(place.connection is not None and place.connection.open for place in self._places.values())

    def end_all(self, reason: str) -> None:
        for place in self._places:
            self.end(place, reason)
