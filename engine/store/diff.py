"""What two runs have in common and what not: options, code, environment, every metric, and the final weights."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.config.resolve import flatten, read_yaml_file
from engine.errors import HeatsError
from engine.store.checkpoints import MODEL, Checkpoint, scan
from engine.store.code import git
from engine.store.compare import checkpoint_differences
from engine.store.paths import RunPaths
from engine.store.provenance import Change, Provenance, environment_changes, recorded
from engine.store.records import read_launch, read_run
from engine.store.series_diff import MetricDiff, compare_histories
from engine.store.stored_config import effective_config

_PATCH_LINES = 200
_SETTING = "setting"


@dataclass(frozen=True)
class CodeDiff:
    """The code of two runs: their commits, and how their uncommitted changes differ."""

    commits: tuple[str | None, str | None]
    stat: tuple[str, ...] = ()
    """What `git diff --stat` says between the commits, where a repository is at hand that has both."""
    patch: tuple[str, ...] = ()
    """A unified diff of the two patches (at most 200 lines); empty where they are the same."""

    @property
    def same(self) -> bool:
        """Whether nothing is known to differ."""
        return self.commits[0] == self.commits[1] and not self.patch

    def to_json(self) -> dict[str, Any]:
        """The stable public form."""
        return {"same": self.same, "commits": list(self.commits), "stat": list(self.stat), "patch": list(self.patch)}


@dataclass(frozen=True)
class RunDiff:
    """Two runs beside each other."""

    first: str
    second: str
    config: tuple[Change, ...]
    code: CodeDiff
    environment: tuple[Change, ...]
    """Python, packages, hardware; and the settings on which bits depend, as `setting <name>`."""
    metrics: tuple[MetricDiff, ...]
    """In the order in which they part; those that agree come last."""
    weights: bool | None
    """Whether the newest checkpoints hold the same weights; None where they are of different steps or missing."""
    tolerance: float = 0.0
    problems: tuple[str, ...] = ()
    """What could not be compared, and why."""

    @property
    def identical(self) -> bool:
        """Whether both logged the same metrics with the same values, and ended at the same weights.

        With a tolerance only the metrics count; without any metric nothing is known to be identical.
        """
        same = bool(self.metrics) and all(metric.identical for metric in self.metrics)
        return same and (self.weights is not False or self.tolerance > 0)

    @property
    def parted(self) -> MetricDiff | None:
        """The metric that differs first; None where all agree wherever both were logged."""
        return next((metric for metric in self.metrics if metric.step is not None), None)

    def to_json(self) -> dict[str, Any]:
        """The stable public form: field names are part of the interface."""
        return {
            "first": self.first,
            "second": self.second,
            "identical": self.identical,
            "tolerance": self.tolerance,
            "config": [change.to_json() for change in self.config],
            "code": self.code.to_json(),
            "environment": [change.to_json() for change in self.environment],
            "metrics": [metric.to_json() for metric in self.metrics],
            "weights_identical": self.weights,
            "problems": list(self.problems),
        }


def compare_runs(first: RunPaths, second: RunPaths, *, tolerance: float = 0.0, ask_git: bool = False) -> RunDiff:
    """Compare any two runs by what their folders say. Nothing is written, and damage is named, never raised.

    Args:
        first, second: the runs, of whatever tasks and stores.
        tolerance: see `compare_histories`; 0 compares to the last bit.
        ask_git: also ask a repository at hand what changed between the commits (takes some 10 ms).
    """
    problems: list[str] = []
    options = [_options(run, problems) for run in (first, second)]
    tasks = [record.task if record else None for record in (read_run(run.record) for run in (first, second))]
    config = [Change("task", tasks[0], tasks[1])] if tasks[0] != tasks[1] else []
    config += _changes(options[0], options[1])
    stands = [_newest_provenance(run) for run in (first, second)]
    newest = [_newest_checkpoint(run) for run in (first, second)]
    settings = [item.settings if item else {} for item in newest]
    environment = environment_changes(stands[0].environment, stands[1].environment)
    if settings[0] and settings[1]:
        environment += _changes(settings[0], settings[1], _SETTING)
    return RunDiff(
        first=first.id,
        second=second.id,
        config=tuple(config),
        code=compare_code(*stands, ask_git=ask_git),
        environment=tuple(environment),
        metrics=tuple(compare_histories(first, second, tolerance=tolerance)),
        weights=_same_weights(*newest),
        tolerance=tolerance,
        problems=tuple(problems),
    )


def compare_code(first: Provenance, second: Provenance, *, ask_git: bool = False) -> CodeDiff:
    """The code of two records."""
    lines: tuple[str, ...] = ()
    if first.patch != second.patch:
        old, new = (stand.patch.decode(errors="replace").splitlines() for stand in (first, second))
        titles = "uncommitted changes of the first", "uncommitted changes of the second"
        lines = tuple(difflib.unified_diff(old, new, *titles, n=1, lineterm=""))
    if first.patch != second.patch and not lines:
        lines = ("the patches differ in bytes that aren't text",)
    if len(lines) > _PATCH_LINES:
        lines = (*lines[:_PATCH_LINES], f"... {len(lines) - _PATCH_LINES} more lines")
    commits = first.commit, second.commit
    stat: tuple[str, ...] = ()
    if ask_git and commits[0] and commits[1] and commits[0] != commits[1]:
        stat = _stat(commits[0], commits[1], [stand.code.get("repository") for stand in (first, second)])
    return CodeDiff(commits, stat, lines)


def setting_changes(first: dict[str, Any], second: dict[str, Any]) -> list[Change]:
    """What differs between the settings on which bits depend, as checkpoints' manifests hold them."""
    return _changes(first, second, _SETTING) if first and second else []


def _stat(first: str, second: str, places: list[Any]) -> tuple[str, ...]:
    for place in places:
        if isinstance(place, str) and Path(place).is_dir():
            said = git(Path(place), "diff", "--stat=100", "--no-color", "--end-of-options", first, second, "--")
            if said is not None:
                return tuple(said.decode(errors="replace").splitlines())
    return ()


AS_STORED = "compared as stored"
"""What is said of options that could not be read as their task reads them."""


def _options(run: RunPaths, problems: list[str]) -> dict[str, Any]:
    """Every option in effect, by dotted key; as the files have it where the task can't be asked."""
    try:
        return flatten(effective_config(run).model_dump())
    except HeatsError as error:
        reason = error.message
    try:
        values = read_yaml_file(run.config)
    except HeatsError as error:
        problems.append(f"{run.id}: its options can't be read ({error})")
        return {}
    problems.append(f"{run.id}: its options are {AS_STORED} ({reason})")
    return values


def _changes(first: dict[str, Any], second: dict[str, Any], kind: str = "") -> list[Change]:
    keys = list(first) + [key for key in second if key not in first]
    prefix = f"{kind} " if kind else ""
    return [
        Change(prefix + key, first.get(key), second.get(key))
        for key in keys
        if repr(first.get(key)) != repr(second.get(key)) or (key in first) != (key in second)
    ]


def _newest_provenance(run: RunPaths) -> Provenance:
    attempts = [attempt.number for attempt in run.attempts() if read_launch(attempt.launch) is not None]
    return recorded(run, attempts[-1] if attempts else None)


def _newest_checkpoint(run: RunPaths) -> Checkpoint | None:
    return next((item for item in reversed(scan(run)) if item.usable), None)


def _same_weights(first: Checkpoint | None, second: Checkpoint | None) -> bool | None:
    if first is None or second is None or first.step != second.step:
        return None
    found = [item.files.get(MODEL) or item.digests.get("model") for item in (first, second)]
    if first.sharded or second.sharded:  # the same weights have other files in other numbers of parts
        try:
            return not any(line.startswith(MODEL) for line in checkpoint_differences(first.folder, second.folder))
        except (HeatsError, OSError):
            return None
    return None if None in found else found[0] == found[1]
