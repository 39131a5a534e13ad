"""What a million candidates cost: the rates of one core of this machine, and the plan that follows from them.

    python -m bench.scale                  1,000,000 candidates of 256 tokens (about two minutes)
    python -m bench.scale --quick          under a minute
    python -m bench.scale --candidates 200000 --tokens 400 --cores 96 --core-price 0.04
    python -m bench.scale --gpu-rate 3000 --gpu-price 2.50     tokens a second of a GPU of yours, as you measured it

One process, one thread, as a worker of one CPU has. Nothing here is measured on a GPU. Prices are yours, an hour.
"""

import argparse
import tempfile
import time
import tracemalloc
from pathlib import Path

import polars as pl

from bench.corpus import ROOT
from luau_rft import cluster
from luau_rft.config import load
from luau_rft.model.base import BaseParams, ModelParams, load_tokenizer, resolve
from luau_rft.model.engines.base import SamplingParams, Setup
from luau_rft.model.engines.ray import ANSWERS
from luau_rft.model.engines.transformers import TransformersEngine, TransformersParams
from luau_rft.model.generate import plan
from luau_rft.scorers.rows import score_row, scorer
from luau_rft.tasks import load_tasks

PARAMS = ROOT / "params.yaml"


def main() -> None:
    arguments = _arguments()
    quick = arguments.quick
    tasks = load_tasks(ROOT / "data/tasks/train")
    record = resolve(load("base", BaseParams, PARAMS))
    sampling = load("generate.sampling", SamplingParams, PARAMS)
    setup = Setup(record, load("model", ModelParams, PARAMS), sampling, load_tokenizer(record))
    rate = generation(setup, tasks, load("generate.transformers", TransformersParams, PARAMS), 24 if quick else 96)
    scored, size = scoring(tasks, 1 if quick else 4)
    memory = driver_memory(setup, tasks)
    answer_size, score_size = part_sizes(tasks)

    print(f"base model: {record.name}, {setup.model_params.dtype}, one core")
    print(f"driver memory: {memory:.0f} bytes a candidate, {memory * arguments.candidates / 2**30:.2f} GiB in all")
    print(f"storage until the table is written: {answer_size:.0f} bytes a candidate, {score_size:.0f} for its scores")
    print(f"scored: the references of the train tasks, {size:.0f} characters each")
    print()
    rows = [
        (f"generate on cores, {rate:.1f} tokens/s", arguments.candidates * arguments.tokens / rate, "core"),
        (f"score on cores, {scored:.1f} candidates/s", arguments.candidates / scored, "core"),
    ]
    if arguments.gpu_rate:
        seconds = arguments.candidates * arguments.tokens / arguments.gpu_rate
        rows.append((f"generate on GPUs, {arguments.gpu_rate:g} tokens/s as given, not measured", seconds, "gpu"))
    print(f"{arguments.candidates:,} candidates of {arguments.tokens} tokens")
    for name, seconds, kind in rows:
        many, price = getattr(arguments, f"{kind}s"), getattr(arguments, f"{kind}_price")
        cost = "" if price is None else f", {seconds / 3600 * price:,.2f} at {price:g} an hour"
        print(f"  {name}: {seconds / 3600:,.1f} {kind}-hours, {seconds / 3600 / many:,.1f} hours on {many}{cost}")
    print(f"RESULT generate_tokens_per_core_second {rate:.2f}")
    print(f"RESULT score_candidates_per_core_second {scored:.2f}")


def generation(setup: Setup, tasks: list, params: TransformersParams, tokens: int) -> float:
    """Tokens a second of one thread, in one batch, the model loaded before."""
    import torch

    torch.set_num_threads(1)
    engine = TransformersEngine(params, _cut(setup, tokens))
    requests = plan(tasks, 4, setup, engine)[: params.batch_size]
    # The first batch loads the model.
    answers = engine.answers([requests[:1], requests], lambda _: None)
    next(answers)
    start = time.perf_counter()
    group = next(answers)
    return sum(answer.tokens for _, answer in group) / (time.perf_counter() - start)


def scoring(tasks: list, rounds: int) -> tuple[float, float]:
    """Candidates a second of one process, and their mean length in characters."""
    score_row("warm", 0, tasks[0].reference, tasks[0].kind)
    start = time.perf_counter()
    for number in range(rounds):
        for task in tasks:
            score_row(task.id, number, f"{task.reference}\n-- {number}", task.kind)
    seconds = time.perf_counter() - start
    return rounds * len(tasks) / seconds, sum(len(task.reference) for task in tasks) / len(tasks)


def driver_memory(setup: Setup, tasks: list, samples: int = 20) -> float:
    """Bytes that the plan holds for a candidate, in the process that starts a run."""
    engine = TransformersEngine(TransformersParams(batch_size=64), setup)
    plan(tasks[:1], 1, setup, engine)
    tracemalloc.start()
    held = plan(tasks, samples, setup, engine)
    memory, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return memory / len(held)


def part_sizes(tasks: list) -> tuple[float, float]:
    """Bytes that a candidate takes in the parts of generation and of scoring."""
    rows = [(f"{n:016x}", n, task.reference, 256, "stop") for n, task in enumerate(tasks)]
    candidates = [(task.id, 0, task.reference, task.kind) for task in tasks]
    with tempfile.TemporaryDirectory() as storage:
        folder = cluster.Folder(storage)
        folder.write(pl.DataFrame(rows, schema=ANSWERS, orient="row"), "answers")
        folder.write(scorer()(candidates), "scores")
        return tuple(Path(storage, f"{name}.parquet").stat().st_size / len(tasks) for name in ("answers", "scores"))


def _cut(setup: Setup, tokens: int) -> Setup:
    sampling = setup.sampling.model_copy(update={"max_new_tokens": tokens})
    return Setup(setup.record, setup.model_params, sampling, setup.tokenizer)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--candidates", type=int, default=1_000_000)
    parser.add_argument("--tokens", type=int, default=256, help="of a candidate, its prompt apart")
    parser.add_argument("--cores", type=int, default=256)
    parser.add_argument("--core-price", type=float, help="of a core and hour")
    parser.add_argument("--gpu-rate", type=float, help="tokens a second of a GPU")
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--gpu-price", type=float, help="of a GPU and hour")
    return parser.parse_args()


if __name__ == "__main__":
    main()
