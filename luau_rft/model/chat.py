"""Streaming chat with a model: one on this machine, or one behind any server that speaks OpenAI's chat API."""

import contextlib
import os
import sys
from collections.abc import Generator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from luau_rft.config import load
from luau_rft.errors import UserError
from luau_rft.model.base import BaseRecord, HubSource, ModelParams, check_adapter, load_tokenizer, read_record
from luau_rft.model.engines.base import SamplingParams, Setup
from luau_rft.model.merge import MADE_OF, adapter_named
from luau_rft.model.prompt import SYSTEM_PROMPT, Messages, conversation, token_ids

if TYPE_CHECKING:
    from openai import OpenAI
    from transformers import PreTrainedTokenizerBase

    from luau_rft.model.engines.transformers import Decoder

TEMPERATURE = 0.7  # of the model card's snippet
TOP_P = 0.95
LOCAL_TOKENS = 256  # of an answer, where no params.yaml says
SERVED_TOKENS = 4096
CHARACTERS_A_TOKEN = 3  # of Luau, for models whose tokenizer is not here; most take four
KEY_VARIABLE = "OPENAI_API_KEY"
NO_KEY = "none"  # for servers that want none; the client refuses to send nothing

Finish = Literal["stop", "length"]
Stream = Generator[str, None, Finish]  # the pieces of an answer; it returns why the answer ended


class Chat(Protocol):
    """A model to talk to. Making one is cheap: a local model is loaded with its first answer."""

    name: str
    max_tokens: int  # of an answer
    verbatim: bool  # whether it was trained on wishes just as people write them, without further instructions

    def fits(self, messages: Messages) -> bool:
        """Whether the model can read all of ``messages`` and still give an answer of ``max_tokens``."""

    def stream(self, messages: Messages, seed: int) -> Stream:
        """The answer as it is written; to close the generator stops the model. Raises ``UserError``."""


def messages(wish: str, code: str | None = None, request: str | None = None) -> Messages:
    """The conversation about a script: the wish and, with ``code``, the script so far and what is asked about it.

    >>> [message["role"] for message in messages("A door", "print(1)", "Make it red")]
    ['system', 'user', 'assistant', 'user']
    """
    asked = [{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": wish}]
    if code is not None:
        asked += [{"role": "assistant", "content": code}, {"role": "user", "content": request or wish}]
    return asked


class LocalChat:
    """The base model, with an adapter or without. Equal seeds give equal answers."""

    verbatim = True

    def __init__(
        self,
        record: BaseRecord,
        adapter: Path | None = None,
        *,
        model_params: ModelParams,
        max_tokens: int = LOCAL_TOKENS,
        temperature: float = TEMPERATURE,
    ) -> None:
        if adapter is not None:
            check_adapter(record, adapter)
        self.name = adapter.name if adapter else record.name
        self.max_tokens = max_tokens
        self._record, self._adapter, self._params = record, adapter, model_params
        self._sampling = SamplingParams(temperature=temperature, top_p=TOP_P, max_new_tokens=max_tokens, seed=0)

    def fits(self, messages: Messages) -> bool:
        limit = getattr(self._decoder.model.config.get_text_config(), "max_position_embeddings", None)
        return limit is None or len(prompt_ids(self._tokenizer, messages)) + self.max_tokens <= limit

    def stream(self, messages: Messages, seed: int) -> Stream:
        import torch

        from luau_rft.model.engines.transformers import draw

        decoder, sampling, text = self._decoder, self._sampling, _Text(self._tokenizer)
        ids = decoder.model.generation_config.eos_token_id
        ends = {self._tokenizer.eos_token_id, *(ids if isinstance(ids, list) else [ids])}
        random = torch.rand(self.max_tokens, generator=torch.Generator().manual_seed(seed))
        prompt = tuple(prompt_ids(self._tokenizer, messages))
        drawn = None
        for uniform in random:
            with torch.inference_mode():  # never while somebody else's code runs
                logits = decoder.start([prompt]) if drawn is None else decoder.step(drawn)
                drawn = draw(logits, uniform[None].to(logits.device), sampling.temperature, sampling.top_p)
            if int(drawn) in ends:
                yield text.rest()
                return "stop"
            if piece := text.add(int(drawn)):
                yield piece
        yield text.rest()
        return "length"

    @cached_property
    def _tokenizer(self) -> "PreTrainedTokenizerBase":
        return load_tokenizer(self._record)

    @cached_property
    def _decoder(self) -> "Decoder":
        from luau_rft.model.engines.transformers import TransformersEngine, TransformersParams

        setup = Setup(self._record, self._params, self._sampling, self._tokenizer, self._adapter)
        with contextlib.redirect_stdout(sys.stderr):  # stdout may be where the code goes
            return TransformersEngine(TransformersParams(batch_size=1), setup).decoder


class _Text:
    """The text of tokens as they come: a character is given when all its bytes are there.

    Decoded are a few tokens at a time, each piece with the one before it, because what a token means to the text, such
    as a blank, depends on what it follows.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self._tokenizer = tokenizer
        self._tokens: list[int] = []
        self._before = self._told = 0  # where the last piece begins and ends

    def add(self, token: int) -> str:
        self._tokens.append(token)
        piece = self._new()
        if not piece or piece.endswith("\ufffd"):
            return ""
        self._before, self._told = self._told, len(self._tokens)
        return piece

    def rest(self) -> str:
        """What is left of a character that never became whole."""
        piece, self._told = self._new(), len(self._tokens)
        return piece

    def _new(self) -> str:
        known = self._decode(self._tokens[self._before : self._told])
        return self._decode(self._tokens[self._before :])[len(known) :]

    def _decode(self, tokens: list[int]) -> str:
        return self._tokenizer.decode(tokens, skip_special_tokens=True)


def prompt_ids(tokenizer: "PreTrainedTokenizerBase", messages: Messages) -> list[int]:
    """The tokens of a conversation up to where the answer begins.

    A conversation that only asks is what training has shown to the model, to the token. Raises ``UserError`` where the
    tokenizer has no usable chat template.
    """
    first = token_ids(tokenizer, messages[1]["content"])
    if len(messages) == 2:
        return first
    from jinja2 import TemplateError

    whole = [*conversation(tokenizer, messages[1]["content"]), *messages[2:]]
    try:
        ids = tokenizer.apply_chat_template(
            whole, tokenize=True, return_dict=False, add_generation_prompt=True, enable_thinking=False,
            date_string="01 Jan 2025", sanitize_control_tokens=True,
        )  # fmt: skip
    except (TemplateError, TypeError, ValueError) as error:
        raise UserError(
            f"params.yaml: base.name: {tokenizer.name_or_path}: its chat template takes no second question ({error}); "
            "use another instruct model, or --rounds 0"
        ) from None
    bos = tokenizer.bos_token_id
    while bos is not None and ids[:2] == [bos, bos]:
        ids = ids[1:]
    return ids if first[0] != bos or ids[:1] == [bos] else [bos, *ids]


def open_local(model: str, max_tokens: int | None = None, temperature: float = TEMPERATURE) -> LocalChat:
    """The model that ``base``, ``sft``, ``rft``, an adapter's folder or a merged model's folder means.

    How it is loaded and how long its answers get is what ``params.yaml`` says, if there is one here. An adapter's
    folder may have its ``base.json`` beside it. Raises ``UserError`` for what is not there.
    """
    here = Path("params.yaml").is_file()
    if max_tokens is None:
        max_tokens = load("generate.sampling", SamplingParams).max_new_tokens if here else LOCAL_TOKENS
    params = load("model", ModelParams) if here else ModelParams(dtype="bfloat16", quantization="none")
    settings = {"model_params": params, "max_tokens": max_tokens, "temperature": temperature}
    adapter = adapter_named(model)
    if adapter is not None and (adapter / "config.json").is_file():
        return LocalChat(_whole(adapter), **settings)
    if adapter is not None and not adapter.is_dir():
        raise UserError(
            f"--model {model}: there is no folder {adapter}; `dvc repro` trains sft and rft, `dvc pull` fetches them, "
            "or name an adapter's folder, a merged model's, or a server with --url"
        )
    beside = adapter / ".." / "base.json" if adapter else None
    record = read_record(beside if beside and beside.is_file() else "models/base.json")
    return LocalChat(record, adapter, **settings)


def _whole(folder: Path) -> BaseRecord:
    """A model in one piece, as ``luau-rft merge`` writes it. What loads it needs no more than where it is."""
    kind = "merged" if (folder / MADE_OF).is_file() else "local"
    name = f"{kind}/{folder.resolve().name.replace(' ', '-')}"
    source = HubSource(folder=str(folder))
    return BaseRecord(source="hub", name=name, license="unknown", hub=source, revision="local", files={})


class ServedChat:
    """A model behind OpenAI's chat API; equal seeds give equal answers only as far as the server keeps them."""

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        max_tokens: int = SERVED_TOKENS,
        temperature: float = TEMPERATURE,
        context: int | None = None,
        timeout_s: float = 600.0,
        retries: int = 2,
    ) -> None:
        """``model``: its name on the server; by default ``rft``, or the only one. ``context``: tokens of prompt and
        answer that it can take; None: nobody counts. ``timeout_s``: to the first and between any two pieces."""
        if not url.startswith(("http://", "https://")):
            raise UserError(f"--url {url}: is no address; write one such as http://127.0.0.1:8000/v1")
        self.max_tokens = max_tokens
        self._url, self._asked, self._temperature, self._context = url, model, temperature, context
        self._timeout_s, self._retries = timeout_s, retries

    @cached_property
    def name(self) -> str:
        if self._asked:
            return self._asked
        served = self._served() or ["rft"]  # a server that lists nothing may still answer
        if "rft" not in served and len(served) > 1:
            raise UserError(f"--model: name one of the models at {self._url}: {', '.join(served)}")
        return "rft" if "rft" in served else served[0]

    @property
    def verbatim(self) -> bool:
        return self.name in ("sft", "rft")

    def fits(self, messages: Messages) -> bool:
        if self._context is None:
            return True
        characters = sum(len(message["content"]) for message in messages)
        return characters // CHARACTERS_A_TOKEN + self.max_tokens <= self._context

    def stream(self, messages: Messages, seed: int) -> Stream:
        from openai import OpenAIError

        finish: Finish = "stop"
        answered = False
        try:
            with self._client.chat.completions.create(
                model=self.name, messages=messages, temperature=self._temperature, top_p=TOP_P,
                max_tokens=self.max_tokens, seed=seed, stream=True,
            ) as chunks:  # fmt: skip
                for chunk in chunks:
                    if not getattr(chunk, "choices", None):
                        continue
                    answered = True
                    [choice, *_] = chunk.choices
                    finish = "length" if choice.finish_reason == "length" else finish
                    if choice.delta and choice.delta.content:
                        # Half a surrogate pair is valid JSON, but no text.
                        yield choice.delta.content.encode("utf-8", "replace").decode()
        except (OpenAIError, ValueError, AttributeError, TypeError) as error:  # ValueError: said to be JSON, is none
            raise self._explained(error) from None
        if not answered:
            raise UserError(f"--url: {self._url} answered, but not in OpenAI's chat API; most addresses end in /v1")
        return finish

    @cached_property
    def _client(self) -> "OpenAI":
        from openai import OpenAI

        key = os.environ.get(KEY_VARIABLE) or NO_KEY
        if not key.isascii() or not key.isprintable() or key != key.strip():
            raise UserError(f"{KEY_VARIABLE}: holds a character that no key has, as a space or a line break at its end")
        return OpenAI(base_url=self._url, api_key=key, timeout=self._timeout_s, max_retries=self._retries)

    def _served(self) -> list[str] | None:
        """The names that the server lists; None where it lists none."""
        from openai import OpenAIError

        try:
            return sorted(str(model.id) for model in self._client.models.list().data)
        except (OpenAIError, ValueError, AttributeError, TypeError):
            return None

    def _explained(self, error: Exception) -> UserError:
        """What the user can do about a request that failed for good."""
        from openai import APIConnectionError, APIStatusError, APITimeoutError

        url, what, status = self._url, self._short(error), getattr(error, "status_code", 0)
        if isinstance(error, APITimeoutError):
            return UserError(f"--url: {url} gave no answer within {self._timeout_s:g} s; see what the server is doing")
        if isinstance(error, APIConnectionError):
            return UserError(
                f"--url: no connection to {url} ({self._short(error.__cause__ or error)}); start the server, with "
                "`luau-rft serve` for instance, or correct the address"
            )
        if status in (401, 403):
            return UserError(f"--url: {url} refused the key ({what}); set the variable {KEY_VARIABLE}")
        if status == 429:
            return UserError(f"--url: {url} refuses so many requests ({what}); wait and try again")
        served = self._served()
        if served and self.name not in served:
            return UserError(f"--model: {url} has no model {self.name}, only {', '.join(served)} ({what})")
        if status == 404 and served is None:
            return UserError(f"--url: {url} has no chat API ({what}); most addresses end in /v1")
        if isinstance(error, APIStatusError):
            return UserError(f"--url: {url} failed with HTTP {status} ({what})")
        return UserError(f"--url: {url} broke its answer off or does not speak OpenAI's chat API ({what})")

    def _short(self, what: Any) -> str:
        """On one line, without the key, which some servers repeat."""
        text, key = " ".join(str(what).split()), os.environ.get(KEY_VARIABLE)
        return (text.replace(key, "***") if key else text)[:200]
