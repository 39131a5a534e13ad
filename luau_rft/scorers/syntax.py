"""Does it compile? The real Luau compiler decides; for code that does not compile, how much of it is Luau.

Habits from other languages cost a little more. Those that compile cost only where they are certain to fail.
"""

from luau_rft.luau.substance import read_share
from luau_rft.luau.tree import Tree, parse
from luau_rft.scorers.base import Rule, Rules, Score
from luau_rft.scorers.checks import broken, foreign, foreign_values

BROKEN = 0.5  # what not compiling costs; the other half is lost in proportion to what is not inside good statements

RULES = Rules(
    "syntax",
    [
        Rule(broken.compile_error, BROKEN, BROKEN, "Code that does not compile does not run."),
        Rule(broken.missing_end, 0.05, 0.05, "Every function, `if` and loop is closed by an `end` of its own."),
        Rule(broken.extra_end, 0.05, 0.05, "An `end` too many, or a block too few."),
        Rule(broken.missing_then, 0.05, 0.1, "A condition ends with `then`, the head of a loop with `do`."),
        Rule(broken.markdown, 0.1, 0.1, "A script holds code only; fences are part of a chat, not of Luau."),
        Rule(broken.prose, 0.1, 0.1, "Sentences around the code stop it from compiling; put them into comments."),
        Rule(foreign.foreign_comment, 0.05, 0.1, "Comments start with --; // divides and # counts."),
        Rule(foreign.foreign_operator, 0.05, 0.1, "Luau writes ~=, and, or, not and += 1."),
        Rule(foreign.foreign_keyword, 0.05, 0.1, "Words of Python, JavaScript or C have another form in Luau."),
        Rule(foreign.foreign_name, 0.1, 0.3, "Constants and functions of other languages are nil in Luau."),
        Rule(foreign.foreign_string, 0.05, 0.1, "Luau has other ways to fill in and to cut texts."),
        Rule(foreign.braces, 0.05, 0.05, "Blocks end with `end`; braces make tables."),
        Rule(foreign.colon_block, 0.05, 0.1, "Blocks stand between words; a colon calls a method or gives a type."),
        Rule(foreign.assigned_condition, 0.05, 0.1, "An assignment is a statement in Luau and has no value."),
        # These compile.
        Rule(foreign_values.added_string, 0.2, 0.4, "Adding a text that is no number raises an error."),
        Rule(foreign_values.foreign_method, 0.2, 0.4, "Calling what a table or text does not have raises an error."),
        Rule(foreign_values.self_without_colon, 0.2, 0.4, "Without a colon `self` is nil, and has no fields."),
    ],
    needs_substance=False,
)


def score(source: str, kind: str | None = None) -> Score:
    """1 for code that compiles; else at most 0.5, by the share in well-formed statements; less foreign habits.

    >>> score("local x = 1").value
    1.0
    """
    return score_tree(parse(source), kind)


def score_tree(tree: Tree, kind: str | None = None, statements: int | None = None) -> Score:
    """The same for source that is parsed already; ``statements`` as in ``Rules.score``."""
    lost = 0.0 if tree.compile_error is None else (1 - BROKEN) * (1 - read_share(tree))
    return RULES.score(tree, kind, statements, start=1.0 - lost)
