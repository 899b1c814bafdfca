"""Finding the run that a person means: by id, by any unique part of it, by its name, or `last`."""

from __future__ import annotations

from engine.errors import HeatsError
from engine.store.paths import RunPaths, Store
from engine.store.records import read_run

_SHOWN = 8


def find_run(store: Store, wanted: str) -> RunPaths:
    """The one run that a word names.

    Raises:
        HeatsError: no run, or several; the candidates are listed.
    """
    ids = store.run_ids()
    if not ids:
        raise HeatsError("there are no runs yet", place=str(store.root), remedy="`heats launch TASK` makes one")
    if not wanted:  # every id has this part; an unset shell variable must not name the only run
        raise HeatsError("no run is named", remedy="`heats list` shows what there is")
    if wanted == "last":
        return _newest(store, ids)
    if wanted in ids:
        return store.run(wanted)
    ending = [run_id for run_id in ids if run_id.endswith(f"_{wanted}")]
    if len(ending) == 1:  # the four letters that lists show last
        return store.run(ending[0])
    # A run that is called so is meant, even where the word is part of another's id: `stop latent` must not stop
    # whatever has a latent model.
    matches = _named(store, ids, wanted) or [run_id for run_id in ids if wanted in run_id]
    if len(matches) == 1:
        return store.run(matches[0])
    if not matches:
        raise HeatsError(f"no run is called `{wanted}`", remedy="`heats list` shows what there is")
    shown = ", ".join(reversed(matches[-_SHOWN:]))
    more = f" and {len(matches) - _SHOWN} more" if len(matches) > _SHOWN else ""
    raise HeatsError(f"`{wanted}` could be any of {len(matches)} runs", remedy=f"say which: {shown}{more}")


def _newest(store: Store, ids: list[str]) -> RunPaths:
    second = ids[-1][:15]
    same = [run_id for run_id in ids if run_id.startswith(second)]
    if len(same) > 1:  # made in one second: the record knows the order

        def created(run_id: str) -> float:
            record = read_run(store.run(run_id).record)
            return record.created if record else 0.0

        return store.run(max(same, key=created))
    return store.run(ids[-1])


def _named(store: Store, ids: list[str], wanted: str) -> list[str]:
    found = []
    for run_id in ids:
        record = read_run(store.run(run_id).record)
        if record is not None and record.name == wanted:
            found.append(run_id)
    return found
