"""The file of the store of paid answers: its tables, how it is opened, how damage in a record is found."""

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from luau_rft.errors import UserError

VERSION = 1  # of the tables, in the file's user_version
APPLICATION_ID = 0x4C524654  # marks the file as ours among all SQLite files

TOKENS = ("input_tokens", "cache_write_tokens", "cache_read_tokens", "output_tokens")

# Of every table the columns that make up a record: what its checksum covers and what an export holds. The long text
# comes last, so that a query for the others need not pass over it.
COLUMNS: dict[str, dict[str, type]] = {
    "answers": {
        "key": str, "stage": str, "model": str, "status": str, **dict.fromkeys(TOKENS, int), "cost_usd": float,
        "created": str, "text": str,
    },
    "batches": {"intent": str, "model": str, "batch_id": str, "created": str, "closed": str, "custom_ids": str},
    "charges": {
        "id": str, "stage": str, "model": str, **dict.fromkeys(TOKENS, int), "cost_usd": float, "created": str,
        "why": str,
    },
    "rows": {"kind": str, "key": str, "row": str},
}  # fmt: skip
UNIQUE: dict[str, tuple[str, ...]] = {
    "answers": ("key",),
    "batches": ("intent",),
    "charges": ("id",),
    "rows": ("kind", "key"),
}
_WHERE = {table: " AND ".join(f"{column} = ?" for column in columns) for table, columns in UNIQUE.items()}
MIN_FILE_BYTES = 512  # SQLite takes a file that is smaller for an empty one and overwrites it

_NO_STORE = (
    "not a store of paid answers, or damaged at its start; it is left as it is. `sqlite3 FILE .recover` may read a "
    "damaged one; set LUAU_RFT_STORE to a file that is a store, or is not there yet"
)
_SQL_TYPES = {str: "TEXT", int: "INTEGER", float: "REAL"}


def open_file(path: Path, busy_s: float) -> sqlite3.Connection:
    """Open the file and make it, readable by its user alone, where there is none.

    Threads may share the connection if they take turns. Raises ``UserError`` for a file that is no store, is damaged,
    comes from a newer version, or may not be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            # Only where there is none: to close another descriptor of a file would drop this process's locks on it.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        if not path.is_file():
            raise UserError(f"{path}: not a file; set LUAU_RFT_STORE to one, or to one that is not there yet")
        if 0 < path.stat().st_size < MIN_FILE_BYTES:
            raise UserError(f"{path}: {_NO_STORE}")
    except OSError as error:
        raise UserError(
            f"{path}: cannot be made ({error.strerror}); set LUAU_RFT_STORE to a file in a folder that you may write"
        ) from None
    with explained(path):
        connection = sqlite3.connect(path.absolute(), timeout=busy_s, isolation_level=None, check_same_thread=False)
        try:
            connection.row_factory = sqlite3.Row
            connection.text_factory = _decoded
            _check_version(connection, path)
            _use_wal(connection, path, busy_s)
            connection.execute("PRAGMA synchronous = FULL")  # an answer survives a power failure, too
            # Takes the write lock even where there is nothing to make: a store that cannot be written must show it
            # before money is spent.
            connection.execute("BEGIN IMMEDIATE")
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                _make_tables(connection)
            connection.commit()
        except BaseException:
            connection.close()
            raise
    return connection


def insert(
    connection: sqlite3.Connection, table: str, record: dict[str, Any], here: bool = True, replace: bool = False
) -> bool:
    """Add a record unless its key is there; whether it was added. ``here``: paid or submitted by this store's user.

    With ``replace`` it takes the place of the one that is there.
    """
    columns = list(COLUMNS[table])
    names = [*columns, "checksum", "here"]
    values = [_to_sql(record[column]) for column in columns]
    verb, otherwise = ("REPLACE", "") if replace else ("INSERT", "ON CONFLICT DO NOTHING")
    query = f"{verb} INTO {table} ({','.join(names)}) VALUES ({','.join('?' * len(names))}) {otherwise}"
    return connection.execute(query, [*values, checksum(record), here]).rowcount == 1


def find(connection: sqlite3.Connection, table: str, record: dict[str, Any]) -> sqlite3.Row | None:
    """The row that has a record's key."""
    return connection.execute(f"SELECT * FROM {table} WHERE {_WHERE[table]}", _key(table, record)).fetchone()


def own(connection: sqlite3.Connection, table: str, record: dict[str, Any]) -> None:
    """Note that the record that is there was paid or submitted by this store's user."""
    connection.execute(f"UPDATE {table} SET here = 1 WHERE {_WHERE[table]}", _key(table, record))


def to_record(table: str, row: sqlite3.Row) -> dict[str, Any]:
    """A row's columns that its checksum covers."""
    values = ((column, row[column]) for column in COLUMNS[table])
    return {column: _decoded(value) if isinstance(value, bytes) else value for column, value in values}


def intact(table: str, row: sqlite3.Row) -> bool:
    """Whether a row is as it was written."""
    try:
        return checksum(to_record(table, row)) == row["checksum"]
    except ValueError:  # a number that is none
        return False


def name_of(table: str, record: dict[str, Any]) -> str:
    """A record's key for people to read."""
    return " ".join(map(str, _key(table, record)))


def checksum(record: dict[str, Any]) -> str:
    """A hash that tells a record from one in which a bit has changed."""
    return hashlib.sha256(canonical(record).encode()).hexdigest()[:16]


def canonical(content: Any) -> str:
    """JSON of the same bytes for the same content, in ASCII, so that text that is no valid Unicode fits, too.

    Raises ``ValueError`` for NaN and infinity, which JSON does not know.

    >>> canonical({"text": "ä", "cost": 0.5})
    '{"cost":0.5,"text":"\\\\u00e4"}'
    """
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite cannot do with the file into a ``UserError`` that says what to do."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise  # our mistake, not the file's
    except sqlite3.Error as error:
        raise UserError(f"{path}: {_advice(error)}") from None


def _advice(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    elsewhere = "set LUAU_RFT_STORE to a file"
    if code == sqlite3.SQLITE_NOTADB:
        return _NO_STORE
    if code == sqlite3.SQLITE_CORRUPT:
        return (
            f"the store of paid answers is damaged ({error}); it is left as it is. Save what is readable with "
            "`luau-rft store export FILE`, move the damaged store away, and run `luau-rft store import FILE --moved`"
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"another program keeps the store locked; close it and go on, or {elsewhere} on a local disk"
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return f"cannot be written ({error}); make it and its folder writable, or {elsewhere} that is"
    if code == sqlite3.SQLITE_FULL:
        return "no room on the disk for paid answers; make some and go on, the answers so far are kept"
    return f"the store cannot be used ({error}); put that right, or {elsewhere} on a local disk"


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN")  # one moment for all three: another process may be making the tables
    [version] = connection.execute("PRAGMA user_version").fetchone()
    [application] = connection.execute("PRAGMA application_id").fetchone()
    [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    connection.commit()
    if application != APPLICATION_ID and (version or tables):
        raise UserError(f"{path}: another program's database; set LUAU_RFT_STORE to a file of its own")
    if version > VERSION:
        raise UserError(
            f"{path}: a store of version {version}, but this luau_rft knows up to {VERSION}; update luau_rft, or set "
            "LUAU_RFT_STORE to another file"
        )


def _use_wal(connection: sqlite3.Connection, path: Path, busy_s: float) -> None:
    deadline = time.monotonic() + busy_s
    while True:
        try:
            [mode] = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            # SQLite does not wait for others here, unlike everywhere else.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    if mode != "wal":
        raise UserError(f"{path}: its disk cannot hold a shared store; set LUAU_RFT_STORE to a file on a local disk")


def _make_tables(connection: sqlite3.Connection) -> None:
    for table, columns in COLUMNS.items():
        *short, long = [f"{name} {_SQL_TYPES[kind]} NOT NULL" for name, kind in columns.items()]
        marks = ["here INTEGER NOT NULL", "checksum TEXT NOT NULL"]
        unique = f"PRIMARY KEY ({', '.join(UNIQUE[table])})"
        connection.execute(f"CREATE TABLE {table} ({', '.join([*short, *marks, long, unique])})")
    # What is spent is asked before every request: these are read then and not the texts.
    connection.execute("CREATE INDEX answers_paid ON answers (cost_usd) WHERE here")
    connection.execute("CREATE INDEX charges_paid ON charges (cost_usd) WHERE here")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _key(table: str, record: dict[str, Any]) -> list[Any]:
    return [record[column] for column in UNIQUE[table]]


def _to_sql(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:  # half a surrogate pair, which SQLite takes only as bytes
            return value.encode("utf-8", "surrogatepass")
    return value


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:  # damaged, which the checksum tells
        return raw.decode("utf-8", "replace")
