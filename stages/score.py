"""Score a pool's candidates with the deterministic scorers, in processes of this machine or on a Ray cluster.

dvc repro score@train
"""

import hashlib
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import Field

from luau_rft import cluster, pools, tables
from luau_rft.config import Params, load
from luau_rft.errors import UserError, run
from luau_rft.progress import bar
from luau_rft.scorers.rows import score_row, scorer
from luau_rft.tasks import Task

# The code that determines a score: an edited scorer never meets the parts of the one before.
CODE = ("luau", "roblox", "scorers")


class RayParams(cluster.ClusterParams):
    """Section ``score.ray``."""

    rows: int = Field(gt=0)  # candidates of a unit


class ScoreParams(Params):
    """Section ``score``."""

    engine: Literal["local", "ray"]
    processes: int = Field(ge=1)
    ray: RayParams


def main() -> None:
    pool = " ".join(sys.argv[1:])
    params = load("score", ScoreParams)
    path = Path(f"data/{pool}/scores.parquet")
    if params.engine == "ray":
        on_cluster(pool, path, params.ray)
    else:
        here(pool, path, params.processes)
    scores = pl.scan_parquet(path, glob=False).select(pl.col("composite", "compiles").mean()).collect()
    composite, compiles = scores.row(0)
    print(f"score: {pool}: composite {composite:.3f}, {compiles:.0%} compile")


def here(pool: str, path: Path, processes: int) -> None:
    """Write the pool's scores, made by processes of this machine."""
    candidates = pools.candidates(pool).select("task_id", "index", "code").rows()
    tasks = pools.tasks(pool, {task_id for task_id, *_ in candidates})
    arguments = zip(*((*row, tasks[row[0]].kind) for row in candidates), strict=True)
    rows = []
    with (
        bar(f"scoring {pool}", len(candidates)) as advance,
        ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as executor,
    ):
        for row in executor.map(score_row, *arguments, chunksize=8):
            rows.append(row)
            advance(1)
    tables.write(rows, path, "scores")


def on_cluster(pool: str, path: Path, params: RayParams) -> None:
    """Write the pool's scores, made on a Ray cluster; of the candidates only their keys are all in memory here."""
    candidates = path.with_name("candidates.parquet")
    wanted = pools.keys(pool)
    tasks = pools.tasks(pool, wanted["task_id"].unique())
    kept = parts(pool, tasks, params)
    with cluster.connected(params, "score.ray"), bar(f"scoring {pool}", len(wanted)) as advance:
        cluster.run(units(candidates, tasks, params.rows), scorer, (), kept, params, "score.ray", advance)
    cluster.write_table([kept.dataset()], wanted, wanted.columns, path, "scores")
    kept.remove()


def parts(pool: str, tasks: dict[str, Task], params: RayParams) -> cluster.Folder:
    """Where the parts of this pool's candidates lie: a place of its own for all that determines their scores."""
    kinds = {task.id: task.kind for task in tasks.values()}
    with Path(f"data/{pool}/candidates.parquet").open("rb") as file:
        candidates = hashlib.file_digest(file, "sha256").hexdigest()
    made_of = tables.content_hash(cluster.code_hash(CODE), candidates, kinds)
    return cluster.Folder(params.storage, f"score-{pool}-{made_of}")


def units(path: Path, tasks: dict[str, Task], rows: int) -> Iterator[cluster.Unit]:
    """The candidates in the order of the file, ``rows`` to a unit."""
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(rows, columns=["task_id", "index", "code"]):
                payload = [(*row, tasks[row[0]].kind) for row in pl.from_arrow(batch).rows()]
                yield cluster.Unit(tables.content_hash(payload), payload, len(payload))
    except pyarrow.ArrowException as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: not a readable parquet file ({reason}); delete it and run `dvc repro`") from None


if __name__ == "__main__":
    run(main)
