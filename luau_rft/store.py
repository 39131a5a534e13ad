"""The store of paid answers: one SQLite file that keeps every answer from the moment it arrives.

It outlives runs, branches and clones, and any number of processes may use it at once.
"""

import json
import math
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from luau_rft.cache import cache_folder
from luau_rft.errors import UserError
from luau_rft.llm.base import Answer, Usage
from luau_rft.store_file import (
    TOKENS,
    canonical,
    checksum,
    explained,
    find,
    insert,
    intact,
    name_of,
    open_file,
    own,
    to_record,
)

BUSY_S = 60.0  # how long another process's transaction is waited for; an answer that cannot be written was paid in vain
CHUNK = 500  # keys a query; SQLite takes at least 999


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that was about to be submitted or is under way. ``batch_id`` is None until the provider named one."""

    intent: str
    model: str
    batch_id: str | None
    created: datetime
    custom_ids: dict[str, str]  # custom_id → key


def default_path() -> Path:
    """The user's store; ``LUAU_RFT_STORE`` names another file."""
    return Path(os.environ.get("LUAU_RFT_STORE") or cache_folder() / "answers.sqlite")


class Store:
    """Paid answers, the money they cost, table rows made of them, and batches under way.

    What a method has written is on the disk when it returns. Threads may share a store; processes open their own.
    Every method raises ``UserError`` when the file cannot be read or written. No answer is ever deleted.

    >>> import tempfile
    >>> answer = Answer("k1", "answered", "a door that opens", "claude-sonnet-5-5", Usage(input=900, output=20), 0.003)
    >>> with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "answers.sqlite") as store:
    ...     store.put(answer, stage="label")
    ...     store.get(["k1", "k2"]) == {"k1": answer}, store.spent()
    (True, 0.003)
    """

    def __init__(self, path: Path | None = None, busy_s: float = BUSY_S) -> None:
        """Open the store at ``path``, by default the user's, and make it where there is none.

        ``busy_s`` is how many seconds another process's transaction is waited for. Raises ``UserError`` for a file that
        is no store, is damaged, comes from a newer version, or may not be written.
        """
        self.path = Path(path) if path is not None else default_path()
        self._lock = threading.RLock()
        self._connection = open_file(self.path, busy_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the last to close it also merges SQLite's side files into it."""
        with self._lock:
            self._connection.close()

    def get(self, keys: Iterable[str]) -> dict[str, Answer]:
        """The answers that are there, by their key. Raises ``UserError`` where one is damaged."""
        return {record["key"]: _answer(record) for record in self._select("answers", keys)}

    def put(self, answer: Answer, stage: str) -> None:
        """Keep an answer that was paid for now. Of two answers with one key the first stays, unless it is damaged.

        What a second, different one cost is charged, since it was paid for, too; the same one again, as a batch that is
        read twice brings it, costs nothing.
        """
        record = {
            "key": answer.key, "stage": stage, "model": answer.model, "status": answer.status,
            **_paid(answer.usage, answer.cost_usd), "created": _now(), "text": answer.text,
        }  # fmt: skip
        with self.transaction() as connection:
            if insert(connection, "answers", record):
                return
            there = find(connection, "answers", record)
            if not intact("answers", there):
                insert(connection, "answers", record, replace=True)
            elif _answer(to_record("answers", there)) == answer:
                own(connection, "answers", record)
            else:
                self.charge(stage, answer.model, answer.usage, answer.cost_usd, f"a second answer to {answer.key}")

    def charge(
        self, stage: str, model: str, usage: Usage, cost_usd: float, why: str, charge_id: str | None = None
    ) -> None:
        """Note what was paid for an answer of no use. ``why`` is a reason in our words.

        The same ``charge_id``, as of a batch's result that may be read twice, is charged once.
        """
        record = {
            "id": charge_id or secrets.token_hex(8), "stage": stage, "model": model, **_paid(usage, cost_usd),
            "created": _now(), "why": why,
        }  # fmt: skip
        with self.transaction() as connection:
            insert(connection, "charges", record)

    def spent(self) -> float:
        """USD paid by this store's user, for answers and for what was of no use; not for what came from others."""
        totals = [f"(SELECT total(cost_usd) FROM {table} WHERE here)" for table in ("answers", "charges")]
        with self._lock, explained(self.path):
            [total] = self._connection.execute(f"SELECT {' + '.join(totals)}").fetchone()
        return total

    def rows(self, kind: str, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """A stage's table rows that are there, by their key. Raises ``UserError`` where one is damaged.

        Rows of several tasks or candidates may share a key; the columns that name these are then those of the first.
        """
        return {record["key"]: json.loads(record["row"]) for record in self._select("rows", keys, kind=kind)}

    def put_row(self, kind: str, key: str, row: dict[str, Any]) -> None:
        """Keep a table row by its key. Of two rows with one key the first stays."""
        with self.transaction() as connection:
            insert(connection, "rows", {"kind": kind, "key": key, "row": canonical(row)})

    def fill(self, kind: str, rows: Iterable[dict[str, Any]]) -> int:
        """Add a table's rows, as ``dvc pull`` brought them, by their ``key``; how many were new.

        What they cost does not count as spent.
        """
        records = [{"kind": kind, "key": row["key"], "row": canonical(row)} for row in rows]
        with self.transaction() as connection:
            return sum(insert(connection, "rows", record, here=False) for record in records)

    def intend(self, provider_model: str, custom_ids: dict[str, str]) -> str:
        """Note, before it is submitted, a batch of these ``custom_id → key``; the intent's id of 12 characters."""
        intent = secrets.token_hex(6)
        record = {
            "intent": intent, "model": provider_model, "batch_id": "", "created": _now(), "closed": "",
            "custom_ids": canonical(custom_ids),
        }  # fmt: skip
        with self.transaction() as connection:
            insert(connection, "batches", record)
        return intent

    def submitted(self, intent: str, batch_id: str) -> None:
        """Note the id that the provider gave the batch."""
        self._update_batch(intent, {"batch_id": batch_id})

    def closed(self, intent: str) -> None:
        """Note that all of the batch's results are stored, or that it was never submitted."""
        self._update_batch(intent, {"closed": _now()})

    def open_batches(self) -> list[Batch]:
        """Batches of this store's user that are not closed, the oldest first."""
        with self._lock, explained(self.path):
            found = self._connection.execute(
                "SELECT * FROM batches WHERE here AND closed = '' ORDER BY created, intent"
            ).fetchall()
        return [
            Batch(
                record["intent"],
                record["model"],
                record["batch_id"] or None,
                datetime.fromisoformat(record["created"]),
                json.loads(record["custom_ids"]),
            )
            for record in (self._checked("batches", row) for row in found)
        ]

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One write, whole or not at all, on the disk at the end; inside another one a part of it."""
        with self._lock, explained(self.path):
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.commit()
            except BaseException:
                self._connection.rollback()
                raise

    def _update_batch(self, intent: str, change: dict[str, str]) -> None:
        with self.transaction() as connection:
            row = find(connection, "batches", {"intent": intent})
            if row is None:
                raise ValueError(f"no batch {intent!r} was intended")
            record = self._checked("batches", row) | change
            connection.execute(
                "UPDATE batches SET batch_id = ?, closed = ?, checksum = ? WHERE intent = ?",
                [record["batch_id"], record["closed"], checksum(record), intent],
            )

    def _select(self, table: str, keys: Iterable[str], kind: str | None = None) -> Iterator[dict[str, Any]]:
        condition, values = ("", []) if kind is None else (" AND kind = ?", [kind])
        wanted = list(dict.fromkeys(keys))
        for start in range(0, len(wanted), CHUNK):
            chunk = wanted[start : start + CHUNK]
            query = f"SELECT * FROM {table} WHERE key IN ({','.join('?' * len(chunk))}){condition}"
            with self._lock, explained(self.path):
                found = self._connection.execute(query, [*chunk, *values]).fetchall()
            for row in found:
                yield self._checked(table, row)

    def _checked(self, table: str, row: sqlite3.Row) -> dict[str, Any]:
        record = to_record(table, row)
        if not intact(table, row):
            raise UserError(
                f"{self.path}: {table}: {name_of(table, record)} is damaged; run `luau-rft store verify`, which tells "
                "how to mend it"
            )
        return record


def _answer(record: dict[str, Any]) -> Answer:
    usage = Usage(*(record[name] for name in TOKENS))
    return Answer(record["key"], record["status"], record["text"], record["model"], usage, record["cost_usd"])


def _paid(usage: Usage, cost_usd: float) -> dict[str, Any]:
    if not (math.isfinite(cost_usd) and cost_usd >= 0):
        raise ValueError(f"{cost_usd} is no amount of dollars")
    return {**dict(zip(TOKENS, astuple(usage), strict=True)), "cost_usd": float(cost_usd)}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
