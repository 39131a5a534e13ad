"""What a reply is worth: an answer, or a reason to ask again."""

from dataclasses import dataclass, replace
from typing import Literal

from pydantic import BaseModel, ValidationError

from luau_rft.errors import UserError
from luau_rft.llm.base import Answer, Question, Status, Usage

TRIES = 3  # requests for one answer, the first included, save one more with room for a longer answer


NOTHING = Usage()


@dataclass(frozen=True, slots=True)
class Job:
    """A question that is to be asked now."""

    question: Question
    max_tokens: int
    tries: int = 1  # this one included

    @classmethod
    def first(cls, question: Question) -> "Job":
        return cls(question, question.max_tokens)

    def again(self) -> "Job":
        return replace(self, tries=self.tries + 1)

    def asked(self) -> Question:
        """The question with the room that its answer has now."""
        return replace(self.question, max_tokens=self.max_tokens)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said, whoever it is. ``text`` of a refusal is its reason; ``broken`` is what no API would say."""

    text: str
    stop: Literal["end", "truncated", "refused", "broken"]
    usage: Usage = NOTHING


@dataclass(frozen=True, slots=True)
class Again:
    """A reply of no use: what to ask instead, why, and what it cost."""

    job: Job
    why: str
    usage: Usage
    cost_usd: float


def judged(job: Job, reply: Reply, model: str, cost_usd: float) -> Answer | Again:
    """What a reply is worth. Raises ``UserError`` where the server does not speak the API."""

    def answer(status: Status, text: str) -> Answer:
        return Answer(job.question.key, status, text, model, reply.usage, cost_usd)

    def again(next_job: Job, why: str) -> Again:
        return Again(next_job, why, reply.usage, cost_usd)

    # Half a surrogate pair, which JSON can carry, is no text that a table or another prompt can.
    reply = replace(reply, text=reply.text.encode(errors="replace").decode())
    if reply.stop == "refused":
        return answer("refused", reply.text or "no reason given")
    if reply.stop == "truncated":
        if job.max_tokens == job.question.max_tokens:
            return again(replace(job, max_tokens=2 * job.max_tokens), f"longer than {job.max_tokens} tokens")
        return answer("truncated", f"longer than {job.max_tokens} tokens")
    if reply.stop == "broken":
        if job.tries < TRIES:
            return again(job.again(), reply.text)
        raise UserError(f"{model}: {reply.text}, {TRIES} times; see that the server's URL is right")
    text = _without_fence(reply.text) if job.question.schema else reply.text
    fault = _fault(text, job.question.schema)
    if fault is None:
        return answer("answered", text)
    if job.tries < TRIES:
        return again(job.again(), fault)
    return answer("refused", f"{fault}, {TRIES} times")


def _without_fence(text: str) -> str:
    """JSON without the Markdown fence that models put around it."""
    lines = text.strip().splitlines()
    if len(lines) >= 3 and lines[0].startswith("```") and lines[-1].strip() == "```":
        return "\n".join(lines[1:-1])
    return text.strip()


def _fault(text: str, schema: type[BaseModel] | None) -> str | None:
    """What is wrong with an answer, in words that do not repeat it."""
    if not text.strip():
        return "empty"
    if schema is None:
        return None
    try:
        schema.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg']}" if place else first["msg"]
    return None
