"""Label the corpus: what a creator would have asked for to get each piece of code.

dvc repro label
"""

from luau_rft import tables
from luau_rft.config import load
from luau_rft.errors import run
from luau_rft.teacher.label import LabelParams, label

OUTPUT = "data/labeled.parquet"


def main() -> None:
    corpus = tables.read("data/corpus.parquet", "corpus")
    known = tables.reusable(OUTPUT, "labeled")
    rows = label(corpus.iter_rows(named=True), load("label", LabelParams), known)
    tables.write(rows, OUTPUT, "labeled")
    reused = sum(row["key"] in known for row in rows)
    print(f"label: {len(rows)} examples, {reused} of them labelled before")


if __name__ == "__main__":
    run(main)
