"""How messages reach the plugin: over a WebSocket, or as answers to polls that are held."""

import asyncio
from contextlib import suppress

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from luau_rft.studio.guard import Bucket, Refused, parse
from luau_rft.studio.hub import Hub
from luau_rft.studio.places import Connection
from luau_rft.studio.protocol import (
    Acknowledge,
    Deliver,
    Hello,
    Message,
    Ping,
    PluginFrame,
    Poll,
    PollAnswer,
    Pong,
    Progress,
    Refusal,
    Result,
    Welcome,
)

FRAMES = (100.0, 1000)  # from a plugin, a second and at once
CLOSE = {"replaced": 4001, "no-answer": 4002, "revoked-token": 4003, "bad-request": 4004, "too-many": 4005}
CLOSE |= {"superseded": 1000, "stopping": 1001}
_WHY = {
    "replaced": (409, "another window has this place now"),
    "revoked-token": (401, "the token was revoked; pair again"),
    "stopping": (503, "the bridge ends"),
    "no-answer": (409, "the plugin did not answer"),
    "superseded": (409, "this session has a newer connection"),
}
_FRAME: TypeAdapter[Hello | Result | Pong] = TypeAdapter(PluginFrame)


def check(hub: Hub, place: str, hello: Hello) -> None:
    """Raises ``Refused`` where the token is another place's, or the bridge ends."""
    if hub.stopping:
        raise Refused(503, "stopping", "the bridge ends")
    if hello.place != place:
        raise Refused(409, "wrong-place", "the token was given to another place; pair this one")
    hub.rename(place, hello.name)


def ended(reason: str) -> Refused:
    status, message = _WHY[reason]
    return Refused(status, reason, message)


def welcome(hub: Hub, place: str) -> Welcome:
    return Welcome(
        server=hub.server, waiting=hub.queue.waiting(place), ping_s=hub.timing.ping_s, lost_s=hub.timing.lost_s
    )


def next_commands(hub: Hub, connection: Connection, after: int) -> list[Deliver]:
    """What the connection gets next; it counts as sent."""
    commands = hub.queue.pending(connection.place, after)
    connection.sent.update(command.id for command in commands)
    return commands


async def answer_poll(hub: Hub, place: str, poll: Poll, request: Request) -> PollAnswer:
    """Hold a poll until there is something to tell. Raises ``Refused`` where its session may not go on."""
    check(hub, place, poll)
    messages: list[Welcome | Deliver | Acknowledge | Progress] = []
    connection, new = hub.places.attach(poll, "poll")
    turn = connection.turn
    if poll.results:
        messages.append(hub.finish(place, poll.results))
    if new:
        messages.append(welcome(hub, place))
    after = hub.after(connection, poll.after)
    deadline = asyncio.get_running_loop().time() + min(poll.wait_s, hub.timing.poll_s)
    gone = asyncio.create_task(_gone(request))
    try:
        with hub.places.alive(connection):
            hub.announce()
            await hub.pace(place)
            while True:
                connection.wake.clear()
                if connection.ended is not None and connection.ended != "superseded":
                    raise ended(connection.ended)
                if connection.ended or connection.turn != turn:
                    connection.wake.set()  # for the newer poll
                    break
                messages += connection.progress.values()
                connection.progress.clear()
                messages += next_commands(hub, connection, after)
                left = deadline - asyncio.get_running_loop().time()
                if messages or left <= 0 or gone.done():
                    break
                woken = asyncio.create_task(connection.wake.wait())
                await asyncio.wait({woken, gone}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                woken.cancel()
    finally:
        gone.cancel()
    return PollAnswer(messages=messages)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def run_stream(hub: Hub, place: str, socket: WebSocket) -> None:
    """Serve a stream until one of both ends it."""
    await socket.accept()
    try:
        hello = await asyncio.wait_for(_frame(socket), hub.timing.hello_s)
        if not isinstance(hello, Hello):
            raise Refused(400, "bad-request", "the first frame has to be hello")
        check(hub, place, hello)
        connection, _ = hub.places.attach(hello, "stream")
    except TimeoutError:
        await _close(socket, Refused(400, "bad-request", "hello did not come"))
        return
    except Refused as refused:
        await _close(socket, refused)
        return
    except (WebSocketDisconnect, WebSocketDisconnected):
        return
    with hub.places.alive(connection):
        hub.announce()
        tasks = [
            asyncio.create_task(_send(hub, connection, hub.after(connection, hello.after), socket)),
            asyncio.create_task(_receive(hub, connection, socket)),
            asyncio.create_task(_ping(hub, connection, socket)),
        ]
        done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        # The reason that one of them gives, rather than the disconnection that another notices.
        errors = sorted((task.exception() for task in done), key=lambda error: not isinstance(error, Refused))
        if isinstance(errors[0], Refused):
            connection.end(errors[0].refusal.reason)
            await _close(socket, errors[0])
        elif not isinstance(errors[0], WebSocketDisconnect | WebSocketDisconnected | None):
            raise errors[0]
    hub.announce()


async def _send(hub: Hub, connection: Connection, after: int, socket: WebSocket) -> None:
    await _write(socket, welcome(hub, connection.place))
    while True:
        connection.wake.clear()
        if connection.ended is not None:
            raise ended(connection.ended)
        commands = next_commands(hub, connection, after)
        progress = list(connection.progress.values())
        connection.progress.clear()
        for message in [*progress, *commands]:
            await _write(socket, message)
        if commands:
            after = commands[-1].seq
        else:
            await connection.wake.wait()


async def _receive(hub: Hub, connection: Connection, socket: WebSocket) -> None:
    frames = Bucket(*FRAMES)
    while True:
        frame = await _frame(socket)
        frames.take()
        hub.places.seen(connection)
        if isinstance(frame, Result):
            await _write(socket, hub.finish(connection.place, [frame]))
            connection.sent.discard(frame.id)
        elif isinstance(frame, Hello):
            raise Refused(400, "bad-request", "hello comes once")


async def _ping(hub: Hub, connection: Connection, socket: WebSocket) -> None:
    number = 0
    while True:
        await asyncio.sleep(hub.timing.ping_s)
        if hub.places.silent_s(connection) >= hub.timing.lost_s:
            raise ended("no-answer")
        number += 1
        with suppress(TimeoutError):  # a peer that reads nothing; it is lost soon
            await asyncio.wait_for(_write(socket, Ping(n=number)), hub.timing.ping_s)


async def _frame(socket: WebSocket) -> Hello | Result | Pong:
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message["code"])
    text = message.get("text")
    if text is None:
        raise Refused(400, "bad-request", "frames are text")
    return parse(_FRAME.validate_json, text)


async def _write(socket: WebSocket, message: Message) -> None:
    await socket.send_text(message.model_dump_json(exclude_none=True))


async def _close(socket: WebSocket, refused: Refused) -> None:
    """Say why, and close; a peer that reads nothing is not waited for."""
    refusal: Refusal = refused.refusal
    with suppress(TimeoutError, WebSocketDisconnect, WebSocketDisconnected, RuntimeError):
        async with asyncio.timeout(1):
            await _write(socket, refusal)
            await socket.close(CLOSE.get(refusal.reason, 4004), refusal.reason)
