"""Is it well made? Comments that say something, small functions, clear names, types, nothing left undone.

Only what is wrong costs: more comments, more lines or more functions than the code needs gain nothing.
"""

from luau_rft.luau.tree import Tree, parse
from luau_rft.scorers.base import Rule, Rules, Score
from luau_rft.scorers.checks import (
    commenting,
    completeness,
    habits,
    iterating,
    layout,
    naming,
    roblox_values,
    structure,
)

# What can be had without making the code better is cheap: comments, names, layout, types with the directive, and slight
# programs are worth at most 0.08 each.
RULES = Rules(
    "quality",
    [
        Rule(commenting.no_comments, 0.06, 0.06, "Without a word on what it is for, code has to be guessed at."),
        Rule(commenting.few_comments, 0.02, 0.02, "Long code needs more than one comment to find the way through it."),
        Rule(commenting.empty_comment, 0.03, 0.15, "A comment that repeats the code, or itself, tells nothing."),
        Rule(commenting.too_many_comments, 0.08, 0.08, "More comment than code buries the code."),
        Rule(commenting.comment_directive, 0.03, 0.06, "A directive that Luau does not read changes nothing."),
        Rule(completeness.todo, 0.15, 0.3, "A script is asked for complete."),
        Rule(completeness.elided_code, 0.3, 0.6, "Code that is left to the reader does not run."),
        Rule(completeness.placeholder, 0.2, 0.4, "A placeholder is not an implementation."),
        Rule(completeness.empty_function, 0.15, 0.3, "A function or handler without a body does nothing."),
        Rule(completeness.printing_handler, 0.1, 0.3, "A handler that only prints does nothing for the player."),
        Rule(completeness.empty_block, 0.1, 0.2, "A branch or loop without a body does nothing."),
        Rule(completeness.slight_program, 0.06, 0.06, "What does little shows little of how well it is made."),
        Rule(completeness.debug_print, 0.05, 0.05, "Prints are for finding mistakes; a finished script is quiet."),
        Rule(structure.repetition, 0.08, 0.8, "The same statement again and again asks for a loop or a function."),
        Rule(structure.repeated_block, 0.15, 0.9, "Copies of code have to be understood and changed one by one."),
        Rule(structure.long_function, 0.08, 0.24, "A function of more than 60 lines does more than one thing."),
        Rule(structure.complex_function, 0.08, 0.24, "Nobody can test or remember all ways through 25 branches."),
        Rule(structure.deep_nesting, 0.1, 0.4, "Deep nesting is hard to follow; return early instead."),
        Rule(layout.indentation, 0.02, 0.08, "Indentation shows what belongs to what."),
        Rule(layout.crammed_line, 0.015, 0.06, "One statement a line can be read, changed and debugged by line."),
        Rule(layout.long_line, 0.01, 0.02, "Long lines do not fit beside the game in Studio."),
        Rule(layout.parenthesized_condition, 0.01, 0.04, "Parentheses that do nothing make the reader look for more."),
        Rule(layout.continued_line, 0.01, 0.03, "A line that is not indented looks like a new statement."),
        Rule(naming.name_style, 0.02, 0.04, "One style of names tells variables, classes and constants apart."),
        Rule(naming.unclear_name, 0.02, 0.04, "A name of one letter or of no meaning has to be looked up."),
        Rule(naming.no_strict, 0.03, 0.03, "--!strict lets Studio find type errors before players do."),
        Rule(naming.untyped, 0.05, 0.05, "Typed parameters say what a function takes and let Studio check it."),
        Rule(habits.service_order, 0.03, 0.08, "Services stand at the top of the script, each fetched once."),
        Rule(habits.magic_wait, 0.03, 0.06, "A fixed wait only hopes that something is ready."),
        Rule(habits.magic_number, 0.02, 0.08, "A named constant says what it means, and is changed once."),
        Rule(iterating.manual_table_clone, 0.02, 0.04, "table.clone says what is done, and is faster."),
        Rule(roblox_values.manual_from_scale, 0.01, 0.03, "The shorter form says what is scale and what is offset."),
    ],
)


def score(source: str, kind: str | None = None) -> Score:
    """1 less the penalties of what is badly made.

    >>> score("--!strict").value
    0.0
    """
    return score_tree(parse(source), kind)


def score_tree(tree: Tree, kind: str | None = None, statements: int | None = None) -> Score:
    """The same for source that is parsed already; ``statements`` as in ``Rules.score``."""
    return RULES.score(tree, kind, statements)
