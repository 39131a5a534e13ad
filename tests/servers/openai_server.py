"""A server that speaks OpenAI's chat endpoint, with answers that depend on the request alone."""

import json
import threading
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.servers.answers import by_schema


class OpenAIServer:
    """Records every request; ``texts`` are answered first."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.texts: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}/v1"

    def __enter__(self) -> Self:
        app = Starlette(routes=[Route("/v1/chat/completions", self._complete, methods=["POST"])])
        self._server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.005)
            if not self._thread.is_alive():
                raise RuntimeError("the server did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)

    async def _complete(self, request: Request) -> JSONResponse:
        body = await request.json()
        self.bodies.append(body)
        schema = body["response_format"]["json_schema"]["schema"]
        seed = json.dumps(body["messages"]).encode()
        text = self.texts.pop(0) if self.texts else json.dumps(by_schema(schema, seed))
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        usage = {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107}
        return JSONResponse(
            {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
        )
