"""`heats list` in real processes, over real stores."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pexpect
import pytest

from engine.store.files import write_json
from engine.store.paths import Store
from tests.tui.cli.stores import (
    add_attempt,
    command_line,
    ended_run,
    finished_run,
    heats,
    log_event,
    make_run,
    process_environment,
)
from tui.cli.root import run as run_here

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
FIELDS = {
    "id", "name", "task", "status", "reason", "since", "step", "total_steps", "metrics", "best", "study", "arm", "seed",
    "tags", "note", "star", "archived", "created", "attempts", "host", "rate", "left", "alerts", "problems", "suspect",
    "backend", "job",
}  # fmt: skip


@pytest.fixture
def three(store: Store) -> Store:
    """Three finished runs: the newest has the fewest steps and the highest loss."""
    now = time.time()
    finished_run(store, created=now - 3000, steps=30, loss=0.1, name="carol")
    finished_run(store, created=now - 2000, steps=20, loss=0.2, name="alice")
    finished_run(store, created=now - 1000, steps=10, loss=float("inf"), name="bob")
    return store


def _names(store: Store, *words: str) -> list[str]:
    done = heats("list", "--json", *words, store=store)
    assert done.returncode == 0, done.stderr
    return [run["name"] for run in json.loads(done.stdout)]


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("date", ["bob", "alice", "carol"]),
        ("step", ["carol", "alice", "bob"]),
        ("loss", ["carol", "alice", "bob"]),
        ("name", ["alice", "bob", "carol"]),
        ("status", ["bob", "alice", "carol"]),
    ],
)
def test_sorts(three: Store, order: str, names: list[str]) -> None:
    assert _names(three, "--sort", order) == names


def test_limit_cuts_after_sorting_and_says_what_is_left(three: Store) -> None:
    assert _names(three, "--limit", "1") == ["bob"]
    assert len(_names(three, "--limit", "0")) == 3
    shown = heats("list", "--limit", "2", store=three).stdout
    assert "1 more" in shown
    assert "--limit 0" in shown


def test_json_has_the_stable_fields_and_all_runs(store: Store) -> None:
    for _ in range(21):  # one more than the table shows
        make_run(store)
    runs = json.loads(heats("list", "--json", store=store).stdout)
    assert len(runs) == 21
    assert all(set(run) == FIELDS for run in runs)
    assert "1 more" in heats("list", store=store).stdout


def test_non_finite_numbers_are_words_in_json(store: Store) -> None:
    finished_run(store, loss=float("nan"))
    content = heats("list", "--json", store=store).stdout
    run = json.loads(content, parse_constant=lambda word: pytest.fail(f"bare {word} is no JSON"))[0]
    assert run["metrics"]["train/loss"] == "NaN"


def test_archived_runs_show_on_demand(three: Store) -> None:
    hidden = three.run(three.run_ids()[0])
    write_json(hidden.notes, {"schema": 1, "archived": True})
    assert len(_names(three)) == 2
    assert len(_names(three, "--all")) == 3
    assert "1 archived" in heats("list", store=three).stdout


def test_an_empty_store_says_what_to_do(store: Store) -> None:
    done = heats("list", store=store)
    assert done.returncode == 0
    assert "heats launch" in done.stdout
    assert json.loads(heats("list", "--json", store=store).stdout) == []


def test_every_status_has_its_word(store: Store) -> None:
    for event in ("stopped", "failed", "preempted"):
        ended_run(store, event)
    finished_run(store)
    shown = heats("list", store=store).stdout
    assert all(word in shown for word in ("■ stopped", "✘ failed", "↺ preempted", "✔ finished"))


def test_pipes_get_whole_ids_and_no_escape_codes(three: Store) -> None:
    shown = heats("list", store=three).stdout
    assert "\x1b" not in shown
    assert all(run_id in shown for run_id in three.run_ids())


def test_a_locale_without_utf8_gets_ascii(three: Store) -> None:
    shown = heats("list", store=three, environment={"LC_ALL": "C", "LANG": "C", "COLUMNS": "60"}).stdout
    assert shown.isascii()
    assert "+ finished" in shown
    assert heats("--ascii", "list", store=three, environment={"COLUMNS": "60"}).stdout.isascii()


def _on_terminal(store: Store, columns: int, environment: dict[str, str]) -> str:
    program, *words = command_line("list", store=store)
    shown = pexpect.run(
        " ".join([program, *words]), env=process_environment(environment), encoding="utf-8", dimensions=(24, columns)
    )
    return str(shown)


@pytest.mark.parametrize("columns", [80, 60])
def test_fits_the_terminal_and_keeps_the_tail_of_ids(three: Store, columns: int) -> None:
    lines = _ESCAPE.sub("", _on_terminal(three, columns, {})).splitlines()
    assert max(len(line) for line in lines) <= columns
    assert all(any(run_id[-5:] in line for line in lines) for run_id in three.run_ids())


def test_colours_only_where_they_are_wanted(three: Store) -> None:
    assert "\x1b[34m" in _on_terminal(three, 80, {})
    assert "\x1b" not in _on_terminal(three, 80, {"NO_COLOR": "1"})
    assert "\x1b" not in _on_terminal(three, 80, {"TERM": "dumb"})


def test_names_cannot_steer_the_terminal(store: Store) -> None:
    make_run(store, name="evil\x1b[2J\x07\nname")
    shown = heats("list", store=store).stdout
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert len(shown.splitlines()) == 2


def test_damaged_runs_are_listed_never_raised(three: Store) -> None:
    damaged = [make_run(three, slug=f"damaged-{number}") for number in range(5)]
    damaged[0].record.write_text('{"id": ')
    damaged[1].notes.write_bytes(b"\xff\xfe")
    attempt = add_attempt(damaged[2])
    attempt.launch.write_text("[]")
    log_event(attempt, "started")
    attempt.metrics.write_bytes(b'{"step": 1, "time": "x", "train/loss": {}}\nnonsense\n{"step": 2')
    shutil.rmtree(damaged[3].attempts_folder)
    damaged[4].record.unlink()
    (three.root / "20200101-000000_file_abcd").write_text("no folder")
    done = heats("list", "--json", store=three)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 7  # without run.json it is still being made
    for run in damaged[:4]:
        for verb in ("show", "logs"):
            assert run_here(["--runs-dir", str(three.root), verb, run.id]) in (0, 1, 2)
    assert heats("list", "--rescan", store=three).returncode == 0


def test_lists_without_a_usable_cache(three: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = heats("list", "--json", store=three, environment={"XDG_CACHE_HOME": str(tmp_path / "file")})
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 3


def test_lists_a_store_on_read_only_media(three: Store) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("no unshare, which makes the read-only mount")
    # Tests may run as root, for whom modes don't count: a read-only mount does.
    script = (
        'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" || exit 77; '
        'touch "$0/x" 2>/dev/null && exit 77; exec "$@"'
    )
    words = ["unshare", "--mount", "sh", "-c", script, str(three.root), *command_line("list", "--json", store=three)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=250, check=False, env=process_environment())
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this sandbox allows no mounts")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 3


def test_the_store_can_be_named_before_or_after_the_verb_or_in_the_environment(three: Store) -> None:
    here = str(three.root)
    for words, environment in (
        (("--runs-dir", here, "list", "--json"), {}),
        (("list", "--json", "--runs-dir", here), {}),
        (("list", "--json"), {"HEATS_RUNS_DIR": here}),
        (("--runs-dir", "/nowhere", "list", "--json", "--runs-dir", here), {"HEATS_RUNS_DIR": "/nowhere"}),
    ):
        done = heats(*words, environment=environment)
        assert done.returncode == 0, done.stderr
        assert len(json.loads(done.stdout)) == 3


def test_without_a_verb_a_pipe_gets_the_list(three: Store) -> None:
    assert three.run_ids()[0] in heats(store=three).stdout


def test_a_reader_that_leaves_is_no_error(three: Store) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = command_line("list", store=three)
    done = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, timeout=250, check=False, text=True)
    os.close(writing)
    assert done.stderr == ""
    assert done.returncode == 141


def test_a_filter_chooses_runs(three: Store) -> None:
    assert _names(three, "--filter", "step>15 NOT name:carol") == ["alice"]
    assert _names(three, "--filter", "loss=inf OR max_steps>5000") == ["bob"]
    assert len(_names(three, "--filter", "train.max_steps=1000 batch_size<=256")) == 3
    assert _names(three, "--filter", "has:checkpoint") == []
    assert "none of 3 runs fits" in heats("list", "--filter", "nosuch", store=three).stdout


def test_a_filter_that_fits_nothing_says_which_name_no_run_has(three: Store) -> None:
    said = heats("list", "--filter", "train.max_stepz<1 step<0 loss<-1 zzz>0", store=three).stdout
    assert "no run has an option or a metric `train.max_stepz`; did you mean `train.max_steps`?" in said
    assert "no run has an option or a metric `zzz`\n" in said
    assert "`step`" not in said
    assert "`loss`" not in said


def test_a_mistake_in_a_filter_is_pointed_at(three: Store) -> None:
    done = heats("list", "--filter", "loss<1 taks:mult", store=three)
    assert done.returncode == 2
    assert done.stdout == ""
    sentence, text, caret = done.stderr.splitlines()
    assert "did you mean `task:`" in sentence
    assert text.index("taks") == caret.index("^")
