"""Sessions with ``luau-rft mcp``: servers in processes of their own, the SDK's client, a chat server behind them."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx2
import psutil
import uvicorn
from mcp.client.streamable_http import streamable_http_client
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

ROOT = Path(__file__).parents[2]
COMMAND = str(Path(sys.executable).parent / "luau-rft")
SHOP = ROOT / "data/tasks/train/shop-remote"
TOKEN = "a-token-of-the-tests-which-is-long"
# A search that never comes back to the VM, so that only a kill ends it.
HANGS = 'string.find(string.rep("a", 1.6e7), string.rep("a", 8e6) .. "b", 1, true)'


class ChatServer:
    """Speaks OpenAI's streaming chat API: what it writes depends on the last question."""

    def __init__(self) -> None:
        self.left = threading.Event()
        self.questions: list[str] = []

    def answer(self, question: str):
        if "endless" in question:
            while True:
                yield "-- still writing\n"
        reference = (SHOP / "reference.luau").read_text()
        corrected = question.startswith("A check of this code") or "off by one" in question
        yield from (reference if corrected else reference + "\nlocal broken = = 1\n").splitlines(keepends=True)

    async def complete(self, request: Request) -> StreamingResponse:
        question = (await request.json())["messages"][-1]["content"]
        self.questions.append(question)

        def chunk(delta: dict, finish: str | None = None) -> str:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
            return f"data: {json.dumps(body)}\n\n"

        async def stream():
            try:
                for piece in self.answer(question):
                    yield chunk({"content": piece})
                    await anyio.sleep(0.001)
                yield chunk({}, "stop") + "data: [DONE]\n\n"
            finally:
                if "endless" in question:
                    self.left.set()

        return StreamingResponse(stream(), media_type="text/event-stream")

    @contextmanager
    def running(self):
        app = Starlette(routes=[Route("/v1/chat/completions", self.complete, methods=["POST"])])
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        until(lambda: server.started)
        self.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
        yield self
        server.should_exit = server.force_exit = True
        thread.join(10)


def until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return found


def workers():
    """The sandbox's processes below this one, runs included."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "luau_rft.luau.worker" in process.cmdline():
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


@contextmanager
def http_server(arguments, environment):
    """The URL of a server of its own process."""
    process = subprocess.Popen(
        [COMMAND, "mcp", "--project", str(ROOT), "--http", "--port", "0", *arguments],
        env={**os.environ, "LUAU_RFT_MCP_TOKEN": TOKEN, **environment}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/",
    )  # fmt: skip
    try:
        yield re.search(r"http://\S+", process.stderr.readline())[0]
    finally:
        process.terminate()
        said = process.communicate(timeout=20)
    assert "Traceback" not in said[1]


def http_transport(url):
    return streamable_http_client(
        url, http_client=httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60)
    )


class Calls:
    """A client whose methods can be called from a test."""

    def __init__(self, portal, client) -> None:
        self.portal, self.client = portal, client
        self.progress: list[tuple[float, str | None]] = []

    async def _told(self, progress, total, message) -> None:
        self.progress.append((progress, message))

    def result(self, tool, **arguments):
        self.progress.clear()
        return self.portal.call(lambda: self.client.call_tool(tool, arguments, progress_callback=self._told))

    def tool(self, tool, **arguments):
        result = self.result(tool, **arguments)
        assert not result.is_error, result.content[0].text
        assert json.loads(result.content[0].text) == result.structured_content
        return result.structured_content

    def error(self, tool, **arguments):
        result = self.result(tool, **arguments)
        assert result.is_error
        assert result.structured_content is None
        assert result.content[0].text.startswith(f"{tool}: ")
        assert "Error executing" not in result.content[0].text
        assert "pydantic" not in result.content[0].text
        return result.content[0].text

    def read(self, uri):
        [content] = self.portal.call(lambda: self.client.read_resource(uri)).contents
        return content.text

    def cancelled(self, tool, ready, **arguments):
        """Call a tool and cancel it when ``ready`` says so."""

        async def call() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(lambda: self.client.call_tool(tool, arguments, progress_callback=self._told))
                with anyio.fail_after(30):
                    while not ready():
                        await anyio.sleep(0.02)
                group.cancel_scope.cancel()

        self.progress.clear()
        self.portal.call(call)


def request(id_, method, **params):
    message = {"jsonrpc": "2.0", "id": id_, "method": method, "params": params}
    return json.dumps(message).encode() + b"\n"


def spoken(lines, *arguments, wait_for=None):
    """What the server writes to its standard output, each line a message, after the handshake."""
    process = subprocess.Popen(
        [COMMAND, "mcp", *(arguments or ("--project", str(ROOT)))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    expected = {0, wait_for} if wait_for else {0, *(json.loads(line)["id"] for line in lines)}
    client = {"name": "tests", "version": "1"}
    hello = request(0, "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=client)
    ready = b'{"jsonrpc": "2.0", "method": "notifications/initialized"}\n'
    kill = threading.Timer(90, process.kill)
    kill.start()
    try:
        process.stdin.write(hello)
        process.stdin.flush()
        messages = [json.loads(process.stdout.readline())]
        process.stdin.write(ready + b"".join(lines))
        process.stdin.flush()
        while not expected <= {message.get("id") for message in messages}:
            messages.append(json.loads(process.stdout.readline()))
        process.stdin.close()
        rest = process.stdout.read()
        assert process.wait(30) == 0
        assert b"Traceback" not in process.stderr.read()
    finally:
        kill.cancel()
        process.kill()
        process.stdout.close()
        process.stderr.close()
    messages += [json.loads(line) for line in rest.splitlines()]
    return messages[1:]
