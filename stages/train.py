"""Train the SFT or the RFT adapter; in several processes where ``train.common.launch`` says how.

dvc repro train@sft
"""

import sys

from luau_rft import tables
from luau_rft.config import load
from luau_rft.errors import UserError, run
from luau_rft.model import launch
from luau_rft.model.base import ModelParams, read_record
from luau_rft.model.train import RECIPES, CommonParams, LoraParams, train


def main() -> None:
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if name not in RECIPES:
        raise UserError("usage: python -m stages.train sft|rft")
    common = load("train.common", CommonParams)
    if launch.launched():
        with launch.worker():
            train_stage(name, common)
    elif common.launch is not None:
        launch.launch(common.launch, "stages.train", name)
    else:
        train_stage(name, common)


def train_stage(name: str, common: CommonParams) -> None:
    recipe = load(f"train.{name}", RECIPES[name])
    train(
        tables.read(f"data/{name}.parquet", name).to_dicts(),
        read_record("models/base.json"),
        f"models/{name}",
        f"metrics/train/{name}",
        recipe=recipe,
        common=common,
        lora=load("train.lora", LoraParams),
        model_params=load("model", ModelParams),
        adapter="models/sft" if recipe.init == "sft" else None,
        speed=f"metrics/speed/{name}",
        checkpoints=f".cache/train/{name}",
    )


if __name__ == "__main__":
    run(main)
