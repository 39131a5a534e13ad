"""The command ``luau-rft mcp``: the MCP server over stdin and stdout, or over streamable HTTP."""

import os
import secrets
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from luau_rft.errors import UserError

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer
    from starlette.types import ASGIApp, Receive, Scope, Send

HOST = "127.0.0.1"
PACKAGES = ("mcp", "mcp_types", "starlette", "uvicorn")
TOKEN_VARIABLE = "LUAU_RFT_MCP_TOKEN"
MIN_TOKEN = 16  # characters
END_S = 5.0  # for what was stopped to end


def serve(
    model: str | None = None,
    url: str | None = None,
    max_tokens: int | None = None,
    context: int | None = None,
    project: Path | None = None,
    port: int | None = None,
) -> None:
    """Serve over stdin and stdout until the client goes; with a ``port`` over HTTP until an interrupt comes.

    ``model``, ``url``, ``max_tokens`` and ``context`` say what writes code, as for ``luau-rft agent``; ``project`` is
    the folder whose tasks, models and metrics are served, by default the current one. Raises ``UserError``.
    """
    try:
        from luau_rft.studio.mcp import build
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in PACKAGES:
            raise
        raise UserError(
            f"mcp: the package {error.name} is missing; run: pip install -c constraints.txt -e '.[studio]'"
        ) from None
    from luau_rft.agent_command import Options

    if project is not None:
        if not project.is_dir():
            raise UserError(f"--project {project}: no such folder; give the one with params.yaml, data/ and models/")
        os.chdir(project)
    server = build(Options(model=model, url=url, max_tokens=max_tokens, context=context))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    status = 0
    try:
        server.run("stdio") if port is None else serve_http(server, port)
    except SystemExit as end:
        status = end.code
    _end(status)


def serve_http(server: "MCPServer", port: int) -> None:
    """Serve on this machine's loopback address; 0 takes a free port. The address is told on stderr.

    Programs of other users on this machine reach that address, too, so every request needs a token: that of the
    variable ``LUAU_RFT_MCP_TOKEN``, or a new one. A request by another host name, or from a web page, is refused.
    """
    import uvicorn
    from mcp.server.transport_security import TransportSecuritySettings

    token = _token()
    try:
        listening = socket.create_server((HOST, port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"--port {port}: {reason}; give another one, or 0 for any that is free") from None
    with listening:
        port = listening.getsockname()[1]
        security = TransportSecuritySettings(allowed_hosts=[f"{HOST}:{port}", f"localhost:{port}"], allowed_origins=[])
        app = server.streamable_http_app(host=HOST, transport_security=security)
        told = f"set in {TOKEN_VARIABLE}" if TOKEN_VARIABLE in os.environ else token
        print(f"mcp: http://{HOST}:{port}/mcp (Authorization: Bearer, token {told})", file=sys.stderr, flush=True)
        # At its end calls under way are cancelled, each of which uvicorn would log as an error of the application.
        config = uvicorn.Config(
            RequireToken(app, token), log_config=None, log_level="critical", timeout_graceful_shutdown=1
        )
        uvicorn.Server(config).run(sockets=[listening])


def _end(status: int) -> NoReturn:
    """End the process, though a thread may still read stdin or wait for a model's server; leave no sandbox behind."""
    from luau_rft.studio.mcp_jobs import wait_for_sandboxes

    wait_for_sandboxes(END_S)
    sys.stderr.flush()
    os._exit(status)


class RequireToken:
    """Lets only requests with the token through to ``app``."""

    def __init__(self, app: "ASGIApp", token: str) -> None:
        self._app, self._expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "lifespan":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not secrets.compare_digest(given, self._expected):
                from starlette.responses import PlainTextResponse

                told = f"send the header Authorization: Bearer TOKEN; the server prints it, or {TOKEN_VARIABLE} sets it"
                await PlainTextResponse(told, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _token() -> str:
    token = os.environ.get(TOKEN_VARIABLE)
    if token is None:
        return secrets.token_urlsafe(32)
    if len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise UserError(f"{TOKEN_VARIABLE}: write {MIN_TOKEN} or more characters of ASCII without blanks")
    return token
