"""What every request has to pass before anything else looks at it: no browser, no foreign name, JSON only."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from luau_rft.studio.protocol import MAX_BODY_BYTES, PlaceState, Refusal

BODY_S = 10.0  # for a body to arrive
Body = TypeVar("Body", bound=BaseModel)


class Refused(Exception):
    """A request that is answered by a status and a reason of the protocol."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        retry_after: float | None = None,
        places: list[PlaceState] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.refusal = Refusal(reason=reason, message=message, retry_after=retry_after, places=places)

    def response(self) -> Response:
        headers = {"Connection": "close"} if self.status == 413 else {}
        if self.refusal.retry_after is not None:
            headers["Retry-After"] = str(int(self.refusal.retry_after) + 1)
        return JSONResponse(self.refusal.model_dump(exclude_none=True), self.status, headers)


class Bucket:
    """Lets through ``burst`` at once and ``rate`` a second in the long run."""

    def __init__(self, rate: float, burst: int, now: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._now = rate, burst, now
        self._left, self._at = float(burst), now()

    def wait_s(self) -> float:
        """Seconds until one more may pass; 0: now."""
        now = self._now()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        return max(0.0, (1 - self._left) / self._rate)

    def take(self) -> None:
        """One passes. Raises ``Refused`` (429) where it may not."""
        wait = self.wait_s()
        if wait > 0:
            raise Refused(429, "too-many", "too many requests; wait", retry_after=wait)
        self._left -= 1


class Guard:
    """ASGI middleware around the whole app. ``hosts``: what a ``Host`` header may be."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def sealed(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                message.setdefault("headers", [])
                message["headers"] = [*message["headers"], *_SEALS]
            await send(message)

        try:
            self._check(scope)
        except Refused as refused:
            await refuse(scope, receive, sealed, refused)
        else:
            await self._app(scope, receive, sealed)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            raise Refused(403, "foreign-host", "this bridge answers to 127.0.0.1 and localhost with its port only")
        if any(name == "origin" or name.startswith("sec-fetch-") for name in headers):
            raise Refused(403, "foreign-origin", "web pages may not use this bridge")
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            if scope["method"] != "POST":
                raise Refused(405, "wrong-method", "only GET and POST are known here")
            if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
                raise Refused(415, "wrong-type", "the body has to be application/json")
            length = headers.get("content-length")
            if length is not None and (not length.isdecimal() or int(length) > MAX_BODY_BYTES):
                raise Refused(413, "too-large", f"a request has {MAX_BODY_BYTES} bytes at most")


_SEALS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]


async def refuse(scope: Scope, receive: Receive, send: Send, refused: Refused) -> None:
    """Answer a request, or fail a WebSocket's handshake."""
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(refused.response())
    else:
        await refused.response()(scope, receive, send)


async def read(request: Request, kind: type[Body]) -> Body:
    """The body as a message of the protocol. Raises ``Refused`` for one that is too large, late, or something else."""
    body = bytearray()

    async def collect() -> None:
        async for chunk in request.stream():
            body.extend(chunk)
            if len(body) > MAX_BODY_BYTES:
                raise Refused(413, "too-large", f"a request has {MAX_BODY_BYTES} bytes at most")

    try:
        await asyncio.wait_for(collect(), BODY_S)
    except TimeoutError:
        raise Refused(400, "bad-request", f"the body did not arrive within {BODY_S:.0f} s") from None
    except ClientDisconnect:
        raise Refused(400, "bad-request", "the body was cut off") from None
    return parse(kind.model_validate_json, bytes(body))


def parse(validate: Callable[[Any], Body], text: str | bytes) -> Body:
    """``text`` as a message. Raises ``Refused`` (400) that names the fields."""
    try:
        return validate(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refused(400, "bad-request", f"{where}: {first['msg']}" if where else first["msg"]) from None
