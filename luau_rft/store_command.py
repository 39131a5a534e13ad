"""The command ``luau-rft store``: what the store of paid answers holds, whether it is sound, its way to others."""

import json
import os
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from luau_rft import store_file
from luau_rft.errors import UserError
from luau_rft.scorers.listing import printable
from luau_rft.store import BUSY_S, Store, default_path
from luau_rft.store_file import COLUMNS, TOKENS, UNIQUE

HEADER = {"store": "luau_rft", "version": store_file.VERSION}  # the first line of an export
MIN_RECORD_BYTES = 64  # no record takes less of the file: checksum, dates, names
_MEND = (
    "to mend damaged records, import an export that holds them; to save the rest of a damaged file, `luau-rft store "
    "export FILE`, move it away, and `luau-rft store import FILE --moved`"
)


def stats() -> int:
    """Print what the user's store holds and what it cost, by stage and model. Returns 0.

    Raises ``UserError`` where there is no store.
    """
    path = _existing()
    with Store(path) as store, _connection(path) as connection:
        answers = connection.execute(
            f"SELECT stage, model, here, count(*), {', '.join(f'sum({name})' for name in TOKENS)}, total(cost_usd) "
            "FROM answers GROUP BY stage, model, here"
        ).fetchall()
        charges = connection.execute(
            "SELECT stage, model, here, count(*), total(cost_usd) FROM charges GROUP BY stage, model, here"
        ).fetchall()
        kinds = connection.execute("SELECT kind, count(*) FROM rows GROUP BY kind ORDER BY kind").fetchall()
        spent, batches = store.spent(), store.open_batches()
    parts = (path, path.with_name(f"{path.name}-wal"))
    _say(f"{path}: {sum(part.stat().st_size for part in parts if part.exists()) / 1e6:.1f} MB")
    for line in _table(answers, charges):
        _say(line)
    _say(f"spent here: {spent:.4f} USD")
    if kinds:
        _say("table rows: " + ", ".join(f"{kind} {count:,}" for kind, count in kinds))
    for batch in batches:
        _say(
            f"open batch: {batch.batch_id or 'submission unknown'}, {batch.model}, "
            f"{len(batch.custom_ids):,} questions, since {batch.created:%Y-%m-%d %H:%M} UTC"
        )
    return 0


def forget(batch_id: str) -> int:
    """Give up a batch under way, whose answers are then asked and paid anew. Returns 0.

    Raises ``UserError`` where no such batch is open.
    """
    with Store(_existing()) as store:
        there = store.open_batches()
        for batch in there:
            if batch_id in (batch.batch_id, batch.intent):
                store.closed(batch.intent)
                _say(f"{batch_id}: given up; its {len(batch.custom_ids):,} questions are asked anew")
                return 0
    names = ", ".join(batch.batch_id or batch.intent for batch in there) or "none"
    raise UserError(f"{batch_id}: no open batch; open are {names}")


def verify() -> int:
    """Check the file and every record of the user's store, and print what is wrong, damaged records by their key.

    Returns 1 when something is. Raises ``UserError`` where there is no store.
    """
    path = _existing()
    counts: Counter[str] = Counter()
    problems = []
    with _connection(path) as connection:
        try:
            told = [line for (line,) in connection.execute("PRAGMA integrity_check")]
        except sqlite3.DatabaseError as error:
            told = [str(error)]
        problems += [line for message in told if message != "ok" for line in message.splitlines()]
        for table, name, row in _records(connection, path):
            counts[table] += 1
            if reason := _damage(table, row):
                problems.append(f"{table}: {name}: {reason}")
    for problem in problems:
        _say(f"{path}: {problem}")
    _say(f"{path}: {_counted(counts)}: {f'{len(problems)} problems' if problems else 'in order'}")
    if problems:
        _say(_MEND)
    return int(bool(problems))


def export(file: Path) -> int:
    """Write all sound records of the user's store to ``file``, as lines of JSON sorted by table and key.

    The same records give the same bytes. Returns 1, having named them, when damaged records were left out. Raises
    ``UserError`` where there is no store, or ``file`` is there and no export.
    """
    path = _existing()
    _check_target(file)
    counts: Counter[str] = Counter()
    lost = []
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with _connection(path) as connection, temporary.open("w", encoding="ascii", newline="\n") as out:
            out.write(store_file.canonical(HEADER) + "\n")
            for table, name, row in _records(connection, path):
                if reason := _damage(table, row):
                    lost.append(f"{table}: {name}: {reason}, left out")
                    continue
                record = store_file.to_record(table, row)
                out.write(store_file.canonical({"table": table, "checksum": row["checksum"], "record": record}) + "\n")
                counts[table] += 1
            out.flush()
            os.fsync(out.fileno())  # a damaged store may be moved away once its rest is saved
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
    for line in lost:
        print(printable(f"{path}: {line}"), file=sys.stderr)
    _say(f"{file}: {_counted(counts)}")
    return int(bool(lost))


def import_(file: Path, moved: bool = False) -> int:
    """Add the records of an export to the user's store; what is there stays, unless it is damaged.

    What others paid does not count as spent here, and their batches are theirs. ``moved`` says that it is the user's
    own. Returns 0. Raises ``UserError`` naming the line of a file that is no sound export; nothing is imported then.
    """
    path = default_path()
    if not file.is_file():
        raise UserError(f"{file}: no such file; give one that `luau-rft store export` wrote")
    # To read the store's own file here would drop the locks on it.
    if path.exists() and file.samefile(path):
        raise UserError(f"{file}: this is the store itself; give a file that `luau-rft store export` wrote")
    new: Counter[str] = Counter()
    there = mended = 0
    with Store(path) as store, store.transaction() as connection:
        for table, record in _lines(file):
            if store_file.insert(connection, table, record, here=moved):
                new[table] += 1
                continue
            row = store_file.find(connection, table, record)
            if not store_file.intact(table, row):
                store_file.insert(connection, table, record, here=moved or bool(row["here"]), replace=True)
                mended += 1
                continue
            there += 1
            if moved:
                store_file.own(connection, table, record)
    _say(f"{path}: {_counted(new)} new, {there:,} already there" + (f", {mended:,} mended" if mended else ""))
    return 0


def _existing() -> Path:
    path = default_path()
    if not path.exists():
        raise UserError(
            f"{path}: no store yet; a stage that asks a paid model makes one, and LUAU_RFT_STORE names another file"
        )
    return path


@contextmanager
def _connection(path: Path) -> Iterator[sqlite3.Connection]:
    with store_file.explained(path), closing(store_file.open_file(path, BUSY_S)) as connection:
        yield connection


def _records(connection: sqlite3.Connection, path: Path) -> Iterator[tuple[str, str, sqlite3.Row | None]]:
    """Every record as table, name and row, sorted by them; no row where it cannot be read."""
    connection.execute("BEGIN")  # one moment of a store that others write
    for table in COLUMNS:
        names, complete = _places(connection, path, table)
        for *key, place in names:
            yield table, " ".join(map(str, key)), _at(connection, table, place)
        if not complete:
            yield table, "and more, unknown by name", None


def _places(connection: sqlite3.Connection, path: Path, table: str) -> tuple[list[tuple[Any, ...]], bool]:
    """Key and rowid of every record, sorted, and whether these are all.

    The index knows all of them; where it is damaged, what is left of the table tells its own.
    """
    columns = f"{', '.join(UNIQUE[table])}, rowid"
    try:
        found = connection.execute(f"SELECT {columns} FROM {table} ORDER BY {columns}").fetchall()
        return [tuple(row) for row in found], True
    except sqlite3.DatabaseError:
        pass

    def scan(first: int, last: int) -> list[tuple[Any, ...]]:
        query = f"SELECT {columns} FROM {table} NOT INDEXED WHERE rowid BETWEEN ? AND ?"
        try:
            return [tuple(row) for row in connection.execute(query, [first, last]).fetchall()]
        except sqlite3.DatabaseError:
            if first == last:
                return []
            middle = (first + last) // 2
            return scan(first, middle) + scan(middle + 1, last)

    return sorted(scan(1, 1 + path.stat().st_size // MIN_RECORD_BYTES)), False


def _at(connection: sqlite3.Connection, table: str, place: int) -> sqlite3.Row | None:
    try:
        return connection.execute(f"SELECT * FROM {table} WHERE rowid = ?", [place]).fetchone()
    except sqlite3.DatabaseError:
        return None


def _damage(table: str, row: sqlite3.Row | None) -> str | None:
    if row is None:
        return "cannot be read"
    if not store_file.intact(table, row):
        return "differs from what was written"
    long = list(COLUMNS[table])[-1]
    if table in ("rows", "batches"):
        try:
            json.loads(row[long])
        except ValueError:
            return f"its {long} is not JSON"
    return None


def _check_target(file: Path) -> None:
    if file.is_dir():
        raise UserError(f"{file}: a folder; give a file's name in it")
    if not file.parent.is_dir():
        raise UserError(f"{file}: {file.parent} is no folder; make it, or give another name")
    if not file.exists():
        return
    with file.open("rb") as there:
        start = there.readline(len(store_file.canonical(HEADER)) + 1)
    if _version(_parsed(start)) is None:
        raise UserError(f"{file}: there already, and not an export of a store; give another name or move it away")


def _lines(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The records of an export, checked."""
    wanted = "give a file that `luau-rft store export` wrote"
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            content = _parsed(line)
            version = _version(content)
            if number == 1 and version is None:
                raise UserError(f"{file}: line 1: not an export of a store; {wanted}")
            if version is None:
                try:
                    yield _record(content)
                except (ValueError, TypeError, KeyError):
                    raise UserError(
                        f"{file}: line {number}: not as `luau-rft store export` wrote it; nothing was imported. Export "
                        "again, or take the line out"
                    ) from None
            elif version != store_file.VERSION:  # the right one may come in further lines, too: exports may be joined
                raise UserError(
                    f"{file}: line {number}: an export of version {version}, but this luau_rft knows version "
                    f"{store_file.VERSION}; nothing was imported, update luau_rft"
                )
        if lines.tell() == 0:
            raise UserError(f"{file}: empty; {wanted}")


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _version(content: Any) -> Any:
    """The version of the export that begins with this; None where none does."""
    return content.get("version") if isinstance(content, dict) and content.get("store") == HEADER["store"] else None


def _record(content: Any) -> tuple[str, dict[str, Any]]:
    """Table and record of a line. Raises ``ValueError``, ``TypeError`` or ``KeyError`` where it is not as written."""
    table, record = content["table"], content["record"]
    if {name: type(value) for name, value in dict(record).items()} != COLUMNS[table]:
        raise ValueError("other columns or types")
    if store_file.checksum(record) != content["checksum"]:
        raise ValueError("another checksum")
    return table, record


def _table(answers: list[sqlite3.Row], charges: list[sqlite3.Row]) -> list[str]:
    """Lines for people: a row a stage, model and payer."""
    lines: dict[tuple[str, str, int], list[str]] = {}
    for stage, model, here, count, *tokens, cost in answers:
        lines[stage, model, here] = [*(f"{number:,}" for number in (count, *tokens)), f"{cost:.4f}", "0", "0.0000"]
    for stage, model, here, count, cost in charges:
        line = lines.setdefault((stage, model, here), ["0"] * (1 + len(TOKENS)) + ["0.0000", "0", "0.0000"])
        line[-2:] = f"{count:,}", f"{cost:.4f}"
    if not lines:
        return ["no answers yet"]
    head = [
        "stage",
        "model",
        "paid",
        "answers",
        "input",
        "cache write",
        "cache read",
        "output",
        "USD",
        "useless",
        "USD",
    ]
    table = [head]
    for (stage, model, here), numbers in sorted(lines.items()):
        table.append([stage, model, "here" if here else "elsewhere", *numbers])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place < 3 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[table]:,} {table}" for table in COLUMNS)


def _say(text: str) -> None:
    if sys.stdout is not None:
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may not know every character
    print(printable(text))
