"""The user's file of profiles: what each line means, and one sentence for every mistake in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import HeatsError
from engine.launch.slurm.profiles import Profile, find_profile, profiles_path, time_seconds


def write(text: str) -> Path:
    path = profiles_path()
    path.write_text(text)
    return path


def test_a_profile_says_what_its_jobs_ask_for_as_it_is_written() -> None:
    write(
        "a100:\n  partition: gpu\n  time: 8:00:00\n  gres: gpu:a100:1\n  cpus: 08\n  memory: 32G\n  account: lab\n"
        "  modules: [cuda/12.4, gcc]\n  setup:\n    - source ~/venv/bin/activate\n  warn_seconds: 60\n"
        "  options: {constraint: a100, exclusive: ''}\n"
    )
    found = find_profile("a100")
    assert found.sbatch_options() == {
        "partition": "gpu", "account": "lab", "time": "8:00:00", "gres": "gpu:a100:1", "cpus-per-task": "08",
        "mem": "32G", "constraint": "a100", "exclusive": "",
    }  # fmt: skip
    assert (found.modules, found.setup) == (("cuda/12.4", "gcc"), ("source ~/venv/bin/activate",))
    assert found.warn_seconds == 60


def test_without_a_name_the_default_one_holds_or_the_clusters_own_defaults() -> None:
    write("default:\n  partition: cpu\n")
    assert find_profile(None).partition == "cpu"
    write("other:\n  partition: cpu\n")
    assert find_profile(None) == Profile()
    profiles_path().unlink()
    assert find_profile(None) == Profile()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "a100:\n  partitoin: gpu\n",
            "line 2: profile `a100` has an unknown key `partitoin`; did you mean `partition`?",
        ),
        ("a100:\n  qos: high\n", "other options of sbatch go under `options`: qos: ..."),
        ("a100:\n  time: soon\n", "line 2: `time: soon` is no time; write it as HH:MM:SS"),
        ("a100:\n  time: 0:02:00\n", "told to save 180 s before its end: at once"),
        ("a100:\n  partition: gpu; rm -rf ~\n", "`partition` of profile `a100` must be one word"),
        ("a100:\n  options: {output: x}\n", "`output` can't stand in `options`; leave it out: heats sets it"),
        ("a100:\n  options: {mem: 3G}\n", "write `memory: 3G` above `options`"),
        ("a100:\n  modules: [a b]\n", "must be names of modules"),
        ("a100:\n  warn_seconds: 3\n", "whole number from 10"),
        ("a100: gpu\n", "profile `a100` must hold `key: value` lines"),
        ("a10:\n  partition: gpu\n", "there is no profile `a100`; did you mean `a10`?"),
        ("", "there is no profile `a100`; write one there"),
    ],
)
def test_every_mistake_is_one_sentence_with_its_place(text: str, said: str) -> None:
    write(text)
    with pytest.raises(HeatsError) as caught:
        find_profile("a100")
    assert said in str(caught.value)
    assert str(profiles_path()) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 1800), ("1:30", 90), ("2:00:00", 7200), ("1-0", 86400), ("1-2:30", 95400), ("1-0:0:5", 86405),
        ("x", None), ("1:2:3:4", None), ("", None), ("UNLIMITED", None),
    ],
)  # fmt: skip
def test_slurms_ways_of_writing_a_time(text: str, seconds: int | None) -> None:
    assert time_seconds(text) == seconds
