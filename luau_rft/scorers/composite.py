"""All four scorers over one program, and the one number that filters, evaluation and the agent go by."""

from dataclasses import dataclass

from luau_rft.luau.substance import SUBSTANCE, substantive
from luau_rft.luau.tree import parse
from luau_rft.scorers import api, bugs, quality, syntax
from luau_rft.scorers.base import Finding

SCORERS = {"syntax": syntax.score, "api": api.score, "bugs": bugs.score, "quality": quality.score}
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
    substance (see ``luau/substance.py``).

    >>> score_code("print('hello')").composite
    0.2
    """
    if len(source) > MAX_CHARACTERS:
        message = f"{len(source)} characters; Roblox accepts scripts of up to {MAX_CHARACTERS}"
        return Scores(False, False, 0.0, 0.0, 0.0, 0.0, 0.0, (Finding("too-long", "syntax", 1, 1, message, 1.0),))
    scores = {name: scorer(source, kind) for name, scorer in SCORERS.items()}
    tree = parse(source)
    compiles = tree.compile_error is None
    has_substance = len(substantive(tree)) >= SUBSTANCE
    cap = min(1.0 if compiles else CAP_BROKEN, 1.0 if has_substance else CAP_NO_SUBSTANCE)
    mean = sum(score.value for score in scores.values()) / len(scores)
    findings = [finding for score in scores.values() for finding in score.findings]
    return Scores(
        compiles=compiles,
        has_substance=has_substance,
        **{name: score.value for name, score in scores.items()},
        composite=round(min(mean, cap), 4),
        findings=tuple(sorted(findings, key=lambda finding: (finding.line, finding.column))),
    )
