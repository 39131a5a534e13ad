"""Let a model answer a pool's tasks.

dvc repro generate@train
"""

import sys
from pathlib import Path

from luau_rft import pools
from luau_rft.config import load
from luau_rft.errors import UserError, run
from luau_rft.model.base import ModelParams, read_record
from luau_rft.model.engines.base import EngineName, SamplingParams, params_class
from luau_rft.model.generate import SampleParams, generate
from luau_rft.tasks import TaskCounts, load_tasks

BASE = Path("models/base.json")


def main() -> None:
    if len(sys.argv) != 3:
        raise UserError("usage: python -m stages.generate POOL MODEL, where MODEL is models/base.json or an adapter")
    pool, model = sys.argv[1], Path(sys.argv[2])
    split = pools.split(pool)
    engine = load("generate.engine", EngineName).root
    candidates = generate(
        load_tasks(f"data/tasks/{split}", getattr(load("tasks", TaskCounts), split)),
        getattr(load("generate.samples", SampleParams), split),
        read_record(BASE),
        f"data/{pool}/candidates.parquet",
        sampling=load("generate.sampling", SamplingParams),
        engine=engine,
        engine_params=load(f"generate.{engine}", params_class(engine)),
        model_params=load("model", ModelParams),
        adapter=None if model == BASE else model,
    )
    ended = (candidates["finish_reason"] == "stop").mean()
    print(f"generate {pool}: {len(candidates)} candidates, {candidates['tokens'].sum()} tokens, {ended:.0%} ended")


if __name__ == "__main__":
    run(main)
