import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal
from pydantic import ValidationError

from luau_rft import tables
from luau_rft.errors import UserError
from luau_rft.model import attention
from luau_rft.model.base import ModelParams, load_model, write_record
from luau_rft.model.engines.base import Request, SamplingParams, Setup, open_engine
from luau_rft.model.engines.transformers import (
    CacheDecoder,
    RowsDecoder,
    TransformersEngine,
    TransformersParams,
    computed_in,
    draw,
    open_decoder,
    sample,
)
from luau_rft.model.generate import batches, generate, plan
from luau_rft.model.train import RecipeParams, train
from luau_rft.tasks import Requires, Task, load_tasks

ROOT = Path(__file__).parents[2]
FP32 = ModelParams(dtype="float32", quantization="none")
SAMPLING = SamplingParams(temperature=0.8, top_p=0.95, max_new_tokens=12, seed=0)
ENGINE = TransformersParams(batch_size=4)


def task(name: str, prompt: str) -> Task:
    return Task(
        id=name, title=name, prompt=prompt, category="ui", difficulty="easy", kind="module", requires=Requires(),
        reference="", checks="",
    )  # fmt: skip


TASKS = [task("a", "A door"), task("b", "A much longer request for a door that opens"), task("c", "Lava")]


@pytest.fixture
def answer(tiny_record, tmp_path):
    """Generate into ``candidates.parquet`` with the tiny model."""

    def run(samples=2, tasks=TASKS, output=tmp_path / "pool" / "candidates.parquet", **changes):
        arguments = {"sampling": SAMPLING, "engine_params": ENGINE, "model_params": FP32} | changes
        return generate(tasks, samples, tiny_record, output, engine="transformers", **arguments)

    return run


@pytest.mark.parametrize("top_p", [0.5, 0.95, 1.0])
@pytest.mark.parametrize("vocabulary", [16, 2000])  # the second does not fit the tokens looked at first
def test_draws_from_the_nucleus_as_transformers_defines_it(top_p, vocabulary):
    import torch
    from transformers import TemperatureLogitsWarper, TopPLogitsWarper

    logits = torch.randn(1, vocabulary, generator=torch.Generator().manual_seed(0))
    warped = TopPLogitsWarper(top_p)(None, TemperatureLogitsWarper(0.8)(None, logits))
    expected = warped.softmax(-1)[0]
    n = 20_000
    uniform = (torch.arange(n) + 0.5) / n
    tokens = torch.cat([draw(logits.expand(1000, -1), part, 0.8, top_p) for part in uniform.split(1000)])
    # Evenly spread numbers meet every token as often as it is likely, give or take one at each end of its share.
    assert (torch.bincount(tokens, minlength=vocabulary) / n - expected).abs().max() < 2 / n


def tiny_model(kind: str, tokenizer, **changes):
    """A random model of an architecture, with biases that are not zero where it has some."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(
        kind, hidden_size=96, intermediate_size=128, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2,
        head_dim=16, vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id, initializer_range=0.2, **changes,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()
    return model


ARCHITECTURES = [
    ("llama", {}, RowsDecoder),
    ("mistral", {"sliding_window": None}, RowsDecoder),
    ("mistral", {"sliding_window": 16}, CacheDecoder),
    ("qwen2", {}, RowsDecoder),
    ("qwen2", {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1}, CacheDecoder),
    ("gemma", {}, RowsDecoder),
    ("phi3", {"pad_token_id": 0}, CacheDecoder),
]


@pytest.mark.parametrize(("kind", "changes", "expected"), ARCHITECTURES)
def test_greedy_answers_are_those_of_transformers_alone(kind, changes, expected, tokenizer, tiny_record, monkeypatch):
    import torch

    monkeypatch.setattr(attention, "GROUP_COST", 8)  # so that the prompts are in groups of unlike width
    monkeypatch.setattr(attention, "GROWTH", 5)
    greedy = SAMPLING.model_copy(update={"temperature": 0.0})
    setup = Setup(tiny_record, FP32, greedy, tokenizer)
    requests = plan(TASKS, 2, setup, TransformersEngine(ENGINE, setup))
    model = tiny_model(kind, tokenizer, **changes)
    alone = []
    for request in requests:
        prompt = torch.tensor([request.prompt])
        output = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=12, eos_token_id=-1
        )
        alone.append(output[0, prompt.shape[1] :].tolist())
    # The tokens that end an answer are chosen so that the answers end at different steps.
    stops = [tokenizer.eos_token_id, alone[0][3], alone[2][7]]
    ended = [tokens[: next((i + 1 for i, token in enumerate(tokens) if token in stops), 12)] for tokens in alone]
    assert len({len(tokens) for tokens in ended}) > 1
    model.generation_config.eos_token_id = stops
    tokens = []
    decoder = open_decoder(model)
    assert type(decoder) is expected
    for batch in (requests, requests[1:4]):  # the second finds prompts that the first has read
        answers = sample(decoder, tokenizer, batch, greedy, tokens.append)
        wanted = ended[: len(batch)] if batch is requests else ended[1:4]
        assert [answer.tokens for answer in answers] == [len(made) for made in wanted]
        for answer, made in zip(answers, wanted, strict=True):
            assert answer.text == tokenizer.decode([t for t in made if t not in stops], skip_special_tokens=True)
            assert answer.finish_reason == ("stop" if made[-1] in stops else "length")
    assert sum(tokens) == 12 * (len(requests) + 3)


def test_a_quantised_model_with_its_adapter_samples_alike_in_both_ways(tiny_record, tokenizer, tmp_path):
    from peft import LoraConfig, get_peft_model

    pytest.importorskip("bitsandbytes")
    lora = LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    get_peft_model(load_model(tiny_record, "float32"), lora).save_pretrained(tmp_path / "adapter")
    params = ModelParams(dtype="float32", quantization="nf4")
    cool = SAMPLING.model_copy(update={"temperature": 0.2})  # rounding decides no draw
    setup = Setup(tiny_record, params, cool, tokenizer, tmp_path / "adapter")
    engine = TransformersEngine(ENGINE, setup)
    requests = plan(TASKS, 2, setup, engine)
    standard = CacheDecoder(load_model(tiny_record, "float32", "nf4", tmp_path / "adapter"))
    assert type(engine.decoder) is RowsDecoder
    [group] = engine.answers([requests], lambda _: None)
    assert [answer for _, answer in group] == sample(standard, tokenizer, requests, cool, lambda _: None)
    plain = TransformersEngine(ENGINE, Setup(tiny_record, params, cool, tokenizer))
    [unadapted] = plain.answers([requests], lambda _: None)
    assert [answer for _, answer in unadapted] != [answer for _, answer in group]


def test_stop_strings_end_a_row_and_no_other(tiny_record, tokenizer):
    setup = Setup(tiny_record, FP32, SAMPLING, tokenizer)
    requests = plan(TASKS, 2, setup, TransformersEngine(ENGINE, setup))
    decoder = open_decoder(load_model(tiny_record, "float32"))

    def answers(stop):
        return sample(decoder, tokenizer, requests, SAMPLING.model_copy(update={"stop": stop}), lambda _: None)

    free = answers([])
    text = free[0].text
    assert len(text) > 20
    assert text.isprintable()
    for start, end in ((5, 6), (5, 15), (len(text) - 3, len(text))):  # in a token, over tokens, at the very end
        stop = text[start:end]
        stopped = answers(["not in any of them", stop])
        for before, after in zip(free, stopped, strict=True):
            if stop not in before.text:
                assert after == before
                continue
            cut = before.text.find(stop)
            assert after.text == before.text[:cut]
            assert after.finish_reason == "stop"
            assert after.tokens <= before.tokens
        assert stopped[0].tokens < free[0].tokens or end == len(text)
    assert any(text[5:15] not in answer.text for answer in free)


def test_stop_strings_must_not_be_empty():
    with pytest.raises(ValidationError, match=r"stop\.0"):
        SamplingParams(temperature=1.0, top_p=1.0, max_new_tokens=1, stop=[""], seed=0)


@pytest.mark.parametrize("size", [1, 3, 4, 7, 64])
def test_batches_of_fewer_samples_are_among_those_of_more(size):
    def made(samples, done=()):
        requests = [
            Request(f"t{t}", i, f"{t}.{i}", 0, "", tuple(range(10 + t * 7 % 5)))
            for t in range(10)
            for i in range(samples)
        ]
        return batches(requests, size, done), requests

    for few, many in ((1, 2), (2, 4), (4, 8), (1, 8)):
        (small, done), (large, everything) = made(few), made(many)
        assert sorted(r.key for batch in large for r in batch) == sorted(r.key for r in everything)
        assert all(len(batch) <= size for batch in large)
        assert [batch for batch in large if batch in small] == small
        assert made(many, done)[0] == [batch for batch in large if batch not in small]
    assert len(made(8)[0]) <= -(-80 // size) + 4 + (size == 7) * 4


def test_growing_gives_the_rows_of_a_fresh_run_bit_for_bit(answer, tmp_path, capsys):
    bf16 = ModelParams(dtype="bfloat16", quantization="none")
    first = answer(samples=4, model_params=bf16)
    grown = answer(samples=8, model_params=bf16)
    assert "12 candidates" in capsys.readouterr().out.splitlines()[-1]
    assert_frame_equal(grown.filter(grown["index"] < 4), first)
    assert_frame_equal(answer(samples=8, model_params=bf16, output=tmp_path / "fresh.parquet"), grown)


def test_a_type_that_the_cpu_emulates_is_computed_in_float32_and_told(answer, tmp_path, monkeypatch, capsys):
    import torch

    bf16 = ModelParams(dtype="bfloat16", quantization="none")
    native = answer(model_params=bf16, output=tmp_path / "native.parquet")
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    capsys.readouterr()
    emulated = answer(model_params=bf16, output=tmp_path / "emulated.parquet")
    assert "no instructions for bfloat16, so that it computes in float32" in capsys.readouterr().out
    assert not set(emulated["key"]) & set(native["key"])
    assert computed_in("float32") == computed_in("bfloat16") == computed_in("float16") == "float32"


def test_a_row_does_not_depend_on_its_batch(answer, tmp_path):
    # Cool enough that the rounding of sums decides no draw of a random model's.
    cool = SAMPLING.model_copy(update={"temperature": 0.2})
    frames = [
        answer(output=tmp_path / f"{size}.parquet", sampling=cool, engine_params=TransformersParams(batch_size=size))
        for size in (64, 1)
    ]
    assert frames[0]["text"].n_unique() > 3
    assert_frame_equal(*frames)


def test_the_table_holds_every_candidate(answer, tmp_path):
    frame = answer()
    assert frame.select("task_id", "index").rows() == [(name, index) for name in "abc" for index in (0, 1)]
    assert frame["key"].n_unique() == frame["seed"].n_unique() == 6
    assert frame["text"].n_unique() > 3
    assert set(frame["model"]) == {"base"}
    assert_frame_equal(frame, tables.read(tmp_path / "pool" / "candidates.parquet", "candidates"))
    for row in frame.iter_rows(named=True):
        assert row["finish_reason"] == ("length" if row["tokens"] == 12 else "stop")


def test_answers_end_by_themselves(answer, tiny_record, tmp_path, common, lora):
    """A model that has learned to say one word and stop."""
    rows = [{"task": task.prompt, "code": "print()"} for task in TASKS] * 2
    recipe = RecipeParams(epochs=20, learning_rate=1e-2)
    train(
        rows, tiny_record, tmp_path / "sft", tmp_path / "c", recipe=recipe, common=common, lora=lora, model_params=FP32
    )
    frame = answer(adapter=tmp_path / "sft", sampling=SAMPLING.model_copy(update={"temperature": 0.0}))
    assert frame.select("text", "code", "cleaned", "finish_reason", "model").unique().rows() == [
        ("print()", "print()", False, "stop", "sft")
    ]


def test_the_same_run_is_reused_and_a_larger_one_adds(answer, tmp_path, capsys):
    first = answer(samples=1)
    capsys.readouterr()
    assert_frame_equal(answer(samples=1), first)
    assert capsys.readouterr().out == ""
    output = tmp_path / "pool" / "candidates.parquet"
    stale = [row | {"code": "as an older clean() left it", "cleaned": True} for row in first.to_dicts()]
    tables.write(stale, output, "candidates")
    assert_frame_equal(answer(samples=1), first)
    assert capsys.readouterr().out == ""
    grown = answer(samples=3)
    assert "6 candidates" in capsys.readouterr().out
    assert len(grown) == 9
    assert_frame_equal(grown.filter(index=0), first)
    renamed = answer(samples=1, tasks=[TASKS[0].model_copy(update={"id": "z"})])
    assert capsys.readouterr().out == ""
    assert renamed["text"].to_list() == first.filter(task_id="a")["text"].to_list()
    assert renamed["task_id"].to_list() == ["z"]


def test_keys_change_with_what_determines_a_row(tiny_record, tokenizer, tmp_path):
    def keys(**changes):
        arguments = {"sampling": SAMPLING, "model_params": FP32, "adapter": None} | changes
        setup = Setup(tiny_record, tokenizer=tokenizer, **arguments)
        return {request.key for request in plan(TASKS, 2, setup, open_engine("transformers", ENGINE, setup))}

    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_text("1")
    before = keys(adapter=tmp_path)
    (tmp_path / "adapter_model.safetensors").write_text("2")
    variants = [
        keys(),
        before,
        keys(adapter=tmp_path),
        keys(sampling=SAMPLING.model_copy(update={"temperature": 0.7})),
        keys(sampling=SAMPLING.model_copy(update={"seed": 1})),
        keys(model_params=ModelParams(dtype="bfloat16", quantization="none")),
    ]
    assert len(set.union(*variants)) == sum(map(len, variants)) == 36


def test_a_killed_run_goes_on_and_ends_with_the_same_rows(answer, tiny_record, tmp_path):
    tasks_folder = tmp_path / "project" / "data" / "tasks" / "train"
    for number in range(8):
        folder = tasks_folder / f"task-{number}"
        folder.mkdir(parents=True)
        (folder / "task.yaml").write_text(
            f"id: task-{number}\ntitle: t\nprompt: Build {'very ' * number}well\ncategory: ui\ndifficulty: easy\n"
            "kind: module\nrequires: {}\n"
        )
        (folder / "reference.luau").write_text("return 1\n")
        (folder / "checks.luau").write_text("return { checks = {} }\n")
    write_record(tiny_record, tmp_path / "project" / "models" / "base.json")
    (tmp_path / "project" / "params.yaml").write_text(
        "model: {dtype: float32, quantization: none}\ntasks: {train: null, eval: null}\ngenerate:\n"
        "  engine: transformers\n  transformers: {batch_size: 2}\n  samples: {train: 2, eval: 1}\n"
        "  sampling: {temperature: 0.8, top_p: 0.95, max_new_tokens: 64, stop: [], seed: 0}\n"
    )
    table = tmp_path / "project" / "data" / "train" / "candidates.parquet"

    def stage() -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "stages.generate", "train", "models/base.json"],
            cwd=tmp_path / "project",
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )

    killed = stage()
    while not table.exists():
        assert killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    kept = tables.read(table, "candidates")
    assert 0 < len(kept) < 16

    resumed = stage()
    output, _ = resumed.communicate()
    assert resumed.returncode == 0
    assert f"{16 - len(kept)} candidates, tokens" in output
    rows = tables.read(table, "candidates")
    assert_frame_equal(rows.filter(rows["key"].is_in(kept["key"].to_list())), kept)

    undisturbed = answer(
        tasks=load_tasks(tasks_folder),
        sampling=SAMPLING.model_copy(update={"max_new_tokens": 64}),
        engine_params=TransformersParams(batch_size=2),
    )
    assert_frame_equal(undisturbed, rows)


def test_what_is_missing_is_a_user_error(answer, tmp_path):
    with pytest.raises(UserError, match=r"sft/adapter_config\.json: missing"):
        answer(adapter=tmp_path / "sft")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match=r"broken\.parquet: not a readable parquet file"):
        answer(output=tmp_path / "broken.parquet")


def test_the_real_base_model_answers(real_record, tmp_path):
    frame = generate(
        [task("capital", "Say only the name of the capital of France.")],
        1,
        real_record,
        tmp_path / "candidates.parquet",
        sampling=SamplingParams(temperature=0.0, top_p=1.0, max_new_tokens=24, seed=0),
        engine="transformers",
        engine_params=ENGINE,
        model_params=ModelParams(dtype="bfloat16", quantization="none"),
    )
    assert "Paris" in frame["text"][0]
