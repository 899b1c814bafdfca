"""Event files that TensorBoard reads, through TensorBoard's own record writer and message classes."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class EventWriter:
    """One event file. A failing disk silences it: TensorBoard's copy is a convenience, the JSON lines are the truth.

    Args:
        folder: where the file goes.
        purge_step: tells TensorBoard to drop what earlier files say of this step and later ones (a resume).
    """

    def __init__(self, folder: Path, purge_step: int | None) -> None:
        # Imported here, in the writer's thread: the protobuf classes take a second.
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary, self._session = event_pb2.Event, summary_pb2.Summary, event_pb2.SessionLog
        self._file: Any = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}.0"
            self._file = open(folder / name, "ab")  # noqa: SIM115  closed by close()
            self._records = RecordWriter(self._file)
            self._put(self._event(wall_time=time.time(), file_version="brain.Event:2"))
            if purge_step is not None:
                self.purge(purge_step)
            self._file.flush()
        except OSError:
            self._give_up()

    def write(self, step: int, moment: float, figures: dict[str, float]) -> None:
        """One event with all figures of a step."""
        values = [self._summary.Value(tag=name, simple_value=value) for name, value in figures.items()]
        self._put(self._event(wall_time=moment, step=step, summary=self._summary(value=values)))

    def write_options(self, options: Mapping[str, bool | float | str], name: str) -> None:
        """A row of the table of runs (see `hparams`)."""
        from engine.train.hparams import session_start

        value = session_start(options, name, time.time())
        self._put(self._event(wall_time=time.time(), step=0, summary=self._summary(value=[value])))

    def write_picture(self, step: int, name: str, png: bytes, height: int, width: int) -> None:
        """A picture, in pixels, as the bytes of a PNG file."""
        image = self._summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
        value = self._summary.Value(tag=name, image=image)
        self._put(self._event(wall_time=time.time(), step=step, summary=self._summary(value=[value])))

    def purge(self, step: int) -> None:
        """Tell TensorBoard to drop what was written of this step and later ones."""
        start = self._session(status=self._session.START)
        self._put(self._event(wall_time=time.time(), step=step, session_log=start))

    def flush(self) -> None:
        """Make what was written visible to readers."""
        if self._file is not None:
            try:
                self._file.flush()
            except OSError:
                self._give_up()

    def close(self) -> None:
        """Close the file."""
        self.flush()
        self._give_up()

    def _put(self, event: Any) -> None:
        if self._file is None:
            return
        try:
            self._records.write(event.SerializeToString())
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # what was buffered is lost with the disk that can't take it
                self._file.close()
            self._file = None
