"""The bridge as a process: its port, its folder, its end."""

import asyncio
import errno
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import uvicorn

from luau_rft.errors import UserError
from luau_rft.studio.app import make_app
from luau_rft.studio.database import Database
from luau_rft.studio.folder import Running, bridges_folder, make_private, read_running, write_running
from luau_rft.studio.hub import Hub
from luau_rft.studio.jobs import Handler
from luau_rft.studio.places import Timing
from luau_rft.studio.protocol import DEFAULT_PORT, printable

HOST = "127.0.0.1"
_CONNECTIONS = 500


class Bridge:
    """A bridge that holds its port; ``run`` serves until ``stop``, Ctrl+C or SIGTERM.

    ``port`` 0 takes a free one. ``folder`` has a folder for each port. Raises ``UserError`` for a port that is taken,
    naming by what, and for a damaged database.
    """

    def __init__(
        self,
        handler: Handler,
        port: int = DEFAULT_PORT,
        folder: Path | None = None,
        say: Callable[[str], None] = print,
        timing: Timing | None = None,
    ) -> None:
        bridges = folder or bridges_folder()
        self._socket = _bind(port, bridges)
        try:
            self.port: int = self._socket.getsockname()[1]
            self._folder = bridges / str(self.port)
            make_private(bridges)
            make_private(self._folder)
            self._database = Database(self._folder / "queue.sqlite")
        except BaseException:
            self._socket.close()
            raise

        def show(text: str) -> None:  # names and messages are the plugin's and the model's
            say("\n".join(map(printable, text.split("\n"))))

        self._say = show
        self.hub = Hub(self._database, self.port, handler, show, timing or Timing())
        config = uvicorn.Config(
            make_app(self.hub),
            http="h11",
            ws="websockets-sansio",
            ws_max_size=2**22,
            ws_ping_interval=None,  # the protocol has its own, which the plugin itself answers
            ws_per_message_deflate=False,
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=2,
        )
        self._server = _Server(config, self.hub)

    def run(self) -> None:
        """Serve. Ctrl+C ends it without a traceback; what waits is kept."""
        running = Running(port=self.port, pid=os.getpid(), server=self.hub.server, secret=self.hub.secret)
        write_running(self._folder, running)
        self._say(f"bridge at http://{HOST}:{self.port}, Ctrl+C ends it")
        known = ", ".join(f"«{place.name}»" for place in self.hub.all_places())
        if known:
            self._say(f"paired: {known}; they reconnect by themselves")
        self.hub.pairing.show()
        main = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGTERM, signal.default_int_handler) if main else None
        try:
            self._server.run(sockets=[self._socket])
        except KeyboardInterrupt:
            pass
        finally:
            if main:
                signal.signal(signal.SIGTERM, before)
            if read_running(self._folder) == running:
                (self._folder / "bridge.json").unlink(missing_ok=True)
            waiting = sum(place.waiting for place in self.hub.all_places())
            self._database.close()
            self._socket.close()
        self._say(f"bridge ended{f', {waiting} commands wait for its next start' if waiting else ''}")

    def stop(self) -> None:
        """End ``run``, from any thread."""
        self._server.should_exit = True


class _Server(uvicorn.Server):
    """Tells the plugins why before it closes their connections."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._hub.stop()
        for _ in range(20):
            if not self._hub.places.any_open():
                break
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)


def _bind(port: int, bridges: Path) -> socket.socket:
    # With the protocol named, asyncio turns off Nagle's algorithm, which would hold small frames back for 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # On Windows SO_REUSEADDR would let a second program take the port over.
    listener.setsockopt(
        socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE if sys.platform == "win32" else socket.SO_REUSEADDR, 1
    )
    try:
        listener.bind((HOST, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        from luau_rft.studio.client import answers

        running = read_running(bridges / str(port))
        if running is not None and answers(running):
            raise UserError(
                f"--port {port}: a bridge already runs there (process {running.pid}); use it, end it, or take another "
                "port and set the same one in the plugin"
            ) from None
        raise UserError(
            f"--port {port}: taken by another program; end that one, or take another port and set the same one in the "
            "plugin"
        ) from None
    return listener
