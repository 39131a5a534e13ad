"""A real bridge in a process of its own, so that a test can kill it.

    python -m tests.studio.bridge_process PORT FOLDER SECONDS_OF_A_CODE SECONDS_UNTIL_LOST

What would ask a model answers at once: a repair puts the wish above the source, a wish becomes a script that prints it.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from luau_rft.studio.client import Bridge as Client

ROOT = Path(__file__).parents[2]


class BridgeProcess:
    """``folder`` is what it knows; another folder on the same port is another bridge."""

    def __init__(self, folder: Path, port: int = 0, code_s: float = 600.0, lost_s: float = 60.0) -> None:
        self.folder, self.port = folder, port
        self._seconds = [str(code_s), str(lost_s)]
        self.place: str | None = None  # that ``ask`` means when it names none
        self.lines: list[str] = []
        self.start()

    def start(self) -> None:
        """Start it (again); returns once it serves."""
        arguments = [str(self.port), str(self.folder), *self._seconds]
        seen = len(self.lines)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.studio.bridge_process", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()
        deadline = time.monotonic() + 30
        while not any("Pairing code" in line for line in self.lines[seen:]):
            assert self._process.poll() is None, self.lines
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.02)
        self.port = int(re.search(r"127\.0\.0\.1:(\d+)", "\n".join(self.lines[seen:]))[1])

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def freeze(self, frozen: bool) -> None:
        """Stop it where it is, connections open, or let it go on."""
        os.killpg(self._process.pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    def code(self) -> str:
        """The code that was shown last."""
        return re.findall(r"Pairing code: (\d{6})", "\n".join(self.lines))[-1]

    def codes_shown(self) -> int:
        return sum("Pairing code" in line for line in self.lines)

    def client(self) -> Client:
        return Client.find(self.port, folder=self.folder)

    def ask(self, method: str, *arguments: Any, **fields: Any) -> "Future[Any]":
        """Call a method of the client in a thread, so that Studio can go on meanwhile."""
        fields.setdefault("place", self.place)
        future: Future[Any] = Future()

        def call() -> None:
            try:
                future.set_result(getattr(self.client(), method)(*arguments, **fields))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=call, daemon=True).start()
        return future

    def _read(self, process: "subprocess.Popen[str]") -> None:
        for line in process.stdout:
            self.lines.append(line)


def main(port: int, folder: Path, code_s: float, lost_s: float) -> None:
    from luau_rft.studio import pairing
    from luau_rft.studio.jobs import Answer
    from luau_rft.studio.places import Timing
    from luau_rft.studio.protocol import AgentRequest, Insert
    from luau_rft.studio.server import Bridge

    pairing.CODE_S = code_s

    def answer(request: AgentRequest, talk: Any) -> Answer:
        talk.say("thinking")
        if request.kind == "repair":
            script = Insert(name="Other", class_="Script", source=f"-- {request.wish}\n{request.source}")
        else:
            script = Insert(name="Wish", class_="Script", source=f"print({request.wish!r})")
        return Answer([script], "scores 0.93", 0.93)

    timing = Timing(ping_s=0.5, lost_s=lost_s)
    Bridge(answer, port, folder, say=lambda line: print(line, flush=True), timing=timing).run()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
