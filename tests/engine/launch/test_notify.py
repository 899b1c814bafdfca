"""People are told of alerts and of the end, by real commands, and no run is ever held up or harmed by it."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from engine.launch import messengers
from engine.launch.actions import resume, stop
from engine.launch.notify import Notice, Notifier, RateLimit, deliver, environment
from engine.store.checkup import undelivered
from engine.store.paths import AttemptPaths
from engine.store.records import ExitRecord, read_launch
from engine.store.status import State
from tests.engine.store.made import add_attempt, log_event, make_run, make_store
from tests.support import ENDLESS, TINY, end, kill, launched, start, wait_for_state, wait_for_step, wait_until

NASTY = 'it\'s "over"; $(touch pwned) `touch pwned` \x00\n${IFS} {message} %s'


@pytest.fixture
def attempt(store_root: Path) -> AttemptPaths:
    return add_attempt(make_run(make_store(store_root), name="mine"))


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """Where the hook writes."""
    return tmp_path / "told.jsonl"


@pytest.fixture
def hook(tmp_path: Path, told: Path) -> str:
    """A command that appends what it finds in its environment to a file, as one line of JSON.

    Called with the word `held` it waits for a file beside that one before it does so.
    """
    script = tmp_path / "a hook.py"
    script.write_text(
        "import json, os, sys, time\n"
        "if sys.argv[1:] == ['held']:\n"
        f"    open({str(told)!r} + '.begun', 'w').close()\n"
        f"    while not os.path.exists({str(told)!r} + '.released'):\n"
        "        time.sleep(0.02)\n"
        "facts = {name: text for name, text in os.environ.items() if name.startswith('HEATS_')}\n"
        f"file = open({str(told)!r}, 'a')\n"
        "file.write(json.dumps(facts) + '\\n')\n"
    )
    return f"'{sys.executable}' -S '{script}'"


def lines(told: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in told.read_text().splitlines()] if told.exists() else []


def test_a_cause_stays_quiet_for_a_while_and_a_storm_is_cut_short() -> None:
    limit = RateLimit(per_cause_seconds=600, burst=3, burst_seconds=3600)
    assert [limit.admit("nan", second) for second in (0, 1, 599)] == [0, None, None]
    assert limit.admit("disk", 2) == 0
    assert limit.admit("nan", 600) == 2, "how many were held back is said"
    assert limit.admit("stall", 601) is None, "three within the hour are enough"
    assert limit.admit("stall", 3700) == 1


def test_the_text_of_a_run_is_never_executed(attempt: AttemptPaths, hook: str, told: Path, tmp_path: Path) -> None:
    facts = environment(attempt, Notice("alert", NASTY * 200, 7, "non_finite")) | {"PWD": str(tmp_path)}
    assert deliver(f'cd "{tmp_path}"; echo "$HEATS_MESSAGE"; {hook}', facts).problem is None
    assert not (tmp_path / "pwned").exists()
    (found,) = lines(told)
    assert found["HEATS_MESSAGE"].startswith('it\'s "over"; $(touch pwned)')
    assert len(found["HEATS_MESSAGE"]) <= 2000
    assert found["HEATS_RUN_NAME"] == "mine"
    assert (found["HEATS_EVENT"], found["HEATS_CAUSE"], found["HEATS_STEP"]) == ("alert", "non_finite", "7")
    assert Path(found["HEATS_RUN_DIR"]).name == found["HEATS_RUN_ID"]


def test_a_command_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    command = f"sleep 600 & echo $! > '{tmp_path}/pid'; wait"
    for seconds in (0.5, 5.0, 50.0):  # on a crowded machine it may not even have begun when its time is up
        assert "ended" in (deliver(command, os.environ, timeout_seconds=seconds).problem or "")
        written = (tmp_path / "pid").read_text() if (tmp_path / "pid").exists() else ""
        if written.endswith("\n"):
            break
    pid = int(written)
    wait_until(lambda: not Path(f"/proc/{pid}").exists() or " Z " in Path(f"/proc/{pid}/stat").read_text())


def test_how_a_command_failed_is_said() -> None:
    assert deliver("echo no room; exit 3", os.environ).problem == "exit code 3"
    assert deliver("echo no room; exit 3", os.environ).output == "no room\n"
    assert deliver("there-is-no-such-command", os.environ).problem == "exit code 127"
    assert deliver("kill -9 $$", os.environ).problem == "signal 9"


def test_alerts_are_told_once_and_damage_in_the_events_harms_nothing(
    attempt: AttemptPaths, hook: str, told: Path
) -> None:
    notifier = Notifier(attempt, hook)
    notifier.look()  # nothing is there yet
    log_event(attempt, "training", 0)
    log_event(attempt, "alert", 5, cause="non_finite", message="the loss is NaN")
    log_event(attempt, "alert", 6, cause="non_finite", message="the loss is NaN again")
    log_event(attempt, "alert", 6)
    with attempt.events.open("a") as file:
        file.write('{"event": "alert"\n[1, "alert"]\n{"event": "al')
    for _ in range(3):
        notifier.look()
    wait_until(lambda: len(lines(told)) == 2)
    found = {line["HEATS_CAUSE"]: line for line in lines(told)}
    assert found["non_finite"]["HEATS_MESSAGE"] == "the loss is NaN"
    assert set(found) == {"non_finite", "alert"}
    with attempt.events.open("a") as file:
        file.write('ert", "time": 1.0, "step": 9, "cause": "disk", "message": "full"}\n')
    notifier.ended(ExitRecord(1.0, signal=9))
    wait_until(lambda: len(lines(told)) == 4)
    assert {line["HEATS_EVENT"] for line in lines(told)[2:]} == {"alert", "killed"}
    wait_until(lambda: not notifier.processes())


def test_nobody_is_told_without_a_command(attempt: AttemptPaths) -> None:
    log_event(attempt, "alert", 5, message="x")
    notifier = Notifier(attempt, None)
    notifier.look()
    notifier.ended(ExitRecord(1.0, code=0))
    assert notifier.processes() == set()


def test_a_failing_command_is_noted_beside_the_attempt(attempt: AttemptPaths) -> None:
    notifier = Notifier(attempt, "echo first; echo second; exit 4")
    notifier.ended(ExitRecord(1.0, code=0))
    assert wait_until(lambda: undelivered(attempt)) == ("exit code 4: first | second",)


def test_a_run_tells_its_end_and_takes_no_command_from_an_earlier_attempt(
    store_root: Path, hook: str, told: Path
) -> None:
    run = start(store_root, TINY | {"train.max_steps": 5}, notify=hook).run
    wait_for_state(run, State.FINISHED)
    (line,) = wait_until(lambda: lines(told))
    assert (line["HEATS_EVENT"], line["HEATS_STEP"], line["HEATS_RUN_ID"]) == ("finished", "5", run.id)
    resume(run, overrides={"train.max_steps": "8"})
    wait_for_state(run, State.FINISHED)
    record = launched(run)
    assert record.notify is None
    wait_until(lambda: not Path(f"/proc/{record.supervisor_pid}").exists())
    assert len(lines(told)) == 1


def test_the_environment_names_a_command_for_all_runs_and_an_empty_option_none(
    store_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEATS_NOTIFY", "true")
    first = start(store_root, ENDLESS)
    second = start(store_root, ENDLESS, notify="")
    found = [read_launch(started.attempt.launch) for started in (first, second)]
    assert [record.notify for record in found if record is not None] == ["true", None]
    for started in (first, second):
        stop(started.run, now=True)
    for started in (first, second):
        wait_for_state(started.run, State.STOPPED, State.KILLED)


def test_a_slow_command_outlives_the_run_whose_tree_is_swept_and_holds_up_nobody(
    store_root: Path, hook: str, told: Path
) -> None:
    run = start(store_root, ENDLESS | {"train.save_every": 3}, notify=f"{hook} held").run
    wait_for_step(run, 6)
    log_event(run.attempt(1), "alert", 6, cause="non_finite", message=NASTY)
    wait_until(lambda: Path(f"{told}.begun").exists(), what="the supervisor looks at its beat")
    kill(launched(run).trainer_pid)
    wait_for_state(run, State.KILLED)
    assert lines(told) == [], "nobody waited for it"
    resume(run, notify="")
    wait_for_state(run, State.RUNNING, State.STARTING)
    Path(f"{told}.released").touch()
    wait_until(lambda: len(lines(told)) == 2)
    found = {line["HEATS_EVENT"]: line for line in lines(told)}
    assert set(found) == {"alert", "killed"}
    assert found["alert"]["HEATS_CAUSE"] == "non_finite"
    assert "SIGKILL" in found["killed"]["HEATS_MESSAGE"]
    end(run)


class _Server(HTTPServer):
    posts: list[tuple[dict[str, str], bytes]]
    answer = 200


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((dict(self.headers), body))
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[_Server]:
    made = _Server(("127.0.0.1", 0), _Handler)
    made.posts = []
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


FACTS = {
    "HEATS_EVENT": "failed", "HEATS_RUN_NAME": "größer", "HEATS_RUN_ID": "an-id", "HEATS_STEP": "12",
    "HEATS_MESSAGE": "<!channel> @everyone & co", "HEATS_CAUSE": "", "HEATS_RUN_DIR": "/somewhere",
}  # fmt: skip


def test_a_webhook_gets_all_facts(server: _Server) -> None:
    url = f"http://127.0.0.1:{server.server_port}/hook"
    assert deliver(f"webhook {url}", os.environ | FACTS).problem is None
    assert deliver("webhook", os.environ | FACTS | {"HEATS_WEBHOOK": url}).problem is None
    for headers, body in server.posts:
        assert headers["Content-Type"] == "application/json"
        content = json.loads(body)
        assert content["run_id"] == "an-id"
        assert content["text"] == "failed: größer\n<!channel> @everyone & co (step 12, an-id)"
    assert len(server.posts) == 2


def test_what_a_webhook_refuses_is_a_failure_with_its_reason(server: _Server) -> None:
    server.answer = 403
    done = deliver(f"webhook http://127.0.0.1:{server.server_port}/", os.environ | FACTS)
    assert done.problem == "exit code 1"
    assert "403" in done.output
    for command, reason in (
        ("webhook", "no address"),
        ("webhook file:///etc/passwd", "https://"),
        ("webhook a b", "usage"),
    ):
        done = deliver(command, {"PATH": os.environ["PATH"]} | FACTS)
        assert (done.problem, reason in done.output) == ("exit code 1", True), done.output


def test_each_service_gets_its_own_shape_and_nobody_is_called_by_name() -> None:
    assert messengers.shape_of("https://hooks.slack.com/services/x") == "slack"
    assert messengers.shape_of("https://discord.com/api/webhooks/x") == "discord"
    assert messengers.shape_of("https://ntfy.sh/topic") == "ntfy"
    assert messengers.shape_of("https://example.org/") == "json"
    assert json.loads(messengers.build("slack", FACTS).body)["text"].endswith(
        "&lt;!channel&gt; @everyone &amp; co (step 12, an-id)"
    )
    assert json.loads(messengers.build("discord", FACTS).body)["allowed_mentions"] == {"parse": []}
    ntfy = messengers.build("ntfy", FACTS | {"HEATS_RUN_NAME": "a\r\nX-Evil: größer"})
    assert ntfy.headers["Title"] == "failed: a  X-Evil: gr??er"
    assert ntfy.body == b"<!channel> @everyone & co (step 12, an-id)"


def test_the_desktop_is_told_by_what_is_installed(tmp_path: Path) -> None:
    for program in ("notify-send", "osascript"):
        folder = tmp_path / program
        folder.mkdir()
        fake = folder / program
        fake.write_text(f'#!/bin/sh\nfor word in "$@"; do echo "$word"; done > "{folder}/words"\n')
        fake.chmod(0o755)
        assert deliver("desktop", os.environ | FACTS | {"PATH": str(folder)}).problem is None
        words = (folder / "words").read_text()
        assert "failed: größer" in words
        assert "@everyone" in words
    assert "&lt;!channel&gt;" in (tmp_path / "notify-send" / "words").read_text(), "desktops read markup"
    done = deliver("desktop", os.environ | FACTS | {"PATH": str(tmp_path)})
    assert "neither notify-send nor osascript" in done.output


def test_the_signal_of_a_terminal_never_reaches_a_command_under_way(
    attempt: AttemptPaths, told: Path, hook: str
) -> None:
    notifier = Notifier(attempt, f"{hook} held")
    notifier.ended(ExitRecord(1.0, code=0))
    wait_until(lambda: Path(f"{told}.begun").exists())
    found = notifier.processes()
    assert len(found) >= 2, "what delivers it, and the command"
    for pid in found:
        assert os.getsid(pid) != os.getsid(0)
    Path(f"{told}.released").touch()
    wait_until(lambda: lines(told))
