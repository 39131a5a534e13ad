"""A running bridge for tests, in this process or in one that may be killed, and a plugin that speaks its protocol."""

import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from luau_rft.studio.folder import read_running
from luau_rft.studio.jobs import Answer, Handler, Talk
from luau_rft.studio.places import Timing
from luau_rft.studio.protocol import AgentRequest, Insert
from luau_rft.studio.server import Bridge

PATIENCE_S = 20.0
ROOT = Path(__file__).parents[2]


def one_script(request: AgentRequest, talk: Talk) -> Answer:
    """Answers every request with one script."""
    talk.say("at work")
    return Answer([Insert(name="Made", class_="Script", source=f"-- {request.wish}\n")], "done", 0.9)


@dataclass
class Reply:
    status: int
    body: Any
    headers: dict[str, str]

    @property
    def reason(self) -> str:
        return self.body["reason"]


def call(
    port: int,
    method: str,
    path: str,
    body: Any = None,
    token: str | None = None,
    headers: dict[str, str] | None = None,
    raw: bytes | None = None,
) -> Reply:
    """One request; ``raw`` is sent as the body instead of JSON, ``headers`` replace those of a good plugin."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=40)
    sent = {"Content-Type": "application/json"} if method == "POST" else {}
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    data = raw if raw is not None else None if body is None else json.dumps(body).encode()
    try:
        connection.request(method, path, data, sent | (headers or {}))
        response = connection.getresponse()
        text = response.read()
        return Reply(response.status, json.loads(text) if text else None, dict(response.getheaders()))
    finally:
        connection.close()


def until(condition: Callable[[], Any]) -> Any:
    """What ``condition`` gives once it is true."""
    end = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)
    return value


class Lines(list[str]):
    """What the bridge showed its user."""

    def code(self) -> str:
        """The code that was shown last."""
        found = [match[1] for line in self if (match := re.search(r"code: (\d{6})", line))]
        return found[-1]


@contextmanager
def running(
    folder: Path, handler: Handler = one_script, port: int = 0, timing: Timing | None = None
) -> Iterator["Running"]:
    """A bridge in a thread of this process."""
    lines = Lines()
    bridge = Bridge(handler, port, folder, lines.append, timing)
    thread = threading.Thread(target=bridge.run)
    thread.start()
    try:
        until(lambda: any("code: " in line for line in lines))
        yield Running(bridge.port, folder, lines)
    finally:
        bridge.stop()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


@dataclass
class Running:
    port: int
    folder: Path
    lines: Lines

    @property
    def secret(self) -> str:
        found = read_running(self.folder / str(self.port))
        assert found is not None
        return found.secret

    def call(self, method: str, path: str, body: Any = None, token: str | None = None, **more: Any) -> Reply:
        return call(self.port, method, path, body, token, **more)

    def client(self, path: str, body: Any = None) -> Any:
        """A request of a local client, which has to succeed."""
        reply = self.call("GET" if body is None else "POST", f"/client/{path}", body, self.secret)
        assert reply.status == 200, reply
        return reply.body

    def queue(self, place: str | None, *ids: str, valid_s: float | None = None) -> None:
        """Queue an insertion for each id."""
        commands = [{"id": id_, "command": insertion(id_)} for id_ in ids]
        self.client("commands", {"place": place, "commands": commands, "valid_s": valid_s})

    def place(self, place: str) -> dict[str, Any]:
        return next(one for one in self.client("state")["places"] if one["place"] == place)

    def pair(self, place: str = "place-1", name: str = "Obby") -> "Plugin":
        """A plugin whose place is paired."""
        assert self.call("POST", "/pair/start", {"place": place, "name": name}).status == 200
        reply = self.call("POST", "/pair", {"place": place, "name": name, "code": self.lines.code()})
        assert reply.status == 200, reply
        return Plugin(self.port, place, name, reply.body["token"])


def insertion(name: str) -> dict[str, Any]:
    return {"type": "insert", "name": name, "class": "Script", "source": "print(1)\n"}


@dataclass
class Plugin:
    """A place in Studio, as far as the bridge can tell."""

    port: int
    place: str
    name: str
    token: str
    session: str = "session-1"
    done: list[str] = field(default_factory=list)  # ids of commands in the order of doing

    def hello(self, **more: Any) -> dict[str, Any]:
        own = {"protocol": 1, "place": self.place, "name": self.name, "session": self.session}
        return own | more

    def poll(self, wait_s: float = 0, **more: Any) -> Reply:
        return call(self.port, "POST", "/poll", self.hello(wait_s=wait_s, **more), self.token)

    def messages(self, wait_s: float = 0, **more: Any) -> list[dict[str, Any]]:
        reply = self.poll(wait_s, **more)
        assert reply.status == 200, reply
        return reply.body["messages"]

    def commands(self, wait_s: float = 0, **more: Any) -> list[str]:
        return [message["id"] for message in self.messages(wait_s, **more) if message["type"] == "command"]

    @contextmanager
    def stream(self, **more: Any) -> "Iterator[ClientConnection]":
        """A stream whose welcome has come."""
        with self.socket() as socket:
            socket.send(json.dumps({"type": "hello"} | self.hello(**more)))
            assert receive(socket)["type"] == "welcome"
            yield socket

    def socket(self, **headers: str) -> ClientConnection:
        return connect(
            f"ws://127.0.0.1:{self.port}/stream",
            additional_headers={"Authorization": f"Bearer {self.token}"} | headers,
            proxy=None,
            close_timeout=1,
        )

    @contextmanager
    def working(self, answer: "Callable[[dict[str, Any]], dict[str, Any]] | None" = None) -> Iterator["Plugin"]:
        """Does every command, once, over a stream of its own thread. ``answer`` gives ``value`` or ``error``."""
        known: dict[str, str] = {}
        ready = threading.Event()
        stop = threading.Event()

        def work() -> None:
            with self.stream() as socket:
                ready.set()
                while not stop.is_set():
                    try:
                        message = json.loads(socket.recv(timeout=0.05))
                    except TimeoutError:
                        continue
                    if message["type"] == "ping":
                        socket.send(json.dumps({"type": "pong", "n": message["n"]}))
                    elif message["type"] == "command":
                        if message["id"] not in known:
                            self.done.append(message["id"])
                            value = answer(message["command"]) if answer else {"value": {"path": "game.Made"}}
                            known[message["id"]] = result(message["id"], **value)
                        socket.send(known[message["id"]])

        thread = threading.Thread(target=work)
        thread.start()
        try:
            assert ready.wait(PATIENCE_S)
            yield self
        finally:
            stop.set()
            thread.join(PATIENCE_S)


def result(id_: str, **more: Any) -> str:
    """The frame of a result: ``ok`` unless it has an ``error``."""
    return json.dumps({"type": "result", "id": id_, "ok": "error" not in more} | more)


def receive(socket: ClientConnection) -> dict[str, Any]:
    """The next message that is no ping; pings are answered."""
    while (message := json.loads(socket.recv(timeout=PATIENCE_S)))["type"] == "ping":
        socket.send(json.dumps({"type": "pong", "n": message["n"]}))
    return message


def closing(socket: ClientConnection) -> int:
    """The code with which the bridge closes the stream, whatever comes before."""
    with suppress(ConnectionClosed):
        while True:
            socket.recv(timeout=PATIENCE_S)
    return socket.close_code


class Process:
    """``luau-rft studio serve`` in a process of its own, which may be killed and started again."""

    def __init__(self, config: Path, port: int = 0) -> None:
        self.folder = config / "studio"
        self._environment = os.environ | {"LUAU_RFT_CONFIG": str(config)}
        self.port = port
        self.start()

    def start(self) -> None:
        """Start it, on the port that it had before."""
        command = [sys.executable, "-m", "luau_rft.cli", "studio", "serve", "--port", str(self.port)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines = Lines()
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if "code: " in line:
                break
        assert "code: " in "".join(self.lines[-1:]), self.lines
        self.port = int(re.search(r":(\d+)", self.lines[0])[1])

    def bridge(self) -> Running:
        return Running(self.port, self.folder, self.lines)

    def pair(self, place: str, name: str) -> Plugin:
        """With the code that it showed when it started."""
        body = {"place": place, "name": name, "code": self.lines.code()}
        return Plugin(self.port, place, name, call(self.port, "POST", "/pair", body).body["token"])

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
