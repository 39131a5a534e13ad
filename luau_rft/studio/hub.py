"""What the bridge knows, behind its routes: tokens, places, their connections and what waits for them."""

import asyncio
import os
import secrets
from collections.abc import Callable, Sequence
from importlib.metadata import version

from luau_rft.studio.database import Database
from luau_rft.studio.guard import Bucket, Refused
from luau_rft.studio.jobs import Handler, Jobs
from luau_rft.studio.pairing import Pairing, Tokens
from luau_rft.studio.places import Connection, Places, Timing
from luau_rft.studio.protocol import (
    Acknowledge,
    BridgeState,
    Insert,
    NewCommands,
    PlaceState,
    Progress,
    Result,
    ResultsState,
)
from luau_rft.studio.queue import Queue

ANONYMOUS = (5.0, 40)  # requests a second and at once without a valid token, of all callers together
OF_PLACE = (15.0, 150)  # above HttpService's 500 a minute
OF_CLIENTS = (100.0, 1000)
ANSWERED_POLLS = (4.0, 60)  # below HttpService's 500 a minute


class Pulse:
    """Lets any number of tasks wait for the next change. Take ``next`` before looking, then wait for it."""

    def __init__(self) -> None:
        self.next = asyncio.Event()

    def fire(self) -> None:
        self.next.set()
        self.next = asyncio.Event()


class Hub:
    """All state of a running bridge; used by its event loop alone. ``say`` prints a line for the user."""

    def __init__(
        self, database: Database, port: int, handler: Handler, say: Callable[[str], None], timing: Timing
    ) -> None:
        self.server = database.server
        self.port = port
        self.secret = secrets.token_urlsafe(32)
        self.timing = timing
        self.stopping = False
        self.settled = Pulse()  # a command has a result or was withdrawn
        self.queue = Queue(database)
        self.tokens = Tokens(database)
        self.pairing = Pairing(self.tokens, say)
        self.places = Places(timing)
        self.jobs = Jobs(database, self.queue, handler, self._tell, self._added, say)
        self._database = database
        self._say = say
        self._anonymous = Bucket(*ANONYMOUS)
        self._clients = Bucket(*OF_CLIENTS)
        self._of_place: dict[str, Bucket] = {}
        self._polls: dict[str, Bucket] = {}
        self._shown: dict[str, str] = {}

    # Who asks.

    def anonymous(self) -> None:
        """Count a request without a token. Raises ``Refused`` (429)."""
        self._anonymous.take()

    def place_of(self, authorization: str) -> str:
        """The place whose token a request carries. Raises ``Refused`` (401, 429)."""
        try:
            place = self.tokens.place_of(_bearer(authorization))
        except Refused:
            self.anonymous()
            raise
        self._of_place.setdefault(place, Bucket(*OF_PLACE)).take()
        return place

    def client(self, authorization: str) -> None:
        """Check that a local client asks. Raises ``Refused`` (401, 429)."""
        token = _bearer(authorization)
        if not secrets.compare_digest(token.encode(), self.secret.encode()):
            self.anonymous()
            raise Refused(401, "unknown-token", "this is not the secret of bridge.json")
        self._clients.take()

    async def pace(self, place: str) -> None:
        """Wait until the place's next poll may be answered."""
        bucket = self._polls.setdefault(place, Bucket(*ANSWERED_POLLS))
        while (wait := bucket.wait_s()) > 0:
            await asyncio.sleep(wait)
        bucket.take()

    # Places.

    def pair(self, place: str, name: str, code: str) -> str:
        token = self.pairing.pair(place, name, code)
        self.places.end(place, "revoked-token")
        self._say(f"«{name}» is paired")
        return token

    def rename(self, place: str, name: str) -> None:
        self._database.execute("UPDATE places SET name = ? WHERE place = ? AND name != ?", (name, place, name))

    def forget(self, place: str) -> None:
        """Revoke a place's token and drop what waits for it."""
        name = self.state_of(place).name
        self.jobs.drop(place)
        with self._database.transaction():
            self.tokens.revoke(place)
            self.queue.withdraw_all(place)
            self._database.execute("DELETE FROM places WHERE place = ?", (place,))
        self.places.end(place, "revoked-token")
        self.settled.fire()
        self._shown.pop(place, None)
        self._say(f"«{name}» is forgotten")

    def state_of(self, place: str) -> PlaceState:
        row = self._database.execute("SELECT name FROM places WHERE place = ?", (place,)).fetchone()
        connection = self.places.of(place)
        state = self.places.state(place)
        return PlaceState(
            place=place,
            name=row["name"] if row else place,
            state=state,
            transport=connection.transport if connection is not None and state == "connected" else None,
            waiting=self.queue.waiting(place),
            seen_s=round(self.places.silent_s(connection), 1) if connection is not None else None,
        )

    def all_places(self) -> list[PlaceState]:
        rows = self._database.execute("SELECT place FROM places ORDER BY name, place").fetchall()
        return [self.state_of(row["place"]) for row in rows]

    def choose(self, wanted: str | None) -> PlaceState:
        """The place of that id or name; None: the only one that is connected, or the only one. Raises ``Refused``."""
        places = self.all_places()
        if not places:
            raise Refused(404, "no-place", "no place is paired with this bridge", places=[])
        if wanted is None:
            chosen = [place for place in places if place.state == "connected"] or places
        else:
            chosen = [place for place in places if place.place == wanted]
            chosen = chosen or [place for place in places if place.name.casefold() == wanted.casefold()]
        if not chosen:
            raise Refused(404, "unknown-place", f"no place is called {wanted!r}", places=places)
        if len(chosen) > 1:
            raise Refused(409, "several-places", "name the place, by its id where two share a name", places=chosen)
        return chosen[0]

    def announce(self) -> None:
        """Tell the user what became of the connections since the last call."""
        for place in self.all_places():
            before = self._shown.get(place.place, "away")
            if place.state != before:
                self._shown[place.place] = place.state
                waits = f", {place.waiting} commands wait" if place.waiting else ""
                how = f" ({place.transport})" if place.transport else ""
                what = {"connected": "connected", "lost": "does not answer", "away": "disconnected"}[place.state]
                self._say(f"«{place.name}» {what}{how}{waits}")

    # Commands.

    def command(self, new: NewCommands) -> PlaceState:
        """Queue commands for a place; the place."""
        place = self.choose(new.place)
        self.queue.add(place.place, [(one.id, one.command) for one in new.commands], new.valid_s)
        self._added(place.place)
        return self.state_of(place.place)

    def finish(self, place: str, results: Sequence[Result]) -> Acknowledge:
        """Keep results; what the plugin is told."""
        for result, command in self.queue.finish(place, results):
            if isinstance(command, Insert):
                name = self.state_of(place).name
                path = result.value.get("path", command.name)
                failed = result.error.message if result.error else "failed"
                self._say(f"«{name}»: inserted {path}" if result.ok else f"«{name}»: {command.name}: {failed}")
        self.settled.fire()
        return Acknowledge(ids=[result.id for result in results])

    def results(self, ids: Sequence[str]) -> ResultsState:
        results, waiting, withdrawn, place = self.queue.settled(ids)
        connection = self.places.of(place) if place else None
        sent = {command for command in waiting if connection is not None and command in connection.sent}
        return ResultsState(
            results=results,
            waiting={id_: "delivered" if id_ in sent else "queued" for id_ in waiting},
            withdrawn=withdrawn,
            place=self.state_of(place) if place else None,
        )

    def withdraw(self, ids: Sequence[str]) -> None:
        self.queue.withdraw(ids)
        self.settled.fire()

    def after(self, connection: Connection, after: int) -> int:
        """Where to go on: from the start for a plugin that claims more than there ever was."""
        return after if after <= self.queue.last(connection.place) else 0

    def state(self) -> BridgeState:
        return BridgeState(
            server=self.server,
            version=version("luau_rft"),
            pid=os.getpid(),
            port=self.port,
            places=self.all_places(),
            jobs=self.jobs.all(),
        )

    def stop(self) -> None:
        """End every held request and every stream."""
        self.stopping = True
        self.jobs.stop()
        self.places.end_all("stopping")
        self.settled.fire()

    def _added(self, place: str) -> None:
        self.places.wake(place)

    def _tell(self, place: str, progress: Progress) -> None:
        connection = self.places.of(place)
        if connection is not None:
            connection.progress[progress.job] = progress
            connection.wake.set()


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Refused(401, "no-token", "the header Authorization has to be `Bearer TOKEN`")
    return token
