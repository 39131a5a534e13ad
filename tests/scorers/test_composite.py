import json
import subprocess
import sys
from pathlib import Path

import pytest

from luau_rft.errors import UserError
from luau_rft.luau.substance import substantive_statements
from luau_rft.scorers.command import score_paths
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
        ('pcall(function()\n\tstore:SetAsync("best", 10)\nend)', 3),
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


@pytest.fixture
def good_file(tmp_path):
    path = tmp_path / "pad.server.luau"
    path.write_text(GOOD)
    return path


def test_command_prints_json(good_file, capsys):
    (good_file.parent / "zero.lua").write_text("local x = = 1")
    (good_file.parent / "notes.txt").write_text("not code")
    assert score_paths([str(good_file.parent)], "json", 0.8) == 1
    good, bad = json.loads(capsys.readouterr().out)
    assert (good["path"], good["composite"], good["findings"]) == (str(good_file), 1.0, [])
    assert set(good) == {"path", "syntax", "api", "bugs", "quality", "composite", "findings"}
    assert set(bad["findings"][0]) == {"rule", "scorer", "line", "column", "message", "penalty"}


def test_command_shows_the_line_and_a_caret(good_file, capsys):
    good_file.write_text(GOOD + 'if pad then\tpad:FindFirstChild("é").Name = ""\nend\n')
    assert score_paths([str(good_file)]) == 0
    lines = capsys.readouterr().out.split("\n")
    place = next(i for i, line in enumerate(lines) if "nil-index" in line)
    assert lines[place].startswith(f"{good_file}:25:13: ")
    assert lines[place + 1].index("pad:Find") == lines[place + 2].index("^")


@pytest.mark.parametrize(("fail_under", "code"), [(0.9, 0), (1.01, 1), (None, 0)])
def test_command_fails_under(good_file, fail_under, code, capsys):
    assert score_paths([str(good_file)], "text", fail_under) == code
    assert "composite 1.00" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"\x89PNG\r\n\0\0", "binary"),
        ("local x = 'é'".encode("latin-1"), "not UTF-8"),
        (b"local x = 1\n" * 900_000, "200000 characters"),
        (None, "no such file"),
    ],
)
def test_command_names_what_it_cannot_read_and_scores_the_rest(content, part, good_file, tmp_path, capsys):
    path = tmp_path / "script.luau"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=part) as raised:
        score_paths([str(path), str(good_file)], "json")
    assert str(path) in str(raised.value)
    assert [result["composite"] for result in json.loads(capsys.readouterr().out)] == [1.0]


@pytest.mark.parametrize(("arguments", "part"), [(("empty", "text"), "no .lua"), (("-", "xml"), "--format")])
def test_command_refuses_what_makes_no_sense(arguments, part, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=part):
        score_paths(arguments[:1], arguments[1])


def test_an_empty_file_gets_a_result(tmp_path, capsys):
    (tmp_path / "empty.luau").touch()
    assert score_paths([str(tmp_path)], "text", 0.5) == 1
    assert "fewer than 3 statements" in capsys.readouterr().out


def test_command_reads_stdin_without_heavy_imports():
    script = (
        "import sys; from luau_rft.scorers.command import score_paths; code = score_paths(['-'], 'json');"
        "print(*sys.modules, sep='\\n', file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], input=GOOD, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)[0]["path"] == "-"
    assert not {"torch", "polars", "pydantic", "transformers"} & set(done.stderr.split("\n"))
