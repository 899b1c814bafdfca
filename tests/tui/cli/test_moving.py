"""`heats pull` and `heats push` between two stores, over a real sshd on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.launch.moving import why_apart
from engine.launch.remote import Place, parse_place
from engine.store.checkpoints import MANIFEST, scan, verify
from engine.store.files import write_json
from engine.store.paths import RunPaths, Store, create_store
from engine.store.records import Beat, write_beat
from tests.engine.launch.sshd import free_port, sshd
from tests.tui.cli.stores import add_attempt, add_checkpoint, finished_run, heats, log_event, make_run


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with sshd(tmp_path_factory.mktemp("sshd")) as command:
        yield command


@pytest.fixture
def there(tmp_path: Path, ssh: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The other machine's store, whose runs were made on another host."""
    monkeypatch.setenv("HEATS_SSH", ssh)
    return create_store(tmp_path / "there" / "runs")


def elsewhere(run: RunPaths, host: str = "gpubox") -> RunPaths:
    """The run as if another machine had made it."""
    for path in (run.record, *(attempt.launch for attempt in run.attempts())):
        write_json(path, json.loads(path.read_text()) | {"host": host})
    return run


def add_whole_checkpoint(run: RunPaths, step: int) -> None:
    """A checkpoint whose hashes are right too."""
    folder = add_checkpoint(run, step)
    manifest = json.loads((folder / MANIFEST).read_text())
    for name, entry in manifest["files"].items():
        content = (8).to_bytes(8, "little") + b"{}      " if name.endswith(".safetensors") else b"{}"
        (folder / name).write_bytes(content)
        entry["bytes"] = len(content)
        entry["sha256"] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    write_json(folder / MANIFEST, manifest)


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_runs_are_pulled_whole_then_only_what_is_new(there: Store, tmp_path: Path) -> None:
    run = elsewhere(finished_run(there))
    add_whole_checkpoint(run, 20)
    records = there.root / ".studies" / "rates"
    records.mkdir(parents=True)
    for name in ("report.md", "pending.json"):
        (records / name).write_text("{}")
    place, here = f"there:{there.root}", tmp_path / "here"
    dry = heats("pull", place, "--dry-run", "--runs-dir", str(here))
    assert dry.returncode == 0, dry.stderr
    assert f"would be pulled {run.id}" in dry.stdout
    assert not (here / run.id).exists()
    done = heats("pull", place, "--runs-dir", str(here))
    assert done.returncode == 0, done.stderr
    assert files(here / run.id) == files(run.folder)
    assert os.listdir(here / ".studies" / "rates") == ["report.md"]
    (checkpoint,) = scan(RunPaths(here / run.id))
    assert verify(checkpoint) == ()
    listed = json.loads(heats("list", "--json", "--runs-dir", str(here)).stdout)
    assert [(item["id"], item["host"], item["status"]) for item in listed] == [(run.id, "gpubox", "finished")]
    assert "gpubox" in heats("list", "--runs-dir", str(here)).stdout
    assert "1 of 1 runs are the same" in heats("pull", place, "--runs-dir", str(here)).stdout
    with open(run.attempt(1).metrics, "a") as file:
        file.write('{"step": 2000, "time": 3.0, "train/loss": 0.5}\n')
    os.utime(run.attempt(1).metrics, (time.time() + 5, time.time() + 5))
    (moved,) = json.loads(heats("pull", place, "--json", "--runs-dir", str(here)).stdout)["runs"]
    assert moved["files"] == 1


def test_what_is_newer_here_stays_and_nothing_is_deleted(there: Store, tmp_path: Path) -> None:
    run = elsewhere(finished_run(there))
    place, here = f"there:{there.root}", tmp_path / "here"
    heats("pull", place, "--runs-dir", str(here))
    assert heats("note", run.id, "mine", "--runs-dir", str(here)).returncode == 0
    (here / run.id / "extra.txt").write_text("kept")
    assert heats("pull", place, "--runs-dir", str(here)).returncode == 0
    assert json.loads((here / run.id / "notes.json").read_text())["note"] == "mine"
    assert (here / run.id / "extra.txt").exists()


def test_a_live_run_is_taken_as_it_stands_and_told_by_its_signs_of_life(there: Store, tmp_path: Path) -> None:
    run = make_run(there)
    attempt = add_attempt(run, started=time.time())
    log_event(attempt, "started")
    log_event(attempt, "training", 0)
    attempt.metrics.write_text('{"step": 7, "time": 1.0, "train/loss": 0.5}\n')
    write_beat(attempt.beat, Beat(time.time(), 10.0))
    (run.requests / "stop.json").write_text("{}")
    elsewhere(run)
    place, here = f"there:{there.root}", tmp_path / "here"
    assert heats("pull", place, "--runs-dir", str(here)).returncode == 0
    (listed,) = json.loads(heats("list", "--json", "--runs-dir", str(here)).stdout)
    assert (listed["status"], listed["step"]) == ("running", 7)
    assert "on gpubox" in listed["reason"]
    assert not (here / run.id / "requests" / "stop.json").exists()
    write_beat((RunPaths(here / run.id)).attempt(1).beat, Beat(time.time() - 3600, 10.0))
    (listed,) = json.loads(heats("list", "--json", "--runs-dir", str(here)).stdout)
    assert listed["status"] == "silent"


def test_a_checkpoint_that_arrived_damaged_is_fetched_again_and_one_damaged_there_is_told(
    there: Store, tmp_path: Path
) -> None:
    run = elsewhere(finished_run(there))
    add_whole_checkpoint(run, 20)
    place, here = f"there:{there.root}", tmp_path / "here"
    heats("pull", place, "--runs-dir", str(here))
    (good,) = scan(run)
    name = next(iter(good.files))
    damaged = here / run.id / "checkpoints" / good.folder.name / name
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    os.utime(damaged, (1, 1))  # older than there: it is fetched anew
    assert heats("pull", place, "--runs-dir", str(here)).returncode == 0
    assert damaged.read_bytes() == whole
    (good.folder / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    os.utime(good.folder / name, (time.time() + 5, time.time() + 5))
    done = heats("pull", place, "--runs-dir", str(here))
    assert done.returncode == 1
    assert good.folder.name in done.stderr


def test_a_run_that_went_on_in_both_places_is_left_alone(there: Store, tmp_path: Path) -> None:
    run, other = elsewhere(finished_run(there)), elsewhere(finished_run(there, slug="other"))
    place, here = f"there:{there.root}", tmp_path / "here"
    heats("pull", place, "--runs-dir", str(here))
    add_attempt(RunPaths(here / run.id), created=1.0)
    add_attempt(run, created=2.0)
    before = files(here / run.id)
    done = heats("pull", place, "--json", "--runs-dir", str(here))
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert "two histories" in told["refused"][run.id]
    assert [item["id"] for item in told["runs"]] == [other.id]
    assert files(here / run.id) == before
    assert why_apart(RunPaths(here / other.id), other) is None


def test_runs_are_pushed_into_a_folder_that_becomes_a_store(there: Store, tmp_path: Path) -> None:
    run = finished_run(there)
    add_whole_checkpoint(run, 20)
    target = tmp_path / "far" / "my runs"
    done = heats("push", f"there:{target}", "--runs-dir", str(there.root))
    assert done.returncode == 0, done.stderr
    assert files(target / run.id) == files(run.folder)
    assert json.loads((target / ".store.json").read_text())["id"] != there.id
    again = heats("push", f"there:{target}", "--runs", run.id[-4:], "--json", "--runs-dir", str(there.root))
    assert json.loads(again.stdout)["runs"][0]["files"] == 0


def test_a_pull_that_was_cut_off_is_taken_up_again(there: Store, tmp_path: Path) -> None:
    run = elsewhere(finished_run(there))
    big = run.tensorboard / "big"
    big.write_bytes(os.urandom(1 << 20))
    here = tmp_path / "here"
    part = create_store(here).run(run.id).tensorboard / ".rsync-partial"
    part.mkdir(parents=True)
    (part / "big").write_bytes(big.read_bytes()[: 1 << 19])
    assert heats("pull", f"there:{there.root}", "--runs-dir", str(here)).returncode == 0
    assert (here / run.id / "tb" / "big").read_bytes() == big.read_bytes()
    assert not part.exists()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nowhere", "names no store on another machine"), ("there:/no/such", "there is no such folder"),
        ("there:/etc", "is no store of runs"), ("-oProxyCommand=x:y", "names no store"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence(there: Store, tmp_path: Path, place: str, said: str) -> None:
    done = heats("pull", "--runs-dir", str(tmp_path / "here"), "--", place)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_host_that_refuses_and_missing_programs_are_told(
    there: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = str(tmp_path / "here")
    done = heats("pull", f"there:{there.root}", "--runs", "nothing", "--runs-dir", here)
    assert "no run there fits `nothing`" in done.stderr
    monkeypatch.setenv("HEATS_SSH", f"ssh -p {free_port()} -o StrictHostKeyChecking=no")
    done = heats("pull", f"127.0.0.1:{there.root}", "--runs-dir", here)
    assert done.returncode == 2
    assert "can't be reached" in done.stderr
    assert "refused" in done.stderr
    monkeypatch.setenv("HEATS_SSH", "no-such-ssh")
    assert "no-such-ssh isn't installed" in heats("pull", "a:b", "--runs-dir", here).stderr


def test_places_are_read_as_ssh_and_rsync_write_them() -> None:
    assert parse_place("me@box.lab:/data/runs") == Place("me@box.lab", "/data/runs")
    assert parse_place("box:").folder == "runs"
    assert parse_place("box:~/lab/runs").folder == "lab/runs"
    assert parse_place("box:runs").files("a", "") == "box:runs/a/"
