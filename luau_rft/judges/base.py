"""What every judge is asked and answers."""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from luau_rft.config import Params
from luau_rft.luau.substance import SUBSTANCE, substantive_statements
from luau_rft.roblox.scripts import split
from luau_rft.tasks import Task


class JudgeParams(Params):
    """Section ``judge``."""

    backend: Literal["execution"]
    processes: int = Field(ge=1)  # programs that run side by side


@dataclass(frozen=True, slots=True)
class Request:
    """A candidate to judge; ``refusal`` says why it gets 0 without being looked at, if it does."""

    task: Task
    code: str
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Judgment:
    """A judge's answer, each number in [0, 1]; None where the judge could not decide."""

    functionality: float | None
    correctness: float | None
    completeness: float | None
    reason: str
    checks_passed: int = 0
    checks_total: int = 0
    checks_unknown: int = 0

    @property
    def value(self) -> float | None:
        """The mean of the three, or None."""
        parts = (self.functionality, self.correctness, self.completeness)
        return None if None in parts else sum(parts) / 3


def refusal(code: str, compiles: bool) -> str | None:
    """Why no judge looks at ``code``; None when one should."""
    if not compiles:
        return "It does not compile."
    if sum(substantive_statements(script.source) for script in split(code, "server")) < SUBSTANCE:
        return f"It has no substance: fewer than {SUBSTANCE} statements do something."
    return None
