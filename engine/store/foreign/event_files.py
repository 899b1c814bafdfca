"""TensorBoard's event files, read by walking their TFRecord frames: no TensorBoard, and 20 times as fast.

A frame is a length (8 bytes), the length's checksum (4), the message, and the message's checksum (4). The length's
checksum is verified (a wrong length would lead anywhere), the message's is not: it costs more than all the rest.
Sources: tensorflow/core/lib/io/record_writer.h; event.proto, summary.proto, tensor.proto of TensorFlow;
plugin_data.proto and api.proto of TensorBoard's hparams plugin.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from engine.store.foreign import protobuf
from engine.store.foreign.curves import Curves, ForeignRun

_DOUBLE = struct.Struct("<d").unpack_from
_FLOAT = struct.Struct("<f").unpack_from
_HEADER = struct.Struct("<QI").unpack_from
_DAMAGE = (ValueError, IndexError, struct.error, OverflowError)
# First bytes of fields: number << 3 | wire type.
_WALL_TIME, _STEP, _SUMMARY, _SESSION_LOG = 0x09, 0x10, 0x2A, 0x3A
_VALUE, _TAG, _SIMPLE_VALUE, _TENSOR, _METADATA = 0x0A, 0x0A, 0x15, 0x42, 0x4A
_SESSION_START = 1
_TYPES = {1: "<f", 2: "<d", 3: "<i", 9: "<q", 19: "<e", 10: "<?", 4: "<B", 6: "<b", 5: "<h"}
"""TensorFlow's numbers of element types, and how one element looks in tensor_content."""
_LISTS = {5: "<f", 6: "<d", 7: "", 10: "", 11: ""}
"""Fields of a tensor that hold its elements: floats, doubles, and whole numbers as varints."""


def is_event_file(name: str) -> bool:
    """Whether a file's name says that TensorBoard would read it."""
    return "tfevents" in name


def read_folder(run: ForeignRun, files: list[Path]) -> None:
    """Read the event files of one folder, which TensorBoard takes for one run, into a run.

    Raises:
        OSError: a file can't be read.
    """
    reader = _Reader(run.curves)
    for part, path in enumerate(files):
        damage = reader.read(path.read_bytes(), part)
        if damage:
            run.remarks.append(f"{path.name}: {damage}")
    run.created = reader.first_time
    run.config = reader.hparams
    if reader.skipped:
        run.remarks.append(f"{reader.skipped:,} values that are no scalars left out")


def read_frames(data: bytes, curves: Curves) -> tuple[int, bool]:
    """Take in the whole records at the start of a piece of an event file that is still being written.

    Returns:
        How many bytes they are, and whether what follows is damaged rather than not yet written.
    """
    place, end = 0, len(data)
    while place + 12 <= end:
        length, checksum = _HEADER(data, place)
        if checksum != _masked_crc(length):
            break
        after = place + 12 + length + 4
        if after > end:
            break
        place = after
    _Reader(curves).read(data[:place], 0)
    damaged = place + 12 <= end and _HEADER(data, place)[1] != _masked_crc(_HEADER(data, place)[0])
    return place, damaged


class _Reader:
    """Walks files one after the other."""

    def __init__(self, curves: Curves) -> None:
        self.curves = curves
        self.first_time: float | None = None
        self.hparams: dict[str, Any] = {}
        self.skipped = 0
        self._names: dict[bytes, str] = {}
        self._usual_names: dict[bytes, Any] = {}

    def read(self, data: bytes, part: int) -> str:
        """Take in a file; what is wrong with it, in words."""
        place, end, bad = 0, len(data), 0
        self._usual_names.clear()  # the first point of each metric in each file is looked at for a restart
        while place + 12 <= end:
            length, checksum = _HEADER(data, place)
            if checksum != _masked_crc(length):
                return f"damaged at byte {place:,} of {end:,}; what follows is left out"
            start = place + 12
            place = start + length + 4
            if place > end:
                return "its end is cut off"
            try:
                if not self._usual(data, start, place - 4):
                    self._event(data, start, place - 4, part)
            except _DAMAGE:
                bad += 1
        if place < end:
            return "its end is cut off"
        return f"{bad} damaged records left out" if bad else ""

    def _usual(self, data: bytes, place: int, end: int) -> bool:
        """Take in what nearly every event is: a time, a step and one float of a known name, past the last step.

        Everything else is left to `_event`: reading is three times as fast for knowing this one shape.
        """
        if data[place] != _WALL_TIME or data[place + 9] != _STEP:
            return False
        start, place, step, shift = place + 1, place + 10, 0, 0
        while (byte := data[place]) >= 0x80:
            step |= (byte & 0x7F) << shift
            shift += 7
            place += 1
        step |= byte << shift
        # Summary, its length, value, its length, tag, its length.
        if data[place + 1] == _SUMMARY and data[place + 3] == _VALUE and data[place + 5] == _TAG:
            size = data[place + 6]
            if data[place + 4] != size + 7 or data[place + 2] != size + 9 or place + 12 + size != end:
                return False
            place += 7
            usual = self._usual_names.get(data[place : place + size])
            if usual is None or data[place + size] != _SIMPLE_VALUE:
                return False
            steps, add_step, add_time, add_value = usual
            if step < 2**63 and (not steps or step > steps[-1]):
                add_step(step)
                add_time(_DOUBLE(data, start)[0])
                add_value(_FLOAT(data, end - 4)[0])
                return True
        return False

    def _event(self, data: bytes, place: int, end: int, part: int) -> None:
        moment, step, summaries = 0.0, 0, []
        while place < end:
            key = data[place]
            if key == _WALL_TIME:
                moment = _DOUBLE(data, place + 1)[0]
                place += 9
            elif key == _STEP:
                step, place = protobuf.varint(data, place + 1)
            elif key == _SUMMARY:
                length, start = protobuf.varint(data, place + 1)
                place = start + length
                summaries.append((start, place))
            else:
                place = self._other(data, place, end, step)
        if place > end:
            raise ValueError("a field that goes on past the end")
        if self.first_time is None and moment > 0:
            self.first_time = moment
        for start, stop in summaries:
            self._summary(data, start, stop, step if step < 2**63 else -1, moment, part)

    def _other(self, data: bytes, place: int, end: int, step: int) -> int:
        """A field of an event that holds no figures; where it ends. Steps come before sessions in a message."""
        start = place
        key, place = protobuf.varint(data, place)
        if key & 7 == protobuf.BYTES:
            length, place = protobuf.varint(data, place)
            if key == _SESSION_LOG:
                status = {number: value for number, _, value in protobuf.fields(data, place, place + length)}
                if status.get(1) == _SESSION_START:
                    self.curves.purge(step)
            return place + length
        if key & 7 == protobuf.VARINT:
            return protobuf.varint(data, place)[1]
        if key & 7 in (protobuf.FIXED32, protobuf.FIXED64):
            return place + (4 if key & 7 == protobuf.FIXED32 else 8)
        raise ValueError(f"a field at {start} to {end} of unknown type")

    def _summary(self, data: bytes, place: int, end: int, step: int, moment: float, part: int) -> None:
        names, add = self._names, self.curves.add
        while place < end:
            key = data[place]
            length = data[place + 1]
            start = place + 2
            if length >= 0x80:
                length, start = protobuf.varint(data, place + 1)
            place = start + length
            if key != _VALUE or place > end:
                raise ValueError("no value")
            # What almost every value is: a tag shorter than 128 bytes, then a float.
            size = data[start + 1]
            if data[start] == _TAG and size + 7 == length and size < 0x80 and data[start + 2 + size] == _SIMPLE_VALUE:
                tag = data[start + 2 : start + 2 + size]
                name = names.get(tag)
                if name is None:
                    name = names[tag] = _name(protobuf.text(tag))
                add(name, step, moment, _FLOAT(data, place - 4)[0], part)
                series = self.curves.series[name]
                self._usual_names[tag] = (series.steps, series.steps.append, series.times.append, series.values.append)
            else:
                self._value(data[start:place], step, moment, part)

    def _value(self, data: bytes, step: int, moment: float, part: int) -> None:
        tag, value, found = "", None, False
        for number, kind, content in protobuf.fields(data):
            if number == 1:
                tag = protobuf.text(content)
            elif number == 2 and kind == protobuf.FIXED32:
                value, found = protobuf.single(content), True
            elif number == 8 and isinstance(content, bytes):
                value, found = _tensor_scalar(content), True
            elif number == 9 and isinstance(content, bytes):
                if self._take_hparams(content):
                    return
            elif number not in (7, 3):
                found = True
        if value is not None and tag:
            self.curves.add(_name(tag), step, moment, value, part)
        elif found:
            self.skipped += 1

    def _take_hparams(self, metadata: bytes) -> bool:
        """Whether a value belongs to the hparams plugin; the options in it are kept."""
        for number, _, plugin in protobuf.fields(metadata):
            if number != 1 or not isinstance(plugin, bytes):
                continue
            parts = {key: content for key, _, content in protobuf.fields(plugin)}
            if parts.get(1) != b"hparams":
                return False
            content = parts.get(2, b"")
            for _, _, start in _messages(content, 3):
                for _, _, entry in _messages(start, 1):
                    pair = {key: item for key, _, item in protobuf.fields(entry)}
                    self.hparams[protobuf.text(pair.get(1, b""))] = _plain(pair.get(2, b""))
            return True
        return False


def _messages(data: protobuf.Value, wanted: int) -> Iterator[tuple[int, int, bytes]]:
    for number, kind, content in protobuf.fields(data if isinstance(data, bytes) else b""):
        if number == wanted and isinstance(content, bytes):
            yield number, kind, content


def _plain(data: protobuf.Value) -> Any:
    """A google.protobuf.Value: null, a number, a text or a truth value."""
    for number, _, content in protobuf.fields(data if isinstance(data, bytes) else b""):
        if number == 2:
            value = protobuf.double(content)
            return int(value) if value.is_integer() and abs(value) < 2**53 else value
        if number == 3:
            return protobuf.text(content)
        if number == 4:
            return bool(content)
    return None


def _name(tag: str) -> str:
    return f"logged/{tag}" if tag in ("step", "time") else tag


def _tensor_scalar(data: bytes) -> float | None:
    """The number in a tensor of one element; None for any other tensor."""
    element, content, listed = 0, b"", []
    for number, kind, value in protobuf.fields(data):
        if number == 1 and isinstance(value, int):
            element = value
        elif number == 2 and isinstance(value, bytes):
            for _, _, size in _messages(value, 2):
                if any(key == 1 and length != 1 for key, _, length in protobuf.fields(size)):
                    return None
        elif number == 4 and isinstance(value, bytes):
            content = value
        elif number in _LISTS:
            listed += _elements(_LISTS[number], kind, value)
    if element in _TYPES and content:
        layout = struct.Struct(_TYPES[element])
        return float(layout.unpack(content)[0]) if len(content) == layout.size else None
    return float(listed[0]) if len(listed) == 1 else None


def _elements(layout: str, kind: int, value: protobuf.Value) -> list[float]:
    if isinstance(value, int):
        return [protobuf.signed(value)]
    if layout:
        return [item[0] for item in struct.iter_unpack(layout, value)]
    found, place = [], 0
    while kind == protobuf.BYTES and place < len(value):
        number, place = protobuf.varint(value, place)
        found.append(float(protobuf.signed(number)))
    return found


@lru_cache(maxsize=4096)
def _masked_crc(length: int) -> int:
    """The checksum that TFRecord keeps of a length: CRC-32C, rotated and shifted."""
    crc = 0xFFFFFFFF
    for byte in length.to_bytes(8, "little"):
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
