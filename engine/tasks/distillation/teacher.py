"""Finding the run that teaches, and reading its best checkpoint: verified, or refused in one sentence."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.errors import HeatsError
from engine.store import checkpoints as stored
from engine.store.checkpoints import Checkpoint
from engine.store.paths import RunPaths
from engine.store.records import read_run
from engine.store.retention import PHASE
from engine.store.status import State
from engine.store.stored_config import effective_config
from engine.store.summary import summarize
from engine.tasks.distillation.config import Config
from engine.tasks.distillation.models import Network, Outputs, build_network
from engine.train.checkpoint import Loaded

TASK_NAME = "distillation"
_STUDENT = "student."
_PARAPHRASERS = "method.paraphrasers."


@dataclass(frozen=True)
class Source:
    """A run that something is taken from, and its config."""

    run: RunPaths
    config: Config


@dataclass(frozen=True)
class Teacher:
    """A frozen network, and the digest of the weights that it has."""

    model: nn.Module
    digest: str

    def __call__(self, images: Tensor) -> Outputs:
        """Its outputs for (B, C, H, W) pictures, without gradients."""
        with torch.no_grad():
            outputs: Outputs = self.model(images)
        return outputs


def find_source(wanted: str, store: Path | None, place: str) -> Source:
    """The run that an option names, by its id or its folder.

    Args:
        wanted: the option's value.
        store: the folder of the store of the run that wants it; HEATS_RUNS_DIR is looked into as well.
        place: the option.

    Raises:
        HeatsError: there is no such run, or it is of another task.
    """
    homes = [home for home in (store, os.environ.get("HEATS_RUNS_DIR")) if home]
    folders = [Path(home) / wanted for home in homes] if os.sep not in wanted else [Path(wanted).expanduser()]
    for folder in folders:
        run = RunPaths(folder.absolute())
        record = read_run(run.record)
        if record is None:
            continue
        if record.task != TASK_NAME:
            raise HeatsError(f"{run.id} is a run of the task {record.task}, which can't teach", place=place)
        config = effective_config(run)
        assert isinstance(config, Config)
        return Source(run, config)
    raise HeatsError(
        f"there is no run `{wanted}` to learn from", place=place,
        remedy="give the id of a run in this store, or the path of its folder",
    )  # fmt: skip


def teacher_network(config: Config, store: Path | None) -> Network | None:
    """Which network the teacher is, as far as that can be known without reading its weights.

    Raises:
        HeatsError: its run isn't there.
    """
    options = config.teacher
    if options.network != "any":
        return Network.named(options.network)
    if options.from_run is None:
        return None
    return Network.named(find_source(options.from_run, store, "teacher.from_run").config.model.network)


def load_teacher(config: Config, store: Path | None, classes: int, channels: int, digest: str = "") -> Teacher:
    """The best checkpoint of the run that teaches, every byte of it checked; frozen, on the CPU.

    Args:
        config: the student's.
        store: the folder of the student's store.
        classes, channels: of the student's data: the teacher's must be the same.
        digest: of the weights that this run began with, where it is resumed: no others will do.

    Raises:
        HeatsError: there is no such run, it hasn't finished or hardly learnt, it has no checkpoint that can be used,
            or its network or data are others than the student wants.
    """
    assert config.teacher.from_run is not None, "whoever calls has looked"
    source = find_source(config.teacher.from_run, store, "teacher.from_run")
    _refuse_other_data(config, source)
    if not digest:
        _refuse_unfinished(source)
    loaded, digest = _weights(source, digest)
    weights = {name.removeprefix(_STUDENT): value for name, value in loaded.model.items() if name.startswith(_STUDENT)}
    _refuse_other_shape(source, weights, classes, channels)
    with torch.random.fork_rng(devices=[]):  # the weights that are drawn here are overwritten at once
        model = build_network(source.config.model.network, channels, classes)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise _refusal(source, f"its weights aren't those of a {source.config.model.network}") from error
    if config.train.channels_last:
        model = model.to(memory_format=torch.channels_last)
    return Teacher(model.eval().requires_grad_(False), digest)


def load_paraphrasers(config: Config, store: Path | None, teacher_digest: str) -> dict[str, Tensor]:
    """The paraphrasers of another run as they were at the end of its phase 1, by name within their module.

    Raises:
        HeatsError: there is no such run or checkpoint, or another teacher was paraphrased.
    """
    assert config.factor.from_run is not None, "whoever calls has looked"
    place = "factor.from_run"
    source = find_source(config.factor.from_run, store, place)
    found = next((item for item in stored.scan(source.run) if item.usable and item.reason == PHASE), None)
    if found is None:
        raise HeatsError(f"{source.run.id} has no checkpoint of the end of its phase 1", place=place)
    loaded = Loaded(found)
    told = loaded.state.get("task")
    if not isinstance(told, dict) or told.get("teacher") != teacher_digest:
        raise HeatsError(f"the paraphrasers of {source.run.id} were trained on another teacher", place=place)
    if source.config.factor.channels != config.factor.channels:
        raise HeatsError(
            f"the factors of {source.run.id} have {source.config.factor.channels} channels, not "
            f"{config.factor.channels}", place=place, remedy="set factor.channels alike",
        )  # fmt: skip
    return {
        name.removeprefix(_PARAPHRASERS): value
        for name, value in loaded.model.items()
        if name.startswith(_PARAPHRASERS)
    }


def _refusal(source: Source, why: str, remedy: str | None = None) -> HeatsError:
    return HeatsError(f"the run {source.run.id} can't teach: {why}", place="teacher.from_run", remedy=remedy)


def _refuse_other_data(config: Config, source: Source) -> None:
    """Weights fit other pictures all too easily."""
    wanted = config.teacher.network
    network = source.config.model.network
    if wanted != "any" and Network.named(wanted) != Network.named(network):
        raise _refusal(source, f"it is a {network}, not a {wanted}", "name a run of that network, or set it alike")
    for key in ("source", "image_size", "normalise"):
        mine, theirs = getattr(config.data, key), getattr(source.config.data, key)
        if mine != theirs:
            raise _refusal(source, f"its data.{key} is {theirs}, and the student's {mine}", "set them alike")


def _refuse_unfinished(source: Source) -> None:
    summary = summarize(source.run)
    if summary is None:
        raise _refusal(source, "its records can't be read")
    if summary.status.is_live or summary.status is State.QUEUED:
        raise _refusal(source, f"it hasn't finished ({summary.status})", "wait for it, or let a study do so")
    if summary.suspect is not None:
        raise _refusal(source, summary.suspect)


def _weights(source: Source, digest: str) -> tuple[Loaded, str]:
    """The best checkpoint's, or those with a digest."""
    if digest:
        held = [item for item in stored.scan(source.run) if item.valid and item.digests.get("model") == digest]
        if not held:
            why = "the checkpoint with which this run began is no longer there"
            raise _refusal(source, why, "bring it back, or start anew with another teacher")
        return Loaded(held[0]), digest
    try:
        chosen: Checkpoint | None = stored.choose(source.run, "best", source.config.evaluation.best_mode).checkpoint
    except HeatsError as error:
        raise _refusal(source, error.message, error.remedy) from None
    assert chosen is not None, "`best` is there or refused"
    return Loaded(chosen), chosen.digests.get("model", "")


def _refuse_other_shape(source: Source, weights: dict[str, Tensor], classes: int, channels: int) -> None:
    head, stem = weights.get("head.weight"), weights.get("stem.weight")
    if head is None or stem is None:
        raise _refusal(source, "its checkpoint holds no network of this task")
    if head.shape[0] != classes:
        raise _refusal(source, f"it tells {head.shape[0]} classes apart, and the student {classes}")
    if stem.shape[1] != channels:
        raise _refusal(source, f"it reads pictures of {stem.shape[1]} channels, and the student's have {channels}")
