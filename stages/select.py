"""Add the best candidate of each task to the SFT data.

dvc repro select
"""

from luau_rft import pools, selection, tables
from luau_rft.config import load
from luau_rft.errors import run


def main() -> None:
    params = load("select", selection.SelectParams)
    sft = tables.read("data/sft.parquet", "sft").to_dicts()
    candidates = pools.read("train").to_dicts()
    tasks = pools.tasks("train", {row["task_id"] for row in candidates})

    rows = selection.select(candidates, {row["id"]: row["code"] for row in sft}, params)
    codes = {(row["task_id"], row["index"]): row["code"] for row in candidates}
    added = selection.training_rows(rows, codes, tasks)
    metrics = selection.statistics(rows, tasks)

    tables.write(rows, "data/selection.parquet", "selection")
    tables.write(sft + added, "data/rft.parquet", "rft")
    tables.write_json(metrics, "metrics/selection.json")
    kept = f"kept {len(added)} of {len(rows)} candidates for {len(sft) + len(added)} training rows"
    print(f"select: {kept}" if added else f"select: {kept}; nothing was selected, RFT trains on the SFT data alone")


if __name__ == "__main__":
    run(main)
