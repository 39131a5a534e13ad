"""Supervised training of a LoRA adapter; QLoRA where the base model is loaded in NF4."""

import json
import math
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from luau_rft.config import Params
from luau_rft.errors import UserError
from luau_rft.model.base import BaseRecord, ModelParams, keep_memory, load_model, load_tokenizer, quiet
from luau_rft.model.prompt import render
from luau_rft.progress import bar

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase

IGNORED = -100  # the label of a token that adds nothing to the loss


class CommonParams(Params):
    """Section ``train.common``: what both trainings share."""

    max_length: int = Field(gt=0)  # tokens
    batch_size: int = Field(gt=0)  # sequences at once
    gradient_accumulation: int = Field(gt=0)  # such batches a step
    gradient_checkpointing: bool
    seed: int = Field(ge=0, lt=2**32)


class LoraParams(Params):
    """Section ``train.lora``."""

    rank: int = Field(gt=0)
    alpha: int = Field(gt=0)
    dropout: float = Field(ge=0, lt=1)
    target_modules: list[str] = Field(min_length=1)


class RecipeParams(Params):
    """Section ``train.sft``."""

    epochs: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    init: Literal["base.json"] = "base.json"


class RftRecipeParams(RecipeParams):
    """Section ``train.rft``."""

    init: Literal["base.json", "sft"] = "base.json"  # what it starts from, under models/


RECIPES = {"sft": RecipeParams, "rft": RftRecipeParams}


def encode(tokenizer: "PreTrainedTokenizerBase", task: str, code: str) -> dict[str, list[int]]:
    """One training example: ``input_ids`` of prompt and answer, ``labels`` that ignore the prompt.

    The answer ends with the end-of-sequence token, which is learned, too; what a chat template writes behind it is not.
    """
    prompt = tokenizer(render(tokenizer, task), add_special_tokens=False)["input_ids"]
    ids = tokenizer(render(tokenizer, task, code.strip()), add_special_tokens=False)["input_ids"]
    # Some templates write the end of a prompt in another way once an answer follows.
    begin = next((at for at, pair in enumerate(zip(prompt, ids, strict=False)) if len(set(pair)) > 1), len(prompt))
    answer = ids[begin:]
    if tokenizer.eos_token_id in answer:
        answer = answer[: len(answer) - answer[::-1].index(tokenizer.eos_token_id)]
    else:
        answer.append(tokenizer.eos_token_id)
    return {"input_ids": ids[:begin] + answer, "labels": [IGNORED] * begin + answer}


def train(
    rows: list[dict[str, Any]],
    record: BaseRecord,
    output: str | Path,
    curves: str | Path,
    *,
    recipe: RecipeParams,
    common: CommonParams,
    lora: LoraParams,
    model_params: ModelParams,
    adapter: str | Path | None = None,
) -> None:
    """Train on rows with ``task`` and ``code``; write the adapter to ``output`` and DVCLive's curves to ``curves``.

    The adapter is a fresh one, or goes on from ``adapter``. Same rows, parameters and machine give the same bytes.
    Examples longer than ``max_length`` are dropped and counted, never cut. Raises ``UserError`` when none is left or
    the loss is not finite.
    """
    from datasets import Dataset
    from peft.helpers import disable_input_dtype_casting
    from transformers import PrinterCallback
    from trl import SFTTrainer

    tokenizer = load_tokenizer(record)
    examples = [encode(tokenizer, row["task"], row["code"]) for row in rows]
    fitting = [example for example in examples if len(example["input_ids"]) <= common.max_length]
    if not fitting:
        raise UserError(
            f"params.yaml: train.common.max_length: none of the {len(rows)} training examples fits "
            f"{common.max_length} tokens; raise it or lower collect.bounds.max_tokens"
        )
    tokens = sum(len(example["input_ids"]) for example in fitting)
    print(
        f"{Path(output).name}: {len(fitting)} examples, {tokens} tokens; {len(rows) - len(fitting)} dropped as too long"
    )

    keep_memory()
    model = load_model(record, model_params.dtype, model_params.quantization, adapter, trainable=True)
    names = [f".{name}" for name, _ in model.named_modules()]
    for target in () if adapter else lora.target_modules:
        if not any(name.endswith(f".{target}") for name in names):
            raise UserError(
                f"params.yaml: train.lora.target_modules: {record.name} has no {target!r}; correct the name"
            )
    with tempfile.TemporaryDirectory() as scratch, quiet():
        trainer = SFTTrainer(
            model=model,
            args=_arguments(scratch, recipe, common, model_params),
            train_dataset=Dataset.from_list(fitting),
            processing_class=tokenizer,
            peft_config=None if adapter else _lora_config(lora),
        )
        trainer.remove_callback(PrinterCallback)
        steps = math.ceil(len(fitting) / (common.batch_size * common.gradient_accumulation)) * recipe.epochs
        # Autocast brings the adapter's weights (fp32) to the activations' type; peft would bring the activations to
        # the weights' type first and run dropout there.
        with disable_input_dtype_casting(trainer.model), bar(f"train {Path(output).name}, steps", steps) as advance:
            trainer.add_callback(_curves(curves, advance))
            trainer.train()
        save_adapter(trainer.model, output)


def save_adapter(model: "PeftModel", folder: str | Path) -> None:
    """Write ``adapter_config.json`` and ``adapter_model.safetensors``, and nothing else, in place of the folder."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        new = Path(temporary) / folder.name
        new.mkdir()
        # Without the embeddings, which peft would otherwise look for on the hub to see if they have been resized.
        weights = get_peft_model_state_dict(model, save_embedding_layers=False)
        save_file(
            {name: weights[name].contiguous().cpu() for name in sorted(weights)},
            new / "adapter_model.safetensors",
            metadata={"format": "pt"},
        )
        config = model.peft_config["default"].to_dict() | {"inference_mode": True}
        # peft keeps module names in a set, whose order changes from run to run.
        plain = {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}
        (new / "adapter_config.json").write_text(json.dumps(plain, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)


def _lora_config(lora: LoraParams) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules,
        bias="none",
        task_type="CAUSAL_LM",
    )


def _arguments(folder: str, recipe: RecipeParams, common: CommonParams, model_params: ModelParams) -> Any:
    import torch
    from trl import SFTConfig

    return SFTConfig(
        output_dir=folder,
        num_train_epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        per_device_train_batch_size=common.batch_size,
        gradient_accumulation_steps=common.gradient_accumulation,
        activation_checkpointing=common.gradient_checkpointing,
        max_length=None,  # examples that are too long have been dropped; it would cut them
        bf16=model_params.dtype == "bfloat16",
        fp16=model_params.dtype == "float16",
        use_cpu=not torch.cuda.is_available(),
        seed=common.seed,
        data_seed=common.seed,
        save_strategy="no",
        report_to="none",
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


def _curves(folder: str | Path, advance: Any) -> Any:
    """A callback that logs loss and learning rate, moves the progress bar and stops at a loss that is not finite."""
    from dvclive import Live
    from transformers import TrainerCallback

    class Curves(TrainerCallback):
        live = Live(str(folder), save_dvc_exp=False, dvcyaml=None)

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
            if "loss" not in logs:  # the summary at the end, which holds timings
                return
            if not math.isfinite(logs["loss"]):
                raise UserError(
                    f"params.yaml: train: the loss is {logs['loss']} at step {state.global_step}; lower learning_rate"
                )
            self.live.step = state.global_step
            self.live.log_metric("loss", logs["loss"])
            self.live.log_metric("learning_rate", logs["learning_rate"])
            self.live.make_summary()
            advance(1)

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.live.end()

    return Curves()
