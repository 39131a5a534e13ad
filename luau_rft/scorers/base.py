"""What every scorer is made of: a table of rules with their penalties, and a check for each rule."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from luau_rft.luau.substance import SUBSTANCE, read_share, substantive
from luau_rft.luau.tree import Node, Tree


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


# Where (a node of the tree, or a line) and what to do about it.
Hit = tuple[Node | int, str]
Check = Callable[[Tree, str | None], Iterable[Hit]]


@dataclass(frozen=True, slots=True)
class Rule:
    """``penalty`` of one finding, ``limit`` of all findings of the rule together, ``why`` it matters in a sentence.

    The check is a function of the tree and the kind of script that yields hits; its name is the rule's, and its
    docstring explains it (see ``explain.py``).
    """

    check: Check
    penalty: float
    limit: float
    why: str

    @property
    def id(self) -> str:
        return self.check.__name__.replace("_", "-")


class Rules:
    """The rules of one scorer.

    Code that does little cannot do much wrong: unless ``needs_substance`` is off, a score starts from ``credit``.
    """

    def __init__(self, scorer: str, rules: Iterable[Rule], needs_substance: bool = True):
        self.scorer = scorer
        self.rules = {rule.id: rule for rule in rules}
        self.needs_substance = needs_substance

    def score(self, tree: Tree, kind: str | None = None, statements: int | None = None, start: float = 1.0) -> Score:
        """``start`` less the penalties of all findings, at least 0.

        ``statements`` is how many statements of the whole answer do something, where ``tree`` is only a part of it.
        """
        if self.needs_substance:
            start *= credit(tree, statements)
        findings = []
        lost = 0.0
        for id, rule in self.rules.items():
            left = rule.limit
            for (line, column), text in sorted((_place(tree, where), text) for where, text in rule.check(tree, kind)):
                penalty = round(max(0.0, min(rule.penalty, left)), 4)
                left = round(left - penalty, 4)
                lost += penalty
                findings.append(Finding(id, self.scorer, line, column, text, penalty))
        findings.sort(key=lambda finding: (finding.line, finding.column))
        return Score(round(max(0.0, start - lost), 4), tuple(findings))


def credit(tree: Tree, statements: int | None = None) -> float:
    """What code can be vouched for: the share of it that is Luau, less if fewer than 3 statements do something.

    >>> from luau_rft.luau.tree import parse
    >>> credit(parse("script.Parent.Name = 'Door'"))
    0.3333333333333333
    """
    readable = 1.0 if tree.compile_error is None else read_share(tree)
    count = len(substantive(tree)) if statements is None else statements
    return readable * min(1.0, count / SUBSTANCE)


def _place(tree: Tree, where: Node | int) -> tuple[int, int]:
    return (where, 1) if isinstance(where, int) else tree.position(where.start)
