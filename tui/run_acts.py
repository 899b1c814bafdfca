"""What is done to several runs at once: who is meant, what is asked, and the doing, which goes on where one fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import HeatsError
from engine.store.paths import RunPaths, open_store
from engine.store.status import State
from tui import format
from tui.cli.terminal import safe
from tui.screens.confirm import Choice, ConfirmScreen

if TYPE_CHECKING:
    from engine.store.records import Notes
    from engine.store.summary import RunSummary
    from engine.store.trash import DeletePlan, Trashed
    from tui.acts import Outcome

_NAMED = 6


def named(runs: Sequence[RunSummary]) -> list[str]:
    """The first few runs, a line each, and how many more there are."""
    lines = [f"  {safe(run.name)} ({run.id[-4:]})  {run.status}  step {run.step:,}" for run in runs[:_NAMED]]
    return lines + ([f"  and {len(runs) - _NAMED} more"] if len(runs) > _NAMED else [])


def many(count: int, what: str = "run") -> str:
    """`1 run`, `3 runs`."""
    return f"{count:,} {what}{'s' if count != 1 else ''}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def can_stop(run: RunSummary) -> bool:
    """Whether there may be something of a run to stop."""
    return run.status.is_live or run.status is State.SILENT or "processes of it are left" in run.reason


def stop_many_question(runs: Sequence[RunSummary], left_out: int, hidden: int) -> ConfirmScreen:
    """What is asked before several runs are stopped."""
    steps = sum(run.step - last_checkpoint(run) for run in runs)
    text = named(runs)
    text += [f"{left_out} of the marked runs {_are(left_out)}n't running and left alone."] if left_out else []
    text += hidden_text(hidden)
    text += [
        "Each saves a checkpoint at the end of its step and ends; `r` goes on from there.",
        f"Ended at once they lose what came after their checkpoints: {steps:,} steps in all.",
    ]
    choices = (
        Choice("y", f"save and stop {many(len(runs))}", "stop", destructive=True),
        Choice("x", "end all of them at once, without a checkpoint", "now", destructive=True),
        Choice("n", "let them run", None),
    )
    return ConfirmScreen(f"Stop {many(len(runs))}?", text, choices)


def resume_many_question(runs: Sequence[RunSummary], left_out: int, hidden: int) -> ConfirmScreen:
    """What is asked before several runs are resumed: the machine may not have room for all."""
    text = named(runs) + ([f"{left_out} of the marked runs {_are(left_out)} live already."] if left_out else [])
    text += [*hidden_text(hidden), "Each goes on from its newest checkpoint, all at the same time."]
    choices = (Choice("y", f"resume {many(len(runs))}", "yes"), Choice("n", "leave them", None))
    return ConfirmScreen(f"Resume {many(len(runs))}?", text, choices)


def delete_question(runs: Sequence[RunSummary], plan: DeletePlan, hidden: int) -> ConfirmScreen:
    """What is asked before runs go to the trash: which, how large, and who refers to them."""
    files = sum(item.files for item in plan.leaving)
    checkpoints = f"{format.size(plan.bytes)} in {many(files, 'file')}, checkpoints among them"
    text = [*named(runs), checkpoints, *(safe(warning) for warning in plan.warnings[:3]), *hidden_text(hidden)]
    text.append("They go to the trash: `u` brings them back, and `T` shows what is there.")
    title = f"Delete {safe(runs[0].name)} ({runs[0].id[-4:]})?" if len(runs) == 1 else f"Delete {many(len(runs))}?"
    choices = (
        Choice("y", f"move {many(len(runs))} to the trash", "yes", destructive=True), Choice("n", "keep them", None),
    )  # fmt: skip
    return ConfirmScreen(title, text, choices, default=1)


def purge_question(items: Sequence[Trashed]) -> ConfirmScreen:
    """What is asked before runs of the trash are deleted for good."""
    size = format.size(sum(item.bytes for item in items))
    text = [f"  {safe(item.entry)}  {format.size(item.bytes)}" for item in items[:_NAMED]]
    text += [f"  and {len(items) - _NAMED} more"] if len(items) > _NAMED else []
    text.append(f"{size} with all checkpoints, curves and logs go for good: nothing brings them back.")
    choices = (
        Choice("y", f"delete {many(len(items))} for good", "yes", destructive=True), Choice("n", "keep them", None),
    )  # fmt: skip
    return ConfirmScreen(f"Delete {many(len(items))} for good?", text, choices, default=1)


def hidden_text(hidden: int) -> list[str]:
    """A warning where marked runs are out of sight."""
    return [f"{hidden} of them can't be seen now: hidden by the filter or in a folded group."] if hidden else []


def last_checkpoint(run: RunSummary) -> int:
    """The step of the newest checkpoint that its events tell of; 0 for none."""
    return max((event.step or 0 for event in run.events if event.name == "checkpoint"), default=0)


# Doing. Called in threads.


def each(paths: Iterable[RunPaths], act: Callable[[RunPaths], object], done: Callable[[int], str]) -> Outcome:
    """Do something to each run.

    Raises:
        HeatsError: some couldn't; how many could is said before why.
    """
    count, failed = 0, []
    for run in paths:
        try:
            act(run)
        except HeatsError as error:
            failed.append(str(error))
        else:
            count += 1
    if not failed:
        return done(count), None
    more = f"; and {len(failed) - 1} more couldn't" if len(failed) > 1 else ""
    raise HeatsError((f"{done(count)}, but " if count else "") + failed[0] + more)


def mark_each(paths: Sequence[RunPaths], change: Callable[[Notes], Notes], done: Callable[[int], str]) -> Outcome:
    """Change what people say of runs."""
    from engine.store.notes import edit_notes

    return each(paths, lambda run: edit_notes(run, change), done)


def parse_tags(text: str) -> tuple[list[str], list[str]]:
    """`paper -draft` as what to add and what to take away.

    Raises:
        HeatsError: a word can't be a tag.
    """
    from engine.store.notes import check_tag

    words = text.replace(",", " ").split()
    removed = [word[1:] for word in words if word.startswith("-")]
    added = [check_tag(word.removeprefix("+")) for word in words if not word.startswith("-")]
    return added, removed


def tag_each(paths: Sequence[RunPaths], text: str) -> Outcome:
    """Add and remove tags."""
    from engine.store.notes import with_tags

    added, removed = parse_tags(text)
    words = " ".join((*(f"+{tag}" for tag in added), *(f"-{tag}" for tag in removed)))
    return mark_each(paths, lambda notes: with_tags(notes, added, removed), lambda n: f"{many(n)}: {words}")


def archive_each(paths: Sequence[RunPaths], archived: bool) -> Outcome:
    """Archive runs, or take them out again."""
    word = "archived; `H` shows them" if archived else "no longer archived"
    return mark_each(paths, lambda notes: replace(notes, archived=archived), lambda count: f"{many(count)} {word}")


def star_each(paths: Sequence[RunPaths], star: bool) -> Outcome:
    """Star runs, or take the stars away."""
    word = "starred" if star else "without a star"
    return mark_each(paths, lambda notes: replace(notes, star=star), lambda count: f"{many(count)} {word}")


def note_each(paths: Sequence[RunPaths], note: str) -> Outcome:
    """Another note for runs."""
    return mark_each(paths, lambda notes: replace(notes, note=note), lambda count: f"note of {many(count)} kept")


def plan_deletion(root: Path, run_ids: Sequence[str]) -> DeletePlan:
    """What deleting runs would do; those that are gone by now are left out."""
    from engine.store.trash import plan_delete

    store = open_store(root)
    paths = [store.run(run_id) for run_id in run_ids]
    return plan_delete(store, [run for run in paths if run.folder.is_dir()])


def carry_out(root: Path, plan: DeletePlan, trashed: list[str]) -> Outcome:
    """Move runs to the trash; the names of their folders there are added to `trashed` as they go."""
    from engine.store.trash import delete

    store = open_store(root)
    for run in delete(store, plan):
        trashed.append(run.id)
    return f"{many(len(plan.leaving))} moved to the trash: `u` brings them back", None


def bring_back(root: Path, entries: Sequence[str]) -> Outcome:
    """Restore runs by the names of their folders in the trash."""
    from engine.store.trash import list_trash, restore

    store = open_store(root)
    there = {item.entry: item for item in list_trash(store)}
    gone = [entry for entry in entries if entry not in there]
    back = [restore(store, there[entry]) for entry in entries if entry in there]
    if gone:
        word = f"{many(len(back))} restored, but " if back else ""
        raise HeatsError(f"{word}{gone[0]} is in the trash no more")
    return f"{many(len(back))} restored", back[0].id if len(back) == 1 else None


def purge_items(root: Path, items: Sequence[Trashed]) -> Outcome:
    """Delete runs of the trash for good."""
    from engine.store.trash import purge

    gone = list(purge(open_store(root), items))
    return f"{many(len(gone))} deleted for good, {format.size(sum(item.bytes for item in gone))} freed", None
