"""Write the gold table: a solution of every train task.

dvc repro gold
"""

from luau_rft import tables
from luau_rft.config import load
from luau_rft.errors import run
from luau_rft.tasks import TaskCounts, load_tasks
from luau_rft.teacher.gold import GoldParams, gold

OUTPUT = "data/gold.parquet"


def main() -> None:
    tasks = load_tasks("data/tasks/train", load("tasks", TaskCounts).train)
    known = tables.reusable(OUTPUT, "gold")
    rows = gold(tasks, load("gold", GoldParams), known)
    tables.write(rows, OUTPUT, "gold")
    reused = sum(row["key"] in known for row in rows)
    print(f"gold: {len(rows)} tasks, {reused} of them answered before")


if __name__ == "__main__":
    run(main)
