"""`heats serve` in a real browser: opened, seen, a key pressed, a run launched from the form."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from engine.store.paths import open_store
from engine.store.status import State
from tests.e2e.browser import Browser, needs_chromium
from tests.e2e.terminal import heats
from tests.support import wait_for_state
from tests.tui.test_serve import Served

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@needs_chromium
def test_the_app_in_a_browser(store_root: Path, tmp_path: Path) -> None:
    served = Served(store_root)
    pictures = Path(os.environ.get("HEATS_TEST_PICTURES") or tmp_path)

    async def use() -> None:
        async with Browser(tmp_path / "profile") as browser:
            await browser.open(served.address)
            await _until_value(browser, "document.body.classList.contains('-first-byte')")
            await asyncio.sleep(2)  # the first list comes; a key before it would open nothing
            empty = await browser.picture()
            (pictures / "empty.png").write_bytes(empty)
            assert len(empty) > 10_000, "more than an empty page"
            await browser.value("document.querySelector('textarea').focus()")
            await browser.press("n")
            form = await browser.changed(empty)
            await asyncio.sleep(1)
            (pictures / "form.png").write_bytes(form := await browser.picture())
            await browser.press("g", control=True)
            await browser.until(lambda: (store_root / ".store.json").exists() and open_store(store_root).run_ids())
            after = await browser.changed(form)
            await asyncio.sleep(2)
            (pictures / "launched.png").write_bytes(after := await browser.picture())
            await browser.press("?")
            (pictures / "help.png").write_bytes(await browser.changed(after))
            blocked = "performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.includes('127.0.0.1'))"
            assert [name for name in await browser.value(blocked) if not name.startswith("data:")] == []

    try:
        asyncio.run(use())
        (run_id,) = open_store(store_root).run_ids()
        run = open_store(store_root).run(run_id)
        wait_for_state(run, State.STARTING, State.RUNNING)
        served.end()
        assert wait_for_state(run, State.RUNNING).status is State.RUNNING, "the run goes on without the app"
    finally:
        if served.process.poll() is None:
            served.process.kill()
        heats(store_root, "stop", "last", "--now")


async def _until_value(browser: Browser, expression: str, seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not await browser.value(expression):
            await asyncio.sleep(0.2)
