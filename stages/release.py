"""Release an adapter: its files, a model card with the measured values, and its metrics.

dvc repro release
"""

import shutil
import tempfile
from pathlib import Path

from luau_rft import tables
from luau_rft.config import load
from luau_rft.errors import run
from luau_rft.evaluation import card, results
from luau_rft.evaluation.metrics import LABELS
from luau_rft.model.base import ModelParams, check_adapter, read_record
from luau_rft.model.train import RECIPES, CommonParams, LoraParams
from luau_rft.selection import SelectParams

OUTPUT = Path("models/release")


def main() -> None:
    model = load("release", card.ReleaseParams).model
    adapter = Path("models", model)
    base = read_record()
    check_adapter(base, adapter)
    metrics = tables.read_json(f"metrics/{model}.json", *LABELS, "n_tasks", "n_samples", "judge_backend")
    text = card.render(
        model,
        base,
        params={
            "settings": load("model", ModelParams),
            "common": load("train.common", CommonParams),
            "lora": load("train.lora", LoraParams),
            "recipe": load(f"train.{model}", RECIPES[model]),
            "select": load("select", SelectParams),
        },
        metrics=metrics,
        comparison=results.read_comparison(),
        selection=tables.read_json("metrics/selection.json", "n_kept"),
        data=tables.read_json("metrics/data.json", "collect", "corpus", "gold"),
        corpus=tables.read("data/corpus.parquet", "corpus").to_dicts(),
    )
    with tempfile.TemporaryDirectory(dir=OUTPUT.parent, prefix=".release-") as temporary:
        new = Path(shutil.copytree(adapter, Path(temporary, OUTPUT.name)))
        (new / "README.md").write_text(text, encoding="utf-8")
        shutil.rmtree(OUTPUT, ignore_errors=True)
        new.rename(OUTPUT)
    tables.write_json(metrics, "metrics/release.json")
    print(f"release: {adapter} with its model card is in {OUTPUT}")


if __name__ == "__main__":
    run(main)
