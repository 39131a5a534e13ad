"""All four scorers over one program, and the one number that filters, evaluation and the reward go by."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from luau_rft.luau.substance import SUBSTANCE, substantive
from luau_rft.luau.tree import Tree
from luau_rft.roblox.scripts import split
from luau_rft.scorers import api, bugs, quality, syntax
from luau_rft.scorers.base import Finding

SCORERS = {
    "syntax": syntax.score_tree,
    "api": api.score_tree,
    "bugs": bugs.score_tree,
    "quality": quality.score_tree,
}
CAP_BROKEN = 0.5
CAP_NO_SUBSTANCE = 0.2
# The limit that Studio sets to the source of a script.
MAX_CHARACTERS = 200_000


@dataclass(frozen=True, slots=True)
class Scores:
    """What the scorers say of one program; ``composite`` is their mean, capped."""

    compiles: bool
    has_substance: bool
    syntax: float
    api: float
    bugs: float
    quality: float
    composite: float
    findings: tuple[Finding, ...]


def score_code(source: str, kind: str | None = None) -> Scores:
    """Score ``source``; ``kind`` is server, client, module or None for unknown.

    The composite is the mean of the four, at most 0.5 for code that does not compile and at most 0.2 for code without
    substance (see ``luau/substance.py``). Several scripts in one text (see ``roblox/scripts.py``) are scored one by one
    and count by their length.

    >>> score_code("print('hello')").composite
    0.2
    """
    if len(source) > MAX_CHARACTERS:
        message = f"{len(source)} characters; Roblox accepts scripts of up to {MAX_CHARACTERS}"
        return Scores(False, False, 0.0, 0.0, 0.0, 0.0, 0.0, (Finding("too-long", "syntax", 1, 1, message, 1.0),))
    scripts = split(source, kind or "server")
    with _collector_paused():
        if len(scripts) == 1:
            return _score([(source, kind, 0)])
        return _score([(script.source, script.kind, script.line) for script in scripts])


def _score(parts: list[tuple[str, str | None, int]]) -> Scores:
    """Score the parts of an answer: the source, kind and line above of each."""
    trees = [Tree(source) for source, _, _ in parts]
    statements = sum(len(substantive(tree)) for tree in trees)
    compiles = all(tree.compile_error is None for tree in trees)
    length = sum(len(tree.source) for tree in trees)
    values = dict.fromkeys(SCORERS, 0.0)
    findings: list[Finding] = []
    for tree, (source, kind, line) in zip(trees, parts, strict=True):
        for name, scorer in SCORERS.items():
            score = scorer(tree, kind, statements)
            values[name] += score.value * len(source) / length if len(parts) > 1 else score.value
            findings += (
                [replace(finding, line=finding.line + line) for finding in score.findings] if line else score.findings
            )
        tree.release()
    has_substance = statements >= SUBSTANCE
    cap = min(1.0 if compiles else CAP_BROKEN, 1.0 if has_substance else CAP_NO_SUBSTANCE)
    return Scores(
        compiles=compiles,
        has_substance=has_substance,
        **{name: round(value, 4) for name, value in values.items()},
        composite=round(min(sum(values.values()) / len(values), cap), 4),
        findings=tuple(sorted(findings, key=lambda finding: (finding.line, finding.column))),
    )


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Python's collector would go over a growing tree again and again; `Tree.release` frees it in the end."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
