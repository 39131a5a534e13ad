import pytest

from luau_rft.scorers.syntax import score

GOOD = "local Players = game:GetService('Players')\nfor _, player in Players:GetPlayers() do\n\tplayer:Kick()\nend\n"


@pytest.mark.parametrize("source", [GOOD, "", "local x: typeof(1) = 1", "local s = [[ a != b && c ]] -- x++ // None"])
def test_what_compiles_is_right(source):
    assert score(source).value == 1.0
    assert score(source).findings == ()


def test_broken_code_gets_partial_credit_below_half():
    one_fault = score(GOOD + "local x = = 1\n")
    cut_off = score(GOOD[:-5])
    prose = score("The players of the game are kicked out when they join, as you asked.")
    assert 0.5 >= one_fault.value > 0.3
    assert 0.5 >= cut_off.value > 0
    assert prose.value == 0.0


def test_the_compilers_error_is_a_finding():
    (finding,) = score("local a = 1\nlocal b =\n").findings
    assert (finding.rule, finding.scorer, finding.line) == ("compile-error", "syntax", 3)
    assert "Expected identifier" in finding.message


@pytest.mark.parametrize(
    ("rule", "line", "word"),
    [
        ("foreign-operator", "if a != b then end", "~="),
        ("foreign-operator", "if a && b then end", "and"),
        ("foreign-operator", "if a || b then end", "or"),
        ("foreign-operator", "if !a then end", "not"),
        ("foreign-operator", "count++", "+= 1"),
        ("foreign-comment", "// gives coins", "--"),
        ("foreign-comment", "# gives coins to players", "--"),
        ("foreign-keyword", "def give(player):", "function"),
        ("foreign-keyword", "import os", "require"),
        ("foreign-keyword", "from math import floor", "require"),
        ("foreign-name", "x = None )", "nil"),
        ("foreign-name", "x = null )", "nil"),
        ("foreign-keyword", "elif x:", "elseif"),
        ("foreign-keyword", "const x = 1;", "local"),
        ("foreign-keyword", "let x = 1;", "local"),
        ("braces", "function give(player) {", "end"),
        ("markdown", "```lua", "fence"),
        ("prose", "Sure! Here is the script that you asked for:", "--"),
    ],
)
def test_habits_of_other_languages_are_told_the_luau_way(rule, line, word):
    found = [finding for finding in score(f"{GOOD}{line}\nlocal = 1").findings if finding.rule == rule]
    assert [finding.line for finding in found] == [5]
    assert word in found[0].message
    assert found[0].penalty > 0


def test_habits_in_strings_and_comments_are_fine():
    source = '-- None && null != def f():\nlocal s = "a != b && c || !d"\nlocal x = = 1'
    assert [finding.rule for finding in score(source).findings] == ["compile-error"]
