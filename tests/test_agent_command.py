"""``luau-rft agent`` as people and programs use it, with a real server behind ``--url``."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from luau_rft.agent_command import visible
from tests.servers.chat_server import ChatServer
from tests.test_agent import BROKEN, GOOD, INVENTED, ROMAN, SEVERAL_SCRIPTS, WRONG

ROOT = Path(__file__).parents[1]
COMMAND = [str(Path(sys.executable).parent / "luau-rft"), "agent"]
ENVIRONMENT = {**os.environ, "NO_COLOR": "1", "NO_PROXY": "127.0.0.1", "COLUMNS": "200"}


@pytest.fixture
def server():
    with ChatServer(lambda body: GOOD, ["coder"]) as running:
        yield running


@pytest.fixture
def run(server, tmp_path):
    def command(*arguments, status=0, cwd=tmp_path, input="", **environment):
        done = subprocess.run(
            [*COMMAND, *arguments, "--url", server.url], input=input, cwd=cwd, capture_output=True, text=True,
            timeout=60, env=ENVIRONMENT | environment,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == status, done.stderr
        return done

    return command


def in_order(server, *answers):
    server.answer = lambda body: answers[min(len(server.bodies), len(answers)) - 1]


def test_the_standard_output_holds_the_code_alone(run, server):
    in_order(server, BROKEN, INVENTED)
    done = run("Coins, please")
    assert done.stdout == f"{INVENTED}\n"
    assert "round 0: coder writes\n" in done.stderr
    assert f"{BROKEN}\n" in done.stderr  # as it was written
    assert re.search(r"round 1: coder writes, told \d+ findings\n", done.stderr)
    assert re.search(r"line \d+: .* \[syntax/compile-error\] -0\.50\n", done.stderr)
    assert re.search(r"round 0: syntax 0\.\d\d, .*: composite 0\.\d\d; not run\n", done.stderr)
    assert re.search(r"; ran without an error\n", done.stderr)
    last = done.stderr.strip().split("\n")[-1]
    assert re.fullmatch(r"score 0\.\d\d → 0\.9\d: good enough; kept is round 1 with 0\.9\d", last)


def test_a_task_with_its_checks(run, server):
    in_order(server, WRONG, ROMAN.reference)
    done = run("--task", "roman-rank", "--json", cwd=ROOT)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    checked = [event for event in events if event["event"] == "checked"]
    assert checked[0]["checks_passed"] < checked[0]["checks_total"] == checked[1]["checks_passed"]
    assert done.stderr == ""
    assert server.bodies[0]["messages"][1]["content"] == ROMAN.prompt
    again = run("--task", str(ROMAN.folder), "Something else")
    assert re.search(rf"; {checked[1]['checks_passed']} of {checked[1]['checks_total']} checks passed\n", again.stderr)
    assert again.stdout == ROMAN.reference
    assert server.bodies[-1]["messages"][1]["content"] == "Something else"


def test_events_as_json(run, server):
    in_order(server, INVENTED, GOOD)
    done = run("Coins", "--json", "--threshold", "0.99")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds == [
        kind
        for count in (kinds.index("checked") - 1, len(kinds) - kinds.index("checked") - 4)
        for kind in ("started", *["text"] * count, "checked")
    ] + ["finished"]
    texts = ["".join(e["text"] for e in events if e["event"] == "text" and e["round"] == n) for n in (0, 1)]
    assert texts == [INVENTED, GOOD]
    first, second = (event for event in events if event["event"] == "checked")
    assert set(first) == {
        "event", "round", "gained", "score", "composite", "syntax", "api", "bugs", "quality", "compiles", "kind", "ran",
        "cut_off", "checks_passed", "checks_total", "scripts", "findings", "notes", "output", "code",
    }  # fmt: skip
    assert first["findings"][0]["rule"] == "unknown-member"
    assert [second["score"], second["findings"], second["checks_total"]] == [1.0, [], None]
    assert second["scripts"] == [
        {"name": "Script", "kind": "server", "path": "ServerScriptService.Script", "composite": 1.0}
    ]
    assert events[-1] == {
        "event": "finished", "round": 1, "reason": "good", "score": 1.0, "rounds": [first["score"], 1.0], "code": GOOD,
    }  # fmt: skip


def test_code_goes_into_a_file_or_each_script_where_it_belongs(run, server, tmp_path):
    server.answer = lambda body: SEVERAL_SCRIPTS
    done = run("A shop", "-o", "shop.luau", "--rounds", "0")
    assert (done.stdout, (tmp_path / "shop.luau").read_text()) == ("", f"{SEVERAL_SCRIPTS}\n")
    for home in ("server ServerScriptService.Coins", "client StarterPlayer.StarterPlayerScripts.Panel",
                 "module ReplicatedStorage.Prices"):  # fmt: skip
        assert re.search(rf"^{home}: composite (0\.\d\d|1\.00)$", done.stderr, re.MULTILINE)
    run("A shop", "-o", "src/", "--rounds", "0")
    files = {str(path.relative_to(tmp_path / "src")): path for path in (tmp_path / "src").rglob("*.luau")}
    assert set(files) == {
        "ServerScriptService/Coins.server.luau", "StarterPlayer/StarterPlayerScripts/Panel.client.luau",
        "ReplicatedStorage/Prices.luau",
    }  # fmt: skip
    assert GOOD in files["ServerScriptService/Coins.server.luau"].read_text()
    assert "Sword" not in files["ServerScriptService/Coins.server.luau"].read_text()


def test_what_a_terminal_would_obey_is_shown_and_not_obeyed(run, server):
    evil = f"{GOOD}\n-- \x1b]0;title\x07\x1b[2J\u202e\r"
    server.answer = lambda body: evil
    done = run("Coins \x1b[31m", "--rounds", "0")
    assert not set(done.stderr) & set("\x1b\x07\u202e\r")
    assert r"-- \x1b]0;title\x07\x1b[2J\u202e" in done.stderr
    assert done.stdout.rstrip() == evil.rstrip()  # a file gets what the model wrote
    assert "\x1b" not in run("Coins", "--json").stdout
    assert visible("a\tb\n\u009bc") == "a\tb\n\\x9bc"


def test_a_conversation(run, server, tmp_path):
    five, ten = (GOOD.replace("PAY = 1", f"PAY = {n}") for n in (5, 10))
    in_order(server, GOOD, five, ten)
    lines = ["/save early.luau", "Coins", "/what", "/show", "", "Five", "/save five.luau", "/new Ten", "/help", "/quit",
             "never"]  # fmt: skip
    done = run(input="\n".join(lines))
    assert done.stdout == f"{ten}\n"
    assert "there is no script yet" in done.stderr
    assert "/what is no command" in done.stderr
    assert done.stderr.count("/save FILE") == 2
    assert done.stderr.count(GOOD) == 2  # streamed and shown
    assert (tmp_path / "five.luau").read_text() == f"{five}\n"
    assert [body["messages"][2]["content"] for body in server.bodies if len(body["messages"]) > 2] == [GOOD]
    assert server.bodies[2]["messages"][1]["content"].startswith("Ten")


def test_a_conversation_goes_on_after_a_failure(run, server):
    def answer(body):
        server.cut = 3 if len(server.bodies) == 1 else None
        return GOOD

    server.answer = answer
    done = run("--json", input="Coins\n/save no/such/folder\nCoins\n/save no/such/folder\n")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    told = [event for event in events if event["event"] in ("error", "finished")]
    assert [event["event"] for event in told] == ["error", "finished"]
    assert "no connection" in told[0]["message"]
    assert "no/such/folder: No such file or directory" in done.stderr
    assert run(input="").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x", "--threshold", "nan"], "--threshold: nan is no score"),
        (["x", "--rounds", "-1"], "--rounds: -1 rounds cannot be"),
        (["x", "--max-tokens", "0"], "--max-tokens: 0 tokens hold no answer"),
        (["x", "--kind", "plugin"], "--kind: 'plugin' is unknown"),
        (["x", "-o", "no/such/file"], "--output no/such/file: there is no folder"),
        (["x", "--task", "no-such"], "no-such: no such task"),
        ([" "], "the wish is empty"),
    ],
)
def test_mistakes_are_told_before_anything_is_asked(run, server, arguments, message):
    done = run(*arguments, status=1)
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert f"error: {message}" in done.stderr
    assert server.bodies == []


def test_a_file_that_cannot_be_written_does_not_lose_the_code(run, tmp_path):
    (tmp_path / "link").symlink_to("/dev/full")
    done = run("Coins", "-o", "link", status=1)
    assert done.stdout == f"{GOOD}\n"
    assert "No space left" in done.stderr


def test_ctrl_c_gives_the_best_so_far(server, tmp_path):
    endless = "local x = 1\n" * 100_000
    in_order(server, BROKEN, endless)
    process = subprocess.Popen(
        [*COMMAND, "Coins", "--url", server.url], cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    seen = ""
    while "local x = 1\nlocal x = 1\n" not in seen:
        line = process.stderr.readline()
        assert line, seen
        seen += line
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (130, f"{BROKEN}\n")
    assert errors.endswith("interrupted; the best script so far is kept\n")
    assert server.left.wait(10)


@contextlib.contextmanager
def terminal(*arguments):
    """The command on a terminal of its own: what it shows up to a text, and what is typed."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(COMMAND[0], [*COMMAND, *arguments], ENVIRONMENT | {"TERM": "xterm"})
    shown = ""

    def until(text):
        nonlocal shown
        deadline = time.monotonic() + 30
        while text not in shown:
            assert time.monotonic() < deadline, shown
            if select.select([fd], [], [], 1)[0]:
                shown += os.read(fd, 65536).decode().replace("\r\n", "\n")
        before, _, shown = shown.partition(text)
        return before

    try:
        yield until, lambda text: os.write(fd, text.encode())
        deadline = time.monotonic() + 30
        while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
            assert time.monotonic() < deadline, "it does not end"
            time.sleep(0.05)
        pid = 0
        assert os.waitstatus_to_exitcode(ended[1]) == 0
    finally:
        os.close(fd)
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def test_a_conversation_on_a_terminal(server):
    with terminal("--url", server.url) as (until, type_):
        assert "/save FILE" in until("wish> ")
        server.answer = lambda body: "local x = 1\n" * 100_000
        type_("Coins\n")
        until("local x = 1\nlocal x = 1\n")
        type_("\x03")
        until("interrupted")
        until("wish> ")
        server.answer = lambda body: GOOD
        type_("Coins\n")
        assert GOOD.split("\n")[0] in until("good enough")
        until("change> ")
        type_("\x04")  # the end of the input


def test_ctrl_c_before_the_server_has_answered(server, tmp_path):
    asked, go_on = threading.Event(), threading.Event()

    def answer(body):
        asked.set()
        go_on.wait(20)
        return GOOD

    server.answer = answer
    command = [*COMMAND, "Coins", "--model", "coder", "--url", server.url]
    process = subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert asked.wait(30)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=10)
    go_on.set()
    assert (process.returncode, output) == (130, b"")
    assert errors.endswith(b"interrupted\n")


def test_ctrl_c_at_the_prompt_ends_a_conversation(server):
    with terminal("--url", server.url) as (until, type_):
        until("wish> ")
        time.sleep(0.5)  # a signal between the prompt and the read behind it is seen only after the read
        type_("\x03")


def test_insertion_into_studio_through_the_bridge(run, server, tmp_path):
    from tests.studio.bridge_process import BridgeProcess
    from tests.studio.polling_plugin import Plugin

    server.answer = lambda body: SEVERAL_SCRIPTS
    none = run("A shop", "--insert", "--rounds", "0", status=1, LUAU_RFT_CONFIG=str(tmp_path / "empty"))
    assert none.stdout == f"{SEVERAL_SCRIPTS}\n"  # the code is not lost
    assert "error: no bridge runs; start one with `luau-rft studio serve`" in none.stderr
    bridge = BridgeProcess(tmp_path / "config" / "studio")
    try:
        with Plugin(bridge.port, bridge.code()) as plugin:
            done = run("A shop", "--insert", "--rounds", "0", LUAU_RFT_CONFIG=str(tmp_path / "config"))
            server.answer = lambda body: f"-- Workspace/Lobby/Pay.server.luau\n{GOOD}"
            said = run(input="Coins\n/insert\n", LUAU_RFT_CONFIG=str(tmp_path / "config"))
    finally:
        bridge.kill()
    assert "inserted into Studio: ServerScriptService.Coins\n" in done.stderr
    assert [(one["name"], one["class"], one["parent"]) for one in plugin.inserted] == [
        ("Coins", "Script", ["ServerScriptService"]),
        ("Panel", "LocalScript", ["StarterPlayer", "StarterPlayerScripts"]),
        ("Prices", "ModuleScript", ["ReplicatedStorage"]),
        ("Pay", "Script", ["Workspace", "Lobby"]),
    ]
    assert plugin.inserted[0]["source"].endswith(f"{GOOD}\n")
    assert plugin.inserted[3]["source"].endswith(GOOD)
    assert "inserted into Studio: Workspace.Lobby.Pay\n" in said.stderr
