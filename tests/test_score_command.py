"""``luau-rft score`` and ``luau-rft rules`` as people use them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from luau_rft.errors import UserError
from luau_rft.scorers.command import kind_of, score_paths
from luau_rft.scorers.composite import score_code
from luau_rft.scorers.document import rules_page
from luau_rft.scorers.listing import printable
from tests.scorers.test_quality import GOOD

ROOT = Path(__file__).parents[1]
COMMAND = str(Path(sys.executable).parent / "luau-rft")


def run(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False, **options)
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.fixture
def good_file(tmp_path):
    path = tmp_path / "pad.server.luau"
    path.write_text(GOOD)
    return path


def test_json_has_the_values_and_every_finding(good_file, capsys):
    (good_file.parent / "zero.lua").write_text("local x = = 1")
    (good_file.parent / "notes.txt").write_text("not code")
    assert score_paths([str(good_file.parent)], "json", 0.8) == 1
    good, bad = json.loads(capsys.readouterr().out)
    assert (good["path"], good["composite"]) == (str(good_file), score_code(GOOD, "server").composite)
    assert set(good) == {"path", "syntax", "api", "bugs", "quality", "composite", "cap", "data", "findings"}
    assert (good["cap"], bad["cap"]) == (None, "it does not compile: composite at most 0.5")
    assert set(bad["findings"][0]) == {"rule", "scorer", "line", "column", "message", "penalty"}


def test_text_shows_the_line_and_a_caret(good_file, capsys):
    good_file.write_text(GOOD + 'if pad then\tpad:FindFirstChild("é").Name = ""\nend\n')
    assert score_paths([str(good_file)]) == 0
    lines = capsys.readouterr().out.split("\n")
    place = next(i for i, line in enumerate(lines) if "nil-index" in line)
    assert lines[place].startswith(f"{good_file}:25:13: ")
    assert lines[place + 1].index("pad:Find") == lines[place + 2].index("^")


def test_the_caret_stands_below_wide_characters_too(tmp_path, capsys):
    (tmp_path / "a.luau").write_text('local s = "日本" if a != b then end')
    score_paths([str(tmp_path)])
    lines = capsys.readouterr().out.split("\n")
    place = next(i for i, line in enumerate(lines) if "foreign-operator" in line)
    assert lines[place + 2].index("^") == lines[place + 1].index("!=") + 2  # each of the two takes two columns


@pytest.mark.parametrize("fail_under", [0.0, 0.9, None])
def test_good_code_passes(good_file, fail_under, capsys):
    assert score_paths([str(good_file)], "text", fail_under) == 0
    assert f"composite {score_code(GOOD, 'server').composite:.2f}" in capsys.readouterr().out


@pytest.mark.parametrize(("composite", "code"), [(0.85, 0), (0.8499, 1), (float("nan"), 1)])
def test_what_is_not_at_least_the_limit_fails(composite, code, good_file, monkeypatch):
    from dataclasses import replace

    from luau_rft.scorers import command

    scores = replace(command.score_code(GOOD), composite=composite)
    monkeypatch.setattr(command, "score_code", lambda source, kind: scores)
    assert score_paths([str(good_file)], "json", 0.85) == code


@pytest.mark.parametrize("fail_under", ["nan", "-0.5", "1.01", "inf"])
def test_a_limit_that_is_no_score_is_refused(fail_under, good_file):
    done = run("score", f"--fail-under={fail_under}", str(good_file))
    assert done.returncode == 1
    assert "--fail-under" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"\x89PNG\r\n\0\0", "binary"),
        ("local x = 'é'".encode("latin-1"), "not UTF-8"),
        (b"local x = 1\n" * 900_000, "200000 characters"),
        (None, "no such file"),
    ],
)
def test_what_cannot_be_read_is_named_and_the_rest_scored(content, part, good_file, tmp_path, capsys):
    path = tmp_path / "script.luau"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=part) as raised:
        score_paths([str(path), str(good_file)], "json")
    assert str(path) in str(raised.value)
    assert [result["path"] for result in json.loads(capsys.readouterr().out)] == [str(good_file)]


def test_an_empty_folder_does_not_keep_the_rest_from_being_scored(good_file, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: no \.lua or \.luau files"):
        score_paths([str(good_file), str(tmp_path / "empty")])
    assert f"{good_file}: syntax 1.00" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "part"),
    [({"format": "xml"}, "--format"), ({"kind": "plugin"}, "--kind"), ({"jobs": 0}, "--jobs")],
)
def test_options_that_make_no_sense_are_refused(options, part):
    with pytest.raises(UserError, match=part):
        score_paths(["-"], **options)


def test_an_empty_file_gets_a_result(tmp_path, capsys):
    (tmp_path / "empty.luau").touch()
    assert score_paths([str(tmp_path)], "text", 0.5) == 1
    assert "fewer than 3 statements" in capsys.readouterr().out


def test_pipes_devices_and_links_in_a_circle_do_not_hang(tmp_path, good_file):
    os.mkfifo(tmp_path / "pipe.luau")
    (tmp_path / "circle.luau").symlink_to("circle.luau")
    (tmp_path / "up").symlink_to(tmp_path)
    done = run("score", "--format", "json", str(tmp_path), "/dev/zero")
    assert done.returncode == 1
    assert [result["path"] for result in json.loads(done.stdout)] == [str(good_file)]
    assert "pipe.luau: neither a file nor a folder" in done.stderr
    assert "circle.luau: cannot be read" in done.stderr
    assert "/dev/zero: neither a file nor a folder" in done.stderr


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n").encode(),
        GOOD.replace("\n", "\r").encode(),
        b"local a = 1\x0c\x0blocal b = 2\n",
        b"local a = 1\0local b = 2",
        b"local a = '" + b"x" * 150_000 + b"' = ",
        b"(" * 150_000,
        b"{" * 50_000 + b"}" * 50_000,
        b"local a = " + b"-" * 3 + b"not " * 40_000 + b"1",
        "x = \u202e\ud7ff\U0010ffff != 日本".encode(),
    ],
)
def test_strange_files_get_a_result(source, tmp_path, capsys):
    (tmp_path / "a.luau").write_bytes(source)
    for format in ("text", "json", "sarif"):
        assert score_paths([str(tmp_path)], format) == 0
        assert capsys.readouterr().out


def test_hostile_text_cannot_command_the_terminal(tmp_path):
    name = tmp_path / "[red]\x1b[2J\udcff.luau"
    name.write_text("\x1b]0;title\x07 = [bold]x[/bold] \u202e\x9b2J\r")
    done = subprocess.run([COMMAND, "score", name, tmp_path / "none\x1b[2J"], capture_output=True, check=False)
    shown = (done.stdout + done.stderr).decode()
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert "[bold]x[/bold]" in shown
    assert r"[red]\x1b[2J\udcff.luau" in shown


@pytest.mark.parametrize("text", ["", "plain é 日本", "\0\a\x1b\x7f\x9b\u2028\u202e\ud800\n\r\t"])
def test_printable_text_stays_and_all_else_is_escaped(text):
    assert printable(text).isprintable()
    assert (printable(text) == text) == text.isprintable()


def test_colours_are_for_terminals_and_can_be_asked_for(good_file):
    (good_file.parent / "bad.luau").write_text("x = = 1")
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    assert "\x1b" not in run("score", str(good_file.parent), env=environment).stdout
    assert "\x1b[31m" in run("score", str(good_file.parent), env=environment | {"FORCE_COLOR": "1"}).stdout
    both = environment | {"FORCE_COLOR": "1", "NO_COLOR": "1"}
    assert "\x1b" not in run("score", str(good_file.parent), env=both).stdout


@pytest.mark.parametrize("files", [1, 60])
def test_a_reader_that_stops_early_is_no_error(files, good_file, tmp_path):
    for number in range(files):
        (tmp_path / f"{number}.luau").write_text("x = != 1\n" * 200)
    with subprocess.Popen([COMMAND, "score", tmp_path], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


def test_many_files_come_in_the_same_order_from_any_number_of_processes(tmp_path, capsys):
    for number in range(70):
        (tmp_path / f"{number}.luau").write_text(f"workspace.Name = '{number}'\n" * (number % 7 * 40))
    outputs = []
    for jobs in (1, 2, 5):
        assert score_paths([str(tmp_path)], jobs=jobs) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] == outputs[2]
    assert "\n70 files: mean composite " in outputs[0]
    assert "worst: " in outputs[0]


def test_a_file_that_is_named_twice_is_scored_once(good_file, capsys):
    score_paths([str(good_file), str(good_file.parent), str(good_file)], "json")
    assert len(json.loads(capsys.readouterr().out)) == 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("src/doors.server.luau", "server"),
        ("init.client.lua", "client"),
        ("server.luau", None),
        ("doors.luau", None),
        ("doors.spec.luau", None),
        ("-", None),
    ],
)
def test_the_name_tells_the_kind(name, kind):
    assert kind_of(name) == kind


def test_the_kind_decides_what_is_on_the_wrong_side(tmp_path, capsys):
    path = tmp_path / "a.server.luau"
    path.write_text('local player = game:GetService("Players").LocalPlayer\nplayer.Name = "a"\n')

    def rules(*arguments):
        score_paths([str(path)], "json", None, *arguments)
        return {finding["rule"] for finding in json.loads(capsys.readouterr().out)[0]["findings"]}

    assert "wrong-side" in rules()
    assert "wrong-side" not in rules("client")


def test_stdin_is_scored_without_heavy_imports():
    script = (
        "import sys; from luau_rft.scorers.command import score_paths; code = score_paths(['-'], 'json');"
        "print(*sys.modules, sep='\\n', file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], input=GOOD, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)[0]["path"] == "-"
    assert not {"torch", "polars", "pydantic", "transformers", "rich"} & set(done.stderr.split("\n"))


def test_without_a_path_the_way_is_told():
    done = run("score")
    assert done.returncode == 1
    assert "files, folders, or -" in done.stderr


def test_a_rule_is_explained_without_a_path():
    done = run("score", "--explain", "bugs/endless-loop")
    assert done.returncode == 0
    assert all(part in done.stdout for part in ("endless-loop (bugs): 0.80", "Bad:", "Good:", "task.wait(1)"))


def test_the_page_of_rules_is_up_to_date():
    assert (ROOT / "docs" / "rules.md").read_text(encoding="utf-8") == rules_page(), (
        "run luau-rft rules --write docs/rules.md"
    )


def test_rules_are_listed_and_written(tmp_path):
    assert "bugs     endless-loop" in run("rules").stdout
    assert run("rules", "--write", str(tmp_path / "rules.md")).returncode == 0
    assert (tmp_path / "rules.md").read_text(encoding="utf-8") == rules_page()


def test_the_hook_fails_on_a_staged_file_of_low_score(good_file, tmp_path):
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert {"id", "name", "entry", "language"} <= set(hook)
    assert hook["language"] == "system"  # the package would bring torch into the hook's own environment
    assert all(re.search(hook["files"], name) for name in ("a.lua", "src/a.server.luau"))
    program, *arguments = [*hook["entry"].split(), *hook["args"]]
    assert program == "luau-rft"
    assert run(*arguments, str(good_file)).returncode == 0
    (tmp_path / "bad.luau").write_text("x = = 1\n")
    assert run(*arguments, str(good_file), str(tmp_path / "bad.luau")).returncode == 1


@pytest.mark.parametrize(
    "source",
    [
        "--!strict\nreturn { Speed = 16, Jump = 50 }\n",
        "--!strict\nlocal Items = {}\nItems.Sword = { price = 100 }\nreturn table.freeze(Items)\n",
        "--!strict\nexport type Item = { name: string }\nreturn nil\n",
        "--!strict\nreturn require(script.Parent.Main)\n",
    ],
)
def test_data_has_nothing_to_score_and_does_not_fail(source, tmp_path, capsys):
    path = tmp_path / "Items.luau"
    path.write_text(source)
    assert score_paths([str(path)], fail_under=0.85) == 0
    told = capsys.readouterr().out
    assert "fewer than 3 statements do something: composite at most 0.2" in told
    assert "holds data only, nothing to score" in told
    assert score_paths([str(path)], "json", 0.85) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["data"]
    assert entry["composite"] == 0.2


@pytest.mark.parametrize(
    "source",
    [
        "print('hello')\n",
        "local function f() end\nreturn f\n",
        "return require(script.Parent.Main):Start()\n",
        "return { Speed = 16, Speed = 17, Jump = Enum.Material.Gras, Dash = Enum.Material.Ston, Fly = Enum.Fly.Up }\n",
    ],
)
def test_code_and_bad_data_fail(source, tmp_path):
    path = tmp_path / "Items.luau"
    path.write_text(source)
    assert score_paths([str(path)], fail_under=0.85) == 1


def test_data_does_not_lower_the_mean(good_file, tmp_path, capsys):
    (tmp_path / "Items.luau").write_text("--!strict\nreturn { Speed = 16 }\n")
    score_paths([str(tmp_path)], fail_under=0.85)
    assert "2 files: 1 with data only, mean composite 1.00" in capsys.readouterr().out


def test_small_prices_are_told_as_they_are(good_file, capsys):
    good_file.write_text(GOOD + "workspace.Gravity = 50 workspace.Name = 'Arena'\n")
    score_paths([str(good_file)])
    assert "[quality/crammed-line] -0.015" in capsys.readouterr().out
