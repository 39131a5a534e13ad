"""Supervised training of a LoRA adapter; QLoRA where the base model is loaded in NF4."""

import importlib.util
import json
import math
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from luau_rft.config import Params
from luau_rft.errors import UserError
from luau_rft.model.base import (
    ADAPTER_FILES,
    BaseRecord,
    ModelParams,
    file_hash,
    keep_memory,
    load_model,
    load_tokenizer,
    quiet,
)
from luau_rft.model.checkpoints import Checkpoints, Resumable, key
from luau_rft.model.curves import Watched, log_curves
from luau_rft.model.dropout import replace_dropout
from luau_rft.model.launch import main_bar, main_process, processes, sharded, share, whole
from luau_rft.model.prompt import token_ids
from luau_rft.model.rows import IGNORED, Rows, attend_by_sequence, suits_rows

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase


class CommonParams(Params):
    """Section ``train.common``: what both trainings share."""

    max_length: int = Field(gt=0)  # tokens
    batch_size: int = Field(gt=0)  # sequences at once
    gradient_accumulation: int = Field(gt=0)  # such batches a step
    gradient_checkpointing: bool
    seed: int = Field(ge=0, lt=2**32)
    launch: str | None = None  # an accelerate config file, for several processes
    optimizer: Literal["adamw", "paged_adamw_8bit"] = "adamw"
    liger: bool = False  # the kernels of the package liger-kernel


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
    prompt, ids = token_ids(tokenizer, task), token_ids(tokenizer, task, code.strip())
    # The answer's first character may have merged with the end of the prompt to one token.
    begin = next((at for at, pair in enumerate(zip(prompt, ids, strict=False)) if len(set(pair)) > 1), len(prompt))
    answer = ids[begin:]
    if tokenizer.eos_token_id in answer:
        answer = answer[: answer.index(tokenizer.eos_token_id) + 1]
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
    speed: str | Path | None = None,
    checkpoints: str | Path | None = None,
) -> None:
    """Train on rows with ``id``, ``task`` and ``code``; write the adapter to ``output`` and DVCLive's curves to
    ``curves`` and, those of tokens a second and memory, to ``speed``.

    The adapter is a fresh one, or goes on from ``adapter``. Same rows, parameters and machine give the same bytes, also
    where a killed training goes on from what it left in the folder ``checkpoints``. In several processes it is to be
    called in each. Examples longer than ``max_length`` are dropped and counted, never cut. Raises ``UserError`` when
    none is left or the loss is not finite.
    """
    batch_size, gradient_accumulation = share(common.batch_size, common.gradient_accumulation)
    _check_dtype(model_params)
    _check_options(common)
    from datasets import Dataset
    from peft.helpers import disable_input_dtype_casting
    from transformers import PrinterCallback
    from trl import SFTTrainer

    class Trainer(Resumable, Rows, Watched, SFTTrainer):
        """TRL's trainer, watched and resumable, without padding."""

    own = common.model_copy(update={"batch_size": batch_size, "gradient_accumulation": gradient_accumulation})
    tokenizer = load_tokenizer(record)
    ids = [row.get("id", f"row {at}") for at, row in enumerate(rows)]
    examples = [encode(tokenizer, row["task"], row["code"]) for row in rows]
    fitting = [example for example in examples if len(example["input_ids"]) <= common.max_length]
    if not fitting:
        raise UserError(
            f"params.yaml: train.common.max_length: none of the {len(rows)} training examples fits "
            f"{common.max_length} tokens; raise it or lower collect.bounds.max_tokens"
        )
    tokens = sum(len(example["input_ids"]) for example in fitting)
    say = print if main_process() else lambda _: None
    say(
        f"{Path(output).name}: {len(fitting)} examples, {tokens} tokens; {len(rows) - len(fitting)} dropped as too long"
    )

    keep_memory()
    model = load_model(record, model_params.dtype, model_params.quantization, adapter, trainable=True)
    matrices = [name for name, weight in model.named_parameters() if weight.ndim == 2]
    for target in () if adapter else lora.target_modules:
        if not any(f".{name}".endswith(f".{target}.weight") for name in matrices):
            raise UserError(
                f"params.yaml: train.lora.target_modules: {record.name} has no linear layer {target!r}; correct it"
            )
    in_rows = suits_rows(model)
    if in_rows:
        attend_by_sequence(model)
    with tempfile.TemporaryDirectory() as scratch, quiet():
        trainer = Trainer(
            model=model,
            args=_arguments(scratch, recipe, own, model_params, in_rows),
            train_dataset=Dataset.from_list(fitting),
            processing_class=tokenizer,
            peft_config=None if adapter else _lora_config(lora),
        )
        if in_rows:
            # A sequence of that length has to fit into memory anyway.
            trainer.row_limit = common.max_length
        if trainer.args.device.type == "cpu":
            replace_dropout(trainer.model)
        trainer.remove_callback(PrinterCallback)
        steps = math.ceil(len(fitting) / (common.batch_size * common.gradient_accumulation)) * recipe.epochs
        trainer.field = f"train.{Path(output).name}.learning_rate"
        trainer.examples = list(zip(ids, (example["input_ids"] for example in examples), strict=True))
        kept = None
        if checkpoints:
            data = [(name, row["task"], row["code"]) for name, row in zip(ids, rows, strict=True)]
            params = [part.model_dump() for part in (recipe, common, lora, model_params)]
            start = [file_hash(Path(adapter) / file) for file in ADAPTER_FILES] if adapter else None
            kept = Checkpoints(checkpoints, key(data, record.identity, start, params, processes()))
        # Autocast brings the adapter's weights (fp32) to the activations' type; peft would bring the activations to
        # the weights' type first and run dropout there.
        progress = main_bar(f"train {Path(output).name}, steps", steps)
        with disable_input_dtype_casting(trainer.model), progress as advance:
            trainer.add_callback(log_curves(curves, speed, advance))
            trainer.train_on(kept)
        save_adapter(trainer.model, output)
        if kept and main_process():
            kept.remove()


def save_adapter(model: "PeftModel", folder: str | Path) -> None:
    """Write ``adapter_config.json`` and ``adapter_model.safetensors``, and nothing else, in place of the folder.

    In several processes it is to be called in each; the main one writes.
    """
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    # Without the embeddings, which peft would otherwise look for on the hub to see if they have been resized.
    weights = get_peft_model_state_dict(model, save_embedding_layers=False)
    weights = {name: whole(weight) for name, weight in weights.items()}
    if not main_process():
        return
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        new = Path(temporary) / folder.name
        new.mkdir()
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


def _check_dtype(model_params: ModelParams) -> None:
    import torch

    if model_params.quantization == "nf4" and model_params.dtype != "bfloat16":
        raise UserError(f"params.yaml: model.dtype: training on nf4 needs bfloat16, not {model_params.dtype}")
    if model_params.dtype == "float16" and not torch.cuda.is_available():
        raise UserError("params.yaml: model.dtype: training in float16 needs a GPU; set it to bfloat16 or float32")


def _check_options(common: CommonParams) -> None:
    import torch

    if sharded() and common.optimizer != "adamw":
        raise UserError(
            f"params.yaml: train.common.optimizer: {common.optimizer} does not take the parts of a model that FSDP "
            "shares out; set it to adamw, or launch with configs/accelerate/ddp.yaml"
        )
    options = (
        (common.optimizer != "adamw", "optimizer", "adamw", "bitsandbytes"),
        (common.liger, "liger", "false", "liger-kernel"),
    )
    for chosen, field, default, package in options:
        where = f"params.yaml: train.common.{field}"
        if chosen and not torch.cuda.is_available():
            raise UserError(f"{where}: needs a CUDA device; set it to {default}")
        if chosen and importlib.util.find_spec(package.replace("-", "_")) is None:
            raise UserError(f"{where}: needs the package {package}; `pip install {package}`, or set it to {default}")


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


def _arguments(
    folder: str, recipe: RecipeParams, common: CommonParams, model_params: ModelParams, in_rows: bool
) -> Any:
    """``in_rows``: all sequences of a step are one padding-free batch, which the trainer takes row by row."""
    import torch
    from trl import SFTConfig

    arguments = SFTConfig(
        output_dir=folder,
        num_train_epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        per_device_train_batch_size=common.batch_size * (common.gradient_accumulation if in_rows else 1),
        gradient_accumulation_steps=1 if in_rows else common.gradient_accumulation,
        padding_free=in_rows,
        optim={"adamw": "adamw_torch_fused"}.get(common.optimizer, common.optimizer),
        use_liger_kernel=common.liger,
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
        ddp_find_unused_parameters=False,
    )
    # One process trains on one GPU, where there are more, too; TRL refuses to spread it over all of them.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
