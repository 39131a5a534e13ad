import json

import pytest

from bench import random_mistral
from bench.train import even
from luau_rft.model import train as training
from luau_rft.model.base import ModelParams, load_model, load_tokenizer

SHAPE = {
    "layers": 4,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
ROWS = [{"id": str(n), "task": "Print", "code": f"print({n})\n" * (n + 1)} for n in range(6)]
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return random_mistral.write(tmp_path_factory.mktemp("bench") / "model", **SHAPE)


def test_the_random_model_goes_the_way_of_qlora(record, tmp_path):
    training.train(
        ROWS,
        record,
        tmp_path / "adapter",
        tmp_path / "curves",
        recipe=training.RecipeParams(epochs=1, learning_rate=1e-4),
        common=training.CommonParams(
            max_length=600, batch_size=1, gradient_accumulation=6, gradient_checkpointing=True, seed=0
        ),
        lora=training.LoraParams(rank=4, alpha=8, dropout=0.05, target_modules=MODULES),
        model_params=ModelParams(dtype="bfloat16", quantization="nf4"),
        speed=tmp_path / "speed",
    )
    assert json.loads((tmp_path / "speed" / "metrics.json").read_text())["tokens_per_second"] > 0
    # Nothing is known yet: the loss is that of a guess among 32,768 tokens.
    assert json.loads((tmp_path / "curves" / "metrics.json").read_text())["loss"] == pytest.approx(10.4, abs=0.3)


def test_the_formula_counts_what_the_matrix_products_do(record):
    import torch
    from peft import LoraConfig, get_peft_model
    from torch.utils.flop_counter import FlopCounterMode

    example = training.encode(load_tokenizer(record), "Print", "print(1)\n" * 9)
    length = len(example["input_ids"])
    model = get_peft_model(load_model(record, "float32"), LoraConfig(r=8, target_modules=MODULES))
    learned = torch.tensor([at - 1 for at, label in enumerate(example["labels"]) if label != training.IGNORED])
    with FlopCounterMode(display=False) as counter:
        model(torch.tensor([example["input_ids"]]), logits_to_keep=learned).logits.sum().backward()
    counts = counter.get_flop_counts()["Global"]
    products = sum(count for operation, count in counts.items() if "attention" not in str(operation))
    attention = 6 * length**2 * SHAPE["hidden_size"] * SHAPE["layers"]
    # The first layer's input, the embedding, needs no gradient.
    assert random_mistral.flops(record, [example], 8) - attention == pytest.approx(products, rel=0.04)


def test_a_gpu_that_is_not_in_the_table_has_no_peak():
    assert random_mistral.peak("NVIDIA GeForce GTX 970") is None
    assert random_mistral.peak("NVIDIA H100 PCIe") < random_mistral.peak("NVIDIA H100 80GB HBM3")


def test_examples_are_taken_at_even_distances(record):
    chosen = even(list(reversed(ROWS)), load_tokenizer(record), 10_000, 3)
    assert [row["id"] for row in chosen] == ["1", "3", "5"]
