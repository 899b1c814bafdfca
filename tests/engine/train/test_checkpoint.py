"""What is saved is what is loaded, and what is damaged, foreign or half written is not."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from engine.errors import HeatsError, MachineError
from engine.store import checkpoints as stored
from engine.store import retention
from engine.store.metrics import RunHistory
from engine.store.paths import RunPaths
from engine.train import checkpoint
from engine.train.checkpoint import Loaded, restore_model, restore_optimizer
from tests.engine.train.toy import make_run, train_toy
from tests.forks import forks
from tests.support import wait_until


class Tied(nn.Module):
    """Two names for one weight, as GPT-2's embedding and head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 3)
        self.head = nn.Linear(3, 7, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.head(self.embedding(x))
        return result


def _write(run: RunPaths, model: nn.Module, optimizer: torch.optim.Optimizer, step: int = 3) -> stored.Checkpoint:
    checkpoint.write(
        run,
        step=step,
        attempt=1,
        reason="scheduled",
        model=model,
        optimizer=optimizer,
        state={"step": step},
        settings={},
    )
    return stored.scan(run)[-1]


def test_tied_weights_stay_tied_and_are_stored_once(store_root: Path) -> None:
    model = Tied()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    model(torch.tensor([1, 2])).sum().backward()
    optimizer.step()
    found = _write(make_run(store_root), model, optimizer)
    assert list(stored.tensor_names(found.folder / stored.MODEL)) == ["embedding.weight"]
    other = Tied()
    loaded = Loaded(found)
    restore_model(other, loaded.model, loaded.aliases)
    assert other.head.weight is other.embedding.weight
    assert torch.equal(other.head.weight, model.head.weight)


def test_moments_get_the_layout_of_their_weights(store_root: Path) -> None:
    # contiguous moments of channels_last weights give silently wrong updates with fused AdamW on a CPU
    def make() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = nn.Conv2d(4, 6, 3).to(memory_format=torch.channels_last)
        return model, torch.optim.AdamW(model.parameters(), fused=True)

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
        optimizer.zero_grad()
        x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(seed))
        model(x).square().mean().backward()
        optimizer.step()

    model, optimizer = make()
    step(model, optimizer, 1)
    loaded = Loaded(_write(make_run(store_root), model, optimizer))
    other, other_optimizer = make()
    restore_model(other, loaded.model, loaded.aliases)
    restore_optimizer(other_optimizer, other, loaded.optimizer)
    for seed in (2, 3, 4):
        step(model, optimizer, seed)
        step(other, other_optimizer, seed)
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("name", [*stored.FILES, stored.MANIFEST])
def test_one_flipped_bit_in_any_file_is_refused(store_root: Path, name: str) -> None:
    model = nn.Linear(5, 5)
    found = _write(make_run(store_root), model, torch.optim.SGD(model.parameters(), momentum=0.9))
    content = bytearray((found.folder / name).read_bytes())
    content[len(content) // 2] ^= 0x10
    (found.folder / name).write_bytes(bytes(content))
    again = stored.scan(RunPaths(found.folder.parent.parent))[-1]
    if name == stored.MANIFEST and again.valid and not stored.verify(again):
        return  # the bit lay in a value that names nothing, such as the time
    with pytest.raises(HeatsError):
        Loaded(again)


def test_a_checkpoint_that_carries_a_pickle_is_refused_and_not_run(store_root: Path, tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    found = _write(make_run(store_root), model, torch.optim.SGD(model.parameters()))
    mark = tmp_path / "mark"

    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {mark}",)

    path = found.folder / stored.MODEL
    torch.save({"weight": Payload()}, path)
    manifest = json.loads((found.folder / stored.MANIFEST).read_text())
    manifest["files"][stored.MODEL] = {"bytes": path.stat().st_size, "sha256": stored.hash_file(path)}
    (found.folder / stored.MANIFEST).write_text(json.dumps(manifest))
    again = stored.scan(RunPaths(found.folder.parent.parent))[-1]
    assert again.valid  # a forger can make the sizes and hashes right
    with pytest.raises(HeatsError, match="no readable safetensors file"):
        Loaded(again)
    assert not mark.exists()


def test_a_model_of_another_shape_is_one_sentence(store_root: Path) -> None:
    model = nn.Linear(2, 2)
    loaded = Loaded(_write(make_run(store_root), model, torch.optim.SGD(model.parameters())))
    with pytest.raises(HeatsError, match="doesn't fit the model"):
        restore_model(nn.Linear(3, 2), loaded.model, loaded.aliases)


_SAVE_FOREVER = """
from pathlib import Path
import torch
from engine.store.paths import RunPaths
from engine.train import checkpoint

def work(folder):
    run = RunPaths(Path(folder))
    checkpoint.clear_leftovers(run)
    model = torch.nn.Linear(300, 300)
    optimizer = torch.optim.SGD(model.parameters())
    while True:
        for step in range(1, 6):
            checkpoint.write(run, step=step, attempt=1, reason="scheduled", model=model, optimizer=optimizer,
                             state={"step": step}, settings={})
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_kills_in_mid_save_never_leave_a_bad_checkpoint_in_place(store_root: Path) -> None:
    run = make_run(store_root)
    with forks(_SAVE_FOREVER) as saving:
        for round_number in range(8):
            saving.start(run.folder)
            wait_until(lambda: len(list(run.checkpoints.glob("step-*"))) >= 4)
            time.sleep(0.005 * round_number)
            assert saving.kill(), saving.errors()
            found = stored.scan(run)
            assert len(found) >= 4
            assert all(not stored.verify(item) for item in found)
    checkpoint.clear_leftovers(run)
    assert not list(run.checkpoints.glob(".*"))


def test_what_led_to_a_checkpoint_is_logged_before_it_can_be_resumed_from(
    store_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A kill right after the rename: nobody logs again the steps that lie before the checkpoint.
    run = make_run(store_root)
    logged: list[tuple[int, set[int]]] = []
    put = checkpoint.put_in_place

    def put_and_look(run: RunPaths, about: checkpoint.About, temporary: Path) -> Path:
        folder = put(run, about, temporary)
        history = RunHistory(run)
        history.refresh()
        series = history.series.get("train/loss")
        logged.append((about.step, set(series.steps if series else ())))
        return folder

    monkeypatch.setattr(checkpoint, "put_in_place", put_and_look)
    train_toy(run)
    assert len(logged) > 3
    assert all(steps >= set(range(1, step + 1)) for step, steps in logged)


def test_a_checkpoint_loses_its_name_before_its_files(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A kill in the middle of the deletion leaves nothing that looks like a damaged checkpoint.
    run = make_run(store_root)
    model = nn.Linear(3, 2)
    found = _write(run, model, torch.optim.SGD(model.parameters()))
    with monkeypatch.context() as killed:
        killed.setattr("shutil.rmtree", lambda *given, **how: None)
        retention.remove(found)
    assert stored.scan(run) == []
    checkpoint.clear_leftovers(run)
    assert list(run.checkpoints.iterdir()) == []


def test_a_full_disk_is_an_alert_and_the_last_good_checkpoint_stays(
    store_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(store_root)
    original = checkpoint.check_space

    def full_from_the_third(folder: Path, needed: int) -> None:
        if len(stored.scan(run)) >= 2:
            raise OSError(28, "No space left on device")
        original(folder, needed)

    monkeypatch.setattr(checkpoint, "check_space", full_from_the_third)
    with pytest.raises(MachineError, match="step 24 can't be saved"):  # "finished" would be a lie
        train_toy(run, {"checkpoint.wait_seconds": 0})
    history = RunHistory(run)
    history.refresh()
    assert history.last_step == 24  # training went on to its end
    found = stored.scan(run)
    assert len(found) == 2
    assert all(not stored.verify(item) for item in found)
    from engine.store.records import read_events

    alerts = [event for event in read_events(run.attempt(1).events)[0] if event.name == "alert"]
    assert alerts
    assert "No space left" in alerts[0].facts["message"]


def test_the_last_checkpoint_waits_for_room(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(store_root)
    original = checkpoint.check_space
    refusals = iter([True, True, True])
    monkeypatch.setattr("engine.train.saving._RETRY_SECONDS", 0.01)

    def full_for_a_while(folder: Path, needed: int) -> None:
        if next(refusals, False):
            raise OSError(28, "No space left on device")
        original(folder, needed)

    monkeypatch.setattr(checkpoint, "check_space", full_for_a_while)
    outcome, _ = train_toy(run, {"train.save_every": 0, "evaluation.every": 0})
    assert outcome.word == "finished"
    assert [item.step for item in stored.scan(run) if item.valid] == [24]


def test_a_failing_write_leaves_nothing_behind(store_root: Path) -> None:
    run = make_run(store_root)
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters())
    run.checkpoints.rmdir()
    run.checkpoints.write_text("a file where the folder should be")
    with pytest.raises(MachineError, match="can't be saved"):
        _write(run, model, optimizer)
