"""Will it break when it runs? Calls that can fail, values that can be nil, loops that hang, names that mean nothing."""

from luau_rft.scorers.base import Rule, Rules, Score
from luau_rft.scorers.checks import conditions, failing, loops, names, nils

RULES = Rules(
    "bugs",
    [
        Rule(failing.unprotected_call, 0.2, 0.4, "Calls to distant services fail at times and then end the thread."),
        Rule(failing.ignored_pcall, 0.1, 0.2, "A pcall whose result nobody reads hides the failure."),
        Rule(failing.empty_pcall, 0.1, 0.2, "A pcall around nothing protects nothing."),
        Rule(
            nils.nil_index,
            0.15,
            0.45,
            "What is nil at times cannot be indexed then.",
        ),
        Rule(loops.endless_loop, 0.5, 0.5, "A loop that never yields freezes the game until the script is ended."),
        Rule(names.undefined_global, 0.2, 0.6, "A name that is defined nowhere is nil."),
        Rule(names.global_variable, 0.05, 0.15, "A global outlives its block and is slower than a local."),
        Rule(names.unused_variable, 0.04, 0.16, "What is never read is a leftover or a typing error."),
        Rule(names.shadowing, 0.02, 0.06, "Two variables of one name: the wrong one is easily taken."),
        Rule(conditions.unreachable_code, 0.15, 0.3, "Code that can never run is a mistake in what comes before it."),
    ],
)


def score(source: str, kind: str | None = None) -> Score:
    """1 less the penalties of what will break.

    >>> [finding.rule for finding in score("while true do workspace.Name = 'x' end").findings]
    ['endless-loop']
    """
    return RULES.score(source, kind)
