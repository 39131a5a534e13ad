"""``luau-rft mcp install`` in homes made for it."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from luau_rft.errors import UserError
from luau_rft.studio.mcp_install import Machine, config_path, install

COMMAND = str(Path(sys.executable).parent / "luau-rft")


@pytest.fixture
def machine(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    return Machine(home, "linux", {})


def put(client, machine, *arguments, only_print=False, project="."):
    return install(client, list(arguments), Path(project), only_print, machine)


@pytest.mark.parametrize(
    ("client", "platform", "environment", "path"),
    [
        ("cursor", "linux", {}, ".cursor/mcp.json"),
        ("cursor", "win32", {"APPDATA": "elsewhere"}, ".cursor/mcp.json"),
        ("claude-code", "darwin", {}, ".claude.json"),
        ("claude-desktop", "darwin", {}, "Library/Application Support/Claude/claude_desktop_config.json"),
        ("claude-desktop", "win32", {}, "AppData/Roaming/Claude/claude_desktop_config.json"),
        ("claude-desktop", "linux", {}, ".config/Claude/claude_desktop_config.json"),
    ],
)
def test_each_client_has_its_file_on_each_platform(client, platform, environment, path, tmp_path):
    assert config_path(client, Machine(tmp_path, platform, environment)) == tmp_path / path


def test_folders_that_were_moved_are_followed(tmp_path):
    moved = {"APPDATA": str(tmp_path / "roaming"), "CLAUDE_CONFIG_DIR": str(tmp_path / "claude")}
    machine = Machine(tmp_path, "win32", moved)
    assert config_path("claude-desktop", machine) == tmp_path / "roaming/Claude/claude_desktop_config.json"
    assert config_path("claude-code", machine) == tmp_path / "claude/.claude.json"


def test_a_new_file_starts_the_server_of_this_installation(machine, tmp_path):
    [line] = put("claude-code", machine, "--model", "sft", project=tmp_path)
    content = json.loads((machine.home / ".claude.json").read_text())
    entry = content["mcpServers"].pop("luau-rft")
    assert content == {"mcpServers": {}}
    assert entry == {
        "type": "stdio",
        "command": COMMAND,
        "args": ["mcp", "--project", str(tmp_path), "--model", "sft"],
    }
    assert "backup" not in line
    started = subprocess.run(
        [entry["command"], *entry["args"]], stdin=subprocess.DEVNULL, cwd="/", capture_output=True, timeout=60
    )
    assert (started.returncode, started.stdout) == (0, b"")


def test_what_is_there_stays_and_is_backed_up(machine):
    path = machine.home / ".cursor/mcp.json"
    path.parent.mkdir()
    servers = '{"other": {"command": "x"}, "luau-rft": {"command": "old", "env": {"A": "b"}}}'
    before = f'\ufeff{{"mcpServers": {servers}, "ünicode": [1]}}'
    path.write_text(before, encoding="utf-8")
    path.chmod(0o600)
    put("cursor", machine)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["ünicode"] == [1]
    assert content["mcpServers"]["other"] == {"command": "x"}
    assert content["mcpServers"]["luau-rft"]["args"][0] == "mcp"
    assert content["mcpServers"]["luau-rft"]["env"] == {"A": "b"}
    assert list(content["mcpServers"]) == ["other", "luau-rft"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    backup = path.with_name("mcp.json.backup")
    assert backup.read_text(encoding="utf-8") == before
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600

    [line] = put("cursor", machine)
    assert "already" in line
    assert sorted(file.name for file in path.parent.iterdir()) == ["mcp.json", "mcp.json.backup"]
    put("cursor", machine, "--model", "base")
    assert backup.read_text(encoding="utf-8") == before
    assert json.loads(path.with_name("mcp.json.backup1").read_text(encoding="utf-8")) == content


def test_a_link_stays_a_link(machine, tmp_path):
    kept = tmp_path / "dotfiles.json"
    kept.write_text("{}")
    link = machine.home / ".claude.json"
    link.symlink_to(kept)
    put("claude-code", machine)
    assert link.is_symlink()
    assert "luau-rft" in json.loads(kept.read_text())["mcpServers"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"mcpServers": {', "not valid JSON"),
        (b"// a comment\n{}", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[]", "expected an object"),
        (b'{"mcpServers": []}', "mcpServers: expected an object"),
        (b'{"mcpServers": null}', "mcpServers: expected an object"),
        (b"\xff{}", "not UTF-8"),
    ],
)
def test_a_file_that_is_broken_is_refused_and_left_alone(machine, content, told):
    path = machine.home / ".claude.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=told) as refused:
        put("claude-code", machine)
    assert str(path) in str(refused.value)
    assert path.read_bytes() == content
    assert [file.name for file in machine.home.iterdir()] == [".claude.json"]


def test_one_broken_file_keeps_all_from_being_written(machine):
    (machine.home / ".cursor").mkdir()
    (machine.home / ".claude.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        put(None, machine)
    assert list((machine.home / ".cursor").iterdir()) == []


def test_without_a_name_every_client_that_is_there_gets_it(machine):
    with pytest.raises(UserError, match="no client found"):
        put(None, machine)
    (machine.home / ".cursor").mkdir()
    (machine.home / ".claude").mkdir()
    assert [line.split(":")[0] for line in put(None, machine)] == ["Claude Code", "Cursor"]
    assert not (machine.home / ".config").exists()


def test_print_writes_nothing_and_shows_json(machine):
    lines = put(None, machine, only_print=True)
    assert len(lines) == 3
    for line in lines:
        path, _, content = line.partition("\n")
        assert str(machine.home) in path
        assert json.loads(content)["mcpServers"]["luau-rft"]["command"] == COMMAND
    assert list(machine.home.iterdir()) == []


def test_an_unknown_client_is_named(machine):
    with pytest.raises(UserError, match="'emacs' is unknown; name one of claude-code, claude-desktop, cursor"):
        put("emacs", machine)


def test_the_command(tmp_path):
    environment = {"HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run(
        [COMMAND, "mcp", "install", "cursor", "--url", "http://127.0.0.1:1/v1", "--max-tokens", "9"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    [entry] = json.loads((tmp_path / ".cursor/mcp.json").read_text())["mcpServers"].values()
    assert entry["args"] == [
        "mcp", "--project", str(tmp_path), "--url", "http://127.0.0.1:1/v1", "--max-tokens", "9",
    ]  # fmt: skip
