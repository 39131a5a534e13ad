"""Collect the corpus: read the sources, filter, drop duplicates, choose what fits the token budget.

dvc repro collect
"""

from luau_rft import tables
from luau_rft.config import load
from luau_rft.corpus.collect import CollectParams, collect
from luau_rft.corpus.tokens import token_counter
from luau_rft.errors import run


def main() -> None:
    rows, funnel = collect(load("collect", CollectParams), token_counter("models/base.json"))
    tables.write(rows, "data/corpus.parquet", "corpus")
    tables.write_json(funnel, "data/collected.json")
    chosen = funnel["budget"]["after"]
    print(f"collect: {chosen['rows']} of {funnel['read']['rows']} files, {chosen['tokens']} tokens")


if __name__ == "__main__":
    run(main)
