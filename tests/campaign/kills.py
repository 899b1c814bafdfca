"""SIGKILL at chosen and at random moments to trainer, supervisor or both: statuses stay true, resumes go on, and the
end is the same to the last bit.

`python -m tests.campaign.kills FOLDER NUMBER KILLS SEED REFERENCE` does one worker's share, a line of JSON a kill.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.errors import HeatsError
from engine.launch.actions import kill_unsupervised, resume, stop
from engine.store.checkpoints import folder_name, scan, verify
from engine.store.compare import checkpoint_differences, metric_differences
from engine.store.metrics import RunHistory
from engine.store.paths import RunPaths
from engine.store.status import State
from tests.campaign.aim import MOMENTS, Aim, Ended, where_it_hit
from tests.campaign.cast import Cast
from tests.campaign.damage import add_emergency
from tests.campaign.truth import Facts, check_checkpoints, facts, watch_status
from tests.support import TINY, look, start, wait_for_state

STEPS = 1500
CONFIG = TINY | {"train.max_steps": STEPS, "train.save_every": 10, "evaluation.every": 100, "model.dropout": 0.1}
TARGETS = ("trainer", "supervisor", "both")
_LONG = 1800.0

Say = Callable[[dict[str, Any]], None]


class Deck:
    """Targets and moments in shuffled rounds, so that each comes up about as often as any other."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self._targets: list[str] = []
        self._moments: dict[str, list[str]] = {}

    def draw(self, *, launched: bool) -> tuple[str, str]:
        """A target and a moment for it; one that fits, when the attempt's supervisor is already up (`launched`)."""
        if not self._targets:
            self._targets = self.chance.sample(TARGETS, len(TARGETS))
        target = self._targets.pop()
        moments = self._moments.setdefault(target, [])
        if not moments:
            moments += self.chance.sample(sorted(MOMENTS), len(MOMENTS))
        moment = moments.pop()
        if moment == "supervisor starting" and (launched or target == "trainer"):
            moment = "trainer starting"  # there is no trainer yet, or the supervisor is past it
        return target, moment


class Resuming(threading.Thread):
    """A resume under way, so that it can be disturbed."""

    def __init__(self, run: RunPaths) -> None:
        super().__init__(daemon=True)
        self.run_paths = run
        self.resumed_from: int | None = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.resumed_from = resume(self.run_paths).resumed_from_step
        except Exception as error:  # noqa: BLE001  told to the one who waits
            self.error = error


class Ordeal:
    """One run, killed over and over.

    Args:
        root: the store.
        config: the run's options.
        chance: where all draws come from.
        say: takes one record a kill.
    """

    def __init__(self, root: Path, config: dict[str, Any], chance: random.Random, deck: Deck, say: Say) -> None:
        self.run = start(root, config, tags=("campaign",), note="to be killed").run
        self.steps: int = config["train.max_steps"]
        self.chance = chance
        self.deck = deck
        self.say = say
        self.broken: list[str] = []
        self.floor = 0
        self.loading_seconds = 3.0
        self.cast = Cast(self.run, self.run.attempts()[-1])
        self._resuming: Resuming | None = None

    def kill(self) -> bool:
        """Start an attempt if none lives, kill at a moment of it, and check everything; False once the run is over."""
        target, moment = self.deck.draw(launched=self._resuming is None)
        problems: list[str] = []
        try:
            Aim(self.cast, self.chance, self.loading_seconds, self._refused).wait(moment, target)
            killed = self._strike(target)
            if not killed:  # a child has become somebody else since it was found
                self.cast.refresh()
                killed = self._strike(target)
        except Ended:
            killed = 0
        hit = where_it_hit(self.cast) if killed else ""
        problems += self._join(disturbed=killed > 0)
        problems += watch_status(self.cast)
        found = facts(self.cast)
        end = found.word or ""
        if not killed and end != "finished":
            problems.append(f"nobody was killed, and yet it ended: {look(self.run).reason}")
        if found.orphan:
            end = self.chance.choice(["stop", "stop", "stop --now", "kill"])
            problems += self._end_orphan(end, found)
        self._learn_loading_time()
        self.floor, wrong = check_checkpoints(self.run, self.floor)
        problems += wrong
        if self.floor and not list(self.run.checkpoints.glob("emergency-*")):
            add_emergency(self.run, self.steps)  # newer than any, and never to be picked
        over = look(self.run).status is State.FINISHED or self.floor == self.steps
        if killed:
            record = {"target": target, "aimed": moment, "hit": hit, "step": self.floor, "then": end}
            self.say(record | {"run": self.run.id, "attempt": self.cast.attempt.number, "broken": problems})
        self.broken += [f"{self.run.id} attempt {self.cast.attempt.number}, {target}, {hit}: {one}" for one in problems]
        if not over:
            self._resume()
        return killed > 0

    def _refused(self) -> bool:
        return self._resuming is not None and self._resuming.error is not None

    def _strike(self, target: str) -> int:
        if target == "both":
            first, second = self.chance.sample(["trainer", "supervisor"], 2)
            return self.cast.kill(first) + self.cast.kill(second)  # type: ignore[arg-type]
        return self.cast.kill(target)  # type: ignore[arg-type]

    def _resume(self) -> None:
        self.cast.end()
        before = self.cast.attempt.number
        self._resuming = Resuming(self.run)
        while self._resuming.is_alive() and self.run.attempts()[-1].number == before:
            time.sleep(0.0005)
        self.cast = Cast(self.run, self.run.attempts()[-1])

    def _join(self, *, disturbed: bool) -> list[str]:
        resuming, self._resuming = self._resuming, None
        if resuming is None:
            return []
        resuming.join(240)
        if resuming.is_alive():
            return ["resume has not come back within 240 s"]
        if resuming.error is not None:
            # To be told that the supervisor died is right where we killed it, and nothing else is.
            told = isinstance(resuming.error, HeatsError) and "supervisor" in str(resuming.error)
            return [] if disturbed and told else [f"resume: {type(resuming.error).__name__}: {resuming.error}"]
        if resuming.resumed_from != self.floor:
            return [f"resumed from step {resuming.resumed_from} where the newest whole checkpoint is {self.floor}"]
        return []

    def _end_orphan(self, way: str, found: Facts) -> list[str]:
        """Its supervisor dead, a trainer can still be stopped, or killed."""
        if way == "kill":
            self.cast.kill("trainer")
            for process in self.cast.living("trainer"):  # whom launch.json doesn't name
                kill_unsupervised(self.run)
                process.killed = True
        else:
            try:
                stop(self.run, now=way == "stop --now")
            except HeatsError as error:
                if facts(self.cast).orphan:
                    return [f"an orphan can't be stopped: {error}"]
        for process in self.cast.living("trainer"):
            process.killed = True  # its end is on the way, at a moment of its own choice
        deadline = time.monotonic() + 300
        while self.cast.living("trainer") and time.monotonic() < deadline:
            time.sleep(0.005)
        if self.cast.living("trainer"):
            return [f"{way} did not end the orphan within 300 s: {look(self.run).reason}"]
        problems = watch_status(self.cast)
        after = facts(self.cast)
        if way != "kill" and found.training and after.word not in ("stopped", "finished"):
            problems.append(f"an orphan in the middle of training that was told to {way} left no word: {after}")
        return problems

    def _learn_loading_time(self) -> None:
        times: dict[str, float] = {}
        for line in _lines(self.cast.attempt.events):
            times.setdefault(line["event"], line["time"])
        if "started" in times and "training" in times:
            self.loading_seconds = times["training"] - times["started"]

    def let_finish(self) -> None:
        """Leave it alone until its end."""
        self.broken += self._join(disturbed=False)
        if self.floor < self.steps:
            try:
                wait_for_state(self.run, State.FINISHED, seconds=_LONG)
            except AssertionError as error:
                self.broken.append(f"{self.run.id}, left alone at last: {error}")
        self.cast.end()

    def compare(self, reference: RunPaths) -> None:
        """Every checkpoint verifies, and the last one and the curves are those of a run that nobody disturbed."""
        self.broken += [f"{self.run.id} {item.folder.name}: {one}" for item in scan(self.run) for one in verify(item)]
        folders = [paths.checkpoints / folder_name(self.steps) for paths in (reference, self.run)]
        try:
            differences = checkpoint_differences(*folders) + metric_differences(reference, self.run)
        except HeatsError as error:
            differences = [str(error)]
        history = RunHistory(self.run)
        history.refresh()
        loss = history.series.get("train/loss")
        if loss is None or list(loss.steps) != list(range(1, self.steps + 1)):
            differences.append("its loss has holes")
        self.broken += [f"{self.run.id} differs from the undisturbed run: {one}" for one in differences]


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
    except OSError:
        return []


def kill_runs(
    root: Path, kills: int, chance: random.Random, reference: RunPaths, say: Say, config: dict[str, Any] = CONFIG
) -> dict[str, Any]:
    """Kill runs until so many kills have been made; a run that ends before is followed by another.

    Returns:
        The numbers of kills, runs and attempts, and every promise that broke with its evidence.
    """
    made = runs = attempts = 0
    broken: list[str] = []
    deck = Deck(chance)
    while made < kills:
        ordeal = Ordeal(root, config, chance, deck, say)
        try:
            while made < kills and ordeal.kill():
                made += 1
                if ordeal.floor == ordeal.steps:
                    break
            ordeal.let_finish()
        finally:
            ordeal.cast.end()
        wait_for_state(reference, State.FINISHED, seconds=_LONG)
        ordeal.compare(reference)
        runs += 1
        attempts += len(ordeal.run.attempts())
        broken += ordeal.broken
    return {"kills": made, "runs": runs, "attempts": attempts, "broken": broken}


def main() -> int:
    """One worker's share, in a store and with an index and locks of its own."""
    folder, number, kills, seed, reference = Path(sys.argv[1]), *map(int, sys.argv[2:5]), Path(sys.argv[5])
    os.environ["XDG_CACHE_HOME"] = str(folder / f"cache-{number}")

    def say(record: dict[str, Any]) -> None:
        print(json.dumps(record), flush=True)

    chance = random.Random(f"{seed}-{number}")
    say({"share": number} | kill_runs(folder / f"runs-{number}", kills, chance, RunPaths(reference), say))
    return 0


if __name__ == "__main__":
    sys.exit(main())
