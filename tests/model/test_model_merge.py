import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from luau_rft.errors import UserError
from luau_rft.model.base import BaseParams, HubSource, file_hash, load_model, resolve
from luau_rft.model.merge import DEFAULT_SAMPLING, commands, merge
from luau_rft.model.prompt import SYSTEM_PROMPT, messages

ROOT = Path(__file__).parents[2]


def logits(model, ids):
    import torch

    with torch.inference_mode():
        return model.eval()(input_ids=ids).logits


def test_a_merged_model_computes_what_adapter_and_base_compute(tiny_record, tiny_adapters, tokenizer, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    merge(tiny_record, tiny_adapters / "rft", tmp_path / "merged", "float32")
    ids = torch.tensor([tokenizer("local door = workspace.Door")["input_ids"]])
    expected = logits(load_model(tiny_record, "float32", adapter=tiny_adapters / "rft"), ids)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert merged.dtype == torch.float32
    torch.testing.assert_close(logits(merged, ids), expected, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(logits(load_model(tiny_record, "float32"), ids), expected, atol=0.1)

    loaded = AutoTokenizer.from_pretrained(tmp_path / "merged")
    chat = [tokenizer_.apply_chat_template(messages("A door"), tokenize=False) for tokenizer_ in (loaded, tokenizer)]
    assert chat[0] == chat[1]
    stored = json.loads((tmp_path / "merged" / "generation_config.json").read_text())
    assert stored["eos_token_id"] == tokenizer.eos_token_id
    assert DEFAULT_SAMPLING.items() <= stored.items()


def test_bf16_by_default_and_says_what_it_is_made_of(tiny_record, tiny_adapters, tmp_path):
    from safetensors import safe_open

    merge(tiny_record, tiny_adapters / "sft", tmp_path / "models" / "merged")
    folder = tmp_path / "models" / "merged"
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert {str(file.get_tensor(name).dtype) for name in file.keys()} == {"torch.bfloat16"}  # noqa: SIM118
    made_of = json.loads((folder / "merged.json").read_text())
    weights = file_hash(tiny_adapters / "sft" / "adapter_model.safetensors")
    assert made_of["base"]["files"] == tiny_record.files
    assert made_of["adapter"]["adapter_model.safetensors"] == weights
    _, front, body = (folder / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(front)["base_model"] == "someone/tiny"
    assert yaml.safe_load(front)["license"] == "mit"
    for part in (weights, tiny_record.revision, "licence mit", SYSTEM_PROMPT, "bfloat16"):
        assert part in body
    assert sorted(path.name for path in folder.parent.iterdir()) == ["merged"]  # nothing temporary is left


def test_the_base_model_alone(tiny_record, tmp_path):
    from safetensors.torch import load_file

    merge(tiny_record, None, tmp_path / "base", "float32")
    written = load_file(tmp_path / "base" / "model.safetensors")
    original = load_file(Path(tiny_record.hub.folder) / "model.safetensors")
    assert original.keys() == written.keys()
    assert all((written[name] == tensor).all() for name, tensor in original.items())
    assert json.loads((tmp_path / "base" / "merged.json").read_text())["adapter"] is None


def test_an_earlier_merged_model_is_replaced_and_nothing_else(tiny_record, tiny_adapters, tmp_path):
    merge(tiny_record, tiny_adapters / "sft", tmp_path / "merged")
    (tmp_path / "merged" / "model-00001-of-00002.safetensors").touch()
    merge(tiny_record, tiny_adapters / "rft", tmp_path / "merged")
    assert not (tmp_path / "merged" / "model-00001-of-00002.safetensors").exists()
    made_of = json.loads((tmp_path / "merged" / "merged.json").read_text())
    assert made_of["adapter"]["adapter_config.json"] == file_hash(tiny_adapters / "rft" / "adapter_config.json")

    (tmp_path / "mine").mkdir()
    merge(tiny_record, None, tmp_path / "mine")  # an empty folder is nobody's
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "diary.txt").write_text("mine")
    with pytest.raises(UserError, match=r"notes: holds files that no merged model has.*another folder with --output"):
        merge(tiny_record, None, tmp_path / "notes")
    with pytest.raises(UserError, match=r"diary\.txt: is a file"):
        merge(tiny_record, None, tmp_path / "notes" / "diary.txt")
    assert [path.name for path in (tmp_path / "notes").iterdir()] == ["diary.txt"]


def test_a_foreign_or_missing_adapter_writes_nothing(tiny_folder, tiny_record, tiny_adapters, tmp_path):
    other = resolve(BaseParams(source="hub", name="other/base", license="mit", hub=HubSource(folder=str(tiny_folder))))
    with pytest.raises(
        UserError, match=r"base_model_name_or_path is 'someone/tiny', but the base model is 'other/base'"
    ):
        merge(other, tiny_adapters / "sft", tmp_path / "merged")
    with pytest.raises(UserError, match=r"gone/adapter_config\.json: missing.*`dvc repro` trains it"):
        merge(tiny_record, tmp_path / "gone", tmp_path / "merged")
    assert list(tmp_path.iterdir()) == []


def test_the_command_tells_what_comes_next(tiny_adapters, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "luau_rft.cli", "merge", "rft", "--output", str(tmp_path / "a b")],
        cwd=tiny_adapters.parent, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a b" / "model.safetensors").is_file()
    assert done.stdout.rstrip().endswith(commands(tmp_path / "a b"))
    assert f"convert_hf_to_gguf.py '{tmp_path}/a b' --outtype auto --outfile '{tmp_path}/a b.gguf'" in done.stdout
    assert f"vllm serve '{tmp_path}/a b' --served-model-name 'a b'" in done.stdout
