from pathlib import Path

import pytest

from luau_rft.luau.substance import substantive_statements
from luau_rft.scorers.composite import score_code
from tests.scorers.test_quality import GOOD

MODULE = """-- A queue: the first value put in is the first one taken out.
local Queue = {}
Queue.__index = Queue

function Queue.new()
	return setmetatable({ first = 1, items = {} }, Queue)
end

function Queue:put(value)
	table.insert(self.items, value)
end

function Queue:take()
	local value = self.items[self.first]
	self.first += 1
	return value
end

return Queue
"""


@pytest.mark.parametrize("source", [GOOD, MODULE])
def test_good_code_scores_high(source):
    scores = score_code(source)
    assert scores.compiles
    assert scores.has_substance
    assert scores.composite >= 0.95


def test_a_pure_module_loses_nothing_for_being_pure():
    scores = score_code(MODULE, "module")
    assert (scores.syntax, scores.api, scores.bugs) == (1.0, 1.0, 1.0)


def test_the_references_of_the_tasks_score_high():
    references = sorted(Path("data/tasks").glob("*/*/reference.luau"))
    assert len(references) >= 20
    assert {
        path.parent.name: value for path in references if (value := score_code(path.read_text()).composite) < 0.8
    } == {}


def test_the_mean_is_capped():
    assert score_code(GOOD).composite == 1.0
    broken = score_code(GOOD + "local x = = 1\n")
    assert not broken.compiles
    assert broken.composite == 0.5 < (broken.syntax + broken.api + broken.bugs + broken.quality) / 4


@pytest.mark.parametrize(
    "source",
    [
        "",
        "-- Manages the leaderboard of every player in the game.\n" * 20,
        "local words = 'game:GetService pcall DataStoreService Connect task.wait'\nprint(words)\n",
        "local Players = game:GetService('Players')\nlocal Teams = game:GetService('Teams')\nprint(Players, Teams)\n",
        "local M = {}\nfunction M.start() end\nfunction M.stop() end\nreturn M\n",
        "local success, problem = pcall(function() end)\nif not success then\n\twarn(problem)\nend\n",
        "game:GetService('Players').PlayerAdded:Connect(function(player)\n\t-- TODO: give coins\nend)\n",
        "if false then\n\tworkspace.Name = 'a'\n\tworkspace.Gravity = 1\n\tworkspace:Destroy()\nend\n",
        "for i = 1, 10 do end\nwhile false do end\nlocal a = 1\nlocal b = a\n",
        "workspace.Name = workspace.Name\nscript.Name = script.Name\nworkspace.Gravity += 0\nworkspace.Gravity *= 1\n",
        "assert(true)\nassert(script)\nassert(workspace)\n",
    ],
)
def test_what_does_nothing_has_no_substance(source):
    scores = score_code(source)
    assert not scores.has_substance
    assert scores.composite <= 0.2


@pytest.mark.parametrize(
    "stuffing",
    [
        "pcall(function() end)\n",
        "local words = 'game:GetService pcall DataStoreService'\n",
        "local unused = game:GetService('DataStoreService')\n",
        "if false then\n\tworkspace.Name = 'a'\nend\n",
        "local function helper() end\nhelper()\n",
        "-- This line is important\n" * 5,
        "-- TODO: more\n",
        "print('done')\n",
        "pad.Name = 'a coin pad'\n" * 10,
    ],
)
def test_stuffing_gains_nothing(stuffing):
    plain = GOOD.replace("--!strict\n", "")
    assert score_code(plain + stuffing).composite <= score_code(plain).composite


@pytest.mark.parametrize(
    ("call", "statements"),
    [
        ('pcall(function()\n\tstore:SetAsync("best", 10)\nend)', 2),
        ('pcall(store.SetAsync, store, "best", 10)', 2),
        ("pcall(function() end)", 0),
        ("pcall(math.random)", 0),
    ],
)
def test_a_protected_call_counts_also_where_its_result_becomes_a_local(call, statements):
    source = f"""local store = game:GetService("DataStoreService"):GetDataStore("Scores")
local ok, message = {call}
if not ok then
	warn(message)
end"""
    assert substantive_statements(source) == statements


def test_findings_come_from_all_scorers_in_order():
    source = "local q = game:GetService('PlayerService')\nq:FindFirstChild('Door').Name = ''\nlocal x = = 1\n"
    findings = score_code(source).findings
    assert {finding.scorer for finding in findings} == {"syntax", "api", "bugs", "quality"}
    assert [finding.line for finding in findings] == sorted(finding.line for finding in findings)


@pytest.mark.parametrize(
    "source",
    [
        "(" * 30_000,
        "do " * 15_000,
        "a" + "()" * 900,
        "x = " + "(" * 900 + "1" + ")" * 900,
        "'" * 30_001,
        "\0",
        "\ud800",
    ],
)
def test_strange_text_is_scored(source):
    assert 0.0 <= score_code(source).composite <= 0.2


def test_every_way_to_cut_a_program_is_scored():
    whole = GOOD.replace("local ", "").replace("(", "=")
    for cut in range(0, len(whole), 3):
        for source in (GOOD[:cut], GOOD[cut:], whole[:cut], whole[cut:]):
            assert 0.0 <= score_code(source).composite <= 1.0


def test_a_repeating_comment_takes_no_time():
    assert score_code("-- " + "rest of the " * 15_000).composite <= 0.2


def test_a_script_longer_than_roblox_takes_scores_zero():
    scores = score_code("workspace.Name = 'a'\n" * 10_000)
    assert scores.composite == 0.0
    assert "200000" in scores.findings[0].message
