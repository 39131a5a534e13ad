"""What the plugin does, as far as a bridge can see: it pairs, takes commands by long polling and answers them."""

import json
import threading
import urllib.request
from typing import Any, Self

PLACE = {"place": "place-of-the-tests", "name": "Obby"}


class Plugin:
    """A connected place with a script ``Door`` selected; ``inserted`` holds the insertions as they came."""

    def __init__(self, port: int, code: str) -> None:
        self.inserted: list[dict[str, Any]] = []
        self._url = f"http://127.0.0.1:{port}"
        self._token = ""
        self._token = self._post("/pair", PLACE | {"code": code})["token"]
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._token = ""  # ends the work with the next answer

    def _work(self) -> None:
        hello = PLACE | {"protocol": 1, "session": "a", "mode": "edit"}
        after, results = 0, []
        while self._token:
            try:
                messages = self._post("/poll", hello | {"after": after, "wait_s": 5, "results": results})["messages"]
            except OSError:
                return
            results = []
            for message in messages:
                if message["type"] == "command":
                    after = max(after, message["seq"])
                    results.append({"id": message["id"], "ok": True, "value": self._done(message["command"])})

    def _done(self, command: dict[str, Any]) -> dict[str, Any]:
        if command["type"] == "read_selection":
            door = {"path": "Workspace.Door", "class": "Script", "name": "Door", "source": "print('door')"}
            return {"selection": [door], "truncated": False}
        self.inserted.append(command)
        return {"path": ".".join([*(command.get("parent") or ["Workspace"]), command["name"]])}

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(self._url + path, json.dumps(body).encode(), headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return json.load(answer)
