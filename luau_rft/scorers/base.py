"""What every scorer is made of: a table of rules with their penalties, and a check for each rule."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from luau_rft.luau.substance import SUBSTANCE, substantive
from luau_rft.luau.tree import Node, Tree, parse


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where a rule was broken; line and column count from 1, ``penalty`` is what it cost the score."""

    rule: str
    scorer: str
    line: int
    column: int
    message: str
    penalty: float


@dataclass(frozen=True, slots=True)
class Score:
    """``value`` in [0, 1], and the findings in the order of the text."""

    value: float
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """``penalty`` of one finding, ``limit`` of all findings of the rule together, ``why`` it matters in a sentence."""

    penalty: float
    limit: float
    why: str


# Where (a node of the tree, or a line) and what to do about it.
Hit = tuple[Node | int, str]
Check = Callable[[Tree, str | None], Iterable[Hit]]


class Rules:
    """The rules of one scorer.

    A check is a function of the tree and the kind of script that yields hits; it is tied to its rule by its name.
    Code that does little cannot do much wrong: unless ``needs_substance`` is off, a score starts from ``credit``.
    """

    def __init__(self, scorer: str, table: dict[str, Rule], needs_substance: bool = True):
        self.scorer = scorer
        self.table = table
        self.needs_substance = needs_substance
        self.checks: dict[str, Check] = {}

    def check(self, function: Check) -> Check:
        """Register the check of the rule that is named like the function, with ``-`` for ``_``."""
        rule = function.__name__.replace("_", "-")
        if rule not in self.table:
            raise KeyError(f"{self.scorer}: no rule {rule} in the table")
        self.checks[rule] = function
        return function

    def score(self, source: str, kind: str | None = None, start: float = 1.0) -> Score:
        """``start`` less the penalties of all findings, at least 0."""
        tree = parse(source)
        if self.needs_substance:
            start *= credit(tree)
        hits = [(rule, *_place(tree, where), text) for rule, where, text in self._hits(tree, kind)]
        hits.sort(key=lambda hit: hit[1:3])
        spent = dict.fromkeys(self.table, 0.0)
        findings = []
        for rule, line, column, text in hits:
            penalty = round(max(0.0, min(self.table[rule].penalty, self.table[rule].limit - spent[rule])), 4)
            spent[rule] += penalty
            findings.append(Finding(rule, self.scorer, line, column, text, penalty))
        return Score(round(max(0.0, start - sum(spent.values())), 4), tuple(findings))

    def _hits(self, tree: Tree, kind: str | None) -> Iterator[tuple[str, Node | int, str]]:
        for rule, check in self.checks.items():
            for where, text in check(tree, kind):
                yield rule, where, text


def credit(tree: Tree) -> float:
    """What code can be vouched for: the share of it that is Luau, less if fewer than 3 statements do something.

    >>> credit(parse("script.Parent.Name = 'Door'"))
    0.3333333333333333
    """
    readable = 1.0 if tree.compile_error is None else tree.read_share
    return readable * min(1.0, len(substantive(tree)) / SUBSTANCE)


def _place(tree: Tree, where: Node | int) -> tuple[int, int]:
    return (where, 1) if isinstance(where, int) else tree.position(where.start)
