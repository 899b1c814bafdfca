"""The screens of studies: what is shown of cells and claims, and studies that really train when asked to."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from textual.pilot import Pilot

from engine.launch import queue as launch_queue
from engine.store.paths import Store, create_store, open_store
from engine.store.summary import summarize
from engine.study.expand import Arm, expand
from engine.study.spec import Study, read_study
from tests.engine.study.made import CLAIM, make_cell, make_runs, make_study
from tests.support import ENDLESS, TINY
from tests.tui.driving import drive, told, until
from tui.drawing import Bar, interval_plot
from tui.heats_app import HeatsApp
from tui.screens.compare import CompareScreen
from tui.screens.confirm import ConfirmScreen
from tui.screens.run import RunScreen
from tui.screens.studies import StudiesScreen
from tui.screens.study import StudyScreen
from tui.study_acts import plan_run, run_study
from tui.study_findings import findings, still_needs
from tui.study_questions import redo_choices, stop_question
from tui.study_view import (
    Source,
    StudyView,
    best_trial,
    cell_text,
    find_source,
    find_sources,
    read_view,
    trials,
    with_news,
)
from tui.widgets.grid import GridView
from tui.widgets.small_table import SmallTable
from tui.widgets.text_pane import TextPane


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of study files in a working folder of its own."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "experiments"
    folder.mkdir()
    return folder


def source_of(study: Study) -> Source:
    return Source(study.name, study.file, study.preset)


def view_of(store: Store, study: Study) -> StudyView:
    return read_view(store.root, source_of(study))


def plain(lines: list[object]) -> str:
    return "\n".join(str(line) for line in lines)


# What is read and said


def test_studies_are_found_in_the_folder_its_presets_and_the_store(place: Path, store_root: Path) -> None:
    make_study(place, "mine", presets={"smoke": {"seeds": [0]}})
    gone = make_study(place, "gone")
    folder = store_root / ".studies" / "gone"
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_bytes(gone.file.read_bytes())
    gone.file.unlink()
    create_store(store_root)
    found = {source.label: source for source in find_sources(store_root, ["mine.smoke", "elsewhere"])}
    assert {"mine", "mine.smoke", "gone", "elsewhere"} <= found.keys()
    assert found["mine.smoke"].preset == "smoke"
    assert found["gone"].stored
    assert read_view(store_root, found["gone"]).study is not None, "the store's copy can be looked at"
    assert "isn't in experiments/" in read_view(store_root, found["elsewhere"]).problem
    assert find_source(store_root, "mine").file.name == "mine.yaml"


def test_a_mistake_is_its_sentence(place: Path, store_root: Path) -> None:
    study = make_study(place, "wrong")
    study.file.write_text(study.file.read_text().replace("question", "qestion"))
    view = view_of(create_store(store_root), study)
    assert "did you mean `question`?" in view.problem
    assert "did you mean" in plain(list(findings(view, 80)))


def test_without_a_store_every_cell_is_missing(place: Path, store_root: Path) -> None:
    view = read_view(store_root, source_of(make_study(place)))
    assert view.counts() == {"missing": 6}


def test_the_matrix_says_how_cells_stand(place: Path, store_root: Path) -> None:
    study, store = make_study(place), create_store(store_root)
    cells = expand(study)
    make_runs(store, study, lambda cell: 0.5, cells=cells[:1])
    make_runs(store, study, lambda cell: 0.1, cells=cells[1:2], end="failed", steps=3)
    view = view_of(store, study)
    metric = "val/exact_match"
    assert cell_text(view.states[0], metric, "last") == "0.5 ✔"
    assert cell_text(view.states[1], metric, "last", ascii_only=True) == "0.1 x"
    assert cell_text(view.states[2], metric, "last") == "·"


def test_news_of_a_run_that_ended_need_a_new_look(place: Path, store_root: Path) -> None:
    from dataclasses import replace

    from engine.store.status import State

    study, store = make_study(place), create_store(store_root)
    make_runs(store, study, lambda cell: 0.5, cells=expand(study)[:1])
    view = view_of(store, study)
    run = view.states[0].summary
    assert run is not None
    assert with_news(view, {run.id: run}) is view
    assert with_news(view, {}) is None
    assert with_news(view, {run.id: replace(run, status=State.RUNNING)}) is None
    live = replace(view, states=(replace(view.states[0], summary=replace(run, status=State.RUNNING)),))
    moved = with_news(live, {run.id: replace(run, status=State.RUNNING, step=99)})
    assert moved is not None
    assert moved.states[0].summary is not None
    assert moved.states[0].summary.step == 99


def test_what_a_claim_still_needs(place: Path, store_root: Path) -> None:
    study, store = make_study(place, hypothesis=CLAIM, seeds=[0, 1]), create_store(store_root)
    cells = expand(study)
    make_runs(store, study, lambda cell: 0.5 + 0.1 * cell.seed, cells=cells[:2])
    make_runs(store, study, lambda cell: 0.1, cells=cells[2:3], end="failed", steps=3)
    view = view_of(store, study)
    needs = " / ".join(still_needs(view, view.comparisons[0]))
    assert "1 cell to finish" in needs
    assert "failed: train anew" in needs
    assert "1 more seed in the file" in needs
    said = plain(list(findings(view, 100)))
    assert "INCONCLUSIVE" in said
    assert "simple + 0.01" in said, "the margin is drawn"


def test_intervals_stay_within_their_width_and_in_ascii() -> None:
    bars = [Bar("a", 0.5, 0.4, 0.6, (0.45, 0.55), "0.5 n=2"), Bar("a-long-name-of-an-arm", 0.9, None, None, (0.9,))]
    for width in (30, 60, 120):
        lines = interval_plot(bars, width, marks={0.7: "margin"}, ascii_only=True)
        assert all(len(line.plain) <= width and line.plain.isascii() for line in lines)
    assert any("margin" in line.plain for line in lines)
    first = lines[0].plain
    assert first.index("[") < first.index("*") < first.index("]") < first.index(":")
    assert interval_plot([Bar("a", None)], 60) == []


def test_a_search_shows_its_trials_the_best_first(place: Path, store_root: Path) -> None:
    space = {"optim.lr": {"low": 1e-4, "high": 1e-1, "log": True}}
    study = make_study(
        place, metric="val/exact_match", mode="max", seeds=[0], search={"method": "random", "trials": 5, "space": space}
    )
    store = create_store(store_root)
    for number, (rate, value) in enumerate([(0.001, 0.5), (0.01, 0.9), (0.05, 0.2)]):
        (cell,) = expand(study, None, [Arm(f"trial-{number:03d}", {"optim.lr": rate})])
        make_cell(store, study.label, cell.arm, cell.config, value)
    view = view_of(store, study)
    found = trials(view)
    assert [trial.name for trial in found] == ["trial-001", "trial-000", "trial-002"]
    best = best_trial(found)
    assert best is not None
    assert dict(best.values) == {"optim.lr": 0.01}
    assert "best so far 0.9 by trial-001: optim.lr=0.01" in plain(list(findings(view, 80)))


def test_the_plan_says_how_many_and_how_long(place: Path, store_root: Path) -> None:
    study, store = make_study(place), create_store(store_root)
    make_runs(store, study, lambda cell: 0.5, cells=expand(study)[:2])
    plan = plan_run(store_root, source_of(study))
    assert (plan.missing, plan.anew, plan.runs) == (4, 0, 4)
    assert plan.seconds == pytest.approx(4 * 20, rel=0.2)
    assert "4 to begin" in " ".join(plan.text())
    assert "1m" in plan.text()[1]
    assert plan_run(store_root, source_of(study), ["simple/0"]).anew == 1
    assert plan_run(store_root / "none", source_of(study)).missing == 6


# The screens


def grid(app: HeatsApp) -> GridView:
    return app.screen.query_one(GridView)


async def open_study(app: HeatsApp, pilot: Pilot[None], name: str) -> StudyScreen:
    """Through the digit, the table and Enter."""
    await pilot.press("2")
    await until(pilot, lambda: isinstance(app.screen, StudiesScreen) and app.screen.sources)
    table = app.screen.query_one(SmallTable)
    table.select(name)
    await pilot.pause()
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, StudyScreen))
    screen = app.screen
    assert isinstance(screen, StudyScreen)
    await until(pilot, lambda: screen.view is not None, 120)
    return screen


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (160, 45)])
def test_from_the_table_to_a_study_to_a_run(place: Path, store_root: Path, size: tuple[int, int]) -> None:
    study, store = make_study(place, hypothesis=CLAIM, presets={"smoke": {"seeds": [7]}}), create_store(store_root)
    make_study(place, "wrong").file.write_text("question: x\ntask: multiplicatoin\narms: {a: {}}\n")
    make_runs(store, study, lambda cell: 0.5 + 0.1 * (cell.arm == "latent") if cell.seed < 2 else None)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, StudiesScreen) and app.screen.sources)
        listing = app.screen
        assert isinstance(listing, StudiesScreen)
        await until(pilot, lambda: listing.views["made"].whole, 120)
        assert listing.views["made"].counts() == {"finished": 4, "missing": 2}
        assert "did you mean `multiplication`?" in listing.views["wrong"].problem
        await pilot.press("escape")
        screen = await open_study(app, pilot, "made")
        await until(pilot, lambda: grid(app).rows)
        assert [row.key for row in grid(app).rows] == ["simple", "latent"]
        assert grid(app).selected == ("simple", "0")
        await pilot.press("l", "j", "h", "l")
        assert grid(app).selected == ("latent", "1")
        if size[1] > 20:
            assert "INCONCLUSIVE" in screen.query_one(TextPane).text
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        await pilot.press("l", "enter")
        await until(pilot, lambda: "has no run yet" in told(app))
        await pilot.press("p")
        await until(pilot, lambda: screen.source.label == "made.smoke" and screen.view is not None)
        assert [column.key for column in grid(app).columns] == ["7"]
        await pilot.press("p")
        await until(pilot, lambda: screen.source.label == "made" and screen.view is not None)
        await pilot.press("g", "h", "h", "space", "j", "space", "d")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))

    drive(store_root, body, size=size)


def test_a_mistake_opens_as_a_sentence_and_mends_itself(place: Path, store_root: Path) -> None:
    study = make_study(place)
    right = study.file.read_text()
    study.file.write_text(right.replace("arms", "amrs"))

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        screen = await open_study(app, pilot, "made")
        await until(pilot, lambda: "did you mean `arms`?" in screen.query_one(TextPane).text)
        screen._look_at_file()
        await until(pilot, lambda: screen._modified is not None)
        study.file.write_text(right)
        os.utime(study.file, (1, 1))
        screen._look_at_file()
        await until(pilot, lambda: screen.view is not None and len(screen.view.states) == 6)

    drive(store_root, body)


def test_fifty_seeds_and_twenty_arms_scroll(place: Path, store_root: Path) -> None:
    arms = {f"arm-{number:02d}": {"model.d_model": 16 + 2 * number} for number in range(20)}
    make_study(place, arms=arms, seeds=list(range(5)))
    make_study(place, "seeds", seeds=list(range(50)))

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        def text() -> str:
            return "\n".join(strip.text for strip in app.screen._compositor.render_strips())

        await open_study(app, pilot, "made")
        await pilot.press("G")
        await until(pilot, lambda: grid(app).selected == ("arm-19", "0") and "arm-19" in text())
        await pilot.press("escape")
        await open_study(app, pilot, "seeds")
        for _ in range(49):
            await pilot.press("l")
        await until(pilot, lambda: grid(app).selected == ("simple", "49") and "seed 49" in text())

    drive(store_root, body, size=(80, 24), ascii_only=True)


def test_the_report_is_shown_and_written(place: Path, store_root: Path) -> None:
    study, store = make_study(place, hypothesis=CLAIM), create_store(store_root)
    make_runs(store, study, lambda cell: 0.5 + 0.1 * (cell.arm == "latent") + 0.01 * cell.seed)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        screen = await open_study(app, pilot, "made")
        await until(pilot, lambda: "CONFIRMED" in screen.query_one(TextPane).text)
        await pilot.press("t")
        await until(pilot, lambda: "How to reproduce" in screen.query_one(TextPane).text, 60)
        assert not (store_root / ".studies" / "made" / "report.html").exists()
        await pilot.press("escape")
        assert app.screen is screen
        await until(pilot, lambda: "CONFIRMED" in screen.query_one(TextPane).text)
        screen.action_write_text()
        await until(pilot, lambda: "report.html" in told(app), 60)
        assert (store_root / ".studies" / "made" / "report.html").exists()

    drive(store_root, body)


def test_questions_name_what_is_trained_and_what_is_lost(place: Path, store_root: Path) -> None:
    study, store = make_study(place), create_store(store_root)
    cells = expand(study)
    assert stop_question(view_of(store, study)) is None
    make_runs(store, study, lambda cell: 0.1, cells=cells[:2], end="failed", steps=3)
    make_runs(store, study, lambda cell: 0.1, cells=cells[2:3], end="stopped")
    view = view_of(store, study)
    labels = {choice.result: choice.label for choice in redo_choices(view, view.states[0], view.states[:3])}
    assert labels["simple/0"] == "the cell simple/0 (failed)"
    assert labels["failed"] == "all that failed (2)"
    assert "stopped" in labels
    assert "simple/0\nlatent/0\nsimple/1" in labels


def test_nothing_is_changed_when_read_only(place: Path, store_root: Path) -> None:
    study, store = make_study(place), create_store(store_root)
    make_runs(store, study, lambda cell: 0.5, cells=expand(study)[:1])
    before = sorted(path.name for path in store_root.rglob("*"))

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        screen = await open_study(app, pilot, "made")
        for key in ("r", "R", "s", "W"):
            await pilot.press(key)
            await pilot.pause()
            assert app.screen is screen
        assert "read-only" in told(app)

    drive(store_root, body, read_only=True)
    assert sorted(path.name for path in store_root.rglob("*")) == before


# Studies that really train


def small_study(place: Path, base: dict[str, object]) -> Study:
    content = {
        "question": "Does it train?", "task": "multiplication", "metric": "val/loss", "base": base, "seeds": [0],
        "arms": {"small": {}, "large": {"model.d_model": 32}}, "budget": {"max_parallel": 2},
    }  # fmt: skip
    path = place / "tiny.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return read_study(path)


async def answer(app: HeatsApp, pilot: Pilot[None], key: str, reply: str) -> str:
    """Press a key, wait for its question, answer it; what was asked."""
    await pilot.press(key)
    await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
    question = app.screen
    assert isinstance(question, ConfirmScreen)
    said = "\n".join((question.title_text, *question.text, *(choice.label for choice in question.choices)))
    await pilot.press(reply)
    return said


def furthest(screen: StudyScreen) -> int:
    """The greatest step of any cell."""
    states = screen.view.states if screen.view is not None else ()
    return max((state.summary.step for state in states if state.summary is not None), default=0)


def standing(screen: StudyScreen) -> Callable[[], set[str]]:
    return lambda: set(screen.view.counts()) if screen.view is not None else set()


@pytest.mark.slow
def test_a_study_is_run_from_the_screen_and_a_cell_trained_anew(
    place: Path, store_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEATS_SLOTS", "2")
    study = small_study(place, TINY)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        screen = await open_study(app, pilot, "tiny")
        asked = await answer(app, pilot, "r", "y")
        assert "2 runs: 2 to begin; 2 at once" in asked
        assert "isn't known" in asked
        await until(pilot, lambda: "2 runs queued, 2 of them started" in told(app), 60)
        await until(pilot, lambda: standing(screen)() == {"finished"}, 120)
        await until(pilot, lambda: "✔" in str(grid(app).rows[0].cells[0]))
        asked = await answer(app, pilot, "R", "c")
        assert "the cell small/0 (finished)" in asked
        await until(pilot, lambda: screen.cell is not None and len(screen.cell.older) == 1, 60)
        await until(pilot, lambda: standing(screen)() == {"finished"} and len(screen.cell.older) == 1, 120)  # type: ignore[union-attr]

    drive(store_root, body)
    assert len(open_store(store_root).run_ids()) == 3
    assert plan_run(store_root, source_of(study)).runs == 0


@pytest.mark.slow
def test_all_is_stopped_and_goes_on(place: Path, store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEATS_SLOTS", "1")
    study = small_study(place, ENDLESS)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        screen = await open_study(app, pilot, "tiny")
        await answer(app, pilot, "r", "y")
        await until(pilot, lambda: standing(screen)() == {"live", "queued"}, 60)
        await until(pilot, lambda: furthest(screen) > 50, 60)
        asked = await answer(app, pilot, "s", "y")
        assert "Stop all of tiny?" in asked
        assert "small/0 at" in asked
        assert "Waiting: 1" in asked
        await until(pilot, lambda: standing(screen)() == {"stopped", "missing"}, 60)
        asked = await answer(app, pilot, "r", "g")
        assert "1 run was stopped by a person" in asked
        await until(pilot, lambda: "live" in standing(screen)() and "stopped" not in standing(screen)(), 60)
        await answer(app, pilot, "s", "x")
        await until(pilot, lambda: "live" not in standing(screen)(), 60)

    drive(store_root, body)
    store = open_store(store_root)
    attempts = [len(store.run(run_id).attempts()) for run_id in store.run_ids()]
    assert 2 in attempts, "it went on from its checkpoint instead of beginning anew"
    assert not [item for item in launch_queue.waiting(store) if item.study == study.label]
    assert all(not summary.status.is_live for run_id in store.run_ids() if (summary := summarize(store.run(run_id))))


def test_a_study_whose_file_is_gone_isnt_run(place: Path, store_root: Path) -> None:
    from engine.errors import HeatsError

    study = make_study(place)
    with pytest.raises(HeatsError, match="so it can't be run"):
        run_study(store_root, Source("made", study.file, stored=True))


def test_a_key_before_the_study_is_read_says_so(place: Path, store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_study(place, "mine")
    go_on = threading.Event()

    def slow(root: Path, source: Source, known: frozenset[str]) -> StudyView:
        go_on.wait(120)
        return read_view(root, source, known)

    monkeypatch.setattr("tui.screens.study.read_view", slow)

    async def body(app: HeatsApp, pilot: Pilot[None]) -> None:
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, StudiesScreen) and app.screen.sources)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, StudyScreen))
        for key in "pmzd":
            app.clear_notifications()
            await until(pilot, lambda: not told(app))
            await pilot.press(key)
            await until(pilot, lambda: bool(told(app)))
            assert told(app) == "the study is still being read"
        go_on.set()
        screen = app.screen
        assert isinstance(screen, StudyScreen)
        await until(pilot, lambda: screen.view is not None)

    drive(store_root, body)
