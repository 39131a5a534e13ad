"""The commands of every place, kept on disk until their results have come."""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from pydantic import TypeAdapter

from luau_rft.studio.database import Database
from luau_rft.studio.protocol import (
    MAX_BATCH,
    MAX_BATCH_CHARACTERS,
    Command,
    Deliver,
    Insert,
    JobDone,
    ReadSelection,
    Result,
    Run,
    Undo,
)

KEPT_S = 86_400  # results, and commands that were withdrawn
_COMMAND: TypeAdapter[Command] = TypeAdapter(Command)


class Queue:
    """``now`` gives seconds since the epoch: deadlines hold across restarts."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now

    def add(
        self,
        place: str,
        commands: Iterable[tuple[str, Insert | ReadSelection | Run | Undo | JobDone]],
        valid_s: float | None = None,
    ) -> None:
        """Append commands with their ids; an id that is there already is left as it is.

        Nothing is kept for a place that was forgotten.
        """
        now = self._now()
        deadline = None if valid_s is None else now + valid_s
        with self._database.transaction():
            self._database.execute("DELETE FROM commands WHERE settled < ?", (now - KEPT_S,))
            for id_, command in commands:
                if self._database.execute("SELECT 1 FROM commands WHERE id = ?", (id_,)).fetchone():
                    continue
                row = self._database.execute(
                    "UPDATE places SET seq = seq + 1 WHERE place = ? RETURNING seq", (place,)
                ).fetchone()
                if row is None:
                    return
                self._database.execute(
                    "INSERT INTO commands (id, place, seq, body, made, deadline) VALUES (?, ?, ?, ?, ?, ?)",
                    (id_, place, row["seq"], command.model_dump_json(), now, deadline),
                )

    def pending(self, place: str, after: int) -> list[Deliver]:
        """The next commands above ``after`` without a result, as many as fit one answer, at least one."""
        self._expire()
        batch: list[Deliver] = []
        characters = 0
        for row in self._database.execute(
            "SELECT id, seq, body FROM commands WHERE place = ? AND state = 'open' AND seq > ? ORDER BY seq LIMIT ?",
            (place, after, MAX_BATCH),
        ):
            characters += len(row["body"])
            if batch and characters > MAX_BATCH_CHARACTERS:
                break
            batch.append(Deliver(id=row["id"], seq=row["seq"], command=_COMMAND.validate_json(row["body"])))
        return batch

    def last(self, place: str) -> int:
        """The highest ``seq`` that a command of the place has had."""
        row = self._database.execute("SELECT seq FROM places WHERE place = ?", (place,)).fetchone()
        return row[0] if row else 0

    def waiting(self, place: str) -> int:
        """How many commands have no result."""
        self._expire()
        query = "SELECT count(*) FROM commands WHERE place = ? AND state = 'open'"
        return self._database.execute(query, (place,)).fetchone()[0]

    def finish(self, place: str, results: Sequence[Result]) -> list[tuple[Result, Command]]:
        """Keep results of the place's own commands; those that are new, with what they answer."""
        new = []
        with self._database.transaction():
            for result in results:
                row = self._database.execute(
                    "UPDATE commands SET state = 'done', settled = ?, result = ? "
                    "WHERE id = ? AND place = ? AND state != 'done' RETURNING body",
                    (self._now(), result.model_dump_json(), result.id, place),
                ).fetchone()
                if row is not None:
                    new.append((result, _COMMAND.validate_json(row["body"])))
        return new

    def settled(self, ids: Sequence[str]) -> tuple[dict[str, Result], list[str], list[str], str | None]:
        """Results by id, ids that are open, ids that are withdrawn or unknown, and the place of the last two."""
        self._expire()
        found = {
            row["id"]: row
            for row in self._database.execute(
                "SELECT id, place, state, result FROM commands WHERE id IN (SELECT value FROM json_each(?))",
                (json.dumps(list(ids)),),
            )
        }
        results = {id_: Result.model_validate_json(row["result"]) for id_, row in found.items() if row["result"]}
        waiting = [id_ for id_ in ids if id_ in found and found[id_]["state"] == "open"]
        withdrawn = [id_ for id_ in ids if id_ not in results and id_ not in waiting]
        place = next((found[id_]["place"] for id_ in [*waiting, *withdrawn] if id_ in found), None)
        return results, waiting, withdrawn, place

    def withdraw(self, ids: Sequence[str]) -> None:
        """Take back what has no result yet."""
        self._database.execute(
            "UPDATE commands SET state = 'withdrawn', settled = ? "
            "WHERE state = 'open' AND id IN (SELECT value FROM json_each(?))",
            (self._now(), json.dumps(list(ids))),
        )

    def withdraw_all(self, place: str) -> None:
        """Take back everything that waits for a place."""
        self._database.execute(
            "UPDATE commands SET state = 'withdrawn', settled = ? WHERE state = 'open' AND place = ?",
            (self._now(), place),
        )

    def state(self, id_: str) -> Literal["open", "done", "withdrawn"] | None:
        row = self._database.execute("SELECT state FROM commands WHERE id = ?", (id_,)).fetchone()
        return row[0] if row else None

    def _expire(self) -> None:
        now = self._now()
        self._database.execute(
            "UPDATE commands SET state = 'withdrawn', settled = ? WHERE state = 'open' AND deadline < ?", (now, now)
        )
