"""The app in a browser: a small server on 127.0.0.1 that knows nobody but who has the token of its address.

Any user of the machine can reach a port of 127.0.0.1, so the port alone protects nothing: every request, websockets
too, must carry a random token in its path.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp_jinja2
import jinja2
from aiohttp import web
from textual_serve.app_service import AppService
from textual_serve.server import Server, to_int

from engine.errors import HeatsError, MachineError

HOST = "127.0.0.1"
_NAMES = ("127.0.0.1", "localhost", "[::1]")
_PATIENCE_SECONDS = 3.0
_ELSEWHERE = re.compile(r"<link\b[^>]*https?://(?!127\.0\.0\.1|localhost)[^>]*>")
_HEADERS = {
    "Referrer-Policy": "no-referrer",  # the address is the key: it must not wander
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
}  # fmt: skip


class AppProcess(AppService):
    """One app for one browser tab, in a process group of its own, which ends with the tab."""

    def __init__(self, arguments: Sequence[str], **rest: Any) -> None:
        super().__init__("", **rest)
        self._arguments = tuple(arguments)

    async def _open_app_process(self, width: int = 80, height: int = 24) -> asyncio.subprocess.Process:
        environment = self._build_environment(width=min(max(width, 1), 500), height=min(max(height, 1), 300))
        environment["TEXTUAL_FPS"] = "30"
        for name in ("SSH_CONNECTION", "NO_COLOR"):  # of the terminal that serves, not of the browser
            environment.pop(name, None)
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tui.served", *self._arguments, env=environment, start_new_session=True,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdin is not None
        self._stdin = process.stdin
        return process

    async def stop(self) -> None:
        """End the app: ask it, and insist where it doesn't listen."""
        with contextlib.suppress(asyncio.TimeoutError, Exception):
            await asyncio.wait_for(super().stop(), _PATIENCE_SECONDS)
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


class HeatsServer(Server):
    """Serves the app under a path that nobody can guess.

    Args:
        arguments: for `python -m tui.served`, once for each browser tab.
        port: where to listen; 0 takes any that is free.
    """

    def __init__(self, arguments: Sequence[str], port: int) -> None:
        super().__init__("heats", host=HOST, port=port, title="heats")
        self.arguments = tuple(arguments)
        self.token = secrets.token_urlsafe(32)
        self.apps: set[AppProcess] = set()

    async def _make_app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        aiohttp_jinja2.setup(app, loader=jinja2.FileSystemLoader(self.templates_path))
        prefix = f"/{self.token}"
        app.add_routes(
            [
                web.get(f"{prefix}/", self.page, name="index"),
                web.get(f"{prefix}/ws", self.handle_websocket, name="websocket"),
                web.get(f"{prefix}/download/{{key}}", self.handle_download, name="download"),
                web.static(f"{prefix}/static", self.statics_path, name="static"),
            ]
        )
        app.on_shutdown.append(self._end_apps)
        return app

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Whoever hasn't the token gets the same short no, whatever was asked for."""
        token = request.path.split("/")[1].encode()
        name = request.host.rpartition(":")[0] if ":" in request.host.rpartition("]")[2] else request.host
        origin = request.headers.get("Origin")
        # Names of other machines that lead here are a trick on browsers (DNS rebinding), as is a page of another site.
        known = secrets.compare_digest(token, self.token.encode())
        if not known or name not in _NAMES or (origin is not None and origin != f"http://{request.host}"):
            return web.Response(status=403, text="no\n", headers=_HEADERS)
        try:
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(_HEADERS)
            raise
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    async def page(self, request: web.Request) -> web.StreamResponse:
        """The page, whose addresses are those by which the browser came: a forwarded port may have another number."""
        base = f"http://{request.host}/{self.token}"
        context = {
            "font_size": min(max(to_int(request.query.get("fontsize", "16"), 16), 6), 60),
            "app_websocket_url": f"ws{base[4:]}/ws",
            "config": {"static": {"url": f"{base}/static/"}},
            "application": {"name": "heats"},
        }
        page = aiohttp_jinja2.render_string("app_index.html", request, context)
        # The template asks a server elsewhere for a font: nobody else is to know that heats is used here.
        return web.Response(text=_ELSEWHERE.sub("", page), content_type="text/html")

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """One browser tab, from its coming to its going."""
        websocket = web.WebSocketResponse(heartbeat=15, max_msg_size=1 << 20)
        await websocket.prepare(request)
        app = AppProcess(
            self.arguments,
            write_bytes=websocket.send_bytes, write_str=websocket.send_str, close=websocket.close,
            download_manager=self.download_manager,
        )  # fmt: skip
        self.apps.add(app)
        try:
            width, height = (
                to_int(request.query.get(name, ""), usual) for name, usual in (("width", 80), ("height", 24))
            )
            await app.start(width, height)
            # What no browser of ours would send ends the connection, nothing else.
            with contextlib.suppress(AssertionError, ValueError, KeyError, IndexError, TypeError, AttributeError):
                await self._process_messages(websocket, app)
        finally:
            await app.stop()
            self.apps.discard(app)
        return websocket

    async def _end_apps(self, _: web.Application) -> None:
        await asyncio.gather(*(app.stop() for app in list(self.apps)))

    async def run(self, told: Callable[[str], None]) -> None:
        """Serve until SIGINT or SIGTERM.

        Args:
            told: gets the address once it can be opened.

        Raises:
            HeatsError: the port is taken, or not for this user.
        """
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, done.set)
        runner = web.AppRunner(await self._make_app(), access_log=None)
        await runner.setup()
        try:
            listening = _listen(self.port)
            await web.SockSite(runner, listening, shutdown_timeout=_PATIENCE_SECONDS).start()
            self.port = listening.getsockname()[1]
            told(f"http://{HOST}:{self.port}/{self.token}/")
            await done.wait()
        finally:
            await runner.cleanup()


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except (OSError, OverflowError) as error:
        listening.close()
        why = getattr(error, "strerror", None) or str(error)
        if isinstance(error, PermissionError):
            raise MachineError(
                f"can't listen there ({why})", place=f"port {port}", remedy="take one above 1023"
            ) from None
        raise HeatsError(f"can't listen there ({why})", place=f"port {port}", remedy="give another --port") from None
    return listening
