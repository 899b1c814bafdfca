"""The command palette, made of the table of actions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

from textual.command import DiscoveryHit, Hit, Provider

from tui.actions import APP, Action, actions_of
from tui.actions.action import MOVING


class ActionProvider(Provider):
    """The command palette's entries: the acts of the screen that it was opened on."""

    @property
    def _where(self) -> str:
        return str(getattr(self.screen, "WHERE", APP))

    def _entries(self) -> Iterator[tuple[Action, Callable[[], object]]]:
        for action in actions_of(self._where):
            namespace = "app" if APP in action.where else "screen"
            if action.id != "palette":
                yield action, _runner(self, f"{namespace}.{action.handler}")

    async def discover(self) -> AsyncIterator[DiscoveryHit]:
        """All acts, before anything is typed; those that only move come last, since nobody looks for them here."""
        for action, run in sorted(self._entries(), key=lambda entry: entry[0].group == MOVING):
            yield DiscoveryHit(palette_text(action), run, help=action.help)

    async def search(self, query: str) -> AsyncIterator[Hit]:
        """The acts that fit what was typed."""
        matcher = self.matcher(query)
        for action, run in self._entries():
            text = palette_text(action)
            score = matcher.match(text)
            if score > 0:
                yield Hit(score, matcher.highlight(text), run, text=text, help=action.help)


def palette_text(action: Action) -> str:
    """An act in the palette: its label and its keys."""
    return f"{action.label}  ({action.shown_keys})" if action.keys else action.label


def _runner(provider: ActionProvider, action: str) -> Callable[[], object]:
    screen = provider.screen

    async def run() -> None:
        await screen.run_action(action)

    return run
