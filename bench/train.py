"""How many tokens a second training learns from, and how much memory it takes.

    python -m bench.train            a step of 8 examples (about 2 minutes on two cores)
    python -m bench.train --quick    a step of 2 examples

The baseline is the model card's recipe taken literally on a CPU: fp32, one sequence at a time, each padded to
`train.common.max_length`. A harder one leaves the padding out. All train the same examples of `data/sft.parquet`, taken
at even distances by length, each setting in a process of its own. Padding does not count as tokens.

Where there is a CUDA device, it measures QLoRA on a random model of Mistral 7B's shape with the params of the profile
`mistral-7b` instead (with --quick on 4 of its 32 layers).
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import random_mistral
from luau_rft import profile, tables
from luau_rft.config import load
from luau_rft.errors import UserError, run
from luau_rft.model import train as training
from luau_rft.model.base import BaseRecord, ModelParams, keep_memory, load_model, load_tokenizer, quiet, read_record
from luau_rft.model.curves import Watched, log_curves

GOAL = 2.5  # times the tokens a second of the literal recipe
MFU_GOAL = 0.25
SETTINGS = {
    "literal": "fp32, 1 x 8, padded to the maximum",
    "unpadded": "fp32, 1 x 8",
    "ours": "as the pipeline trains",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under a minute on a CPU")
    parser.add_argument("--setting", choices=SETTINGS, help=argparse.SUPPRESS)  # one of them, in this process
    arguments = parser.parse_args()
    import torch

    if arguments.setting:
        print(json.dumps(measure(arguments.setting, 2 if arguments.quick else 8)))
    elif torch.cuda.is_available():
        on_cuda(arguments.quick)
    else:
        on_cpu(arguments.quick)


def on_cpu(quick: bool) -> None:
    found = {}
    for setting, description in SETTINGS.items():
        command = [sys.executable, "-m", "bench.train", "--setting", setting, *(["--quick"] if quick else [])]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(done.returncode)
        found[setting] = json.loads(done.stdout.splitlines()[-1])
        rate, memory = found[setting]["tokens_per_second"], found[setting]["memory_gib"]
        print(f"{setting} ({description}): {rate:.0f} tokens a second, {memory:.1f} GiB at the peak", flush=True)
    rates = {setting: measured["tokens_per_second"] for setting, measured in found.items()}
    print(f"{rates['ours'] / rates['unpadded']:.2f} times the recipe without padding")
    print("QLoRA on Mistral 7B: not measured, it needs a CUDA device")
    print(f"RESULT train_speedup {rates['ours'] / rates['literal']:.2f} >={GOAL:g}")


def measure(setting: str, examples: int) -> dict[str, float]:
    """Tokens a second of one step over so many examples, and the peak of memory in GiB."""
    record = read_record("models/base.json")
    common = load("train.common", training.CommonParams)
    common = common.model_copy(update={"batch_size": 1, "gradient_accumulation": examples, "launch": None})
    rows = even(tables.read("data/sft.parquet", "sft").to_dicts(), load_tokenizer(record), common.max_length, examples)
    recipe = load("train.sft", training.RecipeParams).model_copy(update={"epochs": 1})
    lora = load("train.lora", training.LoraParams)
    with tempfile.TemporaryDirectory() as folder:
        speed = Path(folder) / "speed"
        if setting == "ours":
            model = load("model", ModelParams)
            curves = Path(folder) / "curves"
            arguments = {"recipe": recipe, "common": common, "lora": lora, "model_params": model, "speed": speed}
            training.train(rows, record, Path(folder) / "adapter", curves, **arguments)
        else:
            baseline(rows, record, speed, recipe, common, lora, setting == "literal")
        return figures(speed)


def baseline(
    rows: list[dict[str, Any]],
    record: BaseRecord,
    speed: Path,
    recipe: training.RecipeParams,
    common: training.CommonParams,
    lora: training.LoraParams,
    padded: bool,
) -> None:
    """The recipe on TRL and peft as they come, in fp32."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    class Trainer(Watched, SFTTrainer):
        """TRL's, which also logs speed and memory."""

    tokenizer = load_tokenizer(record)
    keep_memory()
    with tempfile.TemporaryDirectory() as folder, quiet():
        trainer = Trainer(
            model=load_model(record, "float32"),
            args=SFTConfig(
                output_dir=folder,
                num_train_epochs=recipe.epochs,
                learning_rate=recipe.learning_rate,
                per_device_train_batch_size=1,
                gradient_accumulation_steps=common.gradient_accumulation,
                gradient_checkpointing=False,
                max_length=None,
                pad_to_multiple_of=common.max_length if padded else None,
                bf16=False,
                use_cpu=True,
                save_strategy="no",
                report_to="none",
                logging_steps=1,
                disable_tqdm=True,
                dataloader_pin_memory=False,
            ),
            train_dataset=Dataset.from_list([training.encode(tokenizer, row["task"], row["code"]) for row in rows]),
            processing_class=tokenizer,
            peft_config=LoraConfig(
                r=lora.rank,
                lora_alpha=lora.alpha,
                lora_dropout=lora.dropout,
                target_modules=lora.target_modules,
                task_type="CAUSAL_LM",
            ),
        )
        trainer.add_callback(log_curves(Path(folder) / "curves", speed, lambda _: None))
        trainer.train()


def on_cuda(quick: bool) -> None:
    import torch

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy("params.yaml", folder)
        profile.apply("mistral-7b", folder / "params.yaml")
        params = {
            section: load(f"train.{section}", kind, folder / "params.yaml")
            for section, kind in (
                ("common", training.CommonParams), ("lora", training.LoraParams), ("sft", training.RecipeParams),
            )
        }  # fmt: skip
        record = random_mistral.write(folder / "mistral", layers=4 if quick else 32)
        tokenizer = load_tokenizer(record)
        common = params["common"]
        sequences = common.batch_size * common.gradient_accumulation
        rows = even(tables.read("data/sft.parquet", "sft").to_dicts(), tokenizer, common.max_length, sequences)
        training.train(
            rows,
            record,
            folder / "adapter",
            folder / "curves",
            recipe=params["sft"].model_copy(update={"epochs": 4}),  # a step each
            common=common,
            lora=params["lora"],
            model_params=load("model", ModelParams, folder / "params.yaml"),
            speed=folder / "speed",
        )
        measured = figures(folder / "speed")
        examples = [training.encode(tokenizer, row["task"], row["code"]) for row in rows]
        work = random_mistral.flops(record, examples, params["lora"].rank)
    lengths = [len(example["input_ids"]) for example in examples]
    rate = measured["tokens_per_second"] * work / sum(lengths)
    device = torch.cuda.get_device_name()
    print(f"{device}: {rate / 1e12:.1f} TFLOP/s, {sequences} sequences of {min(lengths)} to {max(lengths)} tokens")
    print(f"{measured['tokens_per_second']:.0f} tokens a second, {measured['memory_gib']:.1f} GiB at the peak")
    peak = random_mistral.peak(device)
    if peak is None:
        print(f"its peak is not in bench/random_mistral.py, so the utilisation is unknown; wanted >={MFU_GOAL:g}")
    else:
        print(f"RESULT train_mfu {rate / peak:.3f} >={MFU_GOAL:g}")


def even(rows: list[dict[str, Any]], tokenizer: Any, max_length: int, count: int) -> list[dict[str, Any]]:
    """The rows in the middle of ``count`` equal parts of those that fit, by length."""

    def length(row: dict[str, Any]) -> int:
        return len(training.encode(tokenizer, row["task"], row["code"])["input_ids"])

    fitting = sorted((length(row), row["id"], at) for at, row in enumerate(rows) if length(row) <= max_length)
    if len(fitting) < count:
        raise UserError(f"data/sft.parquet: {len(fitting)} examples fit, {count} are needed; run `dvc repro filter`")
    return [rows[fitting[(2 * part + 1) * len(fitting) // (2 * count)][2]] for part in range(count)]


def figures(speed: Path) -> dict[str, float]:
    """The speed and the memory of the last step."""
    last = json.loads((speed / "metrics.json").read_text(encoding="utf-8"))
    return {name: last[name] for name in ("tokens_per_second", "memory_gib")}


if __name__ == "__main__":
    run(main)
