"""Questions to paid language models: what is asked and what comes back."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

Status = Literal["answered", "refused", "truncated"]


@dataclass(frozen=True, slots=True)
class Question:
    """One request. ``key`` is a hash of all that determines its answer: model, prompts, sampling, and which of several
    answers to the same text it is.
    """

    key: str
    stage: str  # label, gold, judge: for statistics
    system: str  # what all questions of a stage share: cached by the provider
    shared: str  # what some neighbouring questions share, as a task: cached, too; may be empty
    prompt: str
    max_tokens: int  # of the answer
    schema: type[BaseModel] | None = None  # of a JSON answer; None for plain text


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that were paid for. ``input`` does not count what was written to or read from the provider's cache."""

    input: int = 0
    cache_write: int = 0
    cache_read: int = 0
    output: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and what it cost. ``text`` is valid by the question's schema where ``status`` is answered, and
    the reason otherwise.
    """

    key: str
    status: Status
    text: str
    model: str
    usage: Usage
    cost_usd: float
