"""What every judge takes and answers."""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from luau_rft.config import Params


class JudgeParams(Params):
    """Section ``judge``."""

    backend: Literal["execution"]
    processes: int = Field(ge=1)


@dataclass(frozen=True, slots=True)
class Judgment:
    """A judge's answer about one candidate, each number in [0, 1]; None where the judge could not decide."""

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
