"""Will it break when it runs? Calls that can fail, values that can be nil, loops that hang, names that mean nothing."""

from luau_rft.luau.tree import Tree, parse
from luau_rft.scorers.base import Rule, Rules, Score
from luau_rft.scorers.checks import (
    calling,
    conditions,
    events,
    failing,
    fields,
    formats,
    iterating,
    loops,
    names,
    nils,
    remotes,
    roblox_values,
    sequences,
    values,
    variables,
)

RULES = Rules(
    "bugs",
    [
        Rule(failing.unprotected_call, 0.2, 0.6, "Calls to distant services fail at times and then end the thread."),
        Rule(failing.ignored_pcall, 0.1, 0.2, "A pcall whose result nobody reads hides the failure."),
        Rule(failing.unchecked_result, 0.1, 0.2, "After a failure the result is the error message."),
        Rule(failing.empty_pcall, 0.1, 0.2, "A pcall around nothing protects nothing."),
        Rule(failing.wait_in_loop, 0.03, 0.06, "One missing child holds up all the others for ever."),
        Rule(nils.nil_index, 0.15, 0.45, "What is nil at times raises an error when it is used then."),
        Rule(nils.assumed_child, 0.1, 0.2, "Most of what touches a part is no character, and has no Humanoid."),
        Rule(loops.endless_loop, 0.8, 0.8, "A loop that never yields freezes the game until the script is ended."),
        Rule(calling.endless_recursion, 0.3, 0.3, "A function that always calls itself ends in a stack overflow."),
        Rule(calling.mismatched_arg_count, 0.1, 0.3, "An argument left out is nil; one too many is never seen."),
        Rule(calling.lua_argument_count, 0.1, 0.3, "An argument left out is an error; one too many is ignored."),
        Rule(calling.missing_return_value, 0.15, 0.3, "What a function does not return is nil."),
        Rule(calling.implicit_return, 0.03, 0.06, "What runs off the end of a function gives no value, not even nil."),
        Rule(formats.format_string, 0.15, 0.3, "A malformed format or pattern is an error when it is used."),
        Rule(sequences.for_range, 0.15, 0.3, "A loop whose bounds are the wrong way round never runs."),
        Rule(sequences.off_by_one, 0.15, 0.3, "Outside of its bounds a table holds nil."),
        Rule(sequences.zero_based_index, 0.15, 0.3, "Luau counts from 1, so element 0 is nil."),
        Rule(sequences.length_of_dictionary, 0.15, 0.3, "Only elements that are counted from 1 have a length."),
        Rule(sequences.ipairs_of_dictionary, 0.15, 0.3, "Where nothing is counted from 1, ipairs does nothing."),
        Rule(sequences.table_operations, 0.1, 0.3, "The table library counts from 1 and copies nothing."),
        Rule(iterating.mutating_while_iterating, 0.1, 0.2, "A loop skips elements of a table that changes under it."),
        Rule(iterating.loop_variable_assignment, 0.05, 0.1, "A numeric loop keeps its own count."),
        Rule(roblox_values.reversed_bounds, 0.15, 0.3, "An empty range is an error."),
        Rule(loops.wait_as_condition, 0.02, 0.04, "It works by accident and hides that the loop is endless."),
        Rule(events.connection_in_loop, 0.2, 0.4, "After ten rounds everything happens ten times."),
        Rule(events.connection_leak, 0.15, 0.3, "Listeners that nobody disconnects pile up while the server runs."),
        Rule(events.called_handler, 0.3, 0.6, "Nil is no function: the connection raises an error."),
        Rule(remotes.untrusted_argument, 0.15, 0.45, "Cheaters send whatever they like to the server."),
        Rule(remotes.negative_amount, 0.1, 0.1, "To take less than nothing is to give."),
        Rule(names.undefined_global, 0.2, 0.6, "A name that is defined nowhere is nil."),
        Rule(fields.misspelt_name, 0.2, 0.6, "A field that is set nowhere is nil."),
        Rule(names.global_variable, 0.05, 0.15, "A global outlives its block and is slower than a local."),
        Rule(names.builtin_global_write, 0.2, 0.4, "Every use of that name gets something else, or an error."),
        Rule(variables.unused_variable, 0.04, 0.16, "What is never read is a leftover or a typing error."),
        Rule(variables.placeholder_read, 0.04, 0.08, "A reader takes `_` for a value that is not used."),
        Rule(variables.uninitialized_local, 0.15, 0.3, "A variable without a value is nil."),
        Rule(variables.duplicate_local, 0.15, 0.3, "Of two variables of one name the first cannot be reached."),
        Rule(variables.duplicate_function, 0.15, 0.3, "The later definition replaces the earlier one without a word."),
        Rule(variables.shadowing, 0.02, 0.06, "Two variables of one name: the wrong one is easily taken."),
        Rule(conditions.unreachable_code, 0.15, 0.3, "Code that can never run is a mistake in what comes before it."),
        Rule(conditions.constant_condition, 0.1, 0.3, "A test that always ends the same way has a dead way."),
        Rule(conditions.if_same_then_else, 0.05, 0.1, "If both ways do the same, one of them is not what was meant."),
        Rule(conditions.ifs_same_cond, 0.1, 0.2, "The second test of the same never decides anything."),
        Rule(conditions.misleading_and_or, 0.1, 0.2, "What stands after `and` is false, so `or` always wins."),
        Rule(conditions.comparison_precedence, 0.15, 0.3, "It compares true or false, not what was meant."),
        Rule(conditions.type_check_inside_call, 0.15, 0.3, "The type of a comparison is always boolean."),
        Rule(conditions.wrong_type_comparison, 0.15, 0.3, "Values of two types are never equal and have no order."),
        Rule(values.constant_table_comparison, 0.15, 0.3, "Two tables are equal only if they are one and the same."),
        Rule(values.compare_nan, 0.1, 0.2, "nan is not equal to itself."),
        Rule(values.almost_swapped, 0.15, 0.3, "Both variables end up with the same value."),
        Rule(values.self_assignment, 0.05, 0.1, "It does nothing; something else was meant."),
        Rule(values.divide_by_zero, 0.1, 0.2, "The result is infinite or not a number, and spreads."),
        Rule(values.unbalanced_assignments, 0.05, 0.1, "What has no counterpart is lost or nil."),
        Rule(values.duplicate_keys, 0.1, 0.2, "The later of two values for one key replaces the earlier."),
        Rule(values.mixed_table, 0.02, 0.04, "Neither # nor a loop sees all of a table of two kinds."),
        Rule(values.bad_string_escape, 0.1, 0.2, "The string is not the one that was meant: the backslash is gone."),
        Rule(values.must_use, 0.1, 0.2, "A call that only gives back a value does nothing if that is dropped."),
        Rule(values.integer_parsing, 0.05, 0.1, "A number above 2^53 loses its last digits."),
    ],
)


def score(source: str, kind: str | None = None) -> Score:
    """1 less the penalties of what will break.

    >>> [finding.rule for finding in score("while true do workspace.Name = 'x' end").findings]
    ['endless-loop']
    """
    return score_tree(parse(source), kind)


def score_tree(tree: Tree, kind: str | None = None, statements: int | None = None) -> Score:
    """The same for source that is parsed already; ``statements`` as in ``Rules.score``."""
    return RULES.score(tree, kind, statements)
