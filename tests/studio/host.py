"""A Studio window without Studio: the built plugin in a VM on the headless engine, its network real.

The VM never calls into Python: it leaves messages (``engine/wire.luau``), which ``Studio.pump`` takes, acts on in
threads and answers. Virtual time runs ``speed`` times as fast as the clock while it pumps.
"""

import contextlib
import http.client
import json
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

from luau_rft.roblox import place
from luau_rft.roblox.api import database
from luau_rft.studio import build

ENGINE = Path(__file__).with_name("engine")
FRAME_S = 1 / 60  # of virtual time at least, with each pump
SIDES = {"Script": "server", "LocalScript": "client"}


def until(condition: Callable[[], Any], *windows: "Studio", seconds: float = 10.0) -> Any:
    """Pump the windows until ``condition`` gives something true, and return that; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        for window in windows:
            window.pump()
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            shown = [window.texts() for window in windows if window.mode == "edit"]
            raise AssertionError(f"nothing came of it in {seconds} s; the widgets show {shown}")


class Studio:
    """One data model with the plugin in it. ``settings`` outlives it, as Studio's file of settings does.

    ``old``: a Studio without streams and without tests by plugins.
    """

    def __init__(
        self,
        settings: dict[str, str],
        *,
        place_id: int = 0,
        name: str = "Place1",
        mode: str = "edit",
        old: bool = False,
        http_off: bool = False,
        speed: float = 6.0,
        seed: int = 1,
        scripts: list[dict[str, Any]] | None = None,
        test_args: Any = None,
    ) -> None:
        self.mode, self.settings, self.speed = mode, settings, speed
        self.requests: list[tuple[str, str]] = []  # method and path, in order
        self.streams_opened = 0
        self.outcome: Any = None  # of a play test, once it has ended
        self._incoming: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._outgoing: dict[int, Any] = {}  # of each stream: what the plugin sends
        self._play: tuple[int, Studio] | None = None
        self._clock = time.monotonic()
        self._lua = place.new_vm()
        sources = place.engine_files()
        sources["engine"] = sources.pop("main")
        sources.update({path.stem: path.read_text(encoding="utf-8") for path in sorted(ENGINE.glob("*.luau"))})
        self._engine = place.load(self._lua, sources, database())
        options = {"mode": mode, "placeId": place_id, "name": name, "seed": seed, "old": old, "httpOff": http_off}
        self._call("configure", json.dumps({**options, "settings": settings, "testArgs": test_args}))
        for script in scripts or []:
            self.add(script["class"], script["parents"], script["name"], script["source"])
        self._start_plugin()
        for script in scripts or []:
            if script["class"] == "Script" and script["parents"][0] in ("ServerScriptService", "Workspace"):
                self._call("start", _key(script))

    def editor(self, held: bool = False, failure: str | None = None, busy: bool = False) -> None:
        """Whether the editor never comes to its end, why it cannot write, and whether something else is recorded."""
        self._call("configure", json.dumps({"update": {"held": held, "failure": failure, "busy": busy}}))

    # The place

    def add(self, class_name: str, parents: list[str], name: str, source: str) -> None:
        """Put a script into the place, as if it had been there from the start."""
        script = {"class": class_name, "parents": parents, "name": name, "path": parents, "source": source}
        self._install(_key(script), script, source)

    def execute(self, source: str) -> Any:
        """Do by hand what the source does; returns what it returns, through JSON."""
        result = json.loads(self._call("execute", self._chunk("creator", source, self._call_raw("environment"))))
        assert result["ok"], result["value"]
        return result.get("value")

    def scripts(self) -> dict[str, dict[str, Any]]:
        """The scripts of the place by their full names."""
        return {script["path"]: script for script in json.loads(self._call("scripts"))}

    def sources(self) -> dict[str, str]:
        return {path: script["source"] for path, script in self.scripts().items()}

    # The widget

    def click(self, text: str) -> None:
        self._call("click", text)

    def write(self, placeholder: str, text: str) -> None:
        self._call("write", placeholder, text)

    def texts(self) -> list[str]:
        """What the widget shows."""
        return json.loads(self._call("texts"))

    def shows(self, text: str) -> bool:
        return any(text in shown for shown in self.texts())

    # Time

    def pump(self) -> None:
        """Let a moment pass: deliver what came, move the clock on, act on what the plugin wants."""
        self._act()
        try:
            message = self._incoming.get(timeout=FRAME_S / self.speed)
            while True:
                self._call("deliver", json.dumps(message))
                message = self._incoming.get_nowait()
        except queue.Empty:
            pass
        now = time.monotonic()
        self._call("advance", max((now - self._clock) * self.speed, FRAME_S))
        self._clock = now
        if self._play:
            number, running = self._play
            running.pump()
            if running.outcome is not None:
                self._play = None
                self._incoming.put({"number": number, "value": running.outcome})
                running.close()
        self._act()

    def close(self) -> None:
        """End Studio; what a plugin does at its unloading still happens."""
        self._call("unload") if self.mode == "edit" else None
        self._act()
        for outgoing in self._outgoing.values():
            outgoing.put(None)

    def problems(self) -> list[str]:
        """Errors of the plugin that nothing caught, what the engine does not model, and changes outside a recording."""
        report = json.loads(self._call("report"))
        errors = [error["message"] for error in report["errors"]]
        return [*errors, *report["warnings"], *report["not_modelled"], *json.loads(self._call("unrecorded"))]

    # The VM

    def _call_raw(self, name: str, *arguments: Any) -> Any:
        values = self._engine.get(name)(*arguments)
        return values[0] if values else None

    def _call(self, name: str, *arguments: Any) -> str | None:
        value = self._call_raw(name, *arguments)
        return value.as_bytes().decode(errors="replace") if hasattr(value, "as_bytes") else value

    def _chunk(self, name: str, source: str, environment: Any) -> Any:
        return self._lua.load_chunk(source, name=f"={name}", env=environment)

    def _install(self, key: str, facts: dict[str, Any], source: str | None) -> None:
        facts = {"side": SIDES.get(facts["class"]), **facts}
        if source is None:
            self._call("install", key, json.dumps(facts))
            return
        environment = self._call_raw("environment")
        self._call("install", key, json.dumps(facts), self._chunk(key, source, environment), environment)

    def _start_plugin(self) -> None:
        root = ElementTree.fromstring(build.build()).find("Item")
        self._install_item(root, None)
        self._call("start", f"plugin/{build.NAME}")

    def _install_item(self, item: ElementTree.Element, parent: str | None) -> None:
        properties = {each.get("name"): each.text or "" for each in item.find("Properties")}
        key = f"plugin/{properties['Name']}"
        facts = {
            "class": item.get("class"),
            "name": properties["Name"],
            "parent": parent,
            "value": properties.get("Value"),
        }
        facts["plugin"] = parent is None
        self._install(key, {name: value for name, value in facts.items() if value}, properties.get("Source"))
        for child in item.findall("Item"):
            self._install_item(child, key)

    # The network

    def _act(self) -> None:
        for message in json.loads(self._call("take")):
            kind = message["type"]
            if kind == "request":
                self.requests.append((message["method"], urlsplit(message["url"]).path))
                self._thread(self._request, message)
            elif kind == "stream":
                self.streams_opened += 1
                self._outgoing[message["number"]] = queue.SimpleQueue()
                self._thread(self._stream, message)
            elif kind in ("frame", "close"):
                self._outgoing[message["stream"]].put(message.get("text"))
            elif kind == "setting" and "value" in message:
                self.settings[message["key"]] = message["value"]
            elif kind == "setting":
                self.settings.pop(message["key"], None)
            elif kind == "play":
                arguments = {"mode": "play-server", "test_args": message["arguments"], "speed": self.speed}
                copy = Studio(dict(self.settings), scripts=list(self.scripts().values()), **arguments)
                self._play = (message["number"], copy)
            elif kind == "end_test":
                self.outcome = message["value"]

    def _thread(self, target: Callable[..., None], message: dict[str, Any]) -> None:
        threading.Thread(target=target, args=(message,), daemon=True).start()

    def _request(self, message: dict[str, Any]) -> None:
        url = urlsplit(message["url"])
        answer: dict[str, Any] = {"number": message["number"]}
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=40)
        try:
            body = message.get("body")
            headers = dict(message["headers"] or {})
            connection.request(message["method"], url.path, body.encode() if body is not None else None, headers)
            response = connection.getresponse()
            answer |= {"status": response.status, "body": response.read().decode()}
        except (OSError, http.client.HTTPException) as error:
            answer["failure"] = f"HttpError: {type(error).__name__}"
        finally:
            connection.close()
        self._incoming.put(answer)

    def _stream(self, message: dict[str, Any]) -> None:
        from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
        from websockets.sync.client import connect

        number, outgoing = message["number"], self._outgoing[message["number"]]

        def tell(event: str, **fields: Any) -> None:
            self._incoming.put({"number": number, "event": event, **fields})

        def send(socket: Any) -> None:
            with contextlib.suppress(ConnectionClosed):
                while (text := outgoing.get()) is not None:
                    socket.send(text)
            socket.close()

        try:
            with connect(message["url"], additional_headers=message["headers"], proxy=None) as socket:
                tell("opened")
                threading.Thread(target=send, args=(socket,), daemon=True).start()
                for text in socket:
                    tell("message", text=text)
        except InvalidStatus as error:
            tell("error", status=error.response.status_code, text="refused")
        except (OSError, WebSocketException) as error:
            tell("error", status=0, text=type(error).__name__)
        else:
            tell("closed")
        outgoing.put(None)


def _key(script: dict[str, Any]) -> str:
    return "/".join([*script["parents"], script["name"]])
