"""Whether code uses the Roblox API as it is: what it names exists, is current, fits and is on the right side.

Only what is certain counts: an instance's children are read like its members, so what merely is not in the database may
still be there at run time. Code that uses no Roblox API has nothing to get wrong and scores 1.
"""

from luau_rft.luau.tree import Tree, parse
from luau_rft.scorers.base import Rule, Rules, Score
from luau_rft.scorers.checks import age, existence, receivers, roblox_values, usage

RULES = Rules(
    "api",
    [
        Rule(existence.unknown_service, 0.25, 0.5, "GetService raises an error for a service that does not exist."),
        Rule(existence.unknown_class, 0.25, 0.5, "Instance.new raises an error for it."),
        Rule(existence.unknown_enum_item, 0.2, 0.5, "Reading an enum or an item that does not exist is an error."),
        Rule(existence.unknown_member, 0.2, 0.6, "Using a member that does not exist is an error."),
        Rule(
            receivers.method_with_dot,
            0.2,
            0.6,
            "A method that does not get its object raises an error.",
        ),
        Rule(receivers.called_event, 0.2, 0.6, "An event is no function: calling it raises an error."),
        Rule(receivers.function_with_colon, 0.2, 0.6, "The library takes the place of the first argument."),
        Rule(receivers.iterated_instance, 0.2, 0.4, "Looping over an instance raises an error."),
        Rule(usage.read_only_member, 0.15, 0.3, "Setting a property that scripts cannot set is an error."),
        Rule(usage.wrong_type, 0.15, 0.45, "Setting a property to a value of another type is an error."),
        Rule(usage.wrong_argument_count, 0.1, 0.3, "Missing arguments are an error; more are ignored."),
        Rule(usage.wrong_argument_type, 0.1, 0.3, "What cannot be converted is an error."),
        Rule(roblox_values.color3_new_range, 0.1, 0.2, "Every part above the range is shown as full."),
        Rule(roblox_values.suspicious_udim2_new, 0.1, 0.2, "Scale taken for offset makes things huge or invisible."),
        Rule(roblox_values.degrees_as_radians, 0.1, 0.2, "90 radians are 14 turns and a bit."),
        Rule(roblox_values.unknown_brick_color, 0.1, 0.2, "An unknown name gives a grey without a word."),
        Rule(roblox_values.sequence_keypoints, 0.15, 0.3, "A sequence that does not cover 0 to 1 is an error."),
        Rule(roblox_values.negative_wait, 0.1, 0.2, "Time does not go backwards."),
        Rule(usage.wrong_side, 0.2, 0.4, "It raises an error or does nothing on the other side."),
        Rule(age.deprecated, 0.05, 0.25, "It is slower, broken or about to go, and has a better successor."),
        Rule(age.renamed, 0.02, 0.06, "The old name still works; the new one, in Async, says that the call yields."),
        Rule(age.service_by_index, 0.03, 0.09, "game.Name fails for a service that is renamed or not yet made."),
        Rule(age.parent_argument, 0.02, 0.06, "Every property that is set after the parent is replicated."),
    ],
)


def score(source: str, kind: str | None = None) -> Score:
    """Score the use of the Roblox API; ``kind`` is server, client, module or None where it is not known.

    Code that does not compile starts from the share of it that could be read, code of little substance from less.

    >>> score('game:GetService("PlayerService")').findings[0].message
    'there is no service PlayerService'
    """
    return score_tree(parse(source), kind)


def score_tree(tree: Tree, kind: str | None = None, statements: int | None = None) -> Score:
    """The same for source that is parsed already; ``statements`` as in ``Rules.score``."""
    return RULES.score(tree, kind, statements)
