"""Candidates: the model's sampled answers to tasks, batch by batch, reused row by row, whatever the engine."""

from collections.abc import Container, Iterable, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from luau_rft import tables
from luau_rft.config import Params
from luau_rft.model.base import ADAPTER_FILES, BaseRecord, ModelParams, check_adapter, file_hash, load_tokenizer
from luau_rft.model.clean import clean
from luau_rft.model.engines.base import Engine, Request, SamplingParams, Setup, open_engine
from luau_rft.model.prompt import render, token_ids
from luau_rft.progress import bar
from luau_rft.tasks import Task

if TYPE_CHECKING:
    import polars as pl


class SampleParams(Params):
    """Section ``generate.samples``: candidates per task in the pools of each split."""

    train: int = Field(gt=0)
    eval: int = Field(gt=0)


def generate(
    tasks: Sequence[Task],
    samples: int,
    record: BaseRecord,
    output: str | Path,
    *,
    sampling: SamplingParams,
    engine: str,
    engine_params: Params,
    model_params: ModelParams,
    adapter: str | Path | None = None,
) -> "pl.DataFrame":
    """Write ``samples`` candidates per task to the table ``output``; rows that it already holds are reused by key.

    Every finished group of answers is in the table at once, so that a run that was killed goes on with the very batches
    that it had not finished. Returns the table, of the engine ``ray`` without the columns text and code, as it may be
    larger than this machine. Raises ``UserError`` where the adapter is missing or the existing table is not readable.
    """
    if adapter is not None:
        check_adapter(record, adapter)
    setup = Setup(record, model_params, sampling, load_tokenizer(record), Path(adapter) if adapter else None)
    opened = open_engine(engine, engine_params, setup)
    requests = plan(tasks, samples, setup, opened)
    if engine == "ray":
        opened.write_table(requests, Path(output))
        return tables.read(output, "candidates", [c for c in tables.SCHEMAS["candidates"] if c not in ("text", "code")])
    found = tables.reusable(output, "candidates")
    done = {request: found[request.key] for request in requests if request.key in found}
    name = setup.adapter.name if setup.adapter else "base"

    def write() -> "pl.DataFrame":
        rows = []
        for r, row in done.items():
            code, cleaned = clean(row["text"])  # of reused rows, too: their key determines the text alone
            rows.append(row | {"task_id": r.task_id, "index": r.index, "model": name, "code": code, "cleaned": cleaned})
        return tables.write(rows, output, "candidates")

    if missing := batches(requests, opened.batch_size, done):
        count = sum(map(len, missing))
        description = f"generate {Path(output).parent.name}: {count} candidates, tokens"
        with bar(description, count * sampling.max_new_tokens) as advance:
            for group in opened.answers(missing, advance):
                for r, a in group:
                    done[r] = {"key": r.key, "seed": r.seed, "text": a.text, "tokens": a.tokens}
                    done[r]["finish_reason"] = a.finish_reason
                write()
    return write()


def plan(tasks: Iterable[Task], samples: int, setup: Setup, engine: Engine) -> list[Request]:
    """Every candidate that a pool should hold, each with the key of all that determines it."""
    weights = [file_hash(setup.adapter / file) for file in ADAPTER_FILES] if setup.adapter else "base"
    made_by = [
        setup.record.identity,
        weights,
        setup.sampling.model_dump(),
        setup.model_params.model_dump(),
        engine.identity(),
    ]
    requests = []
    for task in tasks:
        text = render(setup.tokenizer, task.prompt)
        prompt = tuple(token_ids(setup.tokenizer, task.prompt))
        for index in range(samples):
            seed = int(tables.content_hash(setup.sampling.seed, text, index)[:15], 16)  # fits a signed 64-bit integer
            key = tables.content_hash(made_by, prompt, index)
            requests.append(Request(task.id, index, key, seed, task.prompt, prompt))
    return requests


def batches(requests: Sequence[Request], size: int, done: Container[Request]) -> list[list[Request]]:
    """The batches that are still to be generated, without the requests that are done.

    The plan alone says what a batch holds, so that a run that goes on computes what an undisturbed one computes. Tasks
    with prompts of like length, ``size`` at most, make a block. Of a block's samples, 0, then 1, then 2 and 3, then 4
    to 7 and so on are batches of their own, cut evenly where they are more than ``size``: the batches of 4 samples a
    task are therefore among those of 8. Batches that share prompts follow each other.
    """
    tasks = sorted({(-len(request.prompt), request.task_id) for request in requests})
    block = {task_id: number for number, part in enumerate(_evenly(tasks, size)) for _, task_id in part}

    def wave(request: Request) -> tuple[int, int]:
        return block[request.task_id], request.index.bit_length()

    ordered = sorted(requests, key=lambda r: (wave(r), r.index, -len(r.prompt), r.task_id))
    whole = [batch for _, members in groupby(ordered, key=wave) for batch in _evenly(list(members), size)]
    missing = [[request for request in batch if request not in done] for batch in whole]
    return [batch for batch in missing if batch]


def _evenly(items: list[Any], size: int) -> list[list[Any]]:
    """Cut a list into as few parts of ``size`` at most as will do, as long as each other give or take one."""
    parts = -(-len(items) // size)
    ends = [len(items) * number // parts for number in range(parts + 1)]
    return [items[start:end] for start, end in pairwise(ends)]
