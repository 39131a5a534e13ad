"""Is it well made? Comments that say something, small functions, clear names, types, nothing left undone.

Only what is wrong costs: more comments, more lines or more functions than the code needs gain nothing.
"""

from luau_rft.scorers.base import Rule, Rules, Score
from luau_rft.scorers.checks import commenting, completeness, habits, naming, structure

# A directive or a renaming alone is worth at most 0.08: no-strict and untyped together, and all of the names together.
RULES = Rules(
    "quality",
    [
        Rule(commenting.no_comments, 0.12, 0.12, "Without a word on what it is for, code has to be guessed at."),
        Rule(commenting.few_comments, 0.05, 0.05, "Long code needs more than one comment to find the way through it."),
        Rule(commenting.empty_comment, 0.03, 0.15, "A comment that repeats the code, or itself, tells nothing."),
        Rule(commenting.too_many_comments, 0.15, 0.15, "More comment than code buries the code."),
        Rule(completeness.todo, 0.15, 0.3, "A script is asked for complete."),
        Rule(completeness.elided_code, 0.3, 0.6, "Code that is left to the reader does not run."),
        Rule(completeness.placeholder, 0.2, 0.4, "A placeholder is not an implementation."),
        Rule(completeness.empty_function, 0.15, 0.3, "A function or handler without a body does nothing."),
        Rule(completeness.empty_block, 0.1, 0.2, "A branch or loop without a body does nothing."),
        Rule(structure.repetition, 0.08, 0.8, "The same statement again and again asks for a loop or a function."),
        Rule(structure.long_function, 0.06, 0.18, "A function of more than 60 lines does more than one thing."),
        Rule(
            structure.deep_nesting,
            0.06,
            0.18,
            "Deep nesting is hard to follow; return early instead.",
        ),
        Rule(structure.indentation, 0.02, 0.1, "Indentation shows what belongs to what."),
        Rule(structure.crammed_line, 0.02, 0.1, "One statement a line can be read, changed and debugged by line."),
        Rule(structure.long_line, 0.01, 0.05, "Long lines do not fit beside the game in Studio."),
        Rule(naming.name_style, 0.02, 0.04, "One style of names tells variables, classes and constants apart."),
        Rule(naming.unclear_name, 0.02, 0.04, "A name of one letter or of no meaning has to be looked up."),
        Rule(naming.no_strict, 0.03, 0.03, "--!strict lets Studio find type errors before players do."),
        Rule(naming.untyped, 0.05, 0.05, "Typed parameters say what a function takes and let Studio check it."),
        Rule(habits.service_order, 0.03, 0.09, "Services stand at the top of the script, each fetched once."),
        Rule(habits.magic_wait, 0.04, 0.08, "A fixed wait only hopes that something is ready."),
        Rule(habits.magic_number, 0.01, 0.05, "A named constant says what it means, and is changed once."),
        Rule(completeness.debug_print, 0.05, 0.05, "Prints are for finding mistakes; a finished script is quiet."),
    ],
)


def score(source: str, kind: str | None = None) -> Score:
    """1 less the penalties of what is badly made.

    >>> score("--!strict").value
    0.0
    """
    return RULES.score(source, kind)
