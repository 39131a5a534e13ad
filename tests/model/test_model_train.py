import json
import subprocess
import sys

import pytest

from luau_rft.errors import UserError
from luau_rft.model import train as train_module
from luau_rft.model.base import ModelParams, load_model
from luau_rft.model.prompt import SYSTEM_PROMPT
from luau_rft.model.rows import Rows, attend_by_sequence
from luau_rft.model.train import IGNORED, RecipeParams, RftRecipeParams, encode, train

ROWS = [{"task": f"Print {n}", "code": f"local value = {n}\nprint(value)"} for n in range(4)]
RECIPE = RecipeParams(epochs=1, learning_rate=1e-3)
BF16 = ModelParams(dtype="bfloat16", quantization="none")


def test_only_the_answer_and_its_end_are_learned(tokenizer):
    head = f"<|im_start|>system\n{SYSTEM_PROMPT}<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    prompt = tokenizer(head, add_special_tokens=False)["input_ids"]
    answer = tokenizer("print(1)\n\tprint(2)<|im_end|>", add_special_tokens=False)["input_ids"]
    example = encode(tokenizer, "Hi", "print(1)\n\tprint(2)\n")
    assert example["input_ids"] == prompt + answer
    assert example["labels"] == [IGNORED] * len(prompt) + answer
    assert answer[-1] == tokenizer.eos_token_id


def test_the_end_is_learned_where_the_template_does_not_write_it(tokenizer):
    original = tokenizer.chat_template
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
    try:
        example = encode(tokenizer, "Hi", "print(1)")
    finally:
        tokenizer.chat_template = original
    learned = [label for label in example["labels"] if label != IGNORED]
    assert tokenizer.decode(learned) == "print(1)\n<|im_end|>"


# Mistral's, in brief: no system role, turns between [INST] and [/INST], an answer ends with the end of the sequence.
INST = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ raise_exception('only user and assistant roles') }}{% endif %}"
    "{% if message['role'] == 'user' %}[INST] {{ message['content'] }}[/INST]"
    "{% else %} {{ message['content'] }}{{ eos_token }}{% endif %}"
    "{% endfor %}"
)


def test_only_the_answer_is_learned_where_the_template_has_no_system_role(tokenizer):
    def ids(text):
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    original, tokenizer.chat_template = tokenizer.chat_template, INST
    try:
        example = encode(tokenizer, "Hi", "print(1)")
    finally:
        tokenizer.chat_template = original
    prompt, answer = ids(f"[INST] {SYSTEM_PROMPT}\n\nHi[/INST]"), [*ids(" print(1)"), tokenizer.eos_token_id]
    assert example == {"input_ids": prompt + answer, "labels": [IGNORED] * len(prompt) + answer}


@pytest.fixture
def run(tiny_record, tmp_path, common, lora):
    """Train on the rows; the files that it wrote, by name."""

    def train_once(name, rows=ROWS, **changes):
        arguments = {"recipe": RECIPE, "common": common, "lora": lora, "model_params": BF16} | changes
        train(rows, tiny_record, tmp_path / name, tmp_path / "curves" / name, **arguments)
        files = [path for folder in (tmp_path / name, tmp_path / "curves" / name) for path in folder.rglob("*")]
        return {path.name: path.read_bytes() for path in files if path.is_file()}

    return train_once


def test_the_same_training_gives_the_same_bytes(run, common):
    first = run("first")
    assert first == run("second")
    other = run("other", common=common.model_copy(update={"seed": 1}))
    assert other["adapter_model.safetensors"] != first["adapter_model.safetensors"]

    assert first.keys() == {
        "adapter_config.json", "adapter_model.safetensors", "metrics.json", "loss.tsv", "learning_rate.tsv",
    }  # fmt: skip
    config = json.loads(first["adapter_config.json"])
    assert config["base_model_name_or_path"] == "someone/tiny"
    assert config["target_modules"] == ["down_proj", "q_proj", "v_proj"]
    losses = first["loss.tsv"].decode().splitlines()
    assert losses[0] == "step\tloss"
    assert len(losses) == 3  # four examples, two a step


def test_the_loss_is_that_of_the_answers_alone(run, tiny_record, tokenizer, common):
    import torch

    rows = [*ROWS, {"task": "Print something, in as many words as it takes", "code": "print('much longer')\n" * 5}]
    model = load_model(tiny_record, "float32")
    examples = [{name: torch.tensor([ids]) for name, ids in encode(tokenizer, **row).items()} for row in rows]
    learned = [(example["labels"] != IGNORED).sum() for example in examples]
    with torch.inference_mode():
        losses = [model(**example).loss for example in examples]
    expected = sum(loss * count for loss, count in zip(losses, learned, strict=True)) / sum(learned)

    # One step on all rows, in batches that need padding.
    whole = common.model_copy(update={"batch_size": 3, "gradient_accumulation": 2})
    files = run("one", rows=rows, common=whole, model_params=ModelParams(dtype="float32", quantization="none"))
    assert float(files["loss.tsv"].decode().split()[-1]) == pytest.approx(expected.item(), rel=1e-3)


def test_every_layout_of_a_step_gives_the_same_gradients(tiny_record, tokenizer, tmp_path, common, lora):
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import SFTTrainer

    class Trainer(Rows, SFTTrainer):
        """Without what does not bear on the gradients."""

    class GpuTrainer(Trainer):
        """With the loss that a GPU computes."""

        compute_loss = SFTTrainer.compute_loss

    rows = [{"task": "Print" + " more" * 9 * n, "code": f"print({n})\n" * (7 - n)} for n in range(7)]
    examples = [encode(tokenizer, **row) for row in rows]
    fp32 = ModelParams(dtype="float32", quantization="none")
    step = common.model_copy(update={"gradient_accumulation": len(rows)})
    lengths = [len(example["input_ids"]) for example in examples]

    def gradients(row_limit=None, kind=Trainer):
        """Of one step, and its loss."""
        model = load_model(tiny_record, "float32")
        if row_limit:
            attend_by_sequence(model)
        arguments = train_module._arguments(str(tmp_path), RECIPE, step, fp32, row_limit is not None)
        arguments.max_grad_norm = 0
        trainer = kind(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list(examples),
            processing_class=tokenizer,
            peft_config=train_module._lora_config(lora.model_copy(update={"dropout": 0.0})),
        )
        trainer.row_limit = row_limit
        found = {}

        class Look(TrainerCallback):
            def on_pre_optimizer_step(self, *args, model, **kwargs):
                found.update({name: weight.grad for name, weight in model.named_parameters() if weight.requires_grad})

        trainer.add_callback(Look())
        return found, trainer.train().training_loss

    expected, loss = gradients(kind=SFTTrainer)  # TRL's own way, one sequence after the other
    assert any(gradient.abs().max() > 1e-3 for gradient in expected.values())
    layouts = [(limit, Trainer) for limit in (1, max(lengths), 2 * max(lengths), sum(lengths))]
    for limit, kind in (*layouts, (max(lengths), GpuTrainer)):
        found, total = gradients(limit, kind)
        assert total == pytest.approx(loss, rel=1e-5)
        assert found.keys() == expected.keys()
        for name, gradient in expected.items():
            assert (found[name] - gradient).norm() <= 1e-4 * gradient.norm() + 1e-7, (limit, kind, name)


def test_training_lowers_the_loss(run):
    recipe = RecipeParams(epochs=8, learning_rate=1e-2)
    losses = [float(line.split("\t")[1]) for line in run("long", recipe=recipe)["loss.tsv"].decode().splitlines()[1:]]
    assert losses[-1] < losses[0] * 0.8


def test_the_adapter_loads_with_plain_peft_and_changes_the_answer(run, tiny_record, tmp_path):
    import torch
    from peft import PeftModel

    run("sft")
    ids = torch.tensor([[5, 6, 7]])
    base = load_model(tiny_record, "float32")
    with torch.inference_mode():
        before = base(ids).logits.clone()
        after = PeftModel.from_pretrained(base, tmp_path / "sft")(ids).logits
        again = load_model(tiny_record, "float32", adapter=tmp_path / "sft")(ids).logits
    assert not torch.allclose(before, after)
    assert torch.equal(after, again)


def test_goes_on_from_an_adapter(run, tmp_path):
    import torch
    from safetensors.torch import load

    first = load(run("sft")["adapter_model.safetensors"])
    # A learning rate that moves nothing: what comes out is what went in.
    still = RftRecipeParams(epochs=1, learning_rate=1e-12, init="sft")
    second = load(run("rft", recipe=still, adapter=tmp_path / "sft")["adapter_model.safetensors"])
    assert first.keys() == second.keys()
    assert all(torch.allclose(first[name], second[name], atol=1e-7) for name in first)
    assert any(value.abs().max() > 0 for name, value in first.items() if "lora_B" in name)


def test_nf4_with_gradient_checkpointing(run, common):
    qlora = {
        "model_params": ModelParams(dtype="bfloat16", quantization="nf4"),
        "common": common.model_copy(update={"gradient_checkpointing": True}),
    }
    assert run("first", **qlora) == run("second", **qlora)


@pytest.mark.parametrize(("field", "value"), [("optimizer", "paged_adamw_8bit"), ("liger", True)])
def test_what_needs_a_gpu_says_so(run, common, field, value):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(UserError, match=rf"params\.yaml: train\.common\.{field}: needs a CUDA device; set it to"):
        run("none", common=common.model_copy(update={field: value}))


def test_the_options_reach_the_trainer(tmp_path, common):
    chosen = common.model_copy(update={"optimizer": "paged_adamw_8bit", "liger": True, "gradient_accumulation": 8})
    rows, batches = (train_module._arguments(str(tmp_path), RECIPE, chosen, BF16, in_rows) for in_rows in (True, False))
    assert (rows.optim, rows.use_liger_kernel) == ("paged_adamw_8bit", True)
    assert (rows.per_device_train_batch_size, rows.gradient_accumulation_steps, rows.padding_free) == (8, 1, True)
    assert (batches.per_device_train_batch_size, batches.gradient_accumulation_steps, batches.padding_free) == (
        1, 8, False,
    )  # fmt: skip
    assert rows.max_length is None  # nothing is cut
    plain = train_module._arguments(str(tmp_path), RECIPE, common, BF16, False)
    assert (plain.optim, plain.use_liger_kernel) == ("adamw_torch_fused", False)


def test_one_process_trains_on_one_of_several_gpus(tmp_path, common, monkeypatch):
    import torch
    from transformers import TrainingArguments

    def two_gpus(arguments):
        vars(arguments).setdefault("_n_gpu", 2)
        return torch.device("cpu")

    monkeypatch.setattr(TrainingArguments, "_setup_devices", property(two_gpus))
    arguments = train_module._arguments(str(tmp_path), RECIPE, common, BF16, True)
    assert (arguments.n_gpu, arguments.train_batch_size) == (1, 2)


def test_too_long_examples_are_dropped_and_counted(run, tokenizer, common, capsys):
    length = len(encode(tokenizer, **ROWS[0])["input_ids"])
    long = {"task": "Print", "code": "print(1)\n" * length}
    fits = common.model_copy(update={"max_length": length})
    with_long = run("both", rows=[*ROWS, long], common=fits)
    assert f"4 examples, {4 * length} tokens; 1 dropped as too long" in capsys.readouterr().out
    assert with_long == run("short", common=fits)
    with pytest.raises(UserError, match=r"train\.common\.max_length: none of the 1 training examples fits"):
        run("none", rows=[long], common=fits)


def test_a_loss_that_is_not_finite_stops(run, tmp_path):
    with pytest.raises(UserError, match=r"the (loss|gradient) is not finite at step \d+ of 6, .*; lower it"):
        run("diverged", recipe=RecipeParams(epochs=3, learning_rate=3e38))
    assert not (tmp_path / "diverged").exists()


def test_the_real_base_model_trains(real_record, tmp_path, common, lora):
    one_step = common.model_copy(update={"gradient_accumulation": 4})
    train(
        ROWS,
        real_record,
        tmp_path / "sft",
        tmp_path / "curves",
        recipe=RECIPE,
        common=one_step,
        lora=lora,
        model_params=BF16,
    )
    config = json.loads((tmp_path / "sft" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert 0 < json.loads((tmp_path / "curves" / "metrics.json").read_text())["loss"] < 5


def test_the_library_is_imported_without_torch():
    code = (
        "import sys, luau_rft.model.train, luau_rft.model.generate; print('torch' in sys.modules, 'trl' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False False\n"
