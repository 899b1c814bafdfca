"""Small files are whole or not there; numbers that JSON has no word for survive."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import MachineError
from engine.store.files import decode_number, encode_number, read_json, read_records, write_atomic, write_json


@given(value=st.floats(allow_nan=True, allow_infinity=True))
def test_every_number_survives_the_way_through_json(value: float) -> None:
    back = decode_number(json.loads(json.dumps(encode_number(value), allow_nan=False)))
    assert back is not None
    assert back == value or (math.isnan(back) and math.isnan(value))
    assert math.copysign(1, back) == math.copysign(1, value) or math.isnan(value)


def test_numbers_without_a_json_word_are_spelt_out() -> None:
    assert [encode_number(value) for value in (math.nan, math.inf, -math.inf)] == ["NaN", "Infinity", "-Infinity"]


@pytest.mark.parametrize("value", [None, "nan", "12", "", True, False, [1], {}, "infinity"])
def test_what_is_no_number_is_none(value: object) -> None:
    assert decode_number(value) is None


def test_an_integer_beyond_all_floats_is_no_number_rather_than_a_crash() -> None:
    assert decode_number(10**400) is None
    assert decode_number(-(10**400)) is None


_WRITER = """
import sys
from pathlib import Path
from engine.store.files import write_json
number = int(sys.argv[2])
while True:
    number += 1
    write_json(Path(sys.argv[1]), {"number": number, "again": number, "filling": "x" * 20000})
    if number % 5 == 1:
        print(number, flush=True)
"""


def test_a_writer_killed_at_any_moment_never_leaves_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "beat.json"
    number = 0
    seen = set()
    for delay in (0.0, 0.003, 0.007, 0.011, 0.016, 0.02):
        command = [sys.executable, "-c", _WRITER, str(path), str(number)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=os.getcwd()) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            until = time.monotonic() + delay
            while True:
                content = read_json(path)
                assert content is not None, "a reader saw half a file while it was written"
                assert content["number"] == content["again"]
                seen.add(content["number"])
                if time.monotonic() > until:
                    break
            os.kill(writer.pid, signal.SIGKILL)
        content = read_json(path)
        assert content is not None, "the kill left half a file"
        number = content["number"]
    assert len(seen) >= 6
    assert [name for name in os.listdir(tmp_path) if not name.startswith(".")] == ["beat.json"]


def test_threads_of_one_process_never_mix_their_contents(tmp_path: Path) -> None:
    path = tmp_path / "resume.json"
    problems: list[object] = []

    def write(letter: str) -> None:
        try:
            for _ in range(40):
                write_json(path, {"filling": letter * 5000})
                content = read_json(path)
                if content is None or len(set(content["filling"])) != 1:
                    problems.append(content)
        except Exception as error:  # noqa: BLE001  whatever it is, the test must show it
            problems.append(error)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


_LIMITED = """
import resource, signal, sys
from pathlib import Path
from engine.errors import MachineError
from engine.store.files import write_json
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_json(Path(sys.argv[1]), {"filling": "x" * 5000})
except MachineError as error:
    print(error.exit_code, error)
"""


def test_a_write_that_does_not_fit_is_a_machine_error_and_keeps_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_json(path, {"old": 1})
    done = subprocess.run([sys.executable, "-c", _LIMITED, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"1 {path}: can't be written (File too large)"), done.stdout + done.stderr
    assert read_json(path) == {"old": 1}
    assert os.listdir(tmp_path) == ["run.json"], "what was written so far must not stay and fill the disk"


def _mount(folder: Path, options: str) -> None:
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no mount here: {error}")
    if done.returncode:
        pytest.skip(f"mounting isn't allowed here: {done.stderr.strip()}")


def test_a_full_disk_is_a_machine_error_and_keeps_the_old_content(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    _mount(disk, "size=64k")
    try:
        path = disk / "resume.json"
        write_json(path, {"old": 1})
        with pytest.raises(MachineError, match="No space left on device") as caught:
            write_atomic(path, b"x" * 200_000)
        assert caught.value.exit_code == 1
        assert read_json(path) == {"old": 1}
        write_json(path, {"new": 2})
        assert read_json(path) == {"new": 2}, "the failed write must not hold on to the space"
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_read_only_is_a_machine_error(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    _mount(disk, "size=64k,ro")
    try:
        with pytest.raises(MachineError, match="Read-only file system"):
            write_json(disk / "notes.json", {})
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_that_is_gone_or_no_folder_is_a_machine_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "gone" / "a.json", tmp_path / "file" / "a.json"):
        with pytest.raises(MachineError, match="can't be written"):
            write_json(path, {})


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"3", b"null", b'{"a": 1', b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 100_000]
)
def test_a_damaged_json_file_reads_as_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    assert read_json(path) is None


def test_a_missing_file_or_a_folder_reads_as_none(tmp_path: Path) -> None:
    assert read_json(tmp_path / "none") is None
    assert read_json(tmp_path) is None
    assert read_records(tmp_path / "none") == ([], 0)
    assert read_records(tmp_path) == ([], 0)


def test_text_that_no_terminal_can_print_is_replaced_when_read(tmp_path: Path) -> None:
    # A name typed in Latin-1 arrives as half a surrogate pair; printing or indexing that would raise.
    path = tmp_path / "run.json"
    write_json(path, {"name": "caf\udce9", "tags": ["\ud83d"], "whole": "\U0001f680 é"})
    content = read_json(path)
    assert content is not None
    json.dumps(content, ensure_ascii=False).encode("utf-8")
    assert content["name"].startswith("caf")
    assert content["whole"] == "\U0001f680 é"
    path.write_bytes(path.read_bytes().replace(b"\n", b" ") + b"\n")
    records, damaged = read_records(path)
    assert damaged == 0
    json.dumps(records, ensure_ascii=False).encode("utf-8")


def test_a_last_line_without_newline_is_ignored_and_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": 2}\n{"a": ')
    assert read_records(path) == ([{"a": 1}, {"a": 2}], 0)
    path.write_bytes(b'{"a": 1}')
    assert read_records(path) == ([], 0), "whole or not, it may be half of a longer one"


def test_a_bad_line_in_the_middle_is_skipped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": \n[1]\n\xff\xff\n{"a": 2}\n')
    assert read_records(path) == ([{"a": 1}, {"a": 2}], 3)
