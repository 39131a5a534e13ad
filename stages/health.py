"""Judge programs whose worth is known, to see what the judge's numbers are worth.

dvc repro health
"""

import sys

from luau_rft import tables
from luau_rft.config import load
from luau_rft.errors import run
from luau_rft.judges import health
from luau_rft.judges.backends import JudgeParams, judge_of, judged

OUTPUT = "data/judge_health.parquet"
NOW = "--now"  # ask directly, whatever the number of questions


def main() -> None:
    specimens = health.specimens("data/health", "data/tasks/train")
    judge = judge_of(load("judge", JudgeParams), "health", NOW in sys.argv)
    earlier = tables.reusable(OUTPUT, "judge_health")
    judgments, new = judged(judge, [specimen.request() for specimen in specimens], earlier, "judging known programs")
    rows = [specimen.row() | judgment for specimen, judgment in zip(specimens, judgments, strict=True)]
    tables.write(rows, OUTPUT, "judge_health")
    found = health.metrics(rows)
    tables.write_json(found, "metrics/judge.json")
    name = found["judge_backend"]
    auc, move = ("unknown" if found[key] is None else f"{found[key]:.3f}" for key in ("auc", "move_largest"))
    print(f"health: {name}: {len(rows)} programs ({new} new), AUC {auc}, largest move by injections {move}")
    for warning in health.warnings(found):
        print(f"warning: health: {name}: {warning}; see {OUTPUT}", file=sys.stderr)


if __name__ == "__main__":
    run(main)
