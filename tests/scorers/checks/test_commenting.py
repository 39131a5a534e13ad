import pytest

from luau_rft.luau.tree import parse
from luau_rft.scorers.checks import commenting

CODE = """local Players = game:GetService("Players")
Players.PlayerAdded:Connect(function(player)
	local stats = Instance.new("Folder")
	stats.Name = "leaderstats"
	stats.Parent = player
	player:SetAttribute("Coins", 10)
end)
"""


def found(check, source):
    return [message for _, message in check(parse(source), None)]


def test_a_word_on_the_purpose_is_enough():
    assert found(commenting.no_comments, CODE)
    assert not found(commenting.no_comments, "-- Every player starts with ten coins and a board for them.\n" + CODE)


@pytest.mark.parametrize(
    "filler",
    [
        "-- Whales sing under water every night of summer\n" + CODE,  # nothing to do with the code
        CODE + "-- Keeps every player safe from falling\nlocal unused = 1\n",  # at code that does nothing
        "-- local stats = Instance.new('Folder')\n" + CODE,
        CODE.replace("\tstats.Name", "\t-- stats name leaderstats\n\tstats.Name"),
    ],
)
def test_filler_is_no_comment(filler):
    assert found(commenting.no_comments, filler)


def test_a_comment_before_every_line_is_too_much():
    texts = (
        "Guards coins",
        "Protects progress",
        "Keeps boards fair",
        "Avoids a race",
        "Helps phones",
        "Ends well",
        "x",
    )
    stuffed = "".join(f"-- {text}\n{line}\n" for text, line in zip(texts, CODE.split("\n"), strict=False))
    assert found(commenting.too_many_comments, stuffed)


@pytest.mark.parametrize(
    ("source", "count"),
    [("--!strict\n--!native\n--!optimize 2\nf()", 0), ("--!nonstrcit\nf()", 1), ("f()\n--!strict", 1)],
)
def test_directives(source, count):
    assert len(found(commenting.comment_directive, source)) == count


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("local open = {} -- open[inviter][invited] = token", 0),
        ("local open = {} -- open.inviter = token", 0),
        ("local open = {} -- closed[inviter] = token", 1),
        ("local open = {} -- open = load(token)", 1),
        ("-- open[inviter] = token\nlocal open = {}", 1),
        ("open = {} -- open[inviter] = token", 1),
    ],
)
def test_a_comment_may_show_the_layout_of_the_table_beside_it(source, count):
    assert len(found(commenting.empty_comment, source)) == count
    assert not found(commenting.too_many_comments, source)


def test_a_layout_is_not_enough_of_a_comment():
    assert found(commenting.no_comments, CODE + "local coins = {} -- coins[player][stats] = leaderstats\n")
