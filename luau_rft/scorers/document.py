"""The page ``docs/rules.md``: every rule with its price and examples, and what other linters' lints have become."""

from importlib import import_module

from luau_rft.luau.substance import SUBSTANCE
from luau_rft.scorers.base import Rule
from luau_rft.scorers.composite import CAP_BROKEN, CAP_NO_SUBSTANCE
from luau_rft.scorers.explain import TOO_LONG, all_rules, explain, markdown, price

# Of selene 0.30 and of the linter that comes with Luau.
LINTS = {
    "selene": [
        "almost_swapped", "bad_string_escape", "compare_nan", "constant_table_comparison", "deprecated",
        "divide_by_zero", "duplicate_keys", "empty_if", "empty_loop", "global_usage", "high_cyclomatic_complexity",
        "if_same_then_else", "ifs_same_cond", "incorrect_standard_library_use", "invalid_lint_filter",
        "manual_table_clone", "mismatched_arg_count", "mixed_table", "multiple_statements", "must_use",
        "parenthese_conditions", "restricted_module_paths", "roblox_incorrect_color3_new_bounds",
        "roblox_incorrect_roact_usage", "roblox_manual_fromscale_or_fromoffset", "roblox_roact_dangling_connection",
        "roblox_roact_non_exhaustive_deps", "roblox_suspicious_udim2_new", "shadowing", "standard_library",
        "suspicious_reverse_loop", "type_check_inside_call", "unbalanced_assignments", "undefined_variable",
        "unscoped_variables", "unused_variable",
    ],
    "Luau": [
        "UnknownGlobal", "DeprecatedGlobal", "GlobalUsedAsLocal", "LocalShadow", "SameLineStatement",
        "MultiLineStatement", "LocalUnused", "FunctionUnused", "ImportUnused", "BuiltinGlobalWrite", "PlaceholderRead",
        "UnreachableCode", "UnknownType", "ForRange", "UnbalancedAssignment", "ImplicitReturn", "DuplicateLocal",
        "FormatString", "TableLiteral", "UninitializedLocal", "DuplicateFunction", "DeprecatedApi", "TableOperations",
        "DuplicateCondition", "MisleadingAndOr", "CommentDirective", "IntegerParsing", "ComparisonPrecedence",
        "RedundantNativeAttribute", "MisleadingCondition",
    ],
}  # fmt: skip

_ROACT = "Roact is a library that a script on its own cannot require; the tasks ask for plain instances."
# Why a lint has no rule here.
EXCUSES = {
    "selene global_usage": "Scripts may share state through `_G`; a module is better style, but nothing breaks.",
    "selene invalid_lint_filter": "It is about selene's own comments.",
    "selene restricted_module_paths": "It holds a project's own list of modules; a generated script has no project.",
    "selene roblox_incorrect_roact_usage": _ROACT,
    "selene roblox_roact_dangling_connection": _ROACT,
    "selene roblox_roact_non_exhaustive_deps": _ROACT,
    "selene standard_library": "The older name of `incorrect_standard_library_use`.",
    "Luau MisleadingCondition": "Not documented yet; what is always true or false is found by `constant-condition`.",
    "Luau RedundantNativeAttribute": "Native code changes the speed of a script, not what it does.",
}


def lint_matches() -> dict[str, list[str]]:
    """The ids of our rules by the lint, such as ``selene almost_swapped``, that they are like."""
    matches: dict[str, list[str]] = {}
    for id, (_, rule) in all_rules().items():
        for lint in explain(rule).like:
            matches.setdefault(lint, []).append(id)
    return matches


def listing() -> str:
    """A line a rule, for the terminal."""
    rules = all_rules()
    width = max(map(len, rules))
    return "\n".join(
        f"{scorer:8} {id:{width}} {price(rule.penalty):5} (at most {price(rule.limit)})  {rule.why}"
        for id, (scorer, rule) in rules.items()
    )


def rules_page() -> str:
    """The whole page in Markdown."""
    by_scorer: dict[str, list[Rule]] = {}
    for scorer, rule in all_rules().values():
        by_scorer.setdefault(scorer, []).append(rule)
    parts = [
        "# The rules of the scorers",
        "Written by `luau-rft rules --write docs/rules.md` from the tables in `luau_rft/scorers/` and the checks that "
        "they name. Each finding of a rule costs its penalty, all findings of a rule together at most its limit; a "
        "score is what is left of 1, never less than 0. `luau-rft score --explain RULE` prints a rule.",
        f"The composite is the mean of the four, at most {CAP_BROKEN} for code that does not compile, and at most "
        f"{CAP_NO_SUBSTANCE} where fewer than {SUBSTANCE} statements do something: unused code, prints, empty handlers "
        "and constants do nothing, however well they are written. `luau-rft score` says so below the values, and in "
        "`cap` of its JSON. Files that only hold constants, types or other modules (`data` in JSON) keep that low "
        "composite, as they have nothing to score; `--fail-under`, and so the pre-commit hook, goes by their findings "
        "alone.",
        f"`too-long`: {TOO_LONG}",
    ]
    for scorer, rules in by_scorer.items():
        parts += [f"## {scorer}", _introduction(scorer), _table(rules)]
        parts += [f"### {rule.id}\n\n{markdown(rule)}" for rule in rules]
    parts += [
        "## Lints of other tools",
        "What the lints of [selene](https://kampfkarren.github.io/selene/lints/index.html) and of "
        "[Luau's linter](https://luau.org/lint) are here.",
        *(_lint_table(tool) for tool in LINTS),
    ]
    return "\n\n".join(parts) + "\n"


def _introduction(scorer: str) -> str:
    """What the scorer's module says of itself."""
    return (import_module(f"luau_rft.scorers.{scorer}").__doc__ or "").strip().replace("``", "`")


def _table(rules: list[Rule]) -> str:
    rows = [f"| [{rule.id}](#{rule.id}) | {rule.penalty:g} | {rule.limit:g} | {_cell(rule.why)} |" for rule in rules]
    return "\n".join(["| rule | penalty | limit | why |", "|---|---|---|---|", *rows])


def _lint_table(tool: str) -> str:
    matches = lint_matches()
    rows = []
    for lint in LINTS[tool]:
        name = f"{tool} {lint}"
        here = ", ".join(f"[{id}](#{id})" for id in matches.get(name, ())) or _cell(EXCUSES.get(name, ""))
        rows.append(f"| `{lint}` | {here} |")
    return "\n".join([f"| {tool} | here |", "|---|---|", *rows])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
