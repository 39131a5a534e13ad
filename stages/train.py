"""Train the SFT or the RFT adapter.

dvc repro train@sft
"""

import sys

from luau_rft import tables
from luau_rft.config import load
from luau_rft.errors import UserError, run
from luau_rft.model.base import ModelParams, read_record
from luau_rft.model.train import RECIPES, CommonParams, LoraParams, train


def main() -> None:
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if name not in RECIPES:
        raise UserError("usage: python -m stages.train sft|rft")
    recipe = load(f"train.{name}", RECIPES[name])
    rows = tables.read(f"data/{name}.parquet", name).to_dicts()
    train(
        rows,
        read_record("models/base.json"),
        f"models/{name}",
        f"metrics/train/{name}",
        recipe=recipe,
        common=load("train.common", CommonParams),
        lora=load("train.lora", LoraParams),
        model_params=load("model", ModelParams),
        adapter="models/sft" if recipe.init == "sft" else None,
    )


if __name__ == "__main__":
    run(main)
