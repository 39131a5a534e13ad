"""Ask 200 questions in processes that are killed at random moments, until all are answered, again and again.

``python -m tests.llm.killed MODE FOLDER KILLS SEED`` prints every run as JSON: its chain (runs that share a store), the
key by which the server knows it, what was in its store before, whether it was killed. Every chain writes the table of
its answers to ``FOLDER/<chain>.parquet``; chain 0 is the undisturbed one.
"""

import contextlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import anthropic
import polars as pl
from anthropic.resources.messages import batches, messages
from anthropic.resources.models import AsyncModels

from luau_rft.llm.ask import ask
from luau_rft.llm.batches import Pace
from luau_rft.llm.claude import Claude
from luau_rft.store import Store
from tests.llm.questions import MODEL, questions, spending

COUNT = 200
LOADED = (anthropic.AsyncAnthropic, batches, messages, AsyncModels)  # before the fork, as it takes a second
PACE = Pace(retries=2, timeout_s=60.0, poll_s=0.01, poll_most_s=0.02, settle_s=0.1)


def run(store_path: Path, table: Path, mode: str) -> None:
    """One run, as a stage makes it."""
    with Store(store_path) as store:
        answers = ask(questions(COUNT), Claude(MODEL, PACE), store, spending(now=mode == "direct"))
    rows = [
        {"key": a.key, "status": a.status, "text": a.text, "cost_usd": a.cost_usd, "input": a.usage.input}
        for a in answers.values()
    ]
    temporary = table.with_suffix(".tmp")
    pl.DataFrame(rows).sort("key").write_parquet(temporary)
    os.replace(temporary, table)


def in_child(store_path: Path, table: Path, mode: str, key: str, kill_after_s: float | None) -> float | None:
    """A run in a process of its own; how many seconds it took, None where it was killed."""
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        os.environ["ANTHROPIC_API_KEY"] = key
        log = os.open(table.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        try:
            run(store_path, table, mode)
            os._exit(0)
        except BaseException as error:
            os.write(2, repr(error).encode())
            os._exit(1)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, -signal.SIGKILL):
        raise SystemExit(f"a run failed: {table.with_suffix('.log').read_text()}")
    return None if status else time.monotonic() - start


def main(mode: str, folder: Path, kills: int, seed: int) -> None:
    random_moment = random.Random(seed)
    runs: list[dict] = []

    def one(chain: int, kill_after_s: float | None) -> float | None:
        store_path = folder / f"{chain}.sqlite"
        with Store(store_path) as store:
            stored = sorted(store.get(q.key for q in questions(COUNT)))
        key = f"chain{chain}-run{len(runs)}"
        took_s = in_child(store_path, folder / f"{chain}.parquet", mode, key, kill_after_s)
        runs.append({"chain": chain, "key": key, "stored": stored, "killed": took_s is None})
        return took_s

    # Of a run's direct requests one half is enough: the next run goes on with the other.
    share = 0.5 if mode == "direct" else 1.0
    last_moment_s = share * one(0, None)
    chain = 1
    while sum(entry["killed"] for entry in runs) < kills:
        took_s = one(chain, random_moment.uniform(0.0, last_moment_s))
        if took_s is not None:
            # The first run may have been slow for what else the machine had to do; moments after the end kill nothing.
            if runs[-2]["chain"] != chain:  # it was whole, not the rest of a killed one
                last_moment_s = min(last_moment_s, share * took_s)
            chain += 1
    one(chain, None)
    print(json.dumps(runs))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
