"""Answers of any server that speaks OpenAI's chat API: many requests in flight, the served model picked by name."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from pydantic import Field

from luau_rft.config import Params
from luau_rft.errors import UserError
from luau_rft.model.engines.base import Advance, Answer, Request, SamplingParams, Setup
from luau_rft.model.prompt import Messages, conversation

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion

KEY_VARIABLE = "OPENAI_API_KEY"
NO_KEY = "none"  # for servers that want none; the client refuses to send nothing
SECTION = "params.yaml: generate.openai"
# Without text these are answers, too: the thinking took all tokens, or the server's filter held the text back.
WORDLESS = ("length", "content_filter")

Group = list[tuple[Request, Answer]]


class ModelNames(Params):
    """Section ``generate.openai.models``: what the server calls the pools' models."""

    base: str = Field(min_length=1)
    sft: str = Field(min_length=1)
    rft: str = Field(min_length=1)


class OpenAIParams(Params):
    """Section ``generate.openai``. The key is read from the environment variable ``OPENAI_API_KEY``."""

    url: str = Field(pattern=r"^https?://[^/\s]+")
    models: ModelNames
    concurrency: int = Field(gt=0, le=1000)  # requests in flight
    timeout_s: float = Field(gt=0)  # for the answer to one request
    retries: int = Field(ge=0)  # after a lost connection, a time-out, 429, 5xx or an answer without text


class OpenAIEngine:
    """Asks for every answer by itself; equal seeds give equal answers only as far as the server keeps them."""

    def __init__(self, params: OpenAIParams, setup: Setup) -> None:
        pool = "base" if setup.adapter is None else setup.adapter.name
        if pool not in ModelNames.model_fields:
            raise UserError(f"{SECTION}.models: has no name for {setup.adapter}; use models/sft or models/rft")
        self.batch_size = params.concurrency
        self._params = params
        self._setup = setup
        self._field = f"{SECTION}.models.{pool}"
        self._model = getattr(params.models, pool)

    def identity(self) -> list[Any]:
        return ["openai", self._model]

    def answers(self, batches: Sequence[Sequence[Request]], advance: Advance) -> Iterator[Group]:
        with asyncio.Runner() as runner:
            groups = self._groups(chain.from_iterable(batches))
            while group := runner.run(_next(groups)):
                advance(len(group) * self._setup.sampling.max_new_tokens)
                yield group

    async def _groups(self, requests: Iterator[Request]) -> AsyncIterator[Group]:
        """What is answered, as it arrives. After a failure nothing more is asked, but what is in flight is kept."""
        from openai import AsyncOpenAI

        limit, failure = self._params.concurrency, None
        async with AsyncOpenAI(
            base_url=self._params.url,
            api_key=os.environ.get(KEY_VARIABLE) or NO_KEY,
            timeout=self._params.timeout_s,
            max_retries=self._params.retries,
        ) as client:
            flying: set[asyncio.Task[tuple[Request, Answer]]] = set()
            while True:
                if failure is None:
                    flying |= {asyncio.create_task(self._ask(client, r)) for r in islice(requests, limit - len(flying))}
                if not flying:
                    break
                landed, flying = await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
                failure = failure or next((task.exception() for task in landed if task.exception()), None)
                if group := [task.result() for task in landed if task.exception() is None]:
                    yield group
            if failure is not None:
                raise failure

    async def _ask(self, client: "AsyncOpenAI", request: Request) -> tuple[Request, Answer]:
        from openai import OpenAIError

        body = arguments(self._model, conversation(self._setup.tokenizer, request.task), self._setup.sampling, request)
        for _ in range(self._params.retries + 1):
            try:
                completion = await client.chat.completions.create(**body)
            except (OpenAIError, ValueError) as error:  # ValueError: said to be JSON, but is none
                raise await self._explained(client, error) from None
            if answer := self._answer(completion):
                return request, answer
        raise UserError(
            f"{SECTION}.url: {self._params.url} answered without a text, {self._params.retries + 1} times to the same "
            f"request (task {request.task_id}, sample {request.index}): {self._short(completion)}"
        )

    def _answer(self, completion: "ChatCompletion") -> Answer | None:
        """None where the completion has no text."""
        choices = getattr(completion, "choices", None)  # a page that is no JSON arrives as a string
        message = choices[0].message if choices else None
        text, reason = (message.content, choices[0].finish_reason) if message else (None, None)
        if text is None and reason not in WORDLESS:
            return None
        text = text or ""
        usage = getattr(completion, "usage", None)
        tokens = (
            usage.completion_tokens
            if usage
            else len(self._setup.tokenizer(text, add_special_tokens=False)["input_ids"])
        )
        return Answer(text, tokens, "length" if reason == "length" else "stop")

    async def _explained(self, client: "AsyncOpenAI", error: Exception) -> UserError:
        """What the user can do about a request that failed for good."""
        from openai import APIConnectionError, APIStatusError, APITimeoutError

        url, what, status = self._params.url, self._short(error), getattr(error, "status_code", 0)
        if isinstance(error, APITimeoutError):
            return UserError(
                f"{SECTION}.timeout_s: {url} gave no answer within {self._params.timeout_s:g} s, retries included; "
                "raise it, or lower generate.openai.concurrency"
            )
        if isinstance(error, APIConnectionError):
            return UserError(
                f"{SECTION}.url: no connection to {url} ({self._short(error.__cause__)}); start the server, with "
                "`luau-rft serve` for instance, or correct the address; what was answered is kept"
            )
        if status in (401, 403):
            return UserError(f"{SECTION}.url: {url} refused the key ({what}); set the variable {KEY_VARIABLE}")
        if status == 429:
            return UserError(
                f"{SECTION}.concurrency: {url} refuses so many requests ({what}); lower it, raise "
                "generate.openai.retries, or run again later; what was answered is kept"
            )
        if isinstance(error, APIStatusError):
            served = await self._served(client)
            if served and self._model not in served:
                return UserError(f"{self._field}: {url} has no model {self._model}, only {', '.join(served)} ({what})")
            if status == 404 and served is None:
                return UserError(f"{SECTION}.url: {url} has no chat API ({what}); most addresses end in /v1")
            return UserError(f"{SECTION}.url: {url} failed with HTTP {status} ({what}); what was answered is kept")
        return UserError(f"{SECTION}.url: {url} does not speak OpenAI's chat API ({what}); most addresses end in /v1")

    async def _served(self, client: "AsyncOpenAI") -> list[str] | None:
        """The names that the server lists; None where it lists none."""
        from openai import OpenAIError

        try:
            # Once more: a server that failed closes the connection that the client keeps.
            return sorted(model.id for model in (await client.with_options(max_retries=1).models.list()).data)
        except (OpenAIError, ValueError, AttributeError, TypeError):
            return None

    def _short(self, what: Any) -> str:
        """On one line, without the key, which some servers repeat."""
        text, key = " ".join(str(what).split()), os.environ.get(KEY_VARIABLE)
        return (text.replace(key, "***") if key else text)[:200]


async def _next(groups: AsyncIterator[Group]) -> Group | None:
    return await anext(groups, None)


def arguments(model: str, messages: Messages, sampling: SamplingParams, request: Request) -> dict[str, Any]:
    """The request's body: what every OpenAI-compatible server knows."""
    return {
        "model": model,
        "messages": messages,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_new_tokens,
        "seed": request.seed,
        **({"stop": sampling.stop} if sampling.stop else {}),
    }
