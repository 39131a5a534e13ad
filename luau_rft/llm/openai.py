"""Any OpenAI-compatible server (vLLM, Ollama, …), by the openai SDK. ``OPENAI_API_KEY`` is sent where it is set."""

import asyncio
import os
from typing import TYPE_CHECKING, Any

from luau_rft.llm.base import Answer, Question, Usage
from luau_rft.llm.batches import Pace
from luau_rft.llm.books import Books, Spending
from luau_rft.llm.direct import ask_directly
from luau_rft.llm.faults import Who, attribute, explained, usable_key
from luau_rft.llm.reply import Again, Job, Reply, judged

if TYPE_CHECKING:
    from openai import AsyncOpenAI

KEY = "OPENAI_API_KEY"
NO_KEY = "none"  # the SDK wants one, servers of one's own do not


class OpenAI:
    """A provider of answers whose price is not known: they count as free."""

    batches = False
    priced = False

    def __init__(self, url: str, model: str, pace: Pace | None = None) -> None:
        self.url = url
        self.model = model
        self._pace = pace or Pace()

    def ceiling(self, question: Question, batch: bool) -> float:
        return 0.0

    def answer(
        self, missing: list[Question], everything: list[Question], books: Books, spending: Spending, batch: bool
    ) -> None:
        """Put an answer to every missing question into the books. Raises ``UserError`` where a user must act."""
        asyncio.run(self._answer(missing, books, spending))

    async def _answer(self, missing: list[Question], books: Books, spending: Spending) -> None:
        from openai import AsyncOpenAI, Timeout

        key = os.environ.get(KEY) or NO_KEY
        secrets = (usable_key(key, KEY),) if key != NO_KEY else ()
        who = Who(self.model, self.url, KEY, "the server's URL in params.yaml", secrets)
        timeout = Timeout(self._pace.timeout_s, connect=min(10.0, self._pace.timeout_s))
        async with AsyncOpenAI(
            api_key=key, base_url=self.url, max_retries=self._pace.retries, timeout=timeout
        ) as client:
            await ask_directly(
                [Job.first(question) for question in missing],
                lambda job: _request(client, job, who, books),
                lambda job: 0.0,
                books,
                spending.concurrency,
                first_alone=False,
            )


async def _request(client: "AsyncOpenAI", job: Job, who: Who, books: Books) -> Answer | Again:
    from openai import APIError

    question = job.question
    # Half a surrogate pair, which a model under judgment may have written, is no text that JSON can carry.
    prompt = "\n\n".join(text for text in (question.shared, question.prompt) if text).encode(errors="replace").decode()
    messages = [{"role": "user", "content": prompt}]
    if question.system:
        messages.insert(0, {"role": "system", "content": question.system})
    body: dict[str, Any] = {"model": who.model, "messages": messages, "max_tokens": job.max_tokens}
    if question.schema is not None:
        schema = {"name": question.schema.__name__, "schema": question.schema.model_json_schema()}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    try:
        raw = await client.chat.completions.with_raw_response.create(**body)
        for _ in range(raw.retries_taken):
            books.retried()
        completion = raw.parse()
    except APIError as error:
        raise explained(error, who) from None
    except ValueError:  # a body that is no JSON
        completion = None
    return judged(job, _reply(completion), who.model, 0.0)


def _reply(completion: Any) -> Reply:
    try:
        choice = completion.choices[0]
        read = attribute(completion, "usage.prompt_tokens_details.cached_tokens", 0)
        usage = Usage(
            input=attribute(completion, "usage.prompt_tokens", 0) - read,
            cache_read=read,
            output=attribute(completion, "usage.completion_tokens", 0),
        )
        refusal, text, reason = attribute(choice, "message.refusal"), choice.message.content, choice.finish_reason
    except (AttributeError, TypeError, IndexError):
        return Reply("what came back is no chat completion of the API", "broken")
    if refusal or reason == "content_filter":
        return Reply(refusal or "content filter", "refused", usage)
    if reason == "length":
        return Reply("", "truncated", usage)
    return Reply(text or "", "end", usage)
