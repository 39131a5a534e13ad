"""Builds the corpus: reads the sources, filters, drops duplicates and chooses what fits the token budget."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from luau_rft import tables
from luau_rft.config import Params
from luau_rft.corpus import dedup, directory, hub, npm
from luau_rft.corpus.comments import without_documentation_markup, without_license
from luau_rft.corpus.directory import DirectoryParams
from luau_rft.corpus.filters import FILTERS, Bounds, Example
from luau_rft.corpus.hub import HubParams
from luau_rft.corpus.npm import NpmParams
from luau_rft.corpus.source import SourceFile
from luau_rft.corpus.tokens import CountTokens
from luau_rft.errors import UserError

BATCH = 256  # files whose tokens are counted at a time


class CollectParams(Params):
    """Section ``collect``."""

    sources: list[Literal["npm", "hub", "directory"]] = Field(min_length=1)
    npm: NpmParams | None = None
    hub: HubParams | None = None
    directory: DirectoryParams | None = None
    bounds: Bounds
    plain_documentation: bool  # Moonwave and JSDoc comments are cut down to their prose
    near_duplicate: float = Field(gt=0, le=1)
    total_tokens: int = Field(gt=0)
    seed: int = Field(ge=0, lt=2**32)

    @model_validator(mode="after")
    def _has_sources(self) -> Self:
        for source in self.sources:
            if getattr(self, source) is None:
                raise ValueError(f"sources names {source}, so the section collect.{source} must be there")
        return self


def collect(params: CollectParams, count_tokens: CountTokens) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of the ``corpus`` table and, for each filter, rows and tokens before and after it and what it dropped.

    Raises ``UserError`` when a source cannot be read or nothing is left.
    """
    examples = list(_examples(_files(params), params.plain_documentation, count_tokens))
    funnel = {"read": size(examples)}
    for name, reason in FILTERS.items():
        examples, funnel[name] = _sift(examples, [reason(example, params.bounds) for example in examples])
    examples = _by_preference(examples, params.seed)
    verdicts = dedup.repeats([example.code for example in examples], params.near_duplicate, params.seed)
    examples, funnel["duplicates"] = _sift(examples, verdicts)
    examples, funnel["budget"] = _sift(examples, _over_budget(examples, params.total_tokens))
    if not examples:
        lost = {name: step["before"]["rows"] - step["after"]["rows"] for name, step in funnel.items() if name != "read"}
        raise UserError(
            f"params.yaml: collect: none of {funnel['read']['rows']} files passed the filters, which dropped {lost}; "
            "widen collect.bounds or name other sources"
        )
    return [_row(example) for example in examples], funnel


def size(examples: Iterable[Example]) -> dict[str, int]:
    """Rows and tokens, as the metrics state them."""
    counts = [example.tokens for example in examples]
    return {"rows": len(counts), "tokens": sum(counts)}


def _files(params: CollectParams) -> Iterator[SourceFile]:
    modules = {"npm": npm, "hub": hub, "directory": directory}
    for source in params.sources:
        yield from modules[source].read(getattr(params, source))


def _examples(files: Iterator[SourceFile], plain: bool, count_tokens: CountTokens) -> Iterator[Example]:
    pending: list[tuple[SourceFile, str]] = []

    def counted() -> Iterator[Example]:
        if pending:
            for (file, code), count in zip(pending, count_tokens([code for _, code in pending]), strict=True):
                yield Example(file, code, count)
            pending.clear()

    for file in files:
        pending.append((file, _normal(file.code, plain)))
        if len(pending) == BATCH:
            yield from counted()
    yield from counted()


def _normal(code: str, plain: bool) -> str:
    """Unix line ends, no blanks at line ends, no licence text at the top, one newline at the end."""
    code = without_license("\n".join(line.rstrip() for line in code.replace("\r\n", "\n").split("\n")))
    if plain:
        code = re.sub(r"\n{3,}", "\n\n", without_documentation_markup(code))
    return code.strip("\n") + "\n"


def _sift(examples: Sequence[Example], reasons: Sequence[str | None]) -> tuple[list[Example], dict[str, Any]]:
    kept = [example for example, reason in zip(examples, reasons, strict=True) if reason is None]
    dropped = dict(sorted(Counter(filter(None, reasons)).items()))
    return kept, {"before": size(examples), "after": size(kept), "dropped": dropped}


def _by_preference(examples: Iterable[Example], seed: int) -> list[Example]:
    """The most useful first; among equals the packages take turns, each in an order that its files' contents decide."""
    groups: dict[tuple[int, str], list[tuple[str, Example]]] = defaultdict(list)
    for example in examples:
        drawn = tables.content_hash(seed, example.code, example.file.package, example.file.path)
        groups[-example.preference, example.file.package].append((drawn, example))
    ordered = []
    for (rank, _), group in groups.items():
        for turn, (drawn, example) in enumerate(sorted(group, key=lambda pair: pair[0])):
            ordered.append((rank, turn, drawn, example))
    return [entry[-1] for entry in sorted(ordered, key=lambda entry: entry[:-1])]


def _over_budget(examples: Iterable[Example], total: int) -> list[str | None]:
    """What does not fit any more is left out; something shorter that comes later may still fit."""
    verdicts: list[str | None] = []
    for example in examples:
        fits = example.tokens <= total
        total -= example.tokens if fits else 0
        verdicts.append(None if fits else "over collect.total_tokens")
    return verdicts


def _row(example: Example) -> dict[str, Any]:
    file = example.file
    return {
        "id": tables.content_hash(example.code),
        "source": file.source,
        "package": file.package,
        "path": file.path,
        "license": file.license,
        "code": example.code,
    }
