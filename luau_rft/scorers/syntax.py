"""Does it compile? The real Luau compiler decides; for code that does not compile, how much of it is Luau."""

from luau_rft.luau.tree import parse
from luau_rft.scorers.base import Rule, Rules, Score
from luau_rft.scorers.checks import foreign

BROKEN = 0.5  # what not compiling costs; the other half is lost in proportion to what is not inside good statements

RULES = Rules(
    "syntax",
    [
        Rule(foreign.compile_error, BROKEN, BROKEN, "Code that does not compile does not run."),
        Rule(foreign.markdown, 0.1, 0.1, "A script holds code only; fences are part of a chat, not of Luau."),
        Rule(foreign.prose, 0.1, 0.1, "Sentences around the code stop it from compiling; put them into comments."),
        Rule(foreign.foreign_comment, 0.05, 0.1, "Comments start with --; // divides and # counts."),
        Rule(foreign.foreign_operator, 0.05, 0.1, "Luau writes ~=, and, or, not and += 1."),
        Rule(foreign.foreign_keyword, 0.05, 0.1, "Words of Python, JavaScript or C have another form in Luau."),
        Rule(foreign.braces, 0.05, 0.05, "Blocks end with `end`; braces make tables."),
    ],
    needs_substance=False,
)


def score(source: str, kind: str | None = None) -> Score:
    """1 for code that compiles; else at most 0.5, by the share in well-formed statements, less foreign habits.

    >>> score("local x = 1").value
    1.0
    """
    tree = parse(source)
    lost = 0.0 if tree.compile_error is None else (1 - BROKEN) * (1 - tree.read_share)
    return RULES.score(source, kind, start=1.0 - lost)
