"""Judge a pool's candidates: run them headless against the checks of their tasks, or ask a language model.

dvc repro judge@train
"""

import sys

from luau_rft import pools, tables
from luau_rft.config import load
from luau_rft.errors import UserError, run
from luau_rft.judges.backends import JudgeParams, judge_of, judged
from luau_rft.judges.base import Request, refusal
from luau_rft.judges.execution import unknown_share

NOW = "--now"  # ask directly, whatever the number of questions


def main() -> None:
    pool = " ".join(argument for argument in sys.argv[1:] if argument != NOW)
    params = load("judge", JudgeParams)
    path = f"data/{pool}/judgments.parquet"
    candidates = pools.candidates(pool).select(*pools.KEY, "code")
    scores = tables.read(f"data/{pool}/scores.parquet", "scores").select(*pools.KEY, "compiles")
    tasks = pools.tasks(pool, set(candidates["task_id"]))
    scored = candidates.join(scores, on=pools.KEY, maintain_order="left")
    if len(scored) < len(candidates):
        raise UserError(f"data/{pool}/scores.parquet: candidates are missing; run `dvc repro score@{pool}`")

    requests = [
        Request(tasks[task_id], code, refusal(code, compiles)) for task_id, _index, code, compiles in scored.iter_rows()
    ]
    judge = judge_of(params, "judge", NOW in sys.argv)
    judgments, new = judged(judge, requests, tables.reusable(path, "judgments"), f"judging {pool}")
    rows = [
        {"task_id": task_id, "index": index, **judgment}
        for judgment, (task_id, index, *_) in zip(judgments, scored.iter_rows(), strict=True)
    ]
    frame = tables.write(rows, path, "judgments")
    value = "none decided" if frame["value"].is_null().all() else f"mean {frame['value'].mean():.3f}"
    print(f"judge: {pool}: {len(rows)} judgments ({new} new), {value}, {frame['value'].null_count()} undecided")
    if params.backend == "execution" or params.show_execution:
        unknown = unknown_share(frame["checks_unknown"].sum(), frame["checks_total"].sum())
        print(f"judge: {pool}: {unknown}")
    if params.backend != "execution":
        print(f"judge: {pool}: ${frame['cost_usd'].sum():.2f} paid for these judgments, now or before")


if __name__ == "__main__":
    run(main)
