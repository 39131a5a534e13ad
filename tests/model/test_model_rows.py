import itertools

import pytest

from luau_rft.model.base import load_model
from luau_rft.model.rows import attend_by_sequence, plan, split, suits_rows


@pytest.mark.parametrize("limit", [1, 90, 500, 10_000])
def test_a_plan_has_every_sequence_once_and_no_row_is_too_long(limit):
    lengths = [500, 20, 490, 90, 90, 1, 333, 170]
    rows = plan(lengths, limit)
    assert sorted(itertools.chain(*rows)) == list(range(len(lengths)))
    assert all(len(row) == 1 or sum(lengths[place] for place in row) <= limit for row in rows)


def test_a_plan_wastes_no_row():
    assert plan([600, 500, 400, 500], 1000) == [[0, 2], [1, 3]]


def batch(lengths):
    """What TRL's collator makes of sequences of these lengths."""
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    sequences = [{"input_ids": [10 * n + at for at in range(length)]} for n, length in enumerate(lengths, start=1)]
    return DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)(sequences)


def test_rows_hold_whole_sequences():
    first, second = split(batch([3, 5, 2]), 5)
    assert (first["input_ids"].tolist(), first["lengths"]) == ([[20, 21, 22, 23, 24]], [5])
    assert (second["input_ids"].tolist(), second["lengths"]) == ([[10, 11, 12, 30, 31]], [3, 2])
    assert second["position_ids"].tolist() == [[0, 1, 2, 0, 1]]
    assert second["labels"].tolist() == [[-100, 11, 12, -100, 31]]


@pytest.mark.parametrize("window", [None, 4])
def test_no_sequence_sees_another_one(window):
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    model = MistralForCausalLM(
        MistralConfig(
            vocab_size=100,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            sliding_window=window,
            initializer_range=0.5,
        )
    )
    row = next(split(batch([6, 3, 9]), 18))
    row.pop("labels")
    with torch.inference_mode():
        alone = [model(ids).logits[0] for ids in row["input_ids"].split(row["lengths"], dim=1)]
        assert suits_rows(model)
        attend_by_sequence(model)
        together = model(**row, use_cache=False).logits[0]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


def test_a_model_that_mixes_sequences_elsewhere_is_left_alone(tiny_record, monkeypatch):
    model = load_model(tiny_record, "float32")
    assert suits_rows(model)
    monkeypatch.setenv("WORLD_SIZE", "2")  # processes would have to agree on the number of rows
    assert not suits_rows(model)
    monkeypatch.delenv("WORLD_SIZE")
    model.config.layer_types = ["full_attention", "linear_attention"]
    assert not suits_rows(model)
    model.config.layer_types = None
    model.config.output_router_logits = False
    assert not suits_rows(model)
    del model.config.output_router_logits
    assert suits_rows(model)
    model.set_attn_implementation("eager")
    assert not suits_rows(model)
