"""Long logs are read as columns: to the very bits that reading them line by line gives, whatever is in them."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from engine.store import metrics
from engine.store.columns import Columns
from engine.store.files import encode_number
from engine.store.metrics import JsonLinesTail, RunHistory
from engine.store.paths import RunPaths
from tests.engine.store.made import add_attempt, make_run, make_store

NAMES = ["a", "train/loss", "val/loss", "metric_10", "val:top1", "käfer", 'with "quotes"', "a, b", "back\\slash", "{x}"]
CASES = 400


@pytest.fixture
def run(store_root: Path) -> RunPaths:
    return make_run(make_store(store_root))


def everything(history: RunHistory) -> object:
    """What a reader knows, to the bit."""
    series = {
        name: (found.steps.tobytes(), found.values.tobytes(), found.times.tobytes())
        for name, found in history.series.items()
    }
    return series, history.last_step, history.last_time, history.generation, history.damaged


def line_by_line(run: RunPaths) -> RunHistory:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "_FEW", 10**9)
        return read(run)


def read(run: RunPaths) -> RunHistory:
    history = RunHistory(run)
    history.refresh()
    return history


def number(chance: random.Random, *, words: bool) -> object:
    """Any number that a metric may be: all sizes, whole ones, and such as JSON has no word for."""
    kind = chance.randrange(12)
    if kind == 0:
        return chance.choice([0, -1, 7, 2**53 + 1, 2**63, 2**64 + 1, -(10**25)])
    if kind == 1:
        return chance.choice([0.0, -0.0, 5e-324, 1.7976931348623157e308, 1e22, 1e-7, 0.1 + 0.2, 9007199254740993.0])
    if kind == 2 and words:
        return encode_number(chance.choice([math.nan, math.inf, -math.inf]))
    return chance.choice([chance.random(), chance.gauss(0, 1e6), math.exp(chance.uniform(-300, 300))])


def made_lines(chance: random.Random, count: int) -> list[bytes]:
    """A log of a few layouts, as several programs would write it."""
    layouts = [chance.sample(NAMES, chance.randint(1, 5)) for _ in range(chance.randint(1, 3))]
    whole, words, integer_times = chance.random() < 0.5, chance.random() < 0.3, chance.random() < 0.2
    spaces, ascii_only, step = chance.random() < 0.5, chance.random() < 0.5, chance.randrange(3)
    lines = []
    for _ in range(count):
        step += 1 if whole else chance.randint(1, 1000)
        time = 1_700_000_000 + step if integer_times else 1.7e9 + chance.random() + step
        figures = {name: number(chance, words=words) for name in chance.choice(layouts)}
        record = {"step": step, "time": time, **figures}
        if ascii_only or any(isinstance(value, int) and abs(value) > 2**63 for value in figures.values()):
            separators = (", ", ": ") if spaces else (",", ":")
            lines.append(json.dumps(record, ensure_ascii=ascii_only, separators=separators).encode())
        else:
            lines.append(orjson.dumps(record))
    return lines


ODD_LINES = [
    b"", b"{", b"}", b"{}", b"[]", b"null", b" ", b'{"step":5}', b'{"time":5}', b'{"step":5,"time":1.5}',
    b'{"step":5,"time":1.5,"a":null}', b'{"step":5,"time":1.5,"a":true}', b'{"step":5,"time":1.5,"a":"text"}',
    b'{"step":5,"time":1.5,"a":[1,2]}', b'{"step":5,"time":1.5,"a":{"b":1}}', b'{"step":5,"time":1.5,"a":1,"a":2}',
    b'{"step":5.0,"time":1.5,"a":1}', b'{"step":-5,"time":1.5,"a":1}', b'{"step":"5","time":1.5,"a":1}',
    b'{"step":true,"time":1.5,"a":1}', b'{"step":9223372036854775808,"time":1.5,"a":1}', b'{"a":1,"step":5,"time":1.5}',
    b'{"step":5,"time":"NaN","a":1}', b'{"step":5,"time":"Infinity","a":1}', b'{"step":5,"time":null,"a":1}',
    b'{"step":5,"time":1.5,"a":NaN}', b'{"step":5,"time":1.5,"a":"Nan"}', b'{"step":5,"time":1.5,"a":1}}',
    b'{"step":5,"time":1.5,"a":01}', b'{"step":5,"time":1.5,"a":1.}', b'{"step":5,"time":1.5,"a":+1}',
    b'{"step":5,"time":1.5,"a":1e999}', b'{"step":5,"time":1.5,"a":}', b'{"step":5,"time":1.5,"a":1 2}',
    b'{"step":5,"time":1.5,"a":1,2}', b'{"step":,"time":1.5,"a":1,2}', b'{"step":5,,"time":1.5,"a":1}',
    b'{"step":5,"time":1.5,"a":1,}', b' {"step":5,"time":1.5,"a":1}', b'{"step":5,"time":1.5,"a":1} ',
    b'{"step":5,"time":1.5,"a":1}\r', b'{ "step" : 5 , "time" : 1.5 , "a" : 1 }', b'7{"step":5,"time":1.5,"a":1}',
    b'{"step":5,"time":1.5,"a":1,"rolled_back_from":9.0}', b'{"step":5,"time":1.5,"rolled_back_from":9.0}',
    b'{"step":5,"time":1.5,"\xff":1}', b'{"step":5,"time":1.5,"\t":1}', b'{"step":5,"time":1.5,"\\ud800":1}',
    b'{"step":5,"time":1.5,"a":1}{"step":6,"time":1.5,"a":1}', b'{"step":5,"time":1.5,"a":1', b"\x00\x00\x00",
    b"x" * 300,
]  # fmt: skip


def spoiled(chance: random.Random, lines: list[bytes]) -> bytes:
    """A log with what disks, crashes and strangers make of it, or with nothing wrong."""
    lines = list(lines)
    for _ in range(chance.choice([0, 0, 1, 1, 3])):
        where = chance.randrange(len(lines) + 1)
        kind = chance.randrange(4)
        if kind == 0:
            step = b"%d" % chance.choice([0, 5, 10**6, 10**15])
            lines[where:where] = [chance.choice(ODD_LINES).replace(b'"step":5', b'"step":' + step)]
        elif kind == 1:
            lines[where:where] = lines[where - 3 : where]  # written twice
        elif kind == 2:
            del lines[where : where + 2]
        else:
            chance.shuffle(lines)
    content = bytearray(b"".join(line + b"\n" for line in lines))
    for _ in range(chance.choice([0, 0, 0, 1, 4])):
        where = chance.randrange(max(1, len(content) - 30))
        kind = chance.randrange(4)
        if kind == 0:
            content[where] ^= 1 << chance.randrange(8)
        elif kind == 1:
            content[where] = ord(chance.choice('{}[]",:0123456789.eE+-\n \tNnult'))
        elif kind == 2:
            del content[where : where + chance.randint(1, 30)]
        else:
            content[where:where] = content[where - 20 : where]
    if chance.random() < 0.3:
        del content[len(content) - chance.randrange(80) :]
    return bytes(content)


def test_columns_are_what_single_lines_give_to_the_bit(run: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over regular, mixed and damaged logs, in chunks of all sizes and several attempts."""
    first, second = add_attempt(run), add_attempt(run, resumed_from_step=90)
    monkeypatch.setattr(metrics, "_PART_BYTES", 1 << 11)
    for seed in range(CASES):
        chance = random.Random(seed)
        first.metrics.write_bytes(spoiled(chance, made_lines(chance, chance.choice([70, 130, 400]))))
        second.metrics.write_bytes(spoiled(chance, made_lines(chance, 130)) if seed % 3 else b"")
        monkeypatch.setattr(metrics, "_CHUNK_BYTES", chance.choice([1 << 11, 1 << 13, 1 << 20]))
        assert everything(read(run)) == everything(line_by_line(run)), f"seed {seed}"


@pytest.mark.parametrize("odd", ODD_LINES)
def test_one_odd_line_among_many_costs_nothing_but_time(run: RunPaths, odd: bytes) -> None:
    path = add_attempt(run).metrics
    lines = [b'{"step":%d,"time":%d.5,"a":%d.25}' % (step, step, step) for step in range(100, 400)]
    lines[150:150] = [odd]
    path.write_bytes(b"\n".join(lines) + b"\n")
    found = read(run)
    assert everything(found) == everything(line_by_line(run))
    assert found.series["a"].steps[-1] == 399


@pytest.mark.parametrize("seed", range(20))
def test_regular_logs_are_not_read_line_by_line(run: RunPaths, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    add_attempt(run).metrics.write_bytes(b"".join(line + b"\n" for line in made_lines(chance, 1000)))
    wanted = everything(line_by_line(run))
    monkeypatch.setattr(JsonLinesTail, "parse", lambda *_: pytest.fail("parsed line by line"))
    assert everything(read(run)) == wanted


def test_what_is_special_about_a_line_makes_only_its_own_part_slow(
    run: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [b'{"step":%d,"time":%d.5,"a":0.5}\n' % (step, step) for step in range(20_000)]
    lines[5000] = b"damage\n"
    add_attempt(run).metrics.write_bytes(b"".join(lines))
    parsed: list[int] = []
    original = JsonLinesTail.parse

    def counted(tail: JsonLinesTail, text: bytes) -> list[dict[str, Any]]:
        parsed.append(len(text))
        return original(tail, text)

    monkeypatch.setattr(JsonLinesTail, "parse", counted)
    found = read(run)
    assert (len(found.series["a"]), found.damaged) == (19_999, 1)
    assert 0 < sum(parsed) < sum(map(len, lines)) / 10


def test_a_text_of_many_layouts_is_left_to_be_read_line_by_line() -> None:
    lines = [b'{"step":%d,"time":1.5,"metric_%d":1}\n' % (step, step) for step in range(200)]
    assert Columns.of(b"".join(lines)) is None


def test_a_log_of_nothing_but_steps_has_no_curves(run: RunPaths) -> None:
    add_attempt(run).metrics.write_bytes(b"".join(b'{"step":%d,"time":1.5}\n' % step for step in (*range(200), 3)))
    found = read(run)
    assert (found.series, found.last_step, found.last_time) == ({}, 199, 1.5)
    assert everything(found) == everything(line_by_line(run))
