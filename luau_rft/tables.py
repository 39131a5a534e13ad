"""The parquet tables that stages hand to each other: schemas, checked reads, atomic writes."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from luau_rft.errors import UserError

_TEXT, _INT, _FLOAT, _BOOL = pl.String(), pl.Int64(), pl.Float64(), pl.Boolean()

FINDING = pl.Struct({"rule": _TEXT, "scorer": _TEXT, "line": _INT, "column": _INT, "message": _TEXT, "penalty": _FLOAT})

_CORPUS = {"id": _TEXT, "source": _TEXT, "package": _TEXT, "path": _TEXT, "license": _TEXT, "code": _TEXT}
_TRAINING = {"id": _TEXT, "origin": _TEXT, "task_id": _TEXT, "task": _TEXT, "code": _TEXT}
_FOUR_SCORES = {"syntax": _FLOAT, "api": _FLOAT, "bugs": _FLOAT, "quality": _FLOAT, "composite": _FLOAT}
_JUDGED = {
    "key": _TEXT, "judge": _TEXT, "functionality": _FLOAT, "correctness": _FLOAT, "completeness": _FLOAT,
    "value": _FLOAT, "spread": _FLOAT, "answers": _INT, "reason": _TEXT, "checks_passed": _INT, "checks_total": _INT,
    "checks_unknown": _INT, "input_tokens": _INT, "output_tokens": _INT, "cost_usd": _FLOAT,
}  # fmt: skip
_UNDECIDED = ("functionality", "correctness", "completeness", "value", "spread", "reason")

SCHEMAS: dict[str, dict[str, pl.DataType]] = {
    "corpus": _CORPUS,
    "labeled": _CORPUS
    | {"task": _TEXT, "category": _TEXT, "kind": _TEXT, "labeler": _TEXT, "key": _TEXT, "cost_usd": _FLOAT},
    "gold": {"task_id": _TEXT, "task": _TEXT, "code": _TEXT, "teacher": _TEXT, "key": _TEXT, "cost_usd": _FLOAT},
    "sft": _TRAINING,
    "rft": _TRAINING,
    "filtered": {"id": _TEXT, "origin": _TEXT, **_FOUR_SCORES, "kept": _BOOL, "reason": _TEXT},
    "candidates": {
        "task_id": _TEXT, "index": _INT, "key": _TEXT, "seed": _INT, "model": _TEXT, "text": _TEXT, "code": _TEXT,
        "cleaned": _BOOL, "tokens": _INT, "finish_reason": _TEXT,
    },
    "scores": {
        "task_id": _TEXT, "index": _INT, "compiles": _BOOL, **_FOUR_SCORES, "findings": pl.List(FINDING),
    },
    "judgments": {"task_id": _TEXT, "index": _INT, **_JUDGED},
    "judge_health": {"task_id": _TEXT, "program": _TEXT, "attack": _TEXT, "expected": _TEXT, **_JUDGED},
    "selection": {
        "task_id": _TEXT, "index": _INT, "composite": _FLOAT, "judge": _FLOAT, "reward": _FLOAT, "rank": _INT,
        "kept": _BOOL, "reason": _TEXT,
    },
}  # fmt: skip

PRIMARY_KEYS: dict[str, tuple[str, ...]] = {
    "corpus": ("id",),
    "labeled": ("id",),
    "gold": ("task_id",),
    "sft": ("id",),
    "rft": ("id",),
    "filtered": ("id",),
    "candidates": ("task_id", "index"),
    "scores": ("task_id", "index"),
    "judgments": ("task_id", "index"),
    "judge_health": ("task_id", "program", "attack"),
    "selection": ("task_id", "index"),
}

# Columns that may hold nulls; any other with a null or a NaN comes from elsewhere.
NULLABLE: dict[str, tuple[str, ...]] = {
    "labeled": ("category",),
    "sft": ("task_id",),
    "rft": ("task_id",),
    "judgments": _UNDECIDED,
    "judge_health": ("attack", *_UNDECIDED),
    "selection": ("judge", "reward", "rank"),
}


def content_hash(*parts: Any) -> str:
    """A 16-digit hexadecimal hash of JSON-serialisable parts; the ``id`` and ``key`` of every table.

    >>> content_hash("a", {"temperature": 0.8})
    'c861dba305eb7714'
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read(path: str | Path, table: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Read a table, or some of its columns, and check these: types, that they have values, that the key is unique.

    Raises ``UserError`` naming the file, the column and what was expected.
    """
    path = Path(path)
    try:
        found = pl.read_parquet_schema(path)
        wanted = [column for column in columns or SCHEMAS[table] if column in found]
        frame = pl.read_parquet(path, columns=wanted, glob=False)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; `dvc repro` makes it, `dvc pull` fetches it") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: not a readable parquet file ({reason}); delete it and run `dvc repro`") from None
    return checked(frame, path, table, columns)


def checked(frame: pl.DataFrame, path: str | Path, table: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The rows that ``path`` has, or is to have, as the table's schema wants them; ``UserError`` where they are not."""
    schema = {column: SCHEMAS[table][column] for column in columns or SCHEMAS[table]}
    for column, expected in schema.items():
        if column not in frame.columns:
            raise UserError(f"{path}: column {column!r} of the {table} table is missing; expected {expected}")
        # An all-null column, as a writer without values may leave it, fits every type.
        if frame.schema[column] != expected and frame.schema[column] != pl.Null():
            raise UserError(f"{path}: column {column!r} is {frame.schema[column]}, expected {expected}")
    frame = frame.select(pl.col(column).cast(dtype) for column, dtype in schema.items())
    for column, values in frame.to_dict().items():
        empty = values.is_null().any() and column not in NULLABLE.get(table, ())
        if empty or (values.dtype == _FLOAT and values.is_nan().any()):
            raise UserError(f"{path}: column {column!r} has rows without a value; delete the file and run `dvc repro`")
    key = PRIMARY_KEYS[table]
    if set(key) <= schema.keys() and frame.select(key).is_duplicated().any():
        raise UserError(f"{path}: {', '.join(key)}: repeated in the {table} table; delete the file and run `dvc repro`")
    return frame


def write(rows: list[dict[str, Any]], path: str | Path, table: str) -> pl.DataFrame:
    """Write rows sorted by the table's key, through a temporary file, so that no half-written table is ever seen.

    The same rows give the same bytes. Raises ``ValueError`` on a repeated key.
    """
    path = Path(path)
    keys = PRIMARY_KEYS[table]
    frame = pl.DataFrame(rows, schema=SCHEMAS[table], strict=True, orient="row").sort(keys)
    if frame.select(keys).is_duplicated().any():
        raise ValueError(f"{path}: repeated {keys} in the {table} table")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        frame.write_parquet(temporary, compression="zstd", statistics=False)
        os.replace(temporary, path)
    except pl.exceptions.PolarsError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: cannot be written ({reason}); make room on the disk and run `dvc repro`") from None
    finally:
        temporary.unlink(missing_ok=True)
    return frame


def reusable(path: str | Path, table: str) -> dict[str, dict[str, Any]]:
    """The rows that an earlier run left at ``path``, by their ``key``; empty when there is none."""
    if not Path(path).exists():
        return {}
    return {row["key"]: row for row in read(path, table).iter_rows(named=True)}


def write_json(content: Any, path: str | Path) -> None:
    """Write a metrics file atomically: sorted keys, floats at full precision, a newline at the end."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def read_json(path: str | Path, *names: str) -> Any:
    """Read a JSON file. Raises ``UserError`` when it is missing, not JSON, or lacks one of the keys ``names``."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; `dvc repro` makes it, `dvc pull` fetches it") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); delete it and run `dvc repro`") from None
    for name in names:
        if not isinstance(content, dict) or name not in content:
            raise UserError(f"{path}: {name} is missing; delete the file and run `dvc repro`")
    return content
