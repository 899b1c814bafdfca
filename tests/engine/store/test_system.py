"""Host figures: read as they come, over attempts, whatever is in the files."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

from engine.store.paths import RunPaths
from engine.store.system import SystemHistory, figure


def write(root: Path, attempt: int, *lines: object, rest: str = "") -> RunPaths:
    run = RunPaths(root / "20260101-000000_multiplication-s_0000")
    folder = run.attempt(attempt).folder
    folder.mkdir(parents=True, exist_ok=True)
    with run.attempt(attempt).system.open("a") as file:
        file.writelines(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
        file.write(rest)
    return run


def test_figures_are_read_as_they_come_and_over_attempts(tmp_path: Path) -> None:
    run = write(tmp_path, 1, {"time": 1.0, "cpu_percent": 10}, {"time": 2.0, "cpu_percent": 20, "gpu0_power": 70.5})
    history = SystemHistory(run)
    assert history.refresh()
    assert not history.refresh()
    assert history.breaks == []
    write(tmp_path, 2, {"time": 9.0, "cpu_percent": 30}, rest='{"time": 10.0, "cpu_')
    assert history.refresh()
    assert history.breaks == [9.0], "no line is drawn from one attempt to the next"
    assert [list(part) for part in history.curve("cpu_percent")] == [[1, 2, 9], [10, 20, 30]]
    assert [list(part) for part in history.curve("gpu0_power")] == [[2], [70.5]], "what was missing is no zero"
    assert history.latest() == {"cpu_percent": 30}
    write(tmp_path, 2, rest='percent": 40}\n')
    history.refresh()
    assert history.latest() == {"cpu_percent": 40}


def test_damage_is_skipped_and_counted(tmp_path: Path) -> None:
    rows: list[object] = [
        "\x00\x00\n", "[1]\n", {"time": "NaN", "cpu_percent": 1}, {"cpu_percent": 2},
        {"time": 5.0, "cpu_percent": "Infinity", "name": "x", "memory_used": None}, {"time": 4.0, "cpu_percent": 7},
    ]  # fmt: skip
    history = SystemHistory(write(tmp_path, 1, *rows))
    assert history.refresh()
    assert history.damaged == 4
    assert [list(part) for part in history.curve("cpu_percent")] == [[5], [7]], "times never run backwards"
    assert history.names() == ["cpu_percent"]
    none = SystemHistory(RunPaths(tmp_path / "nothing"))
    assert not none.refresh()
    assert (none.names(), none.latest(), len(none.curve("cpu_percent")[0])) == ([], {}, 0)


def test_gpus_come_first_and_each_name_has_a_meaning(tmp_path: Path) -> None:
    names = ["memory_used", "gpu10_percent", "gpu1_power", "gpu1_percent", "cpu_percent", "later_figure"]
    history = SystemHistory(write(tmp_path, 1, {"time": 1.0} | dict.fromkeys(names, 1)))
    history.refresh()
    expected = ["gpu1_percent", "gpu1_power", "gpu10_percent", "cpu_percent", "memory_used", "later_figure"]
    assert history.names() == expected
    assert (figure("gpu1_power").unit, figure("gpu1_power").ceiling) == ("W", "gpu1_power_limit")
    assert figure("memory_used").ceiling == "memory_total"
    assert figure("later_figure").label == "later_figure"


def test_a_long_history_is_thinned_evenly(tmp_path: Path) -> None:
    rows = [
        {"time": float(time), "cpu_percent": float(time)} | ({"late": 1.0} if time > 500 else {})
        for time in range(1001)
    ]
    history = SystemHistory(write(tmp_path, 1, *rows), most=100)
    history.refresh()
    times, values = history.curve("cpu_percent")
    assert 40 <= len(times) <= 100
    assert list(times) == list(values), "a mean of figures stands at the mean of their times"
    assert len({round(after - before) for before, after in itertools.pairwise(times)}) == 1
    assert times[0] < 16
    assert times[-1] > 980
    assert 20 <= len(history.curve("late")[0]) <= len(times)
    assert history.latest() == {"cpu_percent": 1000, "late": 1}, "the newest row is as it was written"
