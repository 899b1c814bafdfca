"""What a run's bits stand on: its code, the packages, and the machine; recorded, read back, and compared."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from engine.store import host
from engine.store.code import CodeState, code_state
from engine.store.files import read_json, write_atomic, write_json
from engine.store.paths import AttemptPaths, RunPaths
from engine.store.records import read_launch, read_run


@dataclass(frozen=True)
class Change:
    """One thing that two runs, or a run and this machine, don't have in common. None: it isn't there."""

    key: str
    first: Any
    second: Any

    def to_json(self) -> dict[str, Any]:
        """The stable public form."""
        return asdict(self)


@dataclass(frozen=True)
class Provenance:
    """What an attempt was recorded to stand on; empty where nothing was recorded."""

    commit: str | None
    patch: bytes
    environment: dict[str, Any]

    @property
    def code(self) -> dict[str, Any]:
        """What environment.json says of the code."""
        found = self.environment.get("code")
        return found if isinstance(found, dict) else {}


def environment() -> dict[str, Any]:
    """What the run stands on, from this interpreter's point of view; torch's own view is in the `training` event."""
    return {
        "schema": 1,
        "python": sys.version.split()[0],
        "executable": sys.executable,
        "platform": platform.platform(),
        "processor": _processor(),
        "cpu_count": os.cpu_count(),
        "memory_bytes": _memory_bytes(),
        "gpus": _gpus(),
        "gpu_driver": _gpu_driver(),
        "host": host.host_name(),
        "packages": _packages(),
    }


def record_attempt(run: RunPaths, attempt: AttemptPaths, folder: Path | None) -> tuple[CodeState, tuple[str, ...]]:
    """Keep with a later attempt what differs from the run's record: its code.patch and its environment.json.

    Args:
        run: whose attempt.
        attempt: just claimed.
        folder: where its code is.

    Returns:
        The code's state, and a sentence for each thing that has changed since the run began.

    Raises:
        MachineError: the attempt's folder can't be written.
    """
    code, here, before = code_state(folder, store=run.folder.parent), environment(), recorded(run)
    said = []
    if code.commit != before.commit and before.commit is not None:
        said.append(f"its code was at commit {before.commit[:10]} and is at {(code.commit or 'none')[:10]} now")
    if code.patch != before.patch:
        write_atomic(attempt.code_patch, code.patch)
        said.append("its code's uncommitted changes are others than when the run began")
    changes = environment_changes(before.environment, here)
    if changes or code.repository != before.code.get("repository"):
        write_json(attempt.environment, here | {"code": code.to_json()})
    if changes:
        said.append(f"its environment has changed since the run began: {describe(changes)}")
    return code, tuple(said)


def recorded(run: RunPaths, attempt: int | None = None) -> Provenance:
    """What the run's record says it stands on, or what one of its attempts does. Never raises for what is there."""
    record = read_run(run.record)
    commit = record.git_commit if record else None
    patch, found = _read(run.code_patch) or b"", read_json(run.environment) or {}
    if attempt is not None:
        paths = run.attempt(attempt)
        launch = read_launch(paths.launch)
        commit = (launch.git_commit if launch else None) or commit
        own = _read(paths.code_patch)
        patch = patch if own is None else own  # an empty one says that all was committed by then
        found = read_json(paths.environment) or found
    return Provenance(commit, patch, found)


def environment_changes(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Change]:
    """What differs between two environments, packages last and the ones that decide bits first among them.

    What only one of them records at all (an older version's file) is no change.
    """
    changes = [
        Change(key, first[key], second[key])
        for key in ("python", "platform", "processor", "cpu_count", "memory_bytes", "gpus", "gpu_driver", "host")
        if key in first and key in second and first[key] != second[key]
    ]
    lists = [found for found in (first.get("packages"), second.get("packages")) if isinstance(found, dict)]
    if len(lists) != 2:
        return changes
    packages = [{package_name(str(name)): version for name, version in found.items()} for found in lists]
    names = sorted(packages[0].keys() | packages[1].keys(), key=lambda name: (name not in _FIRST, name))
    return changes + [
        Change(f"package {name}", packages[0].get(name), packages[1].get(name))
        for name in names
        if packages[0].get(name) != packages[1].get(name)
    ]


_FIRST = ("torch", "heats", "numpy", "safetensors", "transformers", "triton")


def describe(changes: list[Change], most: int = 6) -> str:
    """Changes in one line: `python 3.11.7 -> 3.12.1, package torch 2.13.0 -> 2.14.0, and 3 more`."""
    shown = [f"{change.key} {_word(change.first)} -> {_word(change.second)}" for change in changes[:most]]
    more = [f"and {len(changes) - most} more"] if len(changes) > most else []
    return ", ".join(shown + more)


def _word(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return "+".join(map(str, value)) or "none"
    return str(value)


def package_name(name: str) -> str:
    """A package's name in the one spelling that all its spellings share (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _packages() -> dict[str, str]:
    """Every installed package with its version, from the names of folders: reading 100 METADATA files takes 100 ms."""
    found: dict[str, str] = {}
    for place in sys.path:
        try:
            names = sorted(os.listdir(place or "."))
        except OSError:
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                parts = re.fullmatch(r"([^-]+)-([^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info", name)
                key, version = parts.groups() if parts else _from_metadata(Path(place or ".") / name)
                if key:
                    found.setdefault(package_name(key), version)
    return dict(sorted(found.items()))


def _from_metadata(folder: Path) -> tuple[str, str]:
    try:
        metadata = Distribution.at(folder).metadata
        return str(metadata["Name"] or ""), str(metadata["Version"] or "")
    except (OSError, KeyError, TypeError, ValueError):
        return "", ""


def _processor() -> str:
    return next(_values(Path("/proc/cpuinfo"), "model name"), None) or platform.processor()


def _memory_bytes() -> int | None:
    words = next(_values(Path("/proc/meminfo"), "MemTotal"), "").split()
    return int(words[0]) * 1024 if words and words[0].isdigit() else None


def _gpus() -> list[str]:
    """The names of NVIDIA's devices. The driver's own files say it at once; starting NVML can take a second."""
    folder = Path("/proc/driver/nvidia/gpus")
    try:
        return [next(_values(folder / name / "information", "Model"), "GPU") for name in sorted(os.listdir(folder))]
    except OSError:
        return _asked_gpus() if os.path.exists("/dev/nvidiactl") else []


def _asked_gpus() -> list[str]:
    """The same from NVML, in containers that hide the driver's files."""
    try:
        import pynvml

        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        names = [pynvml.nvmlDeviceGetName(handle) for handle in handles]
        pynvml.nvmlShutdown()
    except Exception:  # noqa: BLE001  no run fails to start for what a driver's library throws
        return []
    return [str(name) for name in names]


def _gpu_driver() -> str | None:
    words = next(_values(Path("/proc/driver/nvidia/version"), "NVRM version"), "")
    found = re.search(r"\s(\d+\.\d[\d.]*)\s", f"{words} ")
    return found[1] if found else None


def _values(path: Path, key: str) -> Iterator[str]:
    """The values of `key: value` lines."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        name, colon, value = line.partition(":")
        if colon and name.strip() == key:
            yield value.strip()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
