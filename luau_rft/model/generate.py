"""Candidates: the model's sampled answers to tasks, batch by batch, reused row by row."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from luau_rft import tables
from luau_rft.config import Params
from luau_rft.model.base import (
    BaseRecord,
    ModelParams,
    check_adapter,
    file_hash,
    keep_memory,
    load_model,
    load_tokenizer,
)
from luau_rft.model.clean import clean
from luau_rft.model.prompt import render
from luau_rft.progress import bar
from luau_rft.tasks import Task

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SAMPLER = 1  # counted up when the same seed gives other tokens than before; part of every row's key
LIKELIEST = 512  # tokens that sampling looks at first; the whole vocabulary only where they do not fill top_p
COMPACT_BELOW = 0.8  # share of unfinished rows in a batch below which the finished ones are taken out


class SamplingParams(Params):
    """Section ``generate.sampling``; temperature 0 always takes the likeliest token."""

    temperature: float = Field(ge=0)
    top_p: float = Field(gt=0, le=1)
    max_new_tokens: int = Field(gt=0)
    seed: int = Field(ge=0, lt=2**32)


class EngineParams(Params):
    """Section ``generate.engine``."""

    backend: Literal["transformers"]
    batch_size: int = Field(gt=0)


class SampleParams(Params):
    """Section ``generate.samples``: candidates per task in the pools of each split."""

    train: int = Field(gt=0)
    eval: int = Field(gt=0)


@dataclass(frozen=True)
class Request:
    """One candidate to be made."""

    task_id: str
    index: int
    key: str
    seed: int
    prompt: tuple[int, ...]  # token ids


def generate(
    tasks: Sequence[Task],
    samples: int,
    record: BaseRecord,
    output: str | Path,
    *,
    sampling: SamplingParams,
    engine: EngineParams,
    model_params: ModelParams,
    adapter: str | Path | None = None,
) -> "pl.DataFrame":
    """Write ``samples`` candidates per task to the table ``output``; rows that it already holds are reused by key.

    Every finished batch is in the table at once. Batches are cut from the missing rows in a fixed order, so that a run
    that was killed goes on with the very batches that it had not finished. Raises ``UserError`` where the adapter is
    missing or the existing table is not readable.
    """
    if adapter is not None:
        check_adapter(record, adapter)
    tokenizer = load_tokenizer(record)
    requests = plan(tasks, samples, record, tokenizer, sampling=sampling, model_params=model_params, adapter=adapter)
    found = tables.reusable(output, "candidates")
    done = {request: found[request.key] for request in requests if request.key in found}
    missing = sorted((r for r in requests if r not in done), key=lambda r: (-len(r.prompt), r.task_id, r.index))
    name = Path(adapter).name if adapter else "base"

    def write() -> "pl.DataFrame":
        rows = []
        for r, row in done.items():
            code, cleaned = clean(row["text"])  # of reused rows, too: their key determines the text alone
            rows.append(row | {"task_id": r.task_id, "index": r.index, "model": name, "code": code, "cleaned": cleaned})
        return tables.write(rows, output, "candidates")

    if missing:
        keep_memory()
        model = load_model(record, model_params.dtype, model_params.quantization, adapter)
        if adapter is not None and model_params.quantization == "none":
            model = model.merge_and_unload()
        stops = _stop_ids(model, tokenizer)
        batches = [missing[i : i + engine.batch_size] for i in range(0, len(missing), engine.batch_size)]
        steps = len(batches) * sampling.max_new_tokens
        with bar(f"generate {Path(output).parent.name}: {len(missing)} candidates, steps", steps) as advance:
            for batch in batches:
                answers = sample(model, tokenizer.pad_token_id, stops, batch, sampling, advance)
                done |= {r: _candidate(tokenizer, r, tokens, stops) for r, tokens in zip(batch, answers, strict=True)}
                write()
    return write()


def plan(
    tasks: Iterable[Task],
    samples: int,
    record: BaseRecord,
    tokenizer: "PreTrainedTokenizerBase",
    *,
    sampling: SamplingParams,
    model_params: ModelParams,
    adapter: str | Path | None,
) -> list[Request]:
    """Every candidate that a pool should hold, each with the key of all that determines it."""
    files = ("adapter_config.json", "adapter_model.safetensors")
    weights = [file_hash(Path(adapter) / file) for file in files] if adapter else "base"
    made_by = [record.identity, weights, sampling.model_dump(), model_params.model_dump(), "transformers", SAMPLER]
    requests = []
    for task in tasks:
        text = render(tokenizer, task.prompt)
        prompt = tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
        for index in range(samples):
            seed = int(tables.content_hash(sampling.seed, text, index)[:15], 16)  # fits a signed 64-bit integer
            key = tables.content_hash(made_by, text, index)
            requests.append(Request(task.id, index, key, seed, prompt))
    return requests


def sample(
    model: "PreTrainedModel",
    pad_id: int,
    stops: set[int],
    batch: Sequence[Request],
    sampling: SamplingParams,
    advance: Callable[[int], None],
) -> list[list[int]]:
    """Sample an answer's tokens for every request; one that ends by itself has one of the tokens ``stops`` last.

    ``advance`` counts up to ``max_new_tokens``. Every row draws from a generator of its own, so that a batch's other
    members change a row at most by the rounding of sums.
    """
    import torch
    from transformers import DynamicCache

    with torch.inference_mode():
        # One prefill per prompt, however many samples it gets.
        prompts = list(dict.fromkeys(request.prompt for request in batch))
        ids, mask = _pad_left(prompts, pad_id, model.device)
        cache = DynamicCache(config=model.config)
        logits = _step(model, ids, mask, (mask.cumsum(-1) - 1).clamp(min=0), cache)
        rows = torch.tensor([prompts.index(request.prompt) for request in batch], device=model.device)
        cache.batch_select_indices(rows)
        logits, mask = logits[rows], mask[rows]

        draws = torch.stack(
            [
                torch.rand(sampling.max_new_tokens, generator=torch.Generator().manual_seed(request.seed))
                for request in batch
            ]
        ).to(model.device)
        answers: list[list[int]] = [[] for _ in batch]
        at = list(range(len(batch)))  # which request a row of the tensors answers
        unfinished = set(at)
        for step in range(sampling.max_new_tokens):
            tokens = draw(logits, draws[at, step], sampling.temperature, sampling.top_p)
            for row, token in zip(at, tokens.tolist(), strict=True):
                if row in unfinished:
                    answers[row].append(token)
                    if token in stops:
                        unfinished.discard(row)
            advance(1)
            if not unfinished or step + 1 == sampling.max_new_tokens:
                advance(sampling.max_new_tokens - step - 1)
                break
            if len(unfinished) < COMPACT_BELOW * len(at):
                kept = torch.tensor([i for i, row in enumerate(at) if row in unfinished], device=model.device)
                cache.batch_select_indices(kept)
                tokens, mask = tokens[kept], mask[kept]
                at = [row for row in at if row in unfinished]
            mask = torch.cat([mask, mask.new_ones(len(at), 1)], dim=-1)
            logits = _step(model, tokens[:, None], mask, mask.sum(-1, keepdim=True) - 1, cache)
    return answers


def draw(logits: "Tensor", uniform: "Tensor", temperature: float, top_p: float) -> "Tensor":
    """One token for each row of ``logits`` (rows, vocabulary) by nucleus sampling, from a number in [0, 1) each."""
    if temperature == 0:
        return logits.argmax(-1)
    return _draw(logits.float() / temperature, uniform, top_p, LIKELIEST if top_p < 1 else logits.shape[-1])


def _draw(logits: "Tensor", uniform: "Tensor", top_p: float, width: int) -> "Tensor":
    import torch

    # Sorting the whole vocabulary would take longer than the model itself.
    likeliest, ids = logits.topk(min(width, logits.shape[-1]))
    probability = (likeliest - logits.logsumexp(-1, keepdim=True)).exp()
    mass = probability.cumsum(-1)
    nucleus = (probability * (mass - probability < top_p)).cumsum(-1)
    place = torch.searchsorted(nucleus, uniform[:, None] * nucleus[:, -1:], right=True)
    tokens = ids.gather(-1, place.clamp(max=ids.shape[-1] - 1))[:, 0]
    flat = mass[:, -1] < top_p
    if width < logits.shape[-1] and flat.any():
        tokens[flat] = _draw(logits[flat], uniform[flat], top_p, logits.shape[-1])
    return tokens


def _step(model: "PreTrainedModel", ids: "Tensor", mask: "Tensor", positions: "Tensor", cache: Any) -> "Tensor":
    """The logits after the last token of every row."""
    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return output.logits[:, -1]


def _pad_left(prompts: list[tuple[int, ...]], pad_id: int, device: Any) -> tuple["Tensor", "Tensor"]:
    import torch

    width = max(map(len, prompts))
    ids = [[pad_id] * (width - len(prompt)) + list(prompt) for prompt in prompts]
    mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _stop_ids(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> set[int]:
    stops = model.generation_config.eos_token_id
    return {tokenizer.eos_token_id, *(stops if isinstance(stops, list) else [stops])}


def _candidate(
    tokenizer: "PreTrainedTokenizerBase", request: Request, tokens: list[int], stops: set[int]
) -> dict[str, Any]:
    """The table's row for an answer, but for its code and the columns that say where it stands in the table."""
    stopped = tokens[-1] in stops
    text = tokenizer.decode(tokens[:-1] if stopped else tokens, skip_special_tokens=True)
    return {
        "key": request.key,
        "seed": request.seed,
        "text": text,
        "tokens": len(tokens),
        "finish_reason": "stop" if stopped else "length",
    }
