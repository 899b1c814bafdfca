"""What tests of saving share: a writer that can be held, and as much of a training as a save asks for."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.config.resolve import resolve
from engine.store.compare import checkpoint_differences
from engine.store.paths import RunPaths
from engine.store.records import Event, read_events
from engine.train import checkpoint, tensor_file
from engine.train.control import Control
from engine.train.events import EventLog
from engine.train.recorder import Recorder
from engine.train.saving import Saver
from tests.engine.train.toy import BASE, ToyConfig

BESIDE: dict[str, Any] = {"checkpoint.asynchronous": True}


def events_of(run: RunPaths, name: str, attempt: int = 1) -> list[Event]:
    return [event for event in read_events(run.attempt(attempt).events)[0] if event.name == name]


def last_event(run: RunPaths, attempt: int = 1) -> str:
    return read_events(run.attempt(attempt).events)[0][-1].name


class Gate:
    """Holds the writer's thread (and no other) at the beginning of each save until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = threading.Event()
        self.reached = threading.Event()
        original = tensor_file.write_synced

        def held(path: Path, pieces: list[memoryview], stopped: tensor_file.Stopped) -> int:
            if threading.current_thread().name.startswith("checkpoint-writer"):
                self.reached.set()
                while not (self.opened.wait(0.01) or stopped()):
                    pass
            return original(path, pieces, stopped)

        monkeypatch.setattr(checkpoint, "write_synced", held)


def differences_of(first: Path, second: Path) -> list[str]:
    """What differs, but for the list of the steps that a rollback may go back to: those that were saved."""
    return [found for found in checkpoint_differences(first, second) if found != "state.json: guard.anchors"]


def make_saver(run: RunPaths, values: dict[str, Any] | None = None) -> tuple[Recorder, Saver]:
    """What a loop has at hand, for tests that save at moments of their own choice."""
    config = resolve(ToyConfig, BASE | BESIDE | (values or {}))
    attempt = run.attempt(1)
    attempt.folder.mkdir(parents=True, exist_ok=True)
    recorder = Recorder(run, attempt, config, Control(run, 1), EventLog(attempt.events))
    return recorder, recorder.saver


class Stub:
    """As much of a training's state as a save asks for."""

    def __init__(self) -> None:
        self.model = torch.nn.Linear(4, 4)
        self.optimizer = torch.optim.SGD(self.model.parameters())
        self.task = self
        self.step = 0
        self.kept: list[int] = []

    def trainable_module(self, model: torch.nn.Module) -> torch.nn.Module:
        return model

    def to_json(self) -> dict[str, Any]:
        return {"step": self.step, "live": self.kept}

    def train(self) -> None:
        self.step += 1
        self.kept.append(self.step)
        with torch.no_grad():
            self.model.weight.fill_(float(self.step))


def save_stub(saver: Saver, state: Stub, reason: str = "scheduled") -> None:
    saver.save(state, {}, reason, None)  # type: ignore[arg-type]
