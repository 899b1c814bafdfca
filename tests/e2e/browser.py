"""A headless Chromium, driven through its DevTools protocol: pages opened, keys pressed, pictures taken."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: chromium)")


class Browser:
    """One page of one browser with a profile of its own."""

    def __init__(self, profile: Path, width: int = 1280, height: int = 800) -> None:
        assert CHROMIUM is not None
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        options += [f"--user-data-dir={profile}", f"--window-size={width},{height}", "--remote-debugging-port=0"]
        self._profile = profile
        self._process = subprocess.Popen(
            [CHROMIUM, *options, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=os.environ | {"HOME": str(profile)},
        )  # fmt: skip
        self._numbers = itertools.count(1)

    async def __aenter__(self) -> Browser:
        import aiohttp

        port_file = self._profile / "DevToolsActivePort"
        await self.until(lambda: port_file.exists() and port_file.read_text().count("\n") >= 1)
        port = port_file.read_text().split()[0]
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://127.0.0.1:{port}/json/list") as response:
            pages = await response.json()
        address = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
        self._socket = await self._session.ws_connect(address, max_msg_size=1 << 26)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        self._process.terminate()
        self._process.wait(30)

    async def ask(self, method: str, **parameters: Any) -> Any:
        """One command of the protocol, and its answer."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(60):
            while True:
                message: aiohttp.WSMessage = await self._socket.receive()
                content = message.json()
                if content.get("id") == number:
                    assert "error" not in content, content["error"]
                    return content["result"]

    async def value(self, expression: str) -> Any:
        """What a piece of JavaScript gives."""
        found = await self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        return found["result"].get("value")

    async def open(self, address: str) -> None:
        """Go to an address."""
        await self.ask("Page.navigate", url=address)

    async def press(self, key: str, *, control: bool = False) -> None:
        """Press and release one key."""
        code = ord(key.upper()) if len(key) == 1 else 0
        event = {"key": key, "modifiers": 2 if control else 0, "windowsVirtualKeyCode": code}
        text = {} if control else {"text": key}
        await self.ask("Input.dispatchKeyEvent", type="keyDown", **event, **text)
        await self.ask("Input.dispatchKeyEvent", type="keyUp", **event)

    async def picture(self) -> bytes:
        """The page as PNG."""
        return base64.b64decode((await self.ask("Page.captureScreenshot", format="png"))["data"])

    async def until(self, check: Callable[[], Any], seconds: float = 60.0) -> None:
        """Wait until something is so."""
        end = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < end, "it never came to be so"
            await asyncio.sleep(0.1)

    async def changed(self, before: bytes, seconds: float = 60.0) -> bytes:
        """Wait until the page looks otherwise, and give its picture."""
        end = time.monotonic() + seconds
        while (now := await self.picture()) == before:
            assert time.monotonic() < end, "nothing changed on the page"
            await asyncio.sleep(0.3)
        return now
