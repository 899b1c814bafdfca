"""`heats serve`: real requests to a real server. Without the token of its address there is nothing to be had."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.store import host
from tests.support import exists, wait_until
from tests.tui.made import make_run

if TYPE_CHECKING:
    import aiohttp
else:
    aiohttp = pytest.importorskip("aiohttp", reason="textual-serve is not installed")


class Served:
    """A server that runs, and its address."""

    def __init__(self, root: Path, *options: str) -> None:
        environment = os.environ | {"HEATS_RUNS_DIR": str(root)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tui.cli", "serve", *options],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/([\w-]{40,})/", self.address)
        assert found, self.address
        self.port, self.token = int(found[1]), found[2]

    def apps(self) -> list[int]:
        return host.descendants(self.process.pid)

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


@pytest.fixture
def served(store_root: Path) -> Iterator[Served]:
    make_run(store_root, "mine")
    server = Served(store_root)
    yield server
    if server.process.poll() is None:
        server.process.kill()
        server.process.wait()


async def status(session: aiohttp.ClientSession, address: str, **headers: str) -> int:
    async with session.get(address, headers=headers) as response:
        return int(response.status)


def test_nothing_without_the_token(served: Served) -> None:
    base = f"http://127.0.0.1:{served.port}"
    wrong = "x" * len(served.token)

    async def ask() -> None:
        async with aiohttp.ClientSession() as session:
            paths = ["/", "/ws", "/static/js/textual.js", "/download/1", "//", "/%00", "/\u00e9/"]
            paths += [
                f"/{wrong}/",
                f"/{wrong}/ws",
                f"/?{served.token}",
                f"/{served.token[:-1]}/",
                f"/x/{served.token}/",
            ]
            for path in paths:
                assert await status(session, base + path) == 403, path
            with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
                await session.ws_connect(f"{base}/{wrong}/ws")
            assert refusal.value.status == 403
            assert await status(session, served.address, Host="evil.example") == 403, "another machine's name"
            assert await status(session, served.address, Origin="http://evil.example") == 403, "another site's page"
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(f"{served.address}ws", headers={"Origin": "http://evil.example"})
            assert await status(session, f"{served.address}nothing") == 404
            assert await status(session, f"{served.address}static/../../serve.py") in (403, 404)

    asyncio.run(ask())
    assert served.apps() == [], "no app was started for any of them"


def test_the_address_is_all_one_needs_and_ctrl_c_ends_all(served: Served) -> None:
    async def look() -> None:
        async with aiohttp.ClientSession() as session:
            async with session.get(served.address, headers={"Host": f"localhost:{served.port}"}) as response:
                page = await response.text()
                assert response.headers["Referrer-Policy"] == "no-referrer"
                assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            assert f"ws://localhost:{served.port}/{served.token}/ws" in page, "it goes by the name that was asked for"
            assert "https://" not in page, "nobody elsewhere is asked for anything"
            assert "css/xterm.css" in page
            assert await status(session, f"{served.address}static/js/textual.js") == 200
            async with session.ws_connect(f"{served.address}ws?width=100&height=30") as first:
                second = await session.ws_connect(f"{served.address}ws?width=80&height=24")
                assert b"mine" in await seen(first)
                await first.send_str('["stdin", "?"]')
                assert b"Esc closes" in await seen(first, b"Esc closes")
                await second.send_str("no JSON at all")  # ends this one, and nothing else
                wait_until(lambda: second.closed or len(served.apps()) <= 2)
                await first.send_str('["ping", "1"]')
                assert served.process.poll() is None
                apps = served.apps()
                assert apps
                assert await asyncio.to_thread(served.end) == 0
                wait_until(lambda: not any(exists(pid) for pid in apps))

    asyncio.run(look())


async def seen(socket: aiohttp.ClientWebSocketResponse, text: bytes = b"mine") -> bytes:
    """What came until a text was among it."""
    found = b""
    async with asyncio.timeout(60):
        while text not in found:
            message = await socket.receive()
            assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), message
            found += message.data if isinstance(message.data, bytes) else message.data.encode()
    return found


def test_a_killed_server_leaves_no_app(served: Served) -> None:
    async def connect() -> list[int]:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{served.address}ws") as socket:
            await seen(socket)
            apps = served.apps()
            served.process.kill()
            return apps

    apps = asyncio.run(connect())
    assert apps
    wait_until(lambda: not any(exists(pid) for pid in apps))


def test_a_port_that_is_taken_is_one_sentence(served: Served, store_root: Path) -> None:
    environment = os.environ | {"HEATS_RUNS_DIR": str(store_root)}
    command = [sys.executable, "-m", "tui.cli", "serve", "--port", str(served.port)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"heats: port {served.port}: can't listen there .*; give another --port\n", done.stderr)
