"""``luau-rft run`` and ``luau-rft judge`` as people use them."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMAND = str(Path(sys.executable).parent / "luau-rft")
SHOP = ROOT / "data/tasks/train/shop-remote"
TYPES = {
    "ok": bool, "error": dict | None, "checks": list, "output": list, "limit": str | None, "not_modelled": list,
    "virtual_seconds": float, "real_seconds": float,
}  # fmt: skip
# A plain search that compares half a text with the other half at every place of it, without ever coming back to the VM.
HANGS = 'string.find(string.rep("a", 1.6e7), string.rep("a", 8e6) .. "b", 1, true)'
CHECKS = """
return { checks = {
    { name = "passes", use = "normal", run = function(place) place:equal(workspace.Crate.Name, "Crate") end },
    { name = "fails", use = "edge", run = function(place) place:equal(1, 2, "number") end },
    { name = "asks too much", use = "abuse", run = function()
        workspace.Terrain:FillBall(Vector3.zero, 1, Enum.Material.Grass)
    end },
} }
"""
SEVERAL = """-- ServerScriptService/Greeter.server.luau
print("server", require(game.ReplicatedStorage.Words).hello)
-- StarterPlayer/StarterPlayerScripts/Panel.client.luau
print("client", game.Players.LocalPlayer.Name)
error("from the client")
-- ReplicatedStorage/Words.luau
return { hello = "hello" }
"""


def command(*arguments, **options):
    options = {"cwd": ROOT, "capture_output": True, "text": True, "timeout": 120} | options
    done = subprocess.run([COMMAND, *map(str, arguments)], **options)
    assert "Traceback (most" not in done.stdout + done.stderr
    return done


def run(source, *arguments, **options):
    return command("run", "-", *arguments, input=source, **options)


def run_json(source, *arguments):
    done = run(source, *arguments, "--format", "json")
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found.keys() == TYPES.keys()
    for key, expected in TYPES.items():
        assert isinstance(found[key], expected), key
    assert all(isinstance(line, str) for line in found["output"] + found["not_modelled"])
    return done.returncode, found


def one_error(done):
    """The message of a command that refused what it was given."""
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.fixture
def checks(tmp_path):
    path = tmp_path / "checks.luau"
    path.write_text(CHECKS)
    return path


def test_a_program_that_is_in_order():
    code, found = run_json('print("a", 1)\nwarn("b")\ntask.wait(2)\nprint("c")', "--seconds", "3")
    assert code == 0
    assert found == {
        "ok": True, "error": None, "checks": [], "output": ["a 1", "warning: b", "c"], "limit": None,
        "not_modelled": [], "virtual_seconds": 3.0, "real_seconds": found["real_seconds"],
    }  # fmt: skip


def test_the_game_runs_no_longer_than_asked():
    assert run_json("task.wait(2) print('late')", "--seconds", "1.5")[1]["output"] == []
    assert run_json("", "--seconds", "0.001")[1]["virtual_seconds"] < 0.1


def test_an_error_has_its_message_line_and_traceback():
    code, found = run_json("local part\nlocal function f()\n\treturn part.Name\nend\nf()")
    assert code == 1
    assert found["error"] == {
        "message": "ServerScriptService.Script:3: attempt to index nil with 'Name'",
        "line": 3,
        "traceback": [
            "Script 'ServerScriptService.Script', Line 3 - function f",
            "Script 'ServerScriptService.Script', Line 5",
        ],
    }
    assert found["output"] == [f"error: {found['error']['message']}"]


def test_what_does_not_compile_is_an_error_with_its_line(checks):
    code, found = run_json("local x = 1\nlocal = 2")
    assert (code, found["ok"], found["error"]["line"], found["error"]["traceback"]) == (1, False, 2, [])
    assert "ServerScriptService.Script:2: Expected identifier" in found["error"]["message"]
    _, found = run_json("def f():\n    pass", "--checks", checks)
    assert [check["passed"] for check in found["checks"]] == [False] * 3
    assert found["error"]["line"] == 1


def test_checks_have_name_verdict_and_message(checks):
    code, found = run_json('Instance.new("Part", workspace).Name = "Crate"', "--checks", checks)
    assert code == 1
    assert found["checks"][:2] == [
        {"name": "passes", "passed": True, "message": None},
        {"name": "fails", "passed": False, "message": "number: expected 2, got 1"},
    ]
    assert found["checks"][2]["passed"] is None
    assert found["not_modelled"] == ["Terrain:FillBall"]


@pytest.mark.parametrize(
    ("source", "limit"),
    [
        ("while true do end", "time"),
        ("local t = {} while true do table.insert(t, string.rep('x', 1e6) .. #t) end", "memory"),
        ("for i = 1, 1e5 do print('0123456789') end", "output"),
        ("local function f() return 1 + f() end f()", "recursion"),
    ],
)
def test_each_limit_is_named(source, limit):
    code, found = run_json(source)
    assert (code, found["ok"], found["limit"]) == (1, False, limit)
    assert f"hit the {limit} limit: " in run(source).stdout


def test_what_hangs_in_native_code_is_killed_soon():
    start = time.monotonic()
    code, found = run_json(HANGS, "--seconds", "0.5")
    took = time.monotonic() - start
    assert (code, found["ok"], found["limit"]) == (1, False, "time")
    assert 5 < took < 20  # 5.5, and what a busy machine needs to start
    assert found["real_seconds"] < took


def test_a_program_that_hangs_under_checks_says_that_none_was_played(checks):
    done = run(HANGS, "--checks", checks, "--seconds", "0.1")
    assert done.returncode == 1
    assert "no check came to its end\nhit the time limit: " in done.stdout


def test_a_check_may_not_take_more_game_time(tmp_path):
    path = tmp_path / "checks.luau"
    path.write_text(
        'return { checks = { { name = "waits", use = "edge", run = function(place) place:advance(9) end } } }'
    )
    assert run_json("", "--checks", path, "--seconds", "10")[0] == 0
    code, found = run_json("", "--checks", path, "--seconds", "5")
    assert (code, found["limit"], found["checks"][0]["passed"]) == (1, "time", False)


def test_several_scripts_run_each_in_its_place():
    code, found = run_json(SEVERAL)
    assert code == 1
    assert found["output"][:2] == ["server hello", "client LocalPlayer"]
    assert found["error"]["line"] == 5
    assert found["error"]["message"].endswith("PlayerScripts.Panel:5: from the client")


def test_the_kind_is_asked_for_or_read_from_the_name(tmp_path, checks):
    path = tmp_path / "panel.client.luau"
    path.write_text("print(game.Players.LocalPlayer)")
    assert command("run", path).stdout.startswith("LocalPlayer\n")
    assert command("run", path, "--kind", "server").stdout.startswith("nil\n")
    assert "server, client, module" in one_error(command("run", path, "--kind", "plugin"))


def test_text_tells_the_error_where_it_happened(checks):
    done = run("local x\nprint('a')\ntask.delay(1, print, 'b')\nx.y = 1")
    assert done.returncode == 1
    assert done.stdout.split("\n")[:4] == [
        "a",
        "error: ServerScriptService.Script:4: attempt to index nil with 'y'",
        "    Script 'ServerScriptService.Script', Line 4",
        "b",
    ]
    done = run('Instance.new("Part", workspace).Name = "Crate"', "--checks", checks)
    assert "passed: passes\nFAILED: fails (number: expected 2, got 1)\nunknown: asks too much" in done.stdout
    assert "\n1 of 3 checks passed\nnot modelled: Terrain:FillBall\n" in done.stdout


def test_an_empty_program_does_nothing():
    code, found = run_json("")
    assert (code, found["ok"], found["output"]) == (0, True, [])


def test_hostile_output_is_shown_harmlessly():
    source = r'print("\27[2J\7\0\u{202E}", "two\nlines\r", "\255\254")'
    shown = run(source).stdout
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert "lines\\r" in shown.split("\n")[1]
    _, found = run_json(source)
    assert found["output"][0].startswith("\x1b[2J\x07\0")


def test_ten_megabytes_of_output_are_cut():
    source = 'local s = string.rep("x", 1000) for i = 1, 1e4 do print(s) end'
    done = run(source)
    assert len(done.stdout) < 70_000
    assert "hit the output limit" in done.stdout
    assert len(json.dumps(run_json(source)[1])) < 80_000
    assert run_json('print(string.rep("x", 1e7))')[1]["limit"] == "output"


def test_a_terminal_that_knows_only_ascii():
    done = run('print("日本")', env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert done.stdout.startswith("\\u65e5\\u672c\n")


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "3601"])
def test_senseless_seconds_are_refused(seconds):
    assert "--seconds: " in one_error(run("", "--seconds", seconds))


def test_what_is_no_option_is_refused_by_the_command():
    assert run("", "--seconds", "soon").returncode == 2
    assert command("run").returncode == 2
    assert "text, json" in one_error(run("", "--format", "yaml"))


def test_files_that_cannot_be_read_are_named(tmp_path):
    binary = tmp_path / "binary.luau"
    binary.write_bytes(b"\0\1\xff")
    for path, words in ((tmp_path / "none.luau", "no such file"), (tmp_path, "a folder"), (binary, "a binary file")):
        for arguments in (("run", path), ("run", SHOP / "reference.luau", "--checks", path), ("judge", SHOP, path)):
            message = one_error(command(*arguments))
            assert str(path) in message
            assert words in message


@pytest.mark.parametrize(
    ("checks", "problem"),
    [
        ("", "returns no checks"),
        ("return {", "checks:1: Expected"),
        ("error('no luck')", "checks:1: no luck"),
        ("while true do end", "did not come to an end"),
        ("return { setup = function() while true do end end, checks = { { name = 'a', use = 'edge', run = print } } }",
         "did not come to an end"),
    ],
)  # fmt: skip
def test_broken_checks_are_named(tmp_path, checks, problem):
    path = tmp_path / "checks.luau"
    path.write_text(checks)
    message = one_error(run("print(1)", "--checks", path))
    assert message.startswith(f"error: {path}: ")
    assert problem in message


def test_the_standard_input_holds_one_file():
    assert "--checks: -" in one_error(run("print(1)", "--checks", "-"))
    done = command("run", SHOP / "reference.luau", "--checks", "-", input=(SHOP / "checks.luau").read_text())
    assert (done.returncode, "8 of 8 checks passed" in done.stdout) == (0, True)


def test_judge_tells_the_values_and_the_reason():
    done = command("judge", "shop-remote", SHOP / "reference.luau")
    assert done.returncode == 0
    first, second, third = done.stdout.splitlines()
    assert first == "shop-remote: functionality 1.00, correctness 1.00, completeness 1.00: judge 1.00"
    assert second.startswith("composite ")
    assert third == "Passed 8 of 8 checks."

    judged = json.loads(command("judge", SHOP, SHOP / "reference.luau", "--format", "json").stdout)
    assert (judged["task"], judged["value"], judged["checks_total"]) == ("shop-remote", 1, 8)
    assert judged["reward"] == pytest.approx(0.4 * judged["composite"] + 0.6)


def test_judge_refuses_what_is_no_program_and_names_what_it_does_not_know():
    done = command("judge", "shop-remote", "-", input="this is ( no Luau")
    assert (done.returncode, "judge 0.00" in done.stdout, "It does not compile." in done.stdout) == (0, True, True)
    assert "no such task" in one_error(command("judge", "shop-remot", "-", input=""))
    assert "text, json" in one_error(command("judge", "shop-remote", "-", "--format", "xml", input=""))


def test_judge_says_that_a_hanging_program_passed_nothing():
    source = f"local Players = game:GetService('Players')\nworkspace.Name = Players.Name\nprint({HANGS})\n"
    judged = json.loads(command("judge", "lava-floor", "-", "--format", "json", input=source * 2).stdout)
    assert (judged["value"], judged["checks_passed"], judged["checks_total"]) == (0, 0, 5)
