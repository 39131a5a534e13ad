"""Label the corpus: what a creator would have asked for to get each piece of code.

dvc repro label; python -m stages.label --now asks Claude directly, without waiting for batches
"""

import sys

from luau_rft import tables
from luau_rft.config import load
from luau_rft.errors import run
from luau_rft.teacher import claude
from luau_rft.teacher.label import LabelParams, label

OUTPUT = "data/labeled.parquet"


def main() -> None:
    params = load("label", LabelParams)
    corpus = tables.read("data/corpus.parquet", "corpus").to_dicts()
    known = tables.reusable(OUTPUT, "labeled")
    if params.teacher == "claude":
        paid = [row for row in known.values() if row["labeler"] != "embedded"]
        with claude.desk("label", params.model, "--now" in sys.argv[1:], paid) as desk:
            rows = label(corpus, params, {}, desk)
    else:
        rows = label(corpus, params, known)
    tables.write(rows, OUTPUT, "labeled")
    reused = sum(row["key"] in known for row in rows)
    empty = sum(not row["task"] for row in rows)
    print(f"label: {len(rows)} examples, {reused} of them labelled before, {empty} without a label")


if __name__ == "__main__":
    run(main)
