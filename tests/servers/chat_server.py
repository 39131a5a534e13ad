"""A server that streams OpenAI's chat completions, with answers that a function of the request gives."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

Body = dict[str, Any]


class ChatServer:
    """``answer(body)`` gives the text, or a response to send instead; ``cut`` breaks the connection after so many
    pieces."""

    def __init__(
        self, answer: Callable[[Body], str | Response], models: list[str] | None = None, port: int = 0
    ) -> None:
        self.answer = answer
        self.models = models
        self._port = port
        self.bodies: list[Body] = []
        self.keys: set[str] = set()
        self.finish = "stop"
        self.cut: int | None = None
        self.piece = 7  # characters
        self.left = threading.Event()  # a client went before its answer was whole

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}/v1"

    def __enter__(self) -> Self:
        routes = [Route("/v1/chat/completions", self._chat, methods=["POST"]), Route("/v1/models", self._models)]
        config = uvicorn.Config(Starlette(routes=routes), port=self._port, log_level="critical", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.005)
            assert self._thread.is_alive()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)

    async def _models(self, request: Request) -> Response:
        if self.models is None:
            return PlainTextResponse("not found", 404)
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]})

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        self.bodies.append(body)
        self.keys.add(request.headers["authorization"])
        answer = self.answer(body)
        if isinstance(answer, Response):
            return answer
        return StreamingResponse(self._pieces(body, answer), media_type="text/event-stream")

    async def _pieces(self, body: Body, text: str) -> AsyncIterator[str]:
        whole = False
        try:
            yield self._event(body, {"role": "assistant"}, None)
            for number, start in enumerate(range(0, len(text), self.piece)):
                if number == self.cut:
                    raise ConnectionError
                await asyncio.sleep(0)
                yield self._event(body, {"content": text[start : start + self.piece]}, None)
            yield self._event(body, {}, self.finish)
            yield "data: [DONE]\n\n"
            whole = True
        finally:
            if not whole:
                self.left.set()

    @staticmethod
    def _event(body: Body, delta: Body, finish: str | None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        chunk = {
            "id": "c",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": body["model"],
            "choices": [choice],
        }
        return f"data: {json.dumps(chunk)}\n\n"
