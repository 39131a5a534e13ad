"""Record a session: wish → code → findings → correction → insertion, by the real commands.

    python -m tests.studio.record --output docs/session.txt

The commands, the bridge and the plugin are the real ones. The model is a scripted server, and Studio the headless
engine. The ports are those that the commands take by themselves, and must be free.
"""

import argparse
import os
import queue
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from luau_rft.studio.protocol import DEFAULT_PORT
from tests.servers.chat_server import ChatServer
from tests.studio.host import Studio, until

COMMAND = Path(sys.executable).with_name("luau-rft")
CHAT_PORT = 8000
WISH = "A brick of lava that kills whoever touches it"
FOUND = "A check of this code found"  # what the agent begins a correction with
SECONDS = 60.0  # for a command
HEAD = """\
# A wish becomes a script in Roblox Studio: real commands with all that they print, only without the time it took.
# The «model» is a scripted chat server: it writes the worse code first, and the better code once it is told what is
# wrong. So this shows the way from a wish into a place, not what a model can do.
# «Studio» is the headless engine with the real plugin in it; the two talk through the real bridge.
# Made by: python -m tests.studio.record --output docs/session.txt
"""
WORSE = """\
-- ServerScriptService/Lava.server.luau
local lava = Instance.new("Part", workspace)
lava.Anchored = true
lava.BrickColor = BrickColor.new("Bright red")
lava.Glow = true
lava.Touched:connect(function(hit)
	local humanoid = hit.Parent:FindFirstChild("Humanoid")
	humanoid.Health = 0
end)"""
BETTER = """\
-- ServerScriptService/Lava.server.luau
--!strict
-- A brick of lava that kills whoever touches it.
local lava = Instance.new("Part")
lava.Name = "Lava"
lava.Anchored = true
lava.Material = Enum.Material.Neon
lava.BrickColor = BrickColor.new("Bright red")
lava.Parent = workspace

lava.Touched:Connect(function(hit: BasePart)
	local humanoid = hit.Parent and hit.Parent:FindFirstChildOfClass("Humanoid")
	if humanoid then
		humanoid.Health = 0
	end
end)"""


class Terminal:
    """A command under way, what it prints on either stream in the order of its coming."""

    def __init__(self, arguments: list[str], folder: Path) -> None:
        self.arguments = arguments
        environment = os.environ | {"LUAU_RFT_CONFIG": str(folder / "config"), "NO_PROXY": "127.0.0.1"}
        self._process = subprocess.Popen(
            [COMMAND, *arguments], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, encoding="utf-8",
        )  # fmt: skip
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def next_lines(self) -> list[str]:
        """What was printed since the last time."""
        return [self._lines.get() for _ in range(self._lines.qsize())]

    def ended(self) -> bool:
        return not self._reader.is_alive()

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def close(self) -> int:
        """End it, if it still runs; returns its status."""
        if self._process.poll() is None:
            self._process.kill()
        self._reader.join()
        return self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))


def record(chat_port: int = CHAT_PORT, bridge_port: int = DEFAULT_PORT) -> str:
    """The session as a text; the port 0 takes a free one."""
    with tempfile.TemporaryDirectory() as folder, ChatServer(_answer, ["scripted"], chat_port) as server:
        return "\n".join([HEAD, *_session(Path(folder), server.url, bridge_port)]) + "\n"


def _session(folder: Path, url: str, port: int) -> list[str]:
    shown: list[str] = []
    serve = ["studio", "serve", *([] if port == DEFAULT_PORT else ["--port", str(port)])]
    bridge = Terminal(serve, folder)
    try:
        shown += ["--- a terminal", _prompt(serve)]
        lines = _seen(bridge, "Pairing code: ")
        settings = {"LuauRft.all.port": re.search(r"127\.0\.0\.1:(\d+)", lines[0])[1]}
        studio = Studio(settings, name="Volcano", speed=1.0)  # the bridge's pings come by the clock
        lines += _seen(bridge, "wants to pair", studio)
        code = re.search(r"code: (\d{6})", lines[-1])[1]
        shown += [*lines, "", "--- Studio, the widget of the plugin"]
        until(lambda: studio.shows("Not paired"), studio)
        shown.append(_widget(studio))
        studio.write("six digits", code)
        studio.click("Pair")
        until(lambda: studio.shows("by stream") and "paired" in studio.texts(), studio)
        shown += [f"(typed: {code}, clicked: Pair)", _widget(studio)]

        wish = ["agent", WISH, "--url", url, "--output", "lava.luau", "--insert"]
        agent = Terminal(wish, folder)
        try:
            until(agent.ended, studio, seconds=SECONDS)
        finally:
            lines = agent.next_lines()
            if status := agent.close():
                raise SystemExit(f"{_prompt(wish)}: status {status}\n" + "\n".join(lines))
        shown += ["", "--- another terminal", _prompt(wish), *lines]

        shown += ["", "--- Studio", _widget(studio), *_scripts(studio)]
        studio.click("Undo")
        until(lambda: studio.shows("(undone)"), studio)
        shown += ["(clicked: Undo)", _widget(studio), *_scripts(studio)]
        assert not studio.problems(), studio.problems()
        studio.close()
        lines = _seen(bridge, "disconnected")
        bridge.interrupt()
        until(bridge.ended)
        shown += ["", "--- the first terminal since, and Ctrl+C", *lines, *bridge.next_lines()]
    finally:
        bridge.close()
    return shown


def _answer(body: dict[str, Any]) -> str:
    return BETTER if FOUND in body["messages"][-1]["content"] else WORSE


def _prompt(arguments: list[str]) -> str:
    return shlex.join(["$", "luau-rft", *arguments]).replace("'$'", "$")


def _seen(terminal: Terminal, text: str, *windows: Studio) -> list[str]:
    """The lines up to one that holds ``text``. Ends the program where the command ends before."""
    lines: list[str] = []

    def there() -> bool:
        lines.extend(terminal.next_lines())
        return terminal.ended() or any(text in line for line in lines)

    until(there, *windows, seconds=SECONDS)
    lines += terminal.next_lines()
    if not any(text in line for line in lines):
        raise SystemExit("\n".join(lines))
    return lines


def _widget(studio: Studio) -> str:
    """All texts that the widget shows, without the times of insertions."""
    texts = [re.sub(r"^\d\d:\d\d ", "", text) for text in studio.texts() if text]
    return f"[ {' | '.join(texts)} ]"


def _scripts(studio: Studio) -> list[str]:
    """The scripts in the place."""
    scripts = studio.scripts().items()
    found = [f"{path} ({each['class']}, {len(each['source'].splitlines())} lines)" for path, each in scripts]
    return [f"scripts in the place: {', '.join(found) or 'none'}"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Record a session from a wish to a script in Studio.")
    parser.add_argument("--output", type=Path, required=True, help="the text file to write")
    output = parser.parse_args().output
    output.write_text(record(), encoding="utf-8")


if __name__ == "__main__":
    main()
