"""Write the gold table: a solution of every train task.

dvc repro gold; python -m stages.gold --now asks Claude directly, without waiting for batches
"""

import sys

from luau_rft import tables
from luau_rft.config import load
from luau_rft.errors import run
from luau_rft.tasks import TaskCounts, load_tasks
from luau_rft.teacher import claude
from luau_rft.teacher.gold import GoldParams, gold

OUTPUT = "data/gold.parquet"


def main() -> None:
    tasks = load_tasks("data/tasks/train", load("tasks", TaskCounts).train)
    params = load("gold", GoldParams)
    known = tables.reusable(OUTPUT, "gold")
    if params.teacher == "claude":
        paid = [row for row in known.values() if row["teacher"] != "reference"]
        with claude.desk("gold", params.model, "--now" in sys.argv[1:], paid) as desk:
            rows = gold(tasks, params, {}, desk)
    else:
        rows = gold(tasks, params, known)
    tables.write(rows, OUTPUT, "gold")
    reused = sum(row["key"] in known for row in rows)
    empty = sum(not row["code"] for row in rows)
    print(f"gold: {len(rows)} tasks, {reused} of them answered before, {empty} without an answer")


if __name__ == "__main__":
    run(main)
