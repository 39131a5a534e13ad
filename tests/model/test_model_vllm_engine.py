"""What the engine hands to vLLM and takes from it.

vLLM pins another torch than this project's tests run with, so a package of its name stands in for it. It takes the
arguments that vLLM's own signatures name, no others, and answers from the seed.
"""

import json
import sys

import pytest
from polars.testing import assert_frame_equal

from luau_rft import tables
from luau_rft.errors import UserError
from luau_rft.model.base import ModelParams, model_folder
from luau_rft.model.engines.base import SamplingParams, Setup
from luau_rft.model.engines.vllm import VllmParams, engine_arguments, max_lora_rank
from luau_rft.model.generate import generate
from luau_rft.tasks import Requires, Task

BF16 = ModelParams(dtype="bfloat16", quantization="nf4")
SAMPLING = SamplingParams(temperature=0.8, top_p=0.95, max_new_tokens=12, stop=["--end"], seed=3)
PARAMS = {
    "batch_size": 3, "tensor_parallel_size": 2, "gpu_memory_utilization": 0.9, "max_model_len": None,
    "quantization": None,
}  # fmt: skip

STAND_IN = """
import json, os
from dataclasses import dataclass
from types import SimpleNamespace

calls = []

@dataclass
class SamplingParams:
    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = 16

class LLM:
    def __init__(self, model, *, dtype, quantization, tensor_parallel_size, seed, gpu_memory_utilization,
                 max_model_len, enable_prefix_caching, enable_lora=False, max_lora_rank=16):
        calls.append(locals() | {"self": None})
        if gpu_memory_utilization < 0.1:
            raise ValueError("No available memory for the cache blocks.")

    def generate(self, prompts, sampling_params=None, *, use_tqdm=True, lora_request=None):
        calls.append((prompts, sampling_params, lora_request))
        reason = os.environ.get("STAND_IN_REASON", "stop") if len(calls) > 2 else "length"
        outputs = [
            SimpleNamespace(text=f"print({p.seed})", token_ids=(5, 6, 7), finish_reason=reason)
            for p in sampling_params
        ]
        return [SimpleNamespace(outputs=[output]) for output in outputs]
"""
STAND_IN_LORA = """
from dataclasses import dataclass

@dataclass
class LoRARequest:
    lora_name: str
    lora_int_id: int
    lora_path: str = ""
"""


@pytest.fixture
def vllm(tmp_path, monkeypatch):
    """The stand-in, installed where Python finds it."""
    site = tmp_path / "site"
    (site / "vllm" / "lora").mkdir(parents=True)
    (site / "vllm" / "__init__.py").write_text(STAND_IN)
    (site / "vllm" / "lora" / "__init__.py").touch()
    (site / "vllm" / "lora" / "request.py").write_text(STAND_IN_LORA)
    (site / "vllm-0.33.0.dist-info").mkdir()
    (site / "vllm-0.33.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.33.0\n")
    monkeypatch.syspath_prepend(site)
    import vllm

    yield vllm
    for name in [name for name in sys.modules if name.split(".")[0] == "vllm"]:
        del sys.modules[name]


TASKS = [
    Task(id=name, title=name, prompt=prompt, category="ui", difficulty="easy", kind="module", requires=Requires(),
         reference="", checks="")
    for name, prompt in (("a", "A door"), ("b", "A much longer request for a door"))
]  # fmt: skip


@pytest.fixture
def answer(tiny_record, tmp_path):
    def run(samples=2, adapter=None, output=tmp_path / "candidates.parquet", **changes):
        return generate(
            TASKS, samples, tiny_record, output, sampling=SAMPLING, engine="vllm",
            engine_params=VllmParams.model_validate(PARAMS | changes), model_params=BF16, adapter=adapter,
        )  # fmt: skip

    return run


def test_prompts_go_as_tokens_with_a_seed_each(answer, vllm, tokenizer, tiny_record, capsys):
    frame = answer()
    made, *batches = vllm.calls
    assert made["model"] == str(model_folder(tiny_record))
    assert "enable_lora" not in made or not made["enable_lora"]
    seeds = []
    for prompts, sampling, lora in batches:
        assert lora is None
        assert 0 < len(prompts) == len(sampling) <= PARAMS["batch_size"]
        for prompt, one in zip(prompts, sampling, strict=True):
            assert any(task.prompt in tokenizer.decode(prompt["prompt_token_ids"]) for task in TASKS)
            seeds.append(one.seed)
            assert one == vllm.SamplingParams(
                n=1, temperature=0.8, top_p=0.95, seed=one.seed, stop=["--end"], max_tokens=12
            )
    assert sorted(seeds) == sorted(frame["seed"])
    assert len(set(seeds)) == 4
    assert list(frame["text"]) == [f"print({seed})" for seed in frame["seed"]]
    assert set(frame["tokens"]) == {3}
    assert set(frame["finish_reason"]) == {"length", "stop"}
    assert "4 candidates, tokens: 48/48" in capsys.readouterr().out


def test_an_adapter_goes_along_as_a_lora_request(answer, vllm, tiny_adapters):
    answer(adapter=tiny_adapters / "rft")
    made, (_, _, lora), *_ = vllm.calls
    assert (made["enable_lora"], made["max_lora_rank"]) == (True, 64)
    assert (lora.lora_name, lora.lora_int_id, lora.lora_path) == ("rft", 1, str(tiny_adapters / "rft"))


def test_rows_are_reused_by_what_determines_them(answer, vllm):
    first = answer(samples=1)
    grown = answer(samples=2, batch_size=8, gpu_memory_utilization=0.5, tensor_parallel_size=1)
    assert_frame_equal(grown.filter(grown["index"] == 0), first)
    asked = sum(len(call[0]) for call in vllm.calls if isinstance(call, tuple))
    assert asked == 4
    assert set(answer(samples=2, quantization="fp8")["key"]).isdisjoint(grown["key"])


def test_arguments_of_the_engine(tiny_record, tiny_adapters, tokenizer):
    params = VllmParams.model_validate(PARAMS | {"quantization": "bitsandbytes", "max_model_len": 4096})
    setup = Setup(tiny_record, BF16, SAMPLING, tokenizer)
    plain = {
        "model": str(model_folder(tiny_record)), "dtype": "bfloat16", "quantization": "bitsandbytes",
        "tensor_parallel_size": 2, "gpu_memory_utilization": 0.9, "max_model_len": 4096,
        "enable_prefix_caching": True, "seed": 3,
    }  # fmt: skip
    assert engine_arguments(params, setup) == plain
    adapted = Setup(tiny_record, BF16, SAMPLING, tokenizer, tiny_adapters / "sft")
    assert engine_arguments(params, adapted) == plain | {"enable_lora": True, "max_lora_rank": 64}


@pytest.mark.parametrize(
    ("configs", "rank"),
    [([{"r": 4}], 64), ([{"r": 64}, {"r": 8}], 64), ([{"r": 65}], 128), ([{"r": 8, "rank_pattern": {"q": 300}}], 320)],
)
def test_the_largest_rank_is_one_that_vllm_takes(configs, rank, tmp_path):
    folders = [tmp_path / str(number) for number in range(len(configs))]
    for folder, config in zip(folders, configs, strict=True):
        folder.mkdir()
        (folder / "adapter_config.json").write_text(json.dumps(config))
    assert max_lora_rank(folders) == rank


def test_a_rank_beyond_vllm_is_a_user_error(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"r": 1024}')
    with pytest.raises(
        UserError, match=r"adapter_config\.json: r: 1024, but vLLM takes at most 512; lower train\.lora"
    ):
        max_lora_rank([tmp_path])


def test_an_aborted_answer_stops_the_run_and_keeps_what_came_before(answer, vllm, monkeypatch, tmp_path):
    monkeypatch.setenv("STAND_IN_REASON", "abort")
    with pytest.raises(UserError, match=r"vLLM gave up on task [ab], sample 1 \(abort\).*answered is kept"):
        answer(batch_size=2)
    assert len(tables.read(tmp_path / "candidates.parquet", "candidates")) == 2


def test_what_keeps_vllm_from_starting_is_told(answer, vllm):
    with pytest.raises(UserError, match=r"generate\.vllm: vLLM could not start \(No available memory for the cache"):
        answer(gpu_memory_utilization=0.05)
    with pytest.raises(UserError, match=r"max_model_len: 40, but the longest prompt has \d+ tokens.*or more"):
        answer(max_model_len=40)


def test_without_vllm_it_says_how_to_install_it(answer):
    with pytest.raises(UserError, match=r"generate\.engine: vllm is not installed.*pip install vllm -e \."):
        answer()
