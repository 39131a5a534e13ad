"""Filter labelled corpus and gold by their scores, keep them apart from the eval tasks, write the SFT data.

dvc repro filter
"""

from luau_rft import tables
from luau_rft.config import load
from luau_rft.corpus.filter import FilterParams, filter_examples, statistics
from luau_rft.corpus.tokens import token_counter
from luau_rft.errors import run
from luau_rft.tasks import load_tasks


def main() -> None:
    labeled = tables.read("data/labeled.parquet", "labeled").to_dicts()
    gold = tables.read("data/gold.parquet", "gold").to_dicts()
    sft, filtered = filter_examples(labeled, gold, load_tasks("data/tasks/eval"), load("filter", FilterParams))
    counts = statistics(labeled, gold, filtered, token_counter("models/base.json"))
    tables.write(sft, "data/sft.parquet", "sft")
    tables.write(filtered, "data/filtered.parquet", "filtered")
    tables.write_json({"collect": tables.read_json("data/collected.json"), **counts}, "metrics/data.json")
    kept = ", ".join(f"{sizes['after']['rows']} of {sizes['before']['rows']} {name}" for name, sizes in counts.items())
    print(f"filter: kept {kept} examples, {sum(sizes['after']['tokens'] for sizes in counts.values())} tokens of code")


if __name__ == "__main__":
    run(main)
