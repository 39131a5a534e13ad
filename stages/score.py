"""Score a pool's candidates with the deterministic scorers.

dvc repro score@train
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from typing import Any

from pydantic import Field

from luau_rft import pools, tables
from luau_rft.config import Params, load
from luau_rft.errors import run
from luau_rft.progress import bar
from luau_rft.scorers.composite import score_code

COLUMNS = [column for column in tables.SCHEMAS["scores"] if column not in pools.KEY]


class ScoreParams(Params):
    """Section ``score``."""

    processes: int = Field(ge=1)


def score(task_id: str, index: int, code: str, kind: str) -> dict[str, Any]:
    """One row of the ``scores`` table."""
    scores = asdict(score_code(code, kind))
    return {"task_id": task_id, "index": index} | {column: scores[column] for column in COLUMNS}


def main() -> None:
    pool = " ".join(sys.argv[1:])
    params = load("score", ScoreParams)
    candidates = pools.candidates(pool).select("task_id", "index", "code").rows()
    tasks = pools.tasks(pool, {task_id for task_id, *_ in candidates})

    rows = []
    arguments = zip(*((*row, tasks[row[0]].kind) for row in candidates), strict=True)
    with (
        bar(f"scoring {pool}", len(candidates)) as advance,
        ProcessPoolExecutor(params.processes, mp_context=get_context("spawn")) as processes,
    ):
        for row in processes.map(score, *arguments, chunksize=8):
            rows.append(row)
            advance(1)
    frame = tables.write(rows, f"data/{pool}/scores.parquet", "scores")
    print(f"score: {pool}: composite {frame['composite'].mean():.3f}, {frame['compiles'].mean():.0%} compile")


if __name__ == "__main__":
    run(main)
