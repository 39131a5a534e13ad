"""The reward: what the deterministic scorers and the judge say about a candidate, as one number."""

from collections.abc import Callable, Sequence
from typing import Any, Self

from pydantic import Field, model_validator

from luau_rft.config import Params


class Weights(Params):
    """Section ``select.weights``: the shares of the composite score and of the judge; they add up to 1."""

    deterministic: float = Field(default=0.40, ge=0, le=1)
    judge: float = Field(default=0.60, ge=0, le=1)

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        if abs(self.deterministic + self.judge - 1) > 1e-9:
            raise ValueError("deterministic and judge must add up to 1")
        return self


def reward(composite: float, judge: float | None, weights: Weights | None = None) -> float | None:
    """The reward in [0, 1] of scores in [0, 1]; None where the judge could not decide.

    >>> reward(composite=0.9, judge=0.5)
    0.66
    """
    if judge is None:
        return None
    weights = weights or Weights()
    # Rounded, so that scores which make exactly 0.70 by hand also pass a threshold of 0.70.
    return round(weights.deterministic * composite + weights.judge * judge, 12)


def trl_reward(
    composite: Callable[[str, str | None], float],
    judge: Callable[[str, dict[str, Any]], float | None],
    clean: Callable[[str], str] = str.strip,
    weights: Weights | None = None,
) -> Callable[..., list[float | None]]:
    """A reward function as TRL's ``GRPOTrainer`` calls it, plain or conversational.

    ``composite(code, kind)`` and ``judge(code, row)`` answer in [0, 1], the judge None where it cannot decide: TRL
    leaves such completions out. ``row`` holds the dataset's columns; ``clean`` makes code of the model's text.

    >>> rewards = trl_reward(composite=lambda code, kind: 1.0, judge=lambda code, row: 0.5)
    >>> rewards(completions=["print(1)"], kind=["server"], task_id=["coins"])
    [0.7]
    """

    def luau_reward(completions: Sequence[Any], **columns: Any) -> list[float | None]:
        rewards = []
        for index, completion in enumerate(completions):
            code = clean(completion if isinstance(completion, str) else completion[-1]["content"])
            # Besides columns TRL passes single objects, such as trainer_state.
            row = {name: column[index] for name, column in columns.items() if isinstance(column, list)}
            rewards.append(reward(composite(code, row.get("kind")), judge(code, row), weights))
        return rewards

    return luau_reward
