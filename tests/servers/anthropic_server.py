"""A server that speaks Claude's Messages, Message Batches and Models endpoints, with answers that depend on the request
alone, and with faults on demand.

In tests: ``with AnthropicServer() as server: …``. By itself, for ``dvc repro`` against it:
``python -m tests.servers.anthropic_server --port 8765``; ``GET /counts`` tells what it was asked.
"""

import argparse
import asyncio
import hashlib
import importlib
import json
import re
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.servers.answers import answer as default_answer

NO_THINKING = {"claude-sonnet-5-5": "between_tools"}  # what else than disabled turns it off


@dataclass
class Fault:
    """What to do instead of answering, ``times`` times, at an endpoint, where the request's text contains ``match``."""

    where: str  # messages, entry (of a batch), create, list, retrieve, results, models
    match: str = ""
    times: int = 1
    status: int = 0  # an error, with these
    kind: str = "api_error"
    message: str = "a scripted fault"
    headers: dict[str, str] = field(default_factory=dict)
    hang_s: float = 0.0  # before whatever follows
    drop: bool = False  # the connection, in the middle of the body
    accept: bool = False  # create: the batch exists all the same
    body: str | None = None  # instead of the whole response
    text: str | None = None  # instead of the answer's text
    stop: str | None = None  # the answer's stop_reason
    result: dict[str, Any] | None = None  # of a batch's entry


@dataclass
class BatchState:
    """A submitted batch."""

    id: str
    workspace: str
    created: datetime
    requests: list[dict[str, Any]]
    results: list[dict[str, Any]]
    looks: int = 0
    canceled: bool = False


class AnthropicServer:
    """Records every request. Attributes may be set while it runs."""

    def __init__(self, port: int = 0, answer: Callable[[dict[str, Any]], str] = default_answer) -> None:
        self.answer = answer  # a request's parameters → the text
        self.latency_s = 0.0
        self.results_pause_s = 0.0  # before every ten lines of a batch's results
        self.looks = 1  # at a batch until it has ended
        self.workspaces: dict[str, str] | None = None  # key → workspace; None takes every key
        self.unknown_models: set[str] = set()
        self.unstructured_models: set[str] = set()
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, dict[str, Any]]] = []  # endpoint, body
        self.keys: list[str] = []  # of each request
        self.batches: dict[str, BatchState] = {}
        self._port = port
        self._lock = threading.Lock()

    def fail(self, where: str, **what: Any) -> None:
        """Add a fault."""
        self.faults.append(Fault(where, **what))

    def asked(self) -> Counter[str]:
        """How often each prompt (the last block of the message) was asked, directly or in accepted batches."""
        counts = Counter(_prompt(body) for endpoint, body in list(self.requests) if endpoint == "messages")
        for state in list(self.batches.values()):
            counts.update(_prompt(entry["params"]) for entry in state.requests if "params" in entry)
        return counts

    def count(self, endpoint: str) -> int:
        """Requests of one endpoint."""
        return sum(1 for name, _ in list(self.requests) if name == endpoint)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        config = uvicorn.Config(self.app(), host="127.0.0.1", port=self._port, log_level="critical", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.005)
            if not self._thread.is_alive():
                raise RuntimeError("the server did not start")
        self._port = self._server.servers[0].sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)

    def app(self) -> Starlette:
        """The ASGI application."""
        batches = "/v1/messages/batches"
        return Starlette(
            routes=[
                Route("/v1/messages", self._messages, methods=["POST"]),
                Route(batches, self._create, methods=["POST"]),
                Route(batches, self._list),
                Route(batches + "/{id}", self._retrieve),
                Route(batches + "/{id}/results", self._results),
                Route(batches + "/{id}/cancel", self._cancel, methods=["POST"]),
                Route("/v1/models/{id}", self._model),
                Route("/counts", self._counts),
            ]
        )

    async def _messages(self, request: Request) -> Response:
        body = await self._enter(request, "messages")
        if isinstance(body, Response):
            return body
        await asyncio.sleep(self.latency_s)
        fault = self._fault("messages", _text(body))
        response = json.dumps(self._message(body, fault))
        return await _spoilt(fault, response) if fault else Response(response, media_type="application/json")

    async def _create(self, request: Request) -> Response:
        body = await self._enter(request, "create")
        if isinstance(body, Response):
            return body
        fault = self._fault("create", "")
        if fault is not None and not fault.accept:
            return await _spoilt(fault, "{}")
        ids = [entry["custom_id"] for entry in body["requests"]]
        if len(set(ids)) != len(ids) or not all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", name) for name in ids):
            return _error(400, "invalid_request_error", "custom_id")
        results = [
            {"custom_id": entry["custom_id"], "result": self._result(entry["params"])} for entry in body["requests"]
        ]
        results.sort(key=lambda result: hashlib.sha256(result["custom_id"].encode()).digest())  # not as asked
        with self._lock:
            name = f"msgbatch_{len(self.batches) + 1:03d}"
            state = BatchState(name, self._workspace(request), datetime.now(UTC), body["requests"], results)
            self.batches[name] = state
        shown = json.dumps(self._shown(state))
        await asyncio.sleep(self.latency_s)
        return await _spoilt(fault, shown) if fault else Response(shown, media_type="application/json")

    async def _list(self, request: Request) -> Response:
        refusal = await self._enter(request, "list")
        if isinstance(refusal, Response):
            return refusal
        if fault := self._fault("list", ""):
            return await _spoilt(fault, "{}")
        mine = [b for b in reversed(self.batches.values()) if b.workspace == self._workspace(request)]
        after = request.query_params.get("after_id")
        start = next((i + 1 for i, state in enumerate(mine) if state.id == after), 0)
        limit = int(request.query_params.get("limit", 20))
        page = mine[start : start + limit]
        return JSONResponse(
            {
                "data": [self._shown(state) for state in page],
                "has_more": start + limit < len(mine),
                "first_id": page[0].id if page else None,
                "last_id": page[-1].id if page else None,
            }
        )

    async def _retrieve(self, request: Request) -> Response:
        state = await self._batch(request, "retrieve")
        if isinstance(state, Response):
            return state
        state.looks += 1
        return JSONResponse(self._shown(state))

    async def _results(self, request: Request) -> Response:
        state = await self._batch(request, "results")
        if isinstance(state, Response):
            return state
        lines = [json.dumps(result) + "\n" for result in state.results]
        if fault := self._fault("results", ""):
            return await _spoilt(fault, "".join(lines))

        async def slowly() -> AsyncIterator[str]:
            for start in range(0, len(lines), 10):
                await asyncio.sleep(self.results_pause_s)
                yield "".join(lines[start : start + 10])

        return StreamingResponse(slowly(), media_type="application/x-jsonl")

    async def _cancel(self, request: Request) -> Response:
        state = await self._batch(request, "cancel")
        if isinstance(state, Response):
            return state
        self.cancel(state.id)
        return JSONResponse(self._shown(state))

    def cancel(self, batch_id: str) -> None:
        """Cancel a batch that has not ended, as its user may do."""
        state = self.batches[batch_id]
        state.canceled, state.looks = True, self.looks
        state.results = [entry | {"result": {"type": "canceled"}} for entry in state.results]

    async def _model(self, request: Request) -> Response:
        refusal = await self._enter(request, "models")
        if isinstance(refusal, Response):
            return refusal
        if fault := self._fault("models", ""):
            return await _spoilt(fault, "{}")
        name = request.path_params["id"]
        if name in self.unknown_models:
            return _error(404, "not_found_error", f"model: {name}")
        off = NO_THINKING.get(name, "disabled")
        types = {kind: {"supported": kind in ("adaptive", off)} for kind in ("adaptive", "between_tools", "disabled")}
        return JSONResponse(
            {
                "id": name,
                "type": "model",
                "display_name": name,
                "created_at": "2026-01-01T00:00:00Z",
                "lifecycle": "active",
                "max_tokens": 64_000,
                "capabilities": {
                    "structured_outputs": {"supported": name not in self.unstructured_models},
                    "thinking": {"supported": True, "types": types},
                },
            }
        )

    async def _counts(self, request: Request) -> Response:
        return JSONResponse({**Counter(name for name, _ in self.requests), "questions": sum(self.asked().values())})

    async def _enter(self, request: Request, endpoint: str) -> Any:
        """The body of an accepted request, which is recorded, or the response to one with a wrong key."""
        key = request.headers.get("authorization", "").removeprefix("Bearer ") or request.headers.get("x-api-key", "")
        if not key or (self.workspaces is not None and key not in self.workspaces):
            return _error(401, "authentication_error", f"invalid x-api-key: {key}")
        body = await request.json() if request.method == "POST" and endpoint != "cancel" else {}
        with self._lock:
            self.requests.append((endpoint, body))
            self.keys.append(key)
        return body

    async def _batch(self, request: Request, endpoint: str) -> Any:
        refusal = await self._enter(request, endpoint)
        if isinstance(refusal, Response):
            return refusal
        if endpoint == "retrieve" and (fault := self._fault("retrieve", "")):
            return await _spoilt(fault, "{}")
        state = self.batches.get(request.path_params["id"])
        if state is None or state.workspace != self._workspace(request):
            return _error(404, "not_found_error", "no such batch")
        return state

    def _workspace(self, request: Request) -> str:
        key = request.headers.get("authorization", "").removeprefix("Bearer ") or request.headers.get("x-api-key", "")
        return (self.workspaces or {}).get(key, "default")

    def _fault(self, where: str, text: str) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.where == where and fault.times > 0 and fault.match in text:
                    fault.times -= 1
                    return fault
        return None

    def _message(self, params: dict[str, Any], fault: Fault | None) -> dict[str, Any]:
        text = self.answer(params) if fault is None or fault.text is None else fault.text
        stop = (fault and fault.stop) or "end_turn"
        return {
            "id": f"msg_{_hash(_text(params))[:20]}",
            "type": "message",
            "role": "assistant",
            "model": params["model"],
            "content": [
                {"type": "thinking", "thinking": "", "signature": "c2ln"},
                *([] if stop == "refusal" else [{"type": "text", "text": text}]),
            ],
            "stop_reason": stop,
            "stop_sequence": None,
            "stop_details": {"type": "refusal", "category": "cyber", "explanation": "I do not do that"}
            if stop == "refusal"
            else None,
            "usage": _usage(params, text),
        }

    def _result(self, params: dict[str, Any]) -> dict[str, Any]:
        fault = self._fault("entry", _text(params))
        if fault is not None and fault.result is not None:
            return fault.result
        return {"type": "succeeded", "message": self._message(params, fault)}

    def _shown(self, state: BatchState) -> dict[str, Any]:
        ended = state.looks >= self.looks
        kinds = Counter(entry["result"]["type"] for entry in state.results) if ended else Counter()
        return {
            "id": state.id,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": {
                "processing": 0 if ended else len(state.requests),
                **{kind: kinds[kind] for kind in ("succeeded", "errored", "canceled", "expired")},
            },
            "created_at": state.created.isoformat(),
            "expires_at": (state.created + timedelta(days=1)).isoformat(),
            "ended_at": datetime.now(UTC).isoformat() if ended else None,
            "archived_at": None,
            "cancel_initiated_at": state.created.isoformat() if state.canceled else None,
            "results_url": f"{self.url}/v1/messages/batches/{state.id}/results" if ended else None,
        }


async def _spoilt(fault: Fault, whole: str) -> Response:
    """The response that a fault makes of a good one."""
    await asyncio.sleep(fault.hang_s)
    if fault.status:
        return _error(fault.status, fault.kind, fault.message, fault.headers)
    if fault.body is not None:
        return Response(fault.body, media_type="application/json")
    if fault.drop:

        async def half() -> AsyncIterator[bytes]:
            yield whole[: len(whole) // 2].encode()
            await asyncio.sleep(0.01)
            raise ConnectionResetError

        length = {"content-length": str(len(whole.encode()))}
        return StreamingResponse(half(), headers=length, media_type="application/json")
    return Response(whole, media_type="application/json")


def _error(status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> Response:
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    return JSONResponse(body, status_code=status, headers=headers)


def _blocks(params: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from params.get("system", [])
    for message in params["messages"]:
        yield from message["content"]


def _text(params: dict[str, Any]) -> str:
    return "\n".join(block["text"] for block in _blocks(params))


def _prompt(params: dict[str, Any]) -> str:
    return params["messages"][-1]["content"][-1]["text"]


def _usage(params: dict[str, Any], text: str) -> dict[str, int]:
    """Tokens by the request alone: a tenth of the requests write the cached part, the others read it."""
    blocks = list(_blocks(params))
    marked = max((i for i, block in enumerate(blocks) if block.get("cache_control")), default=-1)
    cached = sum(len(block["text"]) for block in blocks[: marked + 1]) // 4
    writes = int(_hash(_text(params)), 16) % 10 == 0
    return {
        "input_tokens": sum(len(block["text"]) for block in blocks[marked + 1 :]) // 4 + 1,
        "cache_creation_input_tokens": cached if writes else 0,
        "cache_read_input_tokens": 0 if writes else cached,
        "output_tokens": len(text) // 4 + 1,
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--answer", help="module:function that answers, instead of the built-in one")
    arguments = parser.parse_args()
    answer = default_answer
    if arguments.answer:
        module, _, name = arguments.answer.partition(":")
        answer = getattr(importlib.import_module(module), name)
    server = AnthropicServer(arguments.port, answer)
    uvicorn.run(server.app(), host="127.0.0.1", port=arguments.port, log_level="warning")


if __name__ == "__main__":
    main()
