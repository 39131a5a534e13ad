"""Questions for tests of paid answers, as a judge asks them."""

from pydantic import BaseModel, ConfigDict, Field

from luau_rft.llm.base import Question
from luau_rft.llm.batches import Pace
from luau_rft.llm.books import Spending

MODEL = "claude-sonnet-5-5"
RUBRIC = "Judge the code against the task. " * 150  # long enough to be cached
FAST = Pace(retries=3, timeout_s=5.0, poll_s=0.02, poll_most_s=0.1, settle_s=0.1)


class Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    functionality: float = Field(ge=0, le=1)
    reason: str


def question(number: int, schema: type[BaseModel] | None = Verdict, task: int | None = None) -> Question:
    shared = f"Task {number // 4 if task is None else task}: open the door. "
    return Question(f"key{number:04d}", "judge", RUBRIC, shared, f"Code {number:04d}: door:Open()", 300, schema)


def questions(count: int) -> list[Question]:
    return [question(number) for number in range(count)]


def prompt(number: int) -> str:
    return question(number).prompt


def spending(**changed: object) -> Spending:
    return Spending.model_validate({"budget_usd": 100.0, "batch_from": 20, "concurrency": 4, "now": False} | changed)
