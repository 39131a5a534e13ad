"""Counts tokens the way the base model does."""

from collections.abc import Callable
from pathlib import Path

from luau_rft.model.base import load_tokenizer, read_record

CountTokens = Callable[[list[str]], list[int]]


def token_counter(record: str | Path) -> CountTokens:
    """A function from texts to their numbers of tokens, without those of the chat template.

    ``record`` is ``models/base.json``. Raises ``UserError`` when it is missing.
    """
    tokenizer = load_tokenizer(read_record(record))
    return lambda texts: [len(ids) for ids in tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]]
