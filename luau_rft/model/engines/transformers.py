"""Sampling with transformers, on the CPU or a GPU: batch by batch, a generator of its own for every row."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import Field

from luau_rft.config import Params
from luau_rft.model import attention
from luau_rft.model.base import keep_memory, load_model
from luau_rft.model.engines.base import Advance, Answer, Request, SamplingParams, Setup

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SAMPLER = 2  # counted up when the same seed gives other tokens than before; part of every row's key
# Tokens that sampling looks at: first so many, then, where these do not fill top_p, so many, then the whole vocabulary.
LIKELIEST = (64, 1024)
# For each type the names of the CPU's features that compute with it; any of them will do.
INSTRUCTIONS = {
    "bfloat16": ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"),
    "float16": ("avx512_fp16", "amx_fp16", "fp16_arith"),
}
TAIL = 8  # tokens that are decoded beyond what a stop string can fill: characters and words begin before it
COMPACT_BELOW = 0.8  # share of unfinished rows in a batch below which the finished ones are taken out


class TransformersParams(Params):
    """Section ``generate.transformers``."""

    batch_size: int = Field(gt=0)


class TransformersEngine:
    """Runs the base model, with the adapter merged into it where the weights are not quantised."""

    def __init__(self, params: TransformersParams, setup: Setup) -> None:
        self.batch_size = params.batch_size
        self._setup = setup
        self._dtype = computed_in(setup.model_params.dtype)

    def identity(self) -> list[Any]:
        chosen, used = self._setup.model_params.dtype, self._dtype
        return ["transformers", SAMPLER, *([used] if used != chosen else [])]

    def answers(self, batches: Sequence[Sequence[Request]], advance: Advance) -> Iterator[list[tuple[Request, Answer]]]:
        setup = self._setup
        for batch in batches:
            answers = sample(self.decoder, setup.tokenizer, batch, setup.sampling, advance)
            yield list(zip(batch, answers, strict=True))

    @cached_property
    def decoder(self) -> "Decoder":
        """The model, loaded, ready to sample from."""
        return open_decoder(self._model())

    def _model(self) -> "PreTrainedModel":
        setup, chosen = self._setup, self._setup.model_params
        keep_memory()
        if self._dtype != chosen.dtype:
            print(f"generate: this CPU has no instructions for {chosen.dtype}, so that it computes in {self._dtype}")
        if chosen.quantization != "none":
            return load_model(setup.record, self._dtype, chosen.quantization, setup.adapter)
        model = load_model(setup.record, chosen.dtype, chosen.quantization, setup.adapter)
        if self._dtype != chosen.dtype:
            model = model.float()  # the values stay those of the chosen type
        return model if setup.adapter is None else model.merge_and_unload()


def computed_in(dtype: str) -> str:
    """The type that is computed in for weights of type ``dtype``: float32 on a CPU that would have to emulate it."""
    import torch

    needed = INSTRUCTIONS.get(dtype)
    if needed is None or torch.cuda.is_available():
        return dtype
    has = torch.cpu.get_capabilities()
    return dtype if any(has.get(name) for name in needed) else "float32"


def sample(
    decoder: "Decoder",
    tokenizer: "PreTrainedTokenizerBase",
    batch: Sequence[Request],
    sampling: SamplingParams,
    advance: Advance,
) -> list[Answer]:
    """An answer for every request.

    Every row draws from a generator of its own, so that a batch's other members change a row at most by the rounding
    of sums. A finished row leaves the batch as soon as it pays.
    """
    import torch

    ends = _Ends(decoder.model, tokenizer, sampling.stop)
    tokens: list[list[int]] = [[] for _ in batch]
    with torch.inference_mode():
        # Which request a row of the tensors answers; the longest prompts come first.
        at = sorted(range(len(batch)), key=lambda i: -len(batch[i].prompt))
        logits = decoder.start([batch[i].prompt for i in at])
        draws = torch.stack([_uniform(request.seed, sampling.max_new_tokens) for request in batch]).to(logits.device)
        unfinished = set(at)
        for step in range(sampling.max_new_tokens):
            drawn = draw(logits, draws[at, step], sampling.temperature, sampling.top_p)
            advance(len(unfinished))
            for row, token in zip(at, drawn.tolist(), strict=True):
                if row in unfinished:
                    tokens[row].append(token)
                    if ends.reached(tokens[row]):
                        unfinished.discard(row)
                        advance(sampling.max_new_tokens - step - 1)
            if not unfinished or step + 1 == sampling.max_new_tokens:
                break
            if len(unfinished) < COMPACT_BELOW * len(at):
                kept = [i for i, row in enumerate(at) if row in unfinished]
                decoder.keep(kept)
                drawn, at = drawn[kept], [at[i] for i in kept]
            logits = decoder.step(drawn)
    return [ends.answer(made) for made in tokens]


def draw(logits: "Tensor", uniform: "Tensor", temperature: float, top_p: float) -> "Tensor":
    """One token for each row of ``logits`` (rows, vocabulary) by nucleus sampling, from a number in [0, 1) each."""
    if temperature == 0:
        return logits.argmax(-1)
    return _draw(logits.float() / temperature, uniform, top_p, LIKELIEST if top_p < 1 else ())


def _draw(logits: "Tensor", uniform: "Tensor", top_p: float, widths: tuple[int, ...]) -> "Tensor":
    # Sorting the whole vocabulary would take longer than the model itself.
    size = logits.shape[-1]
    likeliest, ids = logits.topk(min(*widths, size) if widths else size)
    probability = (likeliest - logits.logsumexp(-1, keepdim=True)).exp()
    mass = probability.cumsum(-1)
    nucleus = (probability * (mass - probability < top_p)).cumsum(-1)
    # The first token at which the nucleus holds more than that share of its mass.
    place = (nucleus <= uniform[:, None] * nucleus[:, -1:]).sum(-1, keepdim=True)
    tokens = ids.gather(-1, place.clamp(max=ids.shape[-1] - 1))[:, 0]
    flat = mass[:, -1] < top_p
    if widths and flat.any():
        tokens[flat] = _draw(logits[flat], uniform[flat], top_p, widths[1:])
    return tokens


def _uniform(seed: int, count: int) -> "Tensor":
    import torch

    return torch.rand(count, generator=torch.Generator().manual_seed(seed))


class _Ends:
    """Where answers end: at a token of the model's, or at a string of the user's."""

    def __init__(self, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", strings: list[str]) -> None:
        ids = model.generation_config.eos_token_id
        self._ids = {tokenizer.eos_token_id, *(ids if isinstance(ids, list) else [ids])}
        self._tokenizer = tokenizer
        self._strings = strings
        # A token is a byte or more, so that so many hold any of the strings that ends with the last one.
        self._tail = max((len(string.encode()) for string in strings), default=0) + TAIL

    def reached(self, tokens: list[int]) -> bool:
        """Whether the last of the tokens ends the answer."""
        if tokens[-1] in self._ids:
            return True
        return any(self._cuts(tokens[-self._tail :])) and any(self._cuts(tokens))

    def answer(self, tokens: list[int]) -> Answer:
        cuts = self._cuts(tokens)
        stopped = tokens[-1] in self._ids or bool(cuts)
        return Answer(self._text(tokens)[: min(cuts, default=None)], len(tokens), "stop" if stopped else "length")

    def _cuts(self, tokens: list[int]) -> list[int]:
        """Where in the text one of the strings begins."""
        if not self._strings:
            return []
        text = self._text(tokens)
        return [place for string in self._strings if (place := text.find(string)) >= 0]

    def _text(self, tokens: list[int]) -> str:
        return self._tokenizer.decode([t for t in tokens if t not in self._ids], skip_special_tokens=True)


class Decoder(Protocol):
    """A model at work on the rows of a batch; each call returns the logits (rows, vocabulary) of the next token."""

    model: "PreTrainedModel"

    def start(self, prompts: list[tuple[int, ...]]) -> "Tensor": ...

    def step(self, tokens: "Tensor") -> "Tensor": ...

    def keep(self, rows: list[int]) -> None:
        """Drop all rows but these, which are in ascending order."""


def open_decoder(model: "PreTrainedModel") -> Decoder:
    """The fastest that computes what the model does."""
    return RowsDecoder(model) if attention.applies(model) else CacheDecoder(model)


class RowsDecoder:
    """With ``attention.Rows``. Every prompt is computed by itself, without padding, and once for all the batches that
    hold it one after the other: the samples of a task share it.
    """

    def __init__(self, model: "PreTrainedModel") -> None:
        self.model = model
        attention.install(model)
        self._prompts: dict[tuple[int, ...], tuple[attention.Prompt, Tensor]] = {}

    def start(self, prompts: list[tuple[int, ...]]) -> "Tensor":
        import torch

        unique = dict.fromkeys(prompts)
        self._prompts = {prompt: self._prompts[prompt] for prompt in unique if prompt in self._prompts}
        for prompt in unique:
            if prompt not in self._prompts:
                self._prompts[prompt] = self._read(prompt)
        self._rows = attention.Rows([self._prompts[prompt][0] for prompt in prompts])
        self._positions = torch.tensor([[len(prompt)] for prompt in prompts])
        return torch.stack([self._prompts[prompt][1] for prompt in prompts])

    def step(self, tokens: "Tensor") -> "Tensor":
        self._rows.add()
        output = self.model(input_ids=tokens[:, None], position_ids=self._positions, use_cache=False, rows=self._rows)
        self._positions = self._positions + 1
        return output.logits[:, -1]

    def keep(self, rows: list[int]) -> None:
        self._rows.keep(rows)
        self._positions = self._positions[rows]

    def _read(self, prompt: tuple[int, ...]) -> "tuple[attention.Prompt, Tensor]":
        import torch
        from transformers import DynamicCache

        cache = DynamicCache(config=self.model.config)
        output = self.model(input_ids=torch.tensor([prompt]), past_key_values=cache, use_cache=True, logits_to_keep=1)
        return [(layer.keys[0], layer.values[0]) for layer in cache.layers], output.logits[0, -1]


class CacheDecoder:
    """As transformers does it, for any device and architecture; prompts are padded on the left."""

    def __init__(self, model: "PreTrainedModel") -> None:
        self.model = model

    def start(self, prompts: list[tuple[int, ...]]) -> "Tensor":
        import torch
        from transformers import DynamicCache

        self._cache = DynamicCache(config=self.model.config)
        unique = list(dict.fromkeys(prompts))
        width = max(map(len, prompts))
        ids = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in unique], device=self.model.device)
        lengths = torch.tensor([[len(prompt)] for prompt in unique], device=ids.device)
        self._mask = (torch.arange(width, device=ids.device) >= width - lengths).long()
        logits = self._run(ids, (self._mask.cumsum(-1) - 1).clamp(min=0))
        rows = torch.tensor([unique.index(prompt) for prompt in prompts], device=ids.device)
        self._cache.batch_select_indices(rows)
        self._mask = self._mask[rows]
        return logits[rows]

    def step(self, tokens: "Tensor") -> "Tensor":
        import torch

        self._mask = torch.cat([self._mask, self._mask.new_ones(len(tokens), 1)], dim=-1)
        return self._run(tokens[:, None], self._mask.sum(-1, keepdim=True) - 1)

    def keep(self, rows: list[int]) -> None:
        import torch

        index = torch.tensor(rows, device=self._mask.device)
        self._cache.batch_select_indices(index)
        self._mask = self._mask[index]

    def _run(self, ids: "Tensor", positions: "Tensor") -> "Tensor":
        output = self.model(
            input_ids=ids,
            attention_mask=self._mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1]
