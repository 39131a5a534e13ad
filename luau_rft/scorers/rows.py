"""The rows of the ``scores`` table."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import polars as pl

from luau_rft import tables
from luau_rft.scorers.composite import score_code

Candidate = tuple[str, int, str, str]  # task_id, index, code, kind

COLUMNS = [column for column in tables.SCHEMAS["scores"] if column not in tables.PRIMARY_KEYS["scores"]]


def score_row(task_id: str, index: int, code: str, kind: str) -> dict[str, Any]:
    """The row of a candidate."""
    scores = asdict(score_code(code, kind))
    return {"task_id": task_id, "index": index} | {column: scores[column] for column in COLUMNS}


def scorer() -> Callable[[list[Candidate]], pl.DataFrame]:
    """What a worker of a cluster does with a unit of candidates."""
    return lambda candidates: pl.DataFrame([score_row(*c) for c in candidates], schema=tables.SCHEMAS["scores"])
