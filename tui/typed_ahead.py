"""Keys one after the other: each goes to whoever has the focus once the one before it was answered.

A slow line brings what was typed in one piece. Textual gives each key to the widget that has the focus as it comes in,
which may be before that widget has looked at the key before: letters after the `/` of a filter would be commands, and
a command after its Enter would be one more letter.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from textual import events
from textual.app import App

_ROUNDS = 4
"""A key leads to an act, the act to a message, the message to another focus: each a way up from widget to app."""
_PATIENCE_SECONDS = 0.5
"""A widget that is held up holds the keys up no longer."""


class KeysInTurn:
    """Holds keys (and pasted text) back while one before them is under way."""

    def __init__(self, app: App[None]) -> None:
        self._app = app
        self._waiting: deque[events.Event] = deque()
        self._next: events.Event | None = None
        self._answering: asyncio.Task[Any] | None = None

    def holds(self, event: events.Event) -> bool:
        """Whether this one has to wait; it comes again as a message of the app when its turn has come."""
        if not self._app.screen_stack:
            return True
        if event is self._next:
            self._next = None
        elif self._answering is not None:
            self._waiting.append(event)
            return True
        self._answering = asyncio.create_task(self._until_answered())
        return False

    async def _until_answered(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                for number in range(_ROUNDS):
                    await self._way_up(idle_too=number == 0)
        except TimeoutError:
            pass
        finally:  # whatever went wrong: keys that wait for ever are worse
            self._answering = None
            if not self._app.screen_stack:
                self._waiting.clear()  # the app closes: what is typed after q is not for it
            elif self._waiting:
                self._next = self._waiting.popleft()
                self._answering = asyncio.current_task()
                self._app.post_message(self._next)

    async def _way_up(self, *, idle_too: bool) -> None:
        """Until the widgets from the one in focus up to the app have come to all their messages of this moment.

        Those without a message may still be at work on their last one, which the first way up waits for.
        """
        app = self._app
        if not app.screen_stack:
            return
        for pump in [*(app.focused or app.screen).ancestors_with_self]:
            reached = asyncio.Event()
            if (idle_too or pump.message_queue_size) and pump.call_later(reached.set):
                await reached.wait()
