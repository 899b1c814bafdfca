"""A resumed run equals an undisturbed one to the last bit: every tensor, every key of the state, every figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import HeatsError
from engine.store.checkpoints import Checkpoint, folder_name, scan
from engine.store.compare import checkpoint_differences, metric_differences
from engine.store.paths import RunPaths
from engine.train import checkpoint
from engine.train.recorder import Recorder
from engine.train.state import TrainState
from tests.engine.train.toy import make_run, train_toy

FP16_OVERFLOW = {"precision.dtype": "fp16"}
VARIANTS: dict[str, dict[str, Any]] = {
    "fp32": {},
    "bf16": {"precision.dtype": "bf16"},
    "fp16 with overflows": FP16_OVERFLOW,
    "accumulation": {"train.accumulation": 2},
    "sgd": {"optim.name": "sgd"},
    "plain adamw": {"optim.fused": False},
    "conv, channels_last, batch norm": {"toy.mode": "conv"},
    "two loader workers": {"data.num_workers": 2},
    "workers anew each epoch": {"data.num_workers": 1, "data.persistent_workers": False},
    "skipped steps across the cut": {"toy.poison_from": 10, "toy.poison_to": 14},
    "shares and epochs": {"guard.share_every": 3, "evaluation.every_epochs": 1},
    "a cut of the rate before": {"toy.nan_batches": (9, 10), "guard.non_finite": "cut_lr", "guard.recover_steps": 9},
    "a rollback before": {"toy.nan_batches": (7, 8), "guard.non_finite": "rollback"},
    "a rollback across the cut": {"toy.nan_batches": (14, 15), "guard.non_finite": "rollback"},
    "dropped explosions": {"toy.wild_batches": (10, 14), "guard.explosion": "skip", "guard.window": 8},
    "fp16 and dropped explosions": FP16_OVERFLOW | {"toy.wild_batches": (10, 14), "guard.explosion": "skip"},
}


def final(run: RunPaths) -> Path:
    return run.checkpoints / folder_name(24)


def differences(first: RunPaths, second: RunPaths) -> list[str]:
    return checkpoint_differences(final(first), final(second)) + metric_differences(first, second)


@pytest.mark.parametrize("variant", VARIANTS)
def test_resume_is_bit_exact(store_root: Path, variant: str) -> None:
    values = VARIANTS[variant]
    straight, cut = make_run(store_root, values), make_run(store_root, values)
    train_toy(straight, values)
    train_toy(cut, values, stop_at=12)
    train_toy(cut, values)
    assert differences(straight, cut) == []


@pytest.mark.parametrize("cut", [1, 4, 5, 7, 8, 9, 23])
def test_resume_is_bit_exact_wherever_in_an_epoch_of_four_steps_the_cut_lies(store_root: Path, cut: int) -> None:
    straight, resumed = make_run(store_root), make_run(store_root)
    train_toy(straight)
    train_toy(resumed, stop_at=cut)
    train_toy(resumed)
    assert differences(straight, resumed) == []


def test_two_resumes_in_one_epoch_are_bit_exact(store_root: Path) -> None:
    straight, resumed = make_run(store_root), make_run(store_root)
    train_toy(straight)
    for stop_at in (9, 10, None):
        train_toy(resumed, stop_at=stop_at)
    assert differences(straight, resumed) == []


def test_a_resume_from_an_older_checkpoint_replays_and_shadows(store_root: Path) -> None:
    straight, resumed = make_run(store_root), make_run(store_root)
    train_toy(straight)
    train_toy(resumed, stop_at=20)
    train_toy(resumed, from_step=6)
    assert differences(straight, resumed) == []


@pytest.mark.parametrize("cut", [10, 13, 15, 17])
def test_a_rollback_goes_the_same_way_wherever_the_cut_lies(store_root: Path, cut: int) -> None:
    values: dict[str, Any] = {"toy.nan_batches": (14, 15), "guard.non_finite": "rollback"}
    straight, resumed = make_run(store_root, values), make_run(store_root, values)
    train_toy(straight, values)
    train_toy(resumed, values, stop_at=cut)  # leaves a checkpoint that the undisturbed run doesn't have
    train_toy(resumed, values)
    assert differences(straight, resumed) == []
    assert json.loads((final(straight) / "state.json").read_text())["guard"]["rollbacks"] == [[16, 12]]


def test_a_checkpoint_from_before_there_were_causes_is_resumed(
    store_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(store_root)
    train_toy(run, stop_at=12)
    original = checkpoint.Loaded.__init__

    def old(self: checkpoint.Loaded, found: Checkpoint) -> None:
        original(self, found)
        self.state["guard"] = {"streak": 0, "total": 2}

    monkeypatch.setattr(checkpoint.Loaded, "__init__", old)
    outcome, _ = train_toy(run)
    assert outcome.step == 24


def test_workers_change_no_batch(store_root: Path) -> None:
    none, two = make_run(store_root), make_run(store_root)
    train_toy(none)
    train_toy(two, {"data.num_workers": 2})
    assert differences(none, two) == []


def test_evaluation_leaves_no_trace_in_training(store_root: Path) -> None:
    often, never = make_run(store_root), make_run(store_root)
    train_toy(often, {"evaluation.every": 1, "checkpoint.keep_best": 0})
    train_toy(never, {"evaluation.every": 0, "checkpoint.keep_best": 0})
    different = checkpoint_differences(final(often), final(never))
    assert all("best" in item for item in different), different


def test_seeds_matter(store_root: Path) -> None:
    one, other = make_run(store_root), make_run(store_root)
    train_toy(one)
    train_toy(other, {"seed": 1})
    assert any("model" in item for item in differences(one, other))


# --- the mutation control: every key of the saved state matters ---

SCENARIO: dict[str, Any] = FP16_OVERFLOW | {"toy.poison_from": 11, "toy.poison_to": 24, "toy.metric": "falling"}
"""At the cut (12) a streak of skipped steps is under way, the scale has fallen, and the best lies behind."""


def _leaves(state: dict[str, Any], prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in state.items():
        path = (*prefix, key)
        found += _leaves(value, path) if isinstance(value, dict) and value else [path]
    return found


CLEAN = FP16_OVERFLOW
"""The same without skips at the cut: they would reset the scaler's count of good steps."""
CUT_RATE: dict[str, Any] = {"toy.nan_batches": (9, 10), "guard.non_finite": "cut_lr"}
ROLLED_BACK: dict[str, Any] = {"toy.nan_batches": (7, 8), "guard.non_finite": "rollback"}
LOOKED_AT_WEIGHTS: dict[str, Any] = {"guard.moved_every": 13}
"""At 16, so that the next look would come after the end."""
SCENARIOS: dict[str, tuple[dict[str, Any], int]] = {
    "poisoned": (SCENARIO, 12), "clean": (CLEAN, 12), "between decisions": (SCENARIO, 14), "cut rate": (CUT_RATE, 12),
    "rolled back": (ROLLED_BACK, 12), "weights": (LOOKED_AT_WEIGHTS, 16),
}  # fmt: skip
"""By name, a config and the step of the cut."""
_SPECIAL = {
    "scaler._growth_tracker": "clean", "guard.pending": "between decisions", "guard.multiplier": "cut rate",
    "guard.cut_step": "cut rate", "guard.cuts": "cut rate", "guard.rollbacks": "rolled back",
    "guard.fingerprint": "weights", "guard.checked": "weights",
}  # fmt: skip


def _scenario(key: str) -> str:
    return _SPECIAL.get(key, "poisoned")


def _train_and_capture_fresh_state(run: RunPaths, values: dict[str, Any]) -> dict[str, Any]:
    """Train undisturbed; the state with which the run began."""
    captured: dict[str, Any] = {}
    begin = Recorder.begin

    def begin_and_capture(self: Recorder, state: TrainState, *rest: Any) -> None:
        captured.update(state.to_json())
        begin(self, state, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorder, "begin", begin_and_capture)
        train_toy(run, values)
    return captured


Undisturbed = dict[str, tuple[RunPaths, dict[str, Any]]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """By scenario: an undisturbed run, and the state that it began with."""
    root = tmp_path_factory.mktemp("mutation") / "runs"
    made = {}
    for name, (values, _) in SCENARIOS.items():
        run = make_run(root, values)
        made[name] = (run, _train_and_capture_fresh_state(run, values))
    return made


def _keys() -> list[str]:
    return [
        "step", "position", "scaler.scale", "scaler._growth_tracker", "clipper.window", "guard.streak",
        "guard.total", "guard.losses", "guard.first_loss", "guard.norms", "guard.pending", "guard.anchors",
        "guard.fingerprint", "guard.checked", "guard.episodes", "guard.multiplier", "guard.cut_step", "guard.cuts",
        "guard.rollbacks", "best.value", "best.step", "best.stale", "task.calls", "task_generator", "random.python",
        "random.numpy", "random.torch",
    ]  # fmt: skip


NOT_MUTABLE = {"schema", "optimizer_tensors", "random.cuda"}
"""A version, a list of names that is checked, and generators that a machine without a GPU doesn't have."""
SETTINGS_OF_THE_SCALER = {"scaler.growth_factor", "scaler.backoff_factor", "scaler.growth_interval"}
"""Constants of torch's scaler, the same in every state."""


def test_the_mutation_control_knows_every_key(undisturbed: Undisturbed) -> None:
    run, _ = undisturbed["poisoned"]
    saved = json.loads((run.checkpoints / folder_name(12) / "state.json").read_text())
    found = {".".join(path) for path in _leaves(saved)}
    assert found == set(_keys()) | NOT_MUTABLE | SETTINGS_OF_THE_SCALER


@pytest.mark.parametrize("key", _keys())
def test_a_state_key_that_is_not_restored_changes_the_run(
    store_root: Path, undisturbed: Undisturbed, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    straight, fresh = undisturbed[_scenario(key)]
    values, cut = SCENARIOS[_scenario(key)]
    run = make_run(store_root, values)
    train_toy(run, values, stop_at=cut)
    path = key.split(".")
    original = checkpoint.Loaded.__init__

    def forgetful(self: checkpoint.Loaded, found: Checkpoint) -> None:
        original(self, found)
        target, source = self.state, fresh
        for part in path[:-1]:
            target, source = target[part], source[part]
        assert target[path[-1]] != source[path[-1]], "the scenario doesn't exercise this key"
        target[path[-1]] = source[path[-1]]

    monkeypatch.setattr(checkpoint.Loaded, "__init__", forgetful)
    train_toy(run, values)
    assert differences(straight, run), f"forgetting {key} went unseen"


def test_a_state_key_that_is_missing_is_refused(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(store_root)
    train_toy(run, stop_at=12)
    original = checkpoint.Loaded.__init__
    for key in ("step", "position", "clipper", "guard", "best", "task_generator", "random", "optimizer_tensors"):

        def forgetful(self: checkpoint.Loaded, found: Checkpoint, key: str = key) -> None:
            original(self, found)
            del self.state[key]

        monkeypatch.setattr(checkpoint.Loaded, "__init__", forgetful)
        with pytest.raises(HeatsError, match=f"lacks '{key}'"):
            train_toy(run)


def test_a_missing_tensor_is_refused(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(store_root)
    train_toy(run, stop_at=12)
    original = checkpoint.Loaded.__init__
    names = [("model", name) for name in ("1.weight", "4.bias")]
    names += [("optimizer", name) for name in ("1.weight//exp_avg", "4.bias//step")]
    for part, name in names:

        def forgetful(self: checkpoint.Loaded, found: Checkpoint, part: str = part, name: str = name) -> None:
            original(self, found)
            del getattr(self, part)[name]

        monkeypatch.setattr(checkpoint.Loaded, "__init__", forgetful)
        with pytest.raises(HeatsError, match=name):
            train_toy(run)


def test_other_settings_are_refused_unless_accepted(store_root: Path) -> None:
    run = make_run(store_root)
    train_toy(run, stop_at=12)
    other = {"train.num_threads": 2}
    with pytest.raises(HeatsError, match="threads 1 -> 2"):
        train_toy(run, other)
    outcome, _ = train_toy(run, other, accept_settings=True)
    assert outcome.step == 24
    import torch

    torch.set_num_threads(1)


@pytest.mark.parametrize("scale", [0.0, 2.0**-24])
def test_a_dead_loss_scale_is_refused(store_root: Path, monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    run = make_run(store_root, FP16_OVERFLOW)
    train_toy(run, FP16_OVERFLOW, stop_at=12)
    original = checkpoint.Loaded.__init__

    def dead(self: checkpoint.Loaded, found: Checkpoint) -> None:
        original(self, found)
        self.state["scaler"]["scale"] = scale.hex()

    monkeypatch.setattr(checkpoint.Loaded, "__init__", dead)
    with pytest.raises(HeatsError, match=rf"fallen to {scale:.3g}.*--reset-scaler"):
        train_toy(run, FP16_OVERFLOW)
    outcome, _ = train_toy(run, FP16_OVERFLOW, reset_scaler=True)
    assert outcome.step == 24


def test_a_resume_passes_over_a_damaged_checkpoint(store_root: Path) -> None:
    straight, run = make_run(store_root), make_run(store_root)
    train_toy(straight)
    train_toy(run, stop_at=20)
    newest = scan(run)[-1].folder / "model.safetensors"
    content = bytearray(newest.read_bytes())
    content[-3] ^= 1  # one flipped bit, which no common loader notices
    newest.write_bytes(bytes(content))
    train_toy(run)
    assert differences(straight, run) == []
