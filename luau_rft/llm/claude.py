"""Claude, by the anthropic SDK: direct requests and Message Batches.

``ANTHROPIC_API_KEY`` and ``ANTHROPIC_BASE_URL`` are read as the SDK reads them.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from luau_rft.errors import UserError
from luau_rft.llm import prices
from luau_rft.llm.base import Answer, Question, Usage
from luau_rft.llm.batches import Batches, Pace
from luau_rft.llm.books import Books, Spending
from luau_rft.llm.direct import ask_directly, by_shared_part
from luau_rft.llm.faults import Who, attribute, explained, usable_key
from luau_rft.llm.reply import Again, Job, Reply, judged

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

KEY = "ANTHROPIC_API_KEY"


@dataclass(frozen=True, slots=True)
class Traits:
    """What the model can do."""

    structured: bool = True  # answers that follow a JSON schema
    no_thinking: str | None = None  # the value of thinking.type that turns it off, where the model thinks unasked
    most_tokens: int | None = None  # of an answer


class Claude:
    """A provider of answers. Thinking is turned off where the model allows it: answers are short, and it is paid."""

    batches = True
    priced = True

    def __init__(self, model: str, pace: Pace | None = None) -> None:
        self.model = model
        self._pace = pace or Pace()

    def ceiling(self, question: Question, batch: bool) -> float:
        """The most USD that one request for the question can cost."""
        return prices.ceiling(self.model, question, batch)

    def answer(
        self, missing: list[Question], everything: list[Question], books: Books, spending: Spending, batch: bool
    ) -> None:
        """Put an answer to every missing question into the books. Raises ``UserError`` where a user must act."""
        self._warn()
        asyncio.run(self._answer(missing, everything, books, spending, batch))

    async def _answer(
        self, missing: list[Question], everything: list[Question], books: Books, spending: Spending, batch: bool
    ) -> None:
        with _usable_credentials():
            client, who = self._client(books)
        async with client:
            with _usable_credentials():
                session = _Session(client, who, await self._traits(client, who), everything)
            batches = Batches(
                client,
                books,
                self._pace,
                session.body,
                lambda job, message: session.value(job, message, batch=True),
                lambda job: self.ceiling(job.asked(), batch=True),
                who,
            )
            ordered = by_shared_part(missing, spending.concurrency)
            left = await batches.answer([Job.first(question) for question in ordered], batch, spending.batch_from)
            await ask_directly(
                left,
                session.request,
                lambda job: self.ceiling(job.asked(), batch=False),
                books,
                spending.concurrency,
                first_alone=session.caches,
            )

    def _client(self, books: Books) -> tuple["AsyncAnthropic", Who]:
        from anthropic import AsyncAnthropic, Timeout

        async def count_retries(request: Any, call_next: Any) -> Any:
            if request.retries_taken:
                books.retried()
            return await call_next(request)

        timeout = Timeout(self._pace.timeout_s, connect=min(10.0, self._pace.timeout_s))
        client = AsyncAnthropic(max_retries=self._pace.retries, timeout=timeout, middleware=[count_retries])
        variable = KEY if client.api_key or not client.auth_token else "ANTHROPIC_AUTH_TOKEN"
        secrets = tuple(usable_key(key, variable) for key in (client.api_key, client.auth_token) if key)
        url = str(client.base_url.copy_with(userinfo=b""))
        return client, Who(self.model, url, variable, "ANTHROPIC_BASE_URL", secrets)

    async def _traits(self, client: "AsyncAnthropic", who: Who) -> Traits:
        from anthropic import APIError, NotFoundError

        try:
            model = await client.models.retrieve(self.model)
        except (NotFoundError, ValueError):  # of a gateway without this endpoint; a request tells of unknown models
            return Traits()
        except APIError as error:
            raise explained(error, who) from None
        off = None
        if attribute(model, "capabilities.thinking.supported", False):
            for name in ("between_tools", "disabled"):
                if attribute(model, f"capabilities.thinking.types.{name}.supported", False):
                    off = name
                    break
        return Traits(
            attribute(model, "capabilities.structured_outputs.supported", True), off, attribute(model, "max_tokens")
        )

    def _warn(self) -> None:
        from anthropic.resources.messages.messages import DEPRECATED_MODELS

        if self.model in DEPRECATED_MODELS:
            print(
                f"warning: {self.model} ends on {DEPRECATED_MODELS[self.model]}; name another model in params.yaml "
                "before",
                file=sys.stderr,
            )


class _Session:
    """The requests of one run."""

    def __init__(self, client: "AsyncAnthropic", who: Who, traits: Traits, questions: list[Question]) -> None:
        self._client, self._who, self._traits = client, who, traits
        # The provider caches the beginning of a request; to write what nobody reads would only cost more.
        least = prices.least_cached(who.model)
        self._systems = {
            system
            for system, times in Counter(question.system for question in questions).items()
            if times > 1 and prices.tokens(system) >= least
        }
        self._shared = {
            (system, shared)
            for (system, shared), times in Counter((q.system, q.shared) for q in questions).items()
            if times > 1 and shared and prices.tokens(system + shared) >= least
        }
        self.caches = bool(self._systems or self._shared)

    def body(self, job: Job) -> dict[str, Any]:
        """The parameters of a request."""
        question, traits = job.question, self._traits
        system = question.system
        if question.schema is not None and not traits.structured:
            system += (
                f"\n\nAnswer with one JSON object of this schema and nothing else:\n{json.dumps(_schema(question))}"
            )
        content = []
        if question.shared:
            content.append(_block(question.shared, (question.system, question.shared) in self._shared))
        content.append(_block(question.prompt, cached=False))
        most = min(job.max_tokens, traits.most_tokens or job.max_tokens)
        body: dict[str, Any] = {
            "model": self._who.model,
            "max_tokens": most,
            "messages": [{"role": "user", "content": content}],
        }
        if system:
            body["system"] = [_block(system, question.system in self._systems)]
        if traits.no_thinking:
            body["thinking"] = {"type": traits.no_thinking}
        if question.schema is not None and traits.structured:
            body["output_config"] = {"format": {"type": "json_schema", "schema": _schema(question)}}
        return body

    async def request(self, job: Job) -> Answer | Again:
        """One direct request."""
        from anthropic import APIError

        try:
            message = await self._client.messages.create(**self.body(job))
        except APIError as error:
            raise explained(error, self._who) from None
        except ValueError:  # a body that is no JSON
            message = None
        return self.value(job, message, batch=False)

    def value(self, job: Job, message: Any, batch: bool) -> Answer | Again:
        """What a message is worth."""
        reply = _reply(message)
        return judged(job, reply, self._who.model, prices.cost(self._who.model, reply.usage, batch))


def _schema(question: Question) -> dict[str, Any]:
    from anthropic import transform_schema

    return transform_schema(question.schema)


def _block(text: str, cached: bool) -> dict[str, Any]:
    # Half a surrogate pair, which a model under judgment may have written, is no text that JSON can carry.
    block: dict[str, Any] = {"type": "text", "text": text.encode(errors="replace").decode()}
    if cached:
        block["cache_control"] = {"type": "ephemeral"}
    return block


def _reply(message: Any) -> Reply:
    """A message of the API, whose fields the SDK does not check."""
    try:
        usage = Usage(
            message.usage.input_tokens,
            message.usage.cache_creation_input_tokens or 0,
            message.usage.cache_read_input_tokens or 0,
            message.usage.output_tokens,
        )
        text = "".join(block.text for block in message.content if block.type == "text")
        reason = message.stop_reason
    except (AttributeError, TypeError):
        return Reply("what came back is no message of the API", "broken")
    if reason == "refusal":
        details = (attribute(message, f"stop_details.{name}", "") for name in ("category", "explanation"))
        return Reply(": ".join(detail for detail in details if detail), "refused", usage)
    if reason in ("max_tokens", "model_context_window_exceeded"):
        return Reply("", "truncated", usage)
    return Reply(text, "end", usage)


@contextmanager
def _usable_credentials() -> Iterator[None]:
    """What the SDK raises where it finds no key, or a URL that is none."""
    import httpx2  # anthropic's HTTP client
    from anthropic import CredentialsError

    try:
        yield
    except httpx2.InvalidURL as error:
        raise UserError(f"ANTHROPIC_BASE_URL: no URL: {error}") from None
    except (TypeError, CredentialsError) as error:
        raise UserError(f"no key for Claude: set {KEY} and run the same command again ({error})") from None
