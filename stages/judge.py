"""Judge a pool's candidates: run them headless against the checks of their tasks.

dvc repro judge@train
"""

import sys
from typing import Any

from luau_rft import pools, tables
from luau_rft.config import load
from luau_rft.errors import UserError, run
from luau_rft.judges import execution
from luau_rft.judges.base import JudgeParams, Judgment, Request, refusal
from luau_rft.progress import bar


def answer(judgment: Judgment) -> dict[str, Any]:
    """A judgment's part of a row of the ``judgments`` table; running a program costs nothing and never varies."""
    names = ("functionality", "correctness", "completeness", "value", "reason")
    counts = ("checks_passed", "checks_total", "checks_unknown")
    fixed = {"judge": execution.NAME, "spread": 0.0, "answers": 1, "cost_usd": 0.0}
    return {name: getattr(judgment, name) for name in names + counts} | fixed | {"input_tokens": 0, "output_tokens": 0}


def main() -> None:
    pool = " ".join(sys.argv[1:])
    params = load("judge", JudgeParams)
    path = f"data/{pool}/judgments.parquet"
    candidates = pools.candidates(pool).select(*pools.KEY, "code")
    scores = tables.read(f"data/{pool}/scores.parquet", "scores").select(*pools.KEY, "compiles")
    tasks = pools.tasks(pool, set(candidates["task_id"]))
    scored = candidates.join(scores, on=pools.KEY, maintain_order="left")
    if len(scored) < len(candidates):
        raise UserError(f"data/{pool}/scores.parquet: candidates are missing; run `dvc repro score@{pool}`")

    keys, requests = [], {}
    for task_id, _index, code, compiles in scored.iter_rows():
        request = Request(tasks[task_id], code, refusal(code, compiles))
        keys.append(execution.key(request))
        requests[keys[-1]] = request

    answers = {key: row for key, row in tables.reusable(path, "judgments").items() if key in requests}
    todo = [key for key in requests if key not in answers]
    if todo:
        with bar(f"judging {pool}", len(todo)) as advance:
            judgments = execution.judge_all([requests[key] for key in todo], params.processes)
            for key, judgment in zip(todo, judgments, strict=True):
                answers[key] = answer(judgment)
                advance(1)

    rows = [
        answers[key] | {"task_id": task_id, "index": index, "key": key}
        for key, (task_id, index, *_) in zip(keys, scored.iter_rows(), strict=True)
    ]
    frame = tables.write(rows, path, "judgments")
    value = "none decided" if frame["value"].is_null().all() else f"mean {frame['value'].mean():.3f}"
    print(f"judge: {pool}: {len(rows)} judgments ({len(todo)} new), {value}, {frame['value'].null_count()} undecided")
    unknown = execution.unknown_share(frame["checks_unknown"].sum(), frame["checks_total"].sum())
    print(f"judge: {pool}: {unknown}")


if __name__ == "__main__":
    run(main)
