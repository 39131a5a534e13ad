"""The bridge's SQLite file: places, tokens, commands and the plugin's requests.

It is in WAL mode without waiting for the disk: what is committed survives the end of the bridge at any moment. It would
not survive a power failure, which takes the open place with it, too.
"""

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from luau_rft.errors import UserError
from luau_rft.studio.folder import check_own

_VERSION = 1
_TABLES = """
CREATE TABLE meta (server TEXT NOT NULL);
CREATE TABLE places (place TEXT PRIMARY KEY, name TEXT NOT NULL, seq INTEGER NOT NULL DEFAULT 0);
CREATE TABLE tokens (hash TEXT PRIMARY KEY, place TEXT NOT NULL, revoked INTEGER NOT NULL DEFAULT 0);
CREATE TABLE commands (
    id TEXT PRIMARY KEY, place TEXT NOT NULL, seq INTEGER NOT NULL, body TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'open', made REAL NOT NULL, deadline REAL, settled REAL, result TEXT
);
CREATE INDEX open_commands ON commands (place, seq) WHERE state = 'open';
CREATE INDEX settled_commands ON commands (settled) WHERE settled IS NOT NULL;
CREATE TABLE jobs (
    place TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'queued',
    message TEXT NOT NULL DEFAULT '', made REAL NOT NULL, PRIMARY KEY (place, id)
);
"""


class Database:
    """One connection, for the event loop's thread. Raises ``UserError`` for a file that cannot be read or trusted."""

    def __init__(self, path: Path) -> None:
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        check_own(path)
        path.chmod(0o600)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        try:
            self.execute("PRAGMA journal_mode = WAL")
            self.execute("PRAGMA synchronous = NORMAL")
            with self.transaction():
                version = self.execute("PRAGMA user_version").fetchone()[0]
                if version == 0:
                    for statement in _TABLES.split(";"):
                        self.execute(statement)
                    self.execute("INSERT INTO meta VALUES (?)", (secrets.token_hex(8),))
                    self.execute(f"PRAGMA user_version = {_VERSION}")
                elif version != _VERSION:
                    raise UserError(f"{path}: of version {version}, this program knows {_VERSION}; update luau-rft")
            self.server: str = self.execute("SELECT server FROM meta").fetchone()[0]
        except sqlite3.DatabaseError as error:
            self.close()
            raise UserError(
                f"{path}: cannot be read ({error}); move it away, then the places have to pair anew"
            ) from None
        except UserError:
            self.close()
            raise

    def execute(self, statement: str, values: tuple[object, ...] | dict[str, object] = ()) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block, or nothing of it; blocks may be nested."""
        if self._connection.in_transaction:
            yield
            return
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()
