"""`heats compare` as a person sees it."""

from __future__ import annotations

import json

from engine.store.paths import Store
from tests.tui.cli.stores import CONFIG, finished_run, heats


def test_two_runs_side_by_side_with_the_step_at_which_they_part(store: Store) -> None:
    first = finished_run(store)
    second = finished_run(store, loss=1.5, config=CONFIG.replace("simple", "latent"))
    done = heats("compare", first.id, second.id, store=store, environment={"COLUMNS": "80"})
    assert done.returncode == 0, done.stderr
    assert ["model.kind", "simple", "latent"] in [line.split() for line in done.stdout.splitlines()]
    assert "they part at step 1" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    found = json.loads(heats("compare", first.id, second.id, "--json", store=store).stdout)
    assert found["option_keys"] == ["model.kind"]
    assert found["parted"]["first_step"] == 1


def test_many_runs_fit_80_columns_and_one_is_refused(store: Store) -> None:
    runs = [finished_run(store, loss=float(index + 1)).id for index in range(6)]
    done = heats("compare", *runs, store=store, environment={"COLUMNS": "80"})
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert heats("compare", runs[0], store=store).returncode == 2
