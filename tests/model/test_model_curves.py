"""A loss or gradient that is not finite stops the training; the curves are what was trained."""

import csv
import shutil

import pytest

from luau_rft.errors import UserError
from luau_rft.model.base import BaseParams, HubSource, ModelParams, resolve
from luau_rft.model.train import RecipeParams, train

ROWS = [
    {"id": f"example-{n}", "task": f"Print {n}", "code": f"local value = {n}\n" + "print(value)\n" * n}
    for n in range(6)
]


@pytest.fixture
def run(tiny_record, tmp_path, common, lora):
    def train_once(rows=ROWS, **changes):
        arguments = {
            "record": tiny_record,
            "recipe": RecipeParams(epochs=2, learning_rate=1e-3),
            "common": common,
            "lora": lora,
            "model_params": ModelParams(dtype="bfloat16", quantization="none"),
            "speed": tmp_path / "speed",
            "checkpoints": tmp_path / "checkpoints",
        } | changes
        train(rows, output=tmp_path / "sft", curves=tmp_path / "curves", **arguments)

    return train_once


@pytest.fixture
def poisoned_record(tiny_folder, tokenizer, tmp_path):
    """The tiny model with a vector that is not a number for the token of ``poison``, met where a text has that word."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = tmp_path / "poisoned"
    shutil.copytree(tiny_folder, folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    # Words are predicted from vectors of their own, so that only a text with the word meets it.
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    model.config.tie_word_embeddings = False
    (token,) = tokenizer(" poison", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        model.model.embed_tokens.weight[token] = float("nan")
    model.save_pretrained(folder)
    return resolve(BaseParams(source="hub", name="someone/tiny", license="mit", hub=HubSource(folder=str(folder))))


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_example_that_spoils_the_loss_is_named(run, poisoned_record, common, tmp_path, batch_size):
    rows = [*ROWS, {"id": "spoilt", "task": "Print a poison", "code": "print('cure')"}]
    rows[2:2] = [rows.pop()]
    one_by_one = common.model_copy(update={"batch_size": batch_size, "max_length": 96})
    with pytest.raises(UserError) as raised:
        run(rows, record=poisoned_record, common=one_by_one)
    message = str(raised.value)
    assert "params.yaml: train.sft.learning_rate: the loss is not finite at step " in message
    assert "spoilt" in message
    # A batch is named, not all that is trained on.
    assert sum(row["id"] in message for row in rows) <= batch_size + 2
    assert not (tmp_path / "sft").exists()


def test_a_learning_rate_out_of_bounds(run, tmp_path):
    with pytest.raises(UserError, match=r"not finite at step 2 of 6, in what holds the examples example-\d.*; lower"):
        run(recipe=RecipeParams(epochs=2, learning_rate=3e38))
    assert not (tmp_path / "sft").exists()


def test_the_last_step_is_checked_too(run, tmp_path):
    with pytest.raises(UserError, match=r"weights .* not finite after the last step; lower it"):
        run(ROWS[:2], recipe=RecipeParams(epochs=1, learning_rate=3e38))
    assert not (tmp_path / "sft").exists()


def test_curves(run, tmp_path):
    run()

    def curve(folder, name):
        with (tmp_path / folder / f"plots/metrics/{name}.tsv").open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6]
        return [float(row[name]) for row in rows]

    assert {path.stem for path in tmp_path.glob("curves/plots/metrics/*")} == {"loss", "learning_rate"}
    assert {path.stem for path in tmp_path.glob("speed/plots/metrics/*")} == {"tokens_per_second", "memory_gib"}
    rates = curve("curves", "learning_rate")
    assert rates[0] == 1e-3
    assert rates == sorted(rates, reverse=True)
    assert all(rate > 0 for rate in curve("speed", "tokens_per_second"))
    memory = curve("speed", "memory_gib")
    assert memory == sorted(memory)
    assert 0.05 < memory[0] < 64
