import pytest

from luau_rft.errors import UserError
from luau_rft.scorers.base import Rule
from luau_rft.scorers.document import EXCUSES, LINTS, lint_matches, rules_page
from luau_rft.scorers.explain import all_rules, explain, explain_in_text, markdown

NAMES = {f"{tool} {lint}" for tool, lints in LINTS.items() for lint in lints}


def example(tree, kind):
    """Something ``bad``,
    in two lines.

    Bad:
        first()

        second()
    Bad:
        third()
    Good:
        ```
    Kind: client
    Like: selene almost_swapped, Luau DuplicateLocal
    """
    return ()


RULE = Rule(example, 0.1, 0.2, "It is bad.")


def test_the_docstring_is_read_by_its_sections():
    told = explain(RULE)
    assert told.what == "Something `bad`, in two lines."
    assert told.bad == ("first()\n\nsecond()", "third()")
    assert told.good == ("```",)
    assert told.kind == "client"
    assert told.like == ("selene almost_swapped", "Luau DuplicateLocal")


def test_a_rule_in_markdown_keeps_fences_apart():
    assert "````luau\n```\n````" in markdown(RULE)
    assert "Bad (client):" in markdown(RULE)


@pytest.mark.parametrize("name", ["nil-index", "bugs/nil-index", "Nil_Index"])
def test_a_rule_is_found_however_its_name_is_written(name):
    assert explain_in_text(name).startswith("nil-index (bugs): ")


@pytest.mark.parametrize(
    ("name", "near"), [("nil-indx", "nil-index"), ("undefined", "undefined-global"), ("wait", "magic-wait")]
)
def test_names_near_an_unknown_one_are_told(name, near):
    with pytest.raises(UserError, match=near):
        explain_in_text(name)


@pytest.mark.parametrize("name", ["", "qqqqqqqq", "bugs/"])
def test_an_unknown_rule_is_refused(name):
    with pytest.raises(UserError, match="there is no rule"):
        explain_in_text(name)


@pytest.mark.parametrize("id", [*all_rules(), "too-long"])
def test_every_rule_can_be_explained(id):
    assert len(explain_in_text(id)) > 50


@pytest.mark.parametrize("lint", sorted(NAMES))
def test_each_lint_of_other_tools_has_a_rule_or_an_excuse(lint):
    has_rule, has_excuse = lint in lint_matches(), lint in EXCUSES
    assert has_rule or has_excuse, "no rule is like it, and nothing says why not"
    assert not (has_rule and has_excuse), "it has a rule, so it needs no excuse"


def test_only_lints_that_exist_are_named():
    assert set(lint_matches()) | set(EXCUSES) <= NAMES


def test_the_page_has_every_rule_and_lint():
    page = rules_page()
    assert all(f"\n### {id}\n" in page for id in all_rules())
    assert all(f"| `{name.split()[1]}` | " in page for name in NAMES)
