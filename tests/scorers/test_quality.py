import pytest

from luau_rft.scorers.quality import RULES, score

GOOD = """--!strict
-- Gives each player who touches the pad a coin, once a second at most.

local Players = game:GetService("Players")

local COOLDOWN = 1 -- seconds

local pad = script.Parent
local lastReward: { [Player]: number } = {}

local function onTouched(part: BasePart)
	local player = Players:GetPlayerFromCharacter(part.Parent)
	if not player then
		return
	end
	local now = os.clock()
	if now - (lastReward[player] or 0) < COOLDOWN then
		return
	end
	lastReward[player] = now
	player:SetAttribute("Coins", (player:GetAttribute("Coins") or 0) + 1)
end

pad.Touched:Connect(onTouched)
"""

# rule: code to put at the end of GOOD
BREAKS = {
    "few-comments": "".join(f"\npad.A{i} = {i}" for i in range(130)),
    "empty-comment": "-- set the name of the workspace\nworkspace.Name = 'a'\n",
    "too-many-comments": "".join(
        f"-- fact {i}: number {i} follows number {i - 1} in every list of numbers\n" for i in range(40)
    ),
    "todo": "-- TODO: take coins away again\n",
    "elided-code": "-- ... rest of the code\n",
    "placeholder": "error('not implemented')\n",
    "empty-function": "pad.TouchEnded:Connect(function() end)\n",
    "empty-block": "if workspace.Name == '' then\nend\n",
    "repetition": "pad.Name = 'a coin pad'\n" * 4,
    "long-function": "local function f()\n" + "".join(f"\tpad.Name = 'n{i}'\n" for i in range(70)) + "end\nf()\n",
    "deep-nesting": "if 1 then " * 6 + "pad:Destroy()" + " end" * 6 + "\n",
    "indentation": "if pad.Name == '' then\npad:Destroy()\nend\n",
    "crammed-line": "pad.Name = 'a' pad:Destroy()\n",
    "long-line": f"pad.Name = '{'a' * 120}'\n",
    "name-style": "local pad_name = pad.Name\nprint(pad_name)\n",
    "unclear-name": "local foo = pad.Name\nprint(foo)\n",
    "service-order": "local Teams = game:GetService('Teams')\nprint(Teams)\n",
    "magic-wait": "task.wait(5)\npad:Destroy()\n",
    "magic-number": "local function f(x: number)\n\treturn x * 37.5\nend\nf(1)\n",
    "debug-print": "for i = 1, 9 do\n" + "".join(f"\tprint('step {i}', i)\n" for i in range(5)) + "end\n",
}
# rule: what to replace in GOOD, and by what
CHANGES = {
    "no-comments": ("-- Gives each player who touches the pad a coin, once a second at most.\n", ""),
    "no-strict": ("--!strict\n", ""),
    "untyped": ("part: BasePart", "part"),
}


def rules_of(source):
    return [finding.rule for finding in score(source).findings]


def test_a_good_script_is_perfect():
    assert score(GOOD).value == 1.0


@pytest.mark.parametrize("rule", BREAKS)
def test_rule_broken_by_an_addition(rule):
    assert rule in rules_of(GOOD + BREAKS[rule])
    assert score(GOOD + BREAKS[rule]).value < 1.0


@pytest.mark.parametrize("rule", CHANGES)
def test_rule_broken_by_a_change(rule):
    source = GOOD.replace(*CHANGES[rule])
    assert rules_of(source) == [rule]


def test_a_directive_or_new_names_alone_move_little():
    table = RULES.rules
    assert table["no-strict"].limit + table["untyped"].limit <= 0.08
    assert table["name-style"].limit + table["unclear-name"].limit <= 0.08
    plain = GOOD.replace("--!strict\n", "")
    assert 0 < score(GOOD).value - score(plain).value <= 0.08


@pytest.mark.parametrize(
    "padding",
    [
        "-- This is the script\n",
        "-- Another part of the script starts here\n" * 10,
        "-- Leaderboards show how wealthy every participant became\n" * 10,
        "-- pad.Touched:Connect(onTouched)\n",
        "--------------------------------\n",
        "-- Gives each player who touches the pad a coin, once a second at most\n",
    ],
)
def test_padding_gains_nothing(padding):
    undocumented = GOOD.replace(*CHANGES["no-comments"])
    if "Gives" not in padding and "Leaderboards" not in padding:
        assert score(undocumented + padding).value <= score(undocumented).value
    assert score(GOOD + padding).value <= score(GOOD).value


@pytest.mark.parametrize(
    "comment",
    [
        "-- add your code here",
        "-- rest of your code",
        "-- ...",
        "-- more functions here",
        "-- handle the purchase here",
        "-- Your logic goes here",
    ],
)
def test_left_out_code_is_seen(comment):
    assert "elided-code" in rules_of(GOOD + comment + "\n")


@pytest.mark.parametrize(
    "comment",
    [
        "-- The server checks this here because clients cannot be trusted",
        "-- Players spawn here after the rest of the round",
        "--[=[\n\tTakes coins away.\n\n\t@param amount number\n]=]",
        "-- Services",
    ],
)
def test_honest_comments_are_left_alone(comment):
    assert score(GOOD + comment + "\nworkspace.Name = 'x'\n").value == 1.0
