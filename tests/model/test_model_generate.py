import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from luau_rft import tables
from luau_rft.errors import UserError
from luau_rft.model.base import ModelParams, load_model, write_record
from luau_rft.model.generate import EngineParams, SamplingParams, draw, generate, plan, sample
from luau_rft.model.train import RecipeParams, train
from luau_rft.tasks import Requires, Task, load_tasks

ROOT = Path(__file__).parents[2]
FP32 = ModelParams(dtype="float32", quantization="none")
SAMPLING = SamplingParams(temperature=0.8, top_p=0.95, max_new_tokens=12, seed=0)
ENGINE = EngineParams(backend="transformers", batch_size=4)


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
        arguments = {"sampling": SAMPLING, "engine": ENGINE, "model_params": FP32} | changes
        return generate(tasks, samples, tiny_record, output, **arguments)

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


def test_greedy_answers_are_those_of_transformers_alone(tiny_record, tokenizer):
    import torch

    greedy = SAMPLING.model_copy(update={"temperature": 0.0})
    requests = plan(TASKS, 2, tiny_record, tokenizer, sampling=greedy, model_params=FP32, adapter=None)
    model = load_model(tiny_record, "float32")
    alone = []
    for request in requests:
        prompt = torch.tensor([request.prompt])
        output = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=12)
        alone.append(output[0, prompt.shape[1] :].tolist())
    # The tokens that end an answer are chosen so that the answers end at different steps.
    stops = {tokenizer.eos_token_id, alone[0][3], alone[2][7]}
    expected = [tokens[: next((i + 1 for i, token in enumerate(tokens) if token in stops), 12)] for tokens in alone]
    assert len({len(tokens) for tokens in expected}) > 1
    steps = []
    assert sample(model, tokenizer.pad_token_id, stops, requests, greedy, steps.append) == expected
    assert sum(steps) == 12


def test_a_row_does_not_depend_on_its_batch(answer, tmp_path):
    together = answer(output=tmp_path / "together.parquet", engine=EngineParams(backend="transformers", batch_size=64))
    alone = answer(output=tmp_path / "alone.parquet", engine=EngineParams(backend="transformers", batch_size=1))
    assert_frame_equal(together, alone)


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
        return {request.key for request in plan(TASKS, 2, tiny_record, tokenizer, **arguments)}

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
        "  sampling: {temperature: 0.8, top_p: 0.95, max_new_tokens: 24, seed: 0}\n"
        "  engine: {backend: transformers, batch_size: 2}\n  samples: {train: 2, eval: 1}\n"
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
    assert f"{16 - len(kept)} candidates, steps" in output
    rows = tables.read(table, "candidates")
    assert_frame_equal(rows.filter(rows["key"].is_in(kept["key"].to_list())), kept)

    undisturbed = answer(
        tasks=load_tasks(tasks_folder),
        sampling=SAMPLING.model_copy(update={"max_new_tokens": 24}),
        engine=EngineParams(backend="transformers", batch_size=2),
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
        engine=ENGINE,
        model_params=ModelParams(dtype="bfloat16", quantization="none"),
    )
    assert "Paris" in frame["text"][0]
