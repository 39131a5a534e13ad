"""A pool is a set of tasks answered by a model: candidates, scores and judgments in ``data/<pool>/``."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from luau_rft import tables
from luau_rft.errors import UserError
from luau_rft.tasks import Task, load_tasks

SPLITS = {"train": "train", "eval-base": "eval", "eval-sft": "eval", "eval-rft": "eval"}
KEY = tables.PRIMARY_KEYS["candidates"]


def split(pool: str) -> str:
    """The folder of ``data/tasks`` whose tasks a pool answers.

    >>> split("eval-sft")
    'eval'
    """
    if pool not in SPLITS:
        raise UserError(f"{pool!r}: no such pool; the pools are {', '.join(SPLITS)}")
    return SPLITS[pool]


def tasks(pool: str, answered: Iterable[str], root: str | Path = ".") -> dict[str, Task]:
    """A pool's tasks by id. Raises ``UserError`` when one that its candidates answered is not among them."""
    folder = Path(root, "data", "tasks", split(pool))
    by_id = {task.id: task for task in load_tasks(folder)}
    if strangers := set(answered) - by_id.keys():
        raise UserError(f"data/{pool}/candidates.parquet: {min(strangers)}: no such task in {folder}; run `dvc repro`")
    return by_id


def candidates(pool: str, root: str | Path = ".") -> pl.DataFrame:
    """The pool's candidates, ordered by task and index. Raises ``UserError`` when there is no such pool or none."""
    return _candidates(pool, root, None)


def keys(pool: str, root: str | Path = ".") -> pl.DataFrame:
    """Task and index of the pool's candidates, in order, without reading the candidates themselves."""
    return _candidates(pool, root, KEY)


def _candidates(pool: str, root: str | Path, columns: Sequence[str] | None) -> pl.DataFrame:
    split(pool)
    path = Path(root, "data", pool, "candidates.parquet")
    found = tables.read(path, "candidates", columns)
    if found.is_empty():
        raise UserError(f"{path}: no candidates; delete it and run `dvc repro`")
    return found.sort(KEY)


def read(pool: str, root: str | Path = ".") -> pl.DataFrame:
    """The pool's candidates with their scores and judgments, a row each, ordered by task and index.

    The judgment's ``value`` is named ``judgment`` here, its ``key`` ``judgment_key``. Raises ``UserError`` when the
    three tables do not hold the same candidates.
    """
    joined = candidates(pool, root)
    keys = joined.select(KEY)
    folder = Path(root, "data", pool)
    judgments = tables.read(folder / "judgments.parquet", "judgments")
    parts = {
        "scores": tables.read(folder / "scores.parquet", "scores"),
        "judgments": judgments.rename({"key": "judgment_key", "value": "judgment"}),
    }
    for name, part in parts.items():
        if not part.select(KEY).sort(KEY).equals(keys):
            raise UserError(
                f"{folder / name}.parquet: task_id and index are not those of candidates.parquet; delete it and run "
                "`dvc repro`"
            )
        joined = joined.join(part, on=KEY)
    return joined.sort(KEY)
