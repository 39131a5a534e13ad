"""How programs of this machine use a running bridge.

bridge = Bridge.find()
bridge.insert(split(answer, "server"), place="Obby")
"""

import http.client
import json
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from luau_rft.errors import UserError
from luau_rft.roblox.scripts import CLASSES, HOMES, Script
from luau_rft.studio.folder import Running, all_running, bridges_folder, read_running
from luau_rft.studio.protocol import (
    Accepted,
    BridgeState,
    Insert,
    Inserted,
    Nothing,
    Output,
    PlaceState,
    ReadSelection,
    Refusal,
    Result,
    ResultsState,
    Run,
    Selection,
    Undo,
    Undone,
)

WAIT_S = 30.0  # for Studio to do a command
_HELD_S = 20.0  # of one request for results
_RESTART_S = 5.0  # how long a bridge may be away while a client waits
_START = "start one with `luau-rft studio serve`"
Value = TypeVar("Value", bound=BaseModel)


class CommandFailed(UserError):
    """Studio could not do it; ``reason`` is the protocol's."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class NotAnswered(UserError):
    """No result came in time; ``place`` tells whether the place is connected."""

    def __init__(self, message: str, place: PlaceState | None) -> None:
        super().__init__(message)
        self.place = place


class Bridge:
    """A running bridge. Its methods raise ``UserError`` where it is gone, the place is unclear, or Studio could not."""

    def __init__(self, folder: Path, running: Running) -> None:
        self._folder = folder
        self._running = running

    @classmethod
    def find(cls, port: int | None = None, place: str | None = None, folder: Path | None = None) -> "Bridge":
        """The bridge of ``port``; else the one that has ``place`` (an id or a name); else the only one that fits."""
        bridges = folder or bridges_folder()
        live = [(cls(path, running), state) for path, running in all_running(bridges) if (state := answers(running))]
        if port is not None:
            live = [(bridge, state) for bridge, state in live if state.port == port]
            if not live:
                raise UserError(f"no bridge runs on port {port}; {_START} --port {port}")
        if not live:
            raise UserError(f"no bridge runs; {_START}")
        if len(live) > 1 and place is not None:
            live = [(bridge, state) for bridge, state in live if any(_is(one, place) for one in state.places)] or live
        elif len(live) > 1:
            live = [
                (bridge, state) for bridge, state in live if any(one.state == "connected" for one in state.places)
            ] or live
        if len(live) > 1:
            known = "".join(f"\n  port {state.port}: {_listed(state.places)}" for _, state in live)
            raise UserError(f"several bridges run; name the port, or a place that one of them has alone:{known}")
        return live[0][0]

    def state(self) -> BridgeState:
        return self._ask("GET", "/client/state", None, BridgeState)

    def places(self) -> list[PlaceState]:
        """The paired places, connected or not."""
        return self.state().places

    def insert(
        self,
        scripts: Sequence[Script | Insert],
        place: str | None = None,
        replace: bool = False,
        timeout_s: float = WAIT_S,
    ) -> list[Inserted]:
        """Put scripts into a place, in order, and wait until they are there.

        Where that takes longer than ``timeout_s``, ``NotAnswered`` is raised, and they go in when the place is back.
        """
        commands = [as_insert(script, len(scripts), replace) for script in scripts]
        return [_value(result, Inserted) for result in self._do(commands, place, timeout_s, keep=True)]

    def read_selection(self, place: str | None = None, timeout_s: float = WAIT_S) -> Selection:
        """What is selected in a place, with the sources of scripts."""
        return _value(self._do([ReadSelection()], place, timeout_s)[0], Selection)

    def run(self, seconds: float = 5.0, place: str | None = None, timeout_s: float | None = None) -> Output:
        """Run a place and return what it printed; by default ``WAIT_S`` longer than it runs."""
        wait = seconds + WAIT_S if timeout_s is None else timeout_s
        return _value(self._do([Run(seconds=seconds)], place, wait)[0], Output)

    def undo(self, place: str | None = None, of: str | None = None, timeout_s: float = WAIT_S) -> Undone:
        """Undo the insertion with the id ``of``, or the last one."""
        return _value(self._do([Undo(of=of)], place, timeout_s)[0], Undone)

    def forget(self, place: str) -> None:
        """Revoke a place's token and drop what waits for it."""
        self._ask("POST", "/client/forget", {"place": place}, Nothing)

    def _do(
        self,
        commands: Sequence[Insert | ReadSelection | Run | Undo],
        place: str | None,
        wait_s: float,
        keep: bool = False,
    ) -> list[Result]:
        if not commands:
            return []
        ids = [str(uuid.uuid4()) for _ in commands]
        body = {
            "place": place,
            "commands": [
                {"id": id_, "command": command.model_dump()} for id_, command in zip(ids, commands, strict=True)
            ],
            "valid_s": None if keep else wait_s,
        }
        self._ask("POST", "/client/commands", body, Accepted)
        deadline = time.monotonic() + wait_s
        results: dict[str, Result] = {}
        while missing := [id_ for id_ in ids if id_ not in results]:
            left = deadline - time.monotonic()
            asked = {"ids": missing, "wait_s": max(0.0, min(left, _HELD_S))}
            state = self._ask("POST", "/client/results", asked, ResultsState)
            results |= state.results
            if state.withdrawn or (left <= 0 and not state.results):
                raise _not_answered(state, len(missing), wait_s, keep)
        for id_ in ids:
            if (error := results[id_].error) is not None or not results[id_].ok:
                reason, message = (error.reason, error.message) if error else ("failed", "Studio gave no reason")
                raise CommandFailed(reason, f"Studio: {message}")
        return [results[id_] for id_ in ids]

    def _ask(self, method: str, path: str, body: dict[str, Any] | None, kind: type[Value]) -> Value:
        """A request that outlives a restart of the bridge: all of them may be repeated."""
        deadline = time.monotonic() + _RESTART_S
        while True:
            try:
                status, content = _request(self._running, method, path, body, _HELD_S + 10)
            except (OSError, http.client.HTTPException) as error:
                if time.monotonic() >= deadline:
                    raise UserError(
                        f"the bridge on port {self._running.port} does not answer ({error}); {_START}"
                    ) from None
            else:
                if status == 200:
                    return _understood(kind, content)
                refusal = _refusal(status, content)
                if status not in (401, 503) or time.monotonic() >= deadline:
                    raise _told(refusal)
            time.sleep(0.2)
            again = read_running(self._folder)
            if again is not None and again.server == self._running.server:
                self._running = again


def answers(running: Running) -> BridgeState | None:
    """What the bridge of a ``bridge.json`` tells; None where it does not live."""
    try:
        status, content = _request(running, "GET", "/client/state", None, 3)
        state = BridgeState.model_validate_json(content) if status == 200 else None
    except (OSError, http.client.HTTPException, ValidationError):
        return None
    return state if state is not None and state.server == running.server else None


def as_insert(script: Script | Insert, count: int, replace: bool) -> Insert:
    """The command for one of an answer's ``count`` scripts; a lone one without a header goes where the selection is.

    Raises ``UserError`` for one that Studio could not hold.
    """
    if isinstance(script, Insert):
        return script
    own = count > 1 or (script.name, script.folder) != (CLASSES[script.kind], HOMES[script.kind])
    try:
        return Insert(
            name=script.name,
            class_=CLASSES[script.kind],
            source=script.source,
            parent=list(script.folder) if own else None,
            replace=replace,
        )
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"code: {script.name[:100]}: {where}: {first['msg']}") from None


def described(place: PlaceState) -> str:
    """A place in a line for the user."""
    waits = f", {place.waiting} waiting" if place.waiting else ""
    return f"{place.name} ({place.place}): {place.state}{waits}"


def _request(
    running: Running, method: str, path: str, body: dict[str, Any] | None, timeout_s: float
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=timeout_s)
    headers = {"Authorization": f"Bearer {running.secret}", "Content-Type": "application/json"}
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _understood(kind: type[Value], content: bytes) -> Value:
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        told = error.errors(include_input=False)[0]["msg"]
        raise UserError(f"the bridge's answer is not understood ({told}); restart it with this version") from None


def _refusal(status: int, content: bytes) -> Refusal:
    try:
        return Refusal.model_validate_json(content)
    except ValidationError:
        return Refusal(reason="failed", message=f"the bridge answered with status {status}")


def _told(refusal: Refusal) -> UserError:
    if refusal.reason == "no-place":
        return UserError("no place is paired with the bridge; open it in Studio and pair the plugin Luau RFT there")
    known = "".join(f"\n  {described(place)}" for place in refusal.places or [])
    return UserError(f"{refusal.message}{':' if known else ''}{known}")


def _not_answered(state: ResultsState, missing: int, wait_s: float, keep: bool) -> NotAnswered:
    place = state.place
    name = f"«{place.name}»" if place else "the place"
    if place is None or place.state == "connected":
        why = f"{name} is connected, but Studio did not do it within {wait_s:.0f} s" if place else (
            f"Studio did not do it within {wait_s:.0f} s"
        )  # fmt: skip
    else:
        away = "does not answer" if place.state == "lost" else "is not connected; open it in Studio"
        why = f"{name} {away}"
    if keep and state.waiting:
        why += f". {missing} scripts wait there and go in as soon as it can (`luau-rft studio status`)"
    return NotAnswered(why, place)


def _value(result: Result, kind: type[Value]) -> Value:
    try:
        return kind.model_validate(result.value)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(
            f"the plugin answered {'.'.join(str(part) for part in first['loc'])}: {first['msg']}; run `luau-rft studio "
            "install` and restart Studio"
        ) from None


def _is(place: PlaceState, wanted: str) -> bool:
    return place.place == wanted or place.name.casefold() == wanted.casefold()


def _listed(places: Sequence[PlaceState]) -> str:
    return "; ".join(described(place) for place in places) or "no place"
