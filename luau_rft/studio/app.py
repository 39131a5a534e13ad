"""The bridge's routes, as ``docs/studio.md`` lists them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from luau_rft.studio import stream
from luau_rft.studio.guard import Guard, Refused, read
from luau_rft.studio.hub import Hub
from luau_rft.studio.protocol import (
    PRODUCT,
    PROTOCOL,
    Accepted,
    AgentRequest,
    AskResults,
    Cancel,
    Forget,
    NewCommands,
    Pair,
    Paired,
    PairStart,
    Poll,
    Results,
)

Body = TypeVar("Body", bound=BaseModel)


def make_app(hub: Hub) -> ASGIApp:
    """The whole of the bridge as an ASGI app."""

    async def hello(request: Request) -> Response:
        hub.anonymous()
        return JSONResponse({"product": PRODUCT, "protocol": PROTOCOL, "server": hub.server})

    async def pair_start(body: PairStart) -> dict[str, Any]:
        hub.pairing.show(body.name)
        return {}

    async def pair(body: Pair) -> Paired:
        return Paired(token=hub.pair(body.place, body.name, body.code), server=hub.server)

    async def open_stream(socket: WebSocket) -> None:
        place = hub.place_of(socket.headers.get("authorization", ""))
        if hub.stopping:
            raise Refused(503, "stopping", "the bridge ends")
        await stream.run_stream(hub, place, socket)

    async def poll(place: str, body: Poll, request: Request) -> Any:
        return await stream.answer_poll(hub, place, body, request)

    async def results(place: str, body: Results, request: Request) -> Any:
        return hub.finish(place, body.results)

    async def ask(place: str, body: AgentRequest, request: Request) -> Any:
        return hub.jobs.ask(place, body)

    async def cancel_jobs(place: str, body: Cancel, request: Request) -> Any:
        hub.jobs.cancel(place, body.ids)
        return {}

    async def state(request: Request) -> Response:
        hub.client(request.headers.get("authorization", ""))
        return _json(hub.state())

    async def command(body: NewCommands) -> Accepted:
        return Accepted(place=hub.command(body), ids=[one.id for one in body.commands])

    async def client_results(body: AskResults) -> Any:
        deadline = asyncio.get_running_loop().time() + body.wait_s
        while True:
            change = hub.settled.next
            found = hub.results(body.ids)
            left = deadline - asyncio.get_running_loop().time()
            if found.results or found.withdrawn or left <= 0 or hub.stopping:
                return found
            try:
                await asyncio.wait_for(change.wait(), left)
            except TimeoutError:
                continue

    async def withdraw(body: Cancel) -> Any:
        hub.withdraw(body.ids)
        return hub.results(body.ids)

    async def forget(body: Forget) -> dict[str, Any]:
        hub.forget(hub.choose(body.place).place)
        return {}

    def anyone(path: str, kind: type[Body], act: Callable[[Body], Awaitable[Any]]) -> Route:
        async def endpoint(request: Request) -> Response:
            hub.anonymous()
            return _json(await act(await read(request, kind)))

        return Route(path, endpoint, methods=["POST"])

    def plugin(path: str, kind: type[Body], act: Callable[[str, Body, Request], Awaitable[Any]]) -> Route:
        async def endpoint(request: Request) -> Response:
            place = hub.place_of(request.headers.get("authorization", ""))
            return _json(await act(place, await read(request, kind), request))

        return Route(path, endpoint, methods=["POST"])

    def client(path: str, kind: type[Body], act: Callable[[Body], Awaitable[Any]]) -> Route:
        async def endpoint(request: Request) -> Response:
            hub.client(request.headers.get("authorization", ""))
            return _json(await act(await read(request, kind)))

        return Route(path, endpoint, methods=["POST"])

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(hub.jobs.work()), asyncio.create_task(_watch(hub))]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    app = Starlette(
        routes=[
            Route("/hello", hello, methods=["GET"]),
            anyone("/pair/start", PairStart, pair_start),
            anyone("/pair", Pair, pair),
            WebSocketRoute("/stream", open_stream),
            plugin("/poll", Poll, poll),
            plugin("/results", Results, results),
            plugin("/requests", AgentRequest, ask),
            plugin("/requests/cancel", Cancel, cancel_jobs),
            Route("/client/state", state, methods=["GET"]),
            client("/client/commands", NewCommands, command),
            client("/client/results", AskResults, client_results),
            client("/client/cancel", Cancel, withdraw),
            client("/client/forget", Forget, forget),
        ],
        exception_handlers={Refused: _refused, HTTPException: _http},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return Guard(app, [f"127.0.0.1:{hub.port}", f"localhost:{hub.port}"])


async def _watch(hub: Hub) -> None:
    """Notice connections that fell silent."""
    while True:
        await asyncio.sleep(1)
        hub.announce()


def _json(answer: BaseModel | dict[str, Any]) -> Response:
    if isinstance(answer, dict):
        return JSONResponse(answer)
    return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")


async def _refused(connection: Request | WebSocket, error: Exception) -> Response | None:
    assert isinstance(error, Refused)
    if isinstance(connection, WebSocket):
        await connection.send_denial_response(error.response())
        return None
    return error.response()


async def _http(connection: Request | WebSocket, error: Exception) -> Response | None:
    """What Starlette itself refuses."""
    assert isinstance(error, HTTPException)
    reason = {404: "not-found", 405: "wrong-method"}.get(error.status_code, "bad-request")
    return await _refused(connection, Refused(error.status_code, reason, error.detail))
