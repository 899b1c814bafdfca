"""How the launch form comes to its values: drafts, the run that is cloned, the arm of a study, and back again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path

from engine.errors import HeatsError
from tui import form_origins
from tui.launch_form import Origin
from tui.screens.pane import HeatsScreen
from tui.screens.pick import Item, PickScreen
from tui.widgets.form_view import FormView


class FillingScreen(HeatsScreen):
    """A form that is filled from elsewhere; its heir says what it is for and what its values make."""

    def __init__(self, clone_of: str | None) -> None:
        super().__init__()
        self.clone_of = clone_of
        self.origin: Origin | None = None
        self.task_name = ""
        self._draft: str | None = None
        """Under what is typed is kept; None until the form shows what it begins with."""
        self._before: dict[str, str] | None = None

    @abstractmethod
    def check(self) -> None:
        """Say what the values make, now that they are others."""

    @abstractmethod
    def show_title(self) -> None:
        """Say what the form is for."""

    @property
    def form(self) -> FormView:
        """The lines to fill in."""
        return self.query_one("#form", FormView)

    def typed(self) -> dict[str, str]:
        """What stands in the fields, by key; empty ones are left out."""
        return {field.key: field.value for field in self.form.every if field.value and field.key != "task"}

    def begin(self) -> None:
        """Fill the form: what a clone takes is read first."""
        if self.clone_of is None:
            self._begin()
        else:
            root, run_id = self.heats.store_root, self.clone_of
            self.ask("clone", "reads the run's options", lambda: _try(root, run_id), self._took_clone)

    def _took_clone(self, found: Origin | str) -> None:
        if isinstance(found, str) or found.task != self.task_name:
            said = found if isinstance(found, str) else f"its task {found.task} isn't installed here"
            self.heats.tell(f"{self.clone_of} can't be cloned: {said}", failed=True)
            self.dismiss()
            return
        self.origin = found
        self.show_title()
        self._begin()

    def _begin(self) -> None:
        """Show what was typed the last time and not launched, else what the form begins with."""
        key = form_origins.draft_key(self.task_name, self.clone_of)
        draft = form_origins.read_drafts(self.heats.state.drafts).get(key)
        self._fill(draft if draft is not None else self._first_values())
        self._draft = key
        if draft is not None and draft != self._first_values():
            self.heats.tell("what was typed here the last time is back; ctrl+l empties the form")

    def _first_values(self) -> dict[str, str]:
        return dict(self.origin.values) if self.origin is not None else {}

    def _fill(self, values: Mapping[str, str]) -> None:
        """Put these values into the fields and empty all others."""
        for field in self.form.every:
            if field.key != "task":
                field.value = values.get(field.key, "")
        self.check()

    def keep_draft(self, *, launched: bool = False) -> None:
        """Keep what is typed for the next time; nothing of what the form began with or of what was launched."""
        if self._draft is None:
            return
        kept = None
        if not launched and (typed := self.typed()) != self._first_values():  # launched, the form may be gone already
            kept = typed
        self.heats.change_state(drafts=form_origins.with_draft(self.heats.state.drafts, self._draft, kept))
        if launched:
            self._draft = None

    def action_empty_form(self) -> None:
        """Back to what the form began with."""
        self._before = self.typed()
        self._fill(self._first_values())
        self.heats.tell("the form is as it began; ctrl+r brings back what stood in it")

    def action_bring_back(self) -> None:
        """What stood in the form before it was emptied or filled anew; once more turns that back."""
        if self._before is None:
            self.heats.tell("nothing was emptied or filled anew since the form was opened")
            return
        before, self._before = self._before, self.typed()
        self._fill(before)

    def action_start_from(self) -> None:
        """Choose an arm of a study whose options to take."""
        task = self.task_name
        self.ask("origins", "reads the studies", lambda: form_origins.of_studies(task), self._choose_origin)

    def _choose_origin(self, origins: list[Origin]) -> None:
        if not origins:
            self.heats.tell(f"no study of {self.task_name} in experiments/", failed=True)
            return

        def chosen(picked: str | None) -> None:
            if picked is None:
                return
            at = int(picked)
            self._before = self.typed()
            own = {key: text for key, text in self.typed().items() if key.startswith("run ") or key == "seed"}
            self._fill({**origins[at].values, **own})
            more = f"; {origins[at].told}" if origins[at].told else ""
            self.heats.tell(f"options of {origins[at].title}{more}; ctrl+r brings back what stood here")

        words = [" ".join(f"{key}={text}" for key, text in origin.values.items()) for origin in origins]
        items = [
            Item(str(at), origin.title, values) for at, (origin, values) in enumerate(zip(origins, words, strict=True))
        ]
        self.app.push_screen(PickScreen(f"Take the options of which arm? ({self.task_name})", items), chosen)


def _try(root: Path, run_id: str) -> Origin | str:
    """The options of a run, or why they can't be had."""
    try:
        return form_origins.of_run(root, run_id)
    except HeatsError as error:
        return str(error)
