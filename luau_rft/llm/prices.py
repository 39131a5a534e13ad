"""What a model's tokens cost: the dated table ``prices.yaml``, and how many tokens a text has."""

import json
import math
import re
from datetime import date as Date
from functools import cache
from pathlib import Path

from pydantic import Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from luau_rft.config import Params
from luau_rft.errors import UserError
from luau_rft.llm.base import Question, Usage

FILE = Path(__file__).with_name("prices.yaml")

# Claude's tokenizer is not public. About 3.5 characters make a token, and the models since Opus 4.7 need some 30 % more
# tokens for the same text. Dense code and other scripts need more: the ceiling counts bytes, and fewer of them a token.
CHARACTERS_PER_TOKEN = 2.7
BYTES_PER_TOKEN_AT_WORST = 2.0
SCHEMA_TOKENS = 400  # at most, for how the provider tells the model to follow a schema, besides the schema itself


class Long(Params):
    """Prices of a request whose prompt has more than ``tokens`` tokens."""

    tokens: int = Field(gt=0)
    input: float = Field(ge=0)
    output: float = Field(ge=0)


class Price(Params):
    """One model's line."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    read: float = Field(ge=0)
    least: int = Field(ge=0)
    above: Long | None = None
    assumed: str = ""


class Prices(Params):
    """The whole file."""

    date: Date
    source: str
    batch: float = Field(gt=0, le=1)
    write_5m: float = Field(ge=1)
    write_1h: float = Field(ge=1)
    models: dict[str, Price]


@cache
def table() -> Prices:
    """The price table. Raises ``UserError`` for one that is not valid."""
    try:
        return Prices.model_validate(YAML(typ="safe", pure=True).load(FILE.read_text(encoding="utf-8")))
    except YAMLError as error:
        raise UserError(f"{FILE}: not valid YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{FILE}: {field}: {first['msg']}, got {first['input']!r}") from None


def price(model: str) -> Price:
    """A model's line, also by its dated name (``claude-haiku-4-5-20251001``). Raises ``UserError`` without one."""
    models = table().models
    found = models.get(model) or models.get(re.sub(r"-20\d{6}$", "", model))
    if found is None:
        raise UserError(
            f"{model}: no price is known, so no budget can be kept; name one of {', '.join(models)}, or add a line for "
            f"it to {FILE}"
        )
    return found


def cost(model: str, usage: Usage, batch: bool) -> float:
    """USD of what was used, with five minutes as the cache's lifetime. Raises ``UserError`` for an unknown model.

    >>> round(cost("claude-sonnet-5-5", Usage(input=1000, cache_write=1000, cache_read=1000, output=100), True), 6)
    0.0028
    """
    line, prices = price(model), table()
    per_input, per_output = line.input, line.output
    if line.above and usage.input + usage.cache_write + usage.cache_read > line.above.tokens:
        per_input, per_output = line.above.input, line.above.output
    tokens_in = usage.input + prices.write_5m * usage.cache_write + line.read * usage.cache_read
    return (tokens_in * per_input + usage.output * per_output) * (prices.batch if batch else 1.0) / 1e6


def ceiling(model: str, question: Question, batch: bool) -> float:
    """The most USD that a question can cost: all of it written to the cache, and the longest answer."""
    schema = json.dumps(question.schema.model_json_schema()) if question.schema else ""
    size = len((question.system + question.shared + question.prompt + schema).encode(errors="replace"))
    most = math.ceil(size / BYTES_PER_TOKEN_AT_WORST) + (SCHEMA_TOKENS if schema else 0)
    return cost(model, Usage(cache_write=most, output=question.max_tokens), batch)


def tokens(text: str) -> int:
    """About how many tokens a text has.

    >>> tokens("local door = workspace.Door")
    10
    """
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def least_cached(model: str) -> int:
    """Tokens from which on the provider caches the beginning of a request."""
    return price(model).least
