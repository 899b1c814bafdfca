"""W&B's files: written here as its format says, and by the wandb package itself where that is installed."""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import HeatsError
from engine.store.foreign.curves import ForeignRun
from engine.store.foreign.wandb_files import read_wandb


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return _varint(number << 3) + _varint(content)
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _item(name: str, value: object) -> bytes:
    return _field(1, name.encode()) + _field(16, json.dumps(value).encode())


def _history(step: int, **values: object) -> bytes:
    items = b"".join(_field(1, _item(name, value)) for name, value in values.items())
    return _field(2, items + _field(2, _field(1, step)))


def _log(records: list[bytes]) -> bytes:
    """LevelDB's log: records over blocks of 32 KiB."""
    data = bytearray(b":W&B" + struct.pack("<HB", 0xBEE1, 0))
    for record in records:
        first = True
        while True:
            room = 32768 - len(data) % 32768
            if room < 7:
                data += bytes(room)
                continue
            part, record = record[: room - 7], record[room - 7 :]
            kind = (1 if not record else 2) if first else (4 if not record else 3)
            data += struct.pack("<IHB", 0, len(part), kind) + part
            first = False
            if not record:
                break
    return bytes(data)


RUN = _field(17, _field(1, b"abc") + _field(8, "größe".encode()) + _field(9, b"why") + _field(10, b"paper")
             + _field(13, b"box") + _field(17, _field(1, 1_700_000_000) + _field(2, 500_000_000)))  # fmt: skip
CONFIG = _field(5, _field(1, _item("lr", 0.1)) + _field(1, _item("model", {"d": 8})) + _field(1, _item("_wandb", {})))


def _read(path: Path, records: list[bytes]) -> ForeignRun:
    path.write_bytes(_log(records))
    run = ForeignRun("x", "wandb", path, "")
    read_wandb(run, path)
    return run


def test_facts_options_and_curves(tmp_path: Path) -> None:
    rows = [_history(step, loss=1 / step, _timestamp=1.7e9 + step, _runtime=step, word="x") for step in range(1, 2000)]
    run = _read(tmp_path / "run.wandb", [RUN, CONFIG, *rows, _field(18, _field(1, 0))])
    assert (run.name, run.note, run.tags, run.host, run.created) == ("größe", "why", ("paper",), "box", 1_700_000_000.5)
    assert run.config == {"lr": 0.1, "model.d": 8}
    assert list(run.curves.series) == ["loss"]
    assert list(run.curves.series["loss"].values) == [1 / step for step in range(1, 2000)]
    assert run.curves.series["loss"].times[0] == 1.7e9 + 1
    assert (run.ended, run.reason) == ("finished", "imported")


@pytest.mark.parametrize(("records", "said"), [([_field(18, _field(1, 3))], "exit code 3"), ([], "has no end")])
def test_how_it_ended(tmp_path: Path, records: list[bytes], said: str) -> None:
    run = _read(tmp_path / "run.wandb", [RUN, _history(1, loss=1.0), *records])
    assert run.ended == "failed"
    assert said in run.reason


def test_records_longer_than_a_block_and_values_that_are_no_numbers(tmp_path: Path) -> None:
    run = _read(
        tmp_path / "run.wandb",
        [
            _history(0, text="x" * 100_000),
            _history(1, loss=float("nan"), acc="Infinity"),
            _history(2, histogram={"_type": "histogram", "values": [1, 2]}, nested={"a": 1, "b": {"c": 2.5}}),
        ],
    )
    assert math.isnan(run.curves.series["loss"].values[0])
    assert run.curves.series["acc"].values[0] == math.inf
    assert run.curves.series["nested.b.c"].values[0] == 2.5
    assert "histogram, text" in run.remarks[0]


def test_a_torn_or_damaged_file_gives_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "run.wandb"
    content = _log([RUN, *[_history(step, loss=1.0) for step in range(1, 50)]])
    for size in range(7, len(content), 13):
        path.write_bytes(content[:size])
        read_wandb(ForeignRun("x", "wandb", path, ""), path)
        flipped = bytearray(content)
        flipped[size] ^= 0x5A
        path.write_bytes(flipped)
        run = ForeignRun("x", "wandb", path, "")
        read_wandb(run, path)
        assert run.curves.points <= 49
    path.write_bytes(b"no such thing")
    with pytest.raises(HeatsError, match="no W&B run"):
        read_wandb(ForeignRun("x", "wandb", path, ""), path)


_LOGGING = """
import sys, wandb
run = wandb.init(project="p", name="a/b", mode="offline", dir=sys.argv[1], config={"lr": 0.1, "model": {"d": 8}})
for step in range(20):
    wandb.log({"loss": float("nan") if step == 7 else 1 / (step + 1), "nested": {"a": step}})
wandb.finish(exit_code=0)
"""


def test_what_the_wandb_package_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    subprocess.run([sys.executable, "-c", _LOGGING, str(tmp_path)], check=True, capture_output=True)
    (path,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    run = ForeignRun("x", "wandb", path, "")
    read_wandb(run, path)
    assert (run.name, run.config, run.ended) == ("a/b", {"lr": 0.1, "model.d": 8}, "finished")
    assert len(run.curves.series["loss"]) == 20
    assert math.isnan(run.curves.series["loss"].values[7])
    assert list(run.curves.series["nested.a"].values) == list(range(20))
