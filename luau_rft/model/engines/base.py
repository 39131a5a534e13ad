"""What every engine is asked and answers, and how one is opened."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from pydantic import Field, RootModel

from luau_rft.config import Params
from luau_rft.model.base import BaseRecord, ModelParams

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Advance = Callable[[int], None]


class EngineName(RootModel[Literal["transformers", "vllm", "openai", "ray"]]):
    """``generate.engine``; the engine's own params are the section ``generate.<engine>``."""


class SamplingParams(Params):
    """Section ``generate.sampling``, the same for every engine; temperature 0 always takes the likeliest token."""

    temperature: float = Field(ge=0)
    top_p: float = Field(gt=0, le=1)
    max_new_tokens: int = Field(gt=0)
    # An answer ends before the first of these that it holds.
    stop: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list)
    seed: int = Field(ge=0, lt=2**32)


@dataclass(frozen=True)
class Setup:
    """What an engine runs: the same for every engine, whatever its own params."""

    record: BaseRecord
    model_params: ModelParams
    sampling: SamplingParams
    tokenizer: "PreTrainedTokenizerBase"
    adapter: Path | None = None  # None: the base model


@dataclass(frozen=True)
class Request:
    """One candidate to be made."""

    task_id: str
    index: int
    key: str
    seed: int
    task: str  # what is asked, for engines that render the chat themselves
    prompt: tuple[int, ...]  # token ids of the rendered chat


@dataclass(frozen=True)
class Answer:
    """``tokens`` counts what the model made, with the token that ended it; ``text`` ends before a stop string."""

    text: str
    tokens: int
    finish_reason: Literal["stop", "length"]


class Engine(Protocol):
    """A way to have a model answer. Making one is cheap: the model is loaded by ``answers``."""

    batch_size: int  # requests that a batch of the plan holds

    def identity(self) -> list[Any]:
        """What of the engine determines a row, as JSON: its name, its version and the params that change answers."""

    def answers(self, batches: Sequence[Sequence[Request]], advance: Advance) -> Iterator[list[tuple[Request, Answer]]]:
        """Finished answers, in groups; whoever asks keeps each group before asking for the next.

        ``advance`` counts ``max_new_tokens`` for every request, for one that ended early all that is left at once.
        Raises ``UserError`` for what the user can mend.
        """


def params_class(name: str) -> type[Params]:
    """The class of the section ``generate.<name>``."""
    return _load(name)[0]


def open_engine(name: str, params: Params, setup: Setup) -> Engine:
    """The engine ``name`` with its section of the params."""
    return _load(name)[1](params, setup)


def _load(name: str) -> tuple[type[Params], Callable[[Any, Setup], Engine]]:
    if name == "transformers":
        from luau_rft.model.engines.transformers import TransformersEngine, TransformersParams

        return TransformersParams, TransformersEngine
    if name == "vllm":
        from luau_rft.model.engines.vllm import VllmEngine, VllmParams

        return VllmParams, VllmEngine
    if name == "openai":
        from luau_rft.model.engines.openai import OpenAIEngine, OpenAIParams

        return OpenAIParams, OpenAIEngine
    if name == "ray":
        from luau_rft.model.engines.ray import RayEngine, RayParams

        return RayParams, RayEngine
    raise ValueError(name)
