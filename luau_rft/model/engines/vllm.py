"""Sampling with vLLM in this process, the adapter beside the base model. Needs vLLM, which needs a GPU."""

import importlib.metadata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from luau_rft import tables
from luau_rft.config import Params
from luau_rft.errors import UserError
from luau_rft.model.base import model_folder
from luau_rft.model.engines.base import Advance, Answer, Request, SamplingParams, Setup

SECTION = "params.yaml: generate.vllm"
LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # what vLLM takes as the largest rank of the adapters
USUAL_RANK = 64  # the recipe's


class VllmParams(Params):
    """Section ``generate.vllm``."""

    batch_size: int = Field(gt=0)  # answers between two writes of the table; vLLM itself batches within
    tensor_parallel_size: int = Field(gt=0)  # GPUs that share the model
    gpu_memory_utilization: float = Field(gt=0, le=1)
    max_model_len: int | None = Field(gt=0)  # tokens of prompt and answer; null: what the model can
    quantization: str | None  # a method of the installed vLLM; null: the weights as they are, whatever model says


class VllmEngine:
    """The unquantised base model, or one that vLLM quantises by ``generate.vllm.quantization``, with the adapter.

    Every answer has a seed of its own; it repeats as far as vLLM's kernels do, whose sums depend on the batch.
    """

    def __init__(self, params: VllmParams, setup: Setup) -> None:
        self.batch_size = params.batch_size
        self._params = params
        self._setup = setup

    def identity(self) -> list[Any]:
        return ["vllm", _version(), self._params.max_model_len, self._params.quantization]

    def answers(self, batches: Sequence[Sequence[Request]], advance: Advance) -> Iterator[list[tuple[Request, Answer]]]:
        _version()
        self._check_lengths(batches)
        import vllm
        from vllm.lora.request import LoRARequest

        sampling, adapter = self._setup.sampling, self._setup.adapter
        try:
            model = vllm.LLM(**engine_arguments(self._params, self._setup))
        except (ValueError, RuntimeError, ImportError, OSError) as error:
            reason = " ".join(str(error).split())[:300]
            raise UserError(f"{SECTION}: vLLM could not start ({reason})") from None
        lora = None if adapter is None else LoRARequest(adapter.name, 1, str(adapter.absolute()))
        for batch in batches:
            outputs = model.generate(
                [{"prompt_token_ids": list(request.prompt)} for request in batch],
                [vllm.SamplingParams(**sampling_arguments(sampling, request)) for request in batch],
                lora_request=lora,
                use_tqdm=False,
            )
            advance(len(batch) * sampling.max_new_tokens)
            yield [(r, _answer(r, output.outputs[0])) for r, output in zip(batch, outputs, strict=True)]

    def _check_lengths(self, batches: Sequence[Sequence[Request]]) -> None:
        limit = self._params.max_model_len
        longest = max(len(request.prompt) for batch in batches for request in batch)
        needed = longest + self._setup.sampling.max_new_tokens
        if limit is not None and needed > limit:
            raise UserError(
                f"{SECTION}.max_model_len: {limit}, but the longest prompt has {longest} tokens, and with "
                f"generate.sampling.max_new_tokens that is {needed}; set it to {needed} or more"
            )


def engine_arguments(params: VllmParams, setup: Setup) -> dict[str, Any]:
    """What ``vllm.LLM`` is made with."""
    arguments = {
        "model": str(model_folder(setup.record)),
        "dtype": setup.model_params.dtype,
        "quantization": params.quantization,
        "tensor_parallel_size": params.tensor_parallel_size,
        "gpu_memory_utilization": params.gpu_memory_utilization,
        "max_model_len": params.max_model_len,
        "enable_prefix_caching": True,  # a task's samples share its prompt
        "seed": setup.sampling.seed,
    }
    if setup.adapter is not None:
        arguments |= {"enable_lora": True, "max_lora_rank": max_lora_rank([setup.adapter])}
    return arguments


def sampling_arguments(sampling: SamplingParams, request: Request) -> dict[str, Any]:
    """What a request's ``vllm.SamplingParams`` are made with."""
    return {
        "n": 1,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_new_tokens,
        "seed": request.seed,
        "stop": sampling.stop,
    }


def max_lora_rank(adapters: Iterable[Path]) -> int:
    """The smallest rank that vLLM takes and that holds every adapter; at least the recipe's usual one.

    Raises ``UserError`` for a rank beyond what vLLM takes.
    """
    needed = USUAL_RANK
    for adapter in adapters:
        path = adapter / "adapter_config.json"
        config = tables.read_json(path, "r")
        rank = max([config["r"], *(config.get("rank_pattern") or {}).values()])
        if rank > LORA_RANKS[-1]:
            raise UserError(f"{path}: r: {rank}, but vLLM takes at most {LORA_RANKS[-1]}; lower train.lora.rank")
        needed = max(needed, rank)
    return min(rank for rank in LORA_RANKS if rank >= needed)


def _answer(request: Request, output: Any) -> Answer:
    if output.finish_reason not in ("stop", "length"):
        raise UserError(
            f"{SECTION}: vLLM gave up on task {request.task_id}, sample {request.index} ({output.finish_reason}); "
            "what was answered is kept, run the same command to go on"
        )
    return Answer(output.text, len(output.token_ids), output.finish_reason)


def _version() -> str:
    try:
        return importlib.metadata.version("vllm")
    except importlib.metadata.PackageNotFoundError:
        raise UserError(
            "params.yaml: generate.engine: vllm is not installed; it pins a torch of its own, so make an environment "
            "for it, `python -m venv .venv-vllm && .venv-vllm/bin/pip install vllm -e .`, and run the command from "
            "there; or serve the models with it and set generate.engine to openai"
        ) from None
