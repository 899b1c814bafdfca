"""TensorBoard's own plugin finds the table of runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config.resolve import resolve
from engine.tasks.multiplication.config import Config
from engine.train.hparams import shown_options
from engine.train.metrics import MetricsWriter


@pytest.mark.filterwarnings("ignore")
def test_two_runs_are_two_rows_with_their_options_and_figures(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import api_pb2
    from tensorboard.plugins.hparams.backend_context import Context
    from tensorboard.plugins.hparams.list_session_groups import Handler

    for name, rate in (("a", 0.1), ("b", 0.01)):
        options = shown_options(resolve(Config, {"optim.lr": rate}))
        writer = MetricsWriter(tmp_path / f"{name}.jsonl", tmp_path / name / "tb", options=options, name=name)
        writer.log(1, {"val/accuracy": rate * 2})
        writer.close()
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(tmp_path))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(tmp_path))
    context = Context(TBContext(data_provider=provider, logdir=str(tmp_path), multiplexer=multiplexer))
    request = RequestContext()
    content = context.hparams_metadata(request, "")
    experiment = context.experiment_from_metadata(request, "", True, content, None)
    assert {"optim.lr", "optim.name", "tf.schedule"} <= {info.name for info in experiment.hparam_infos}
    asked = api_pb2.ListSessionGroupsRequest(start_index=0, slice_size=9)
    column = asked.col_params.add()
    column.metric.tag, column.metric.group = "val/accuracy", "tb"
    del asked.col_params[:]
    asked.allowed_statuses.extend([api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_RUNNING, api_pb2.STATUS_SUCCESS])
    rows = {
        row.name: row.hparams["optim.lr"].number_value
        for row in Handler(request, context, "", asked).run().session_groups
    }
    assert rows == {"a": 0.1, "b": 0.01}
    assert any("val/accuracy" in info.name.tag for info in experiment.metric_infos)


def test_options_that_say_how_a_run_is_kept_are_no_columns() -> None:
    shown = shown_options(Config())
    assert shown["optim.lr"] == 1e-3
    assert shown["train.deterministic"] is True
    assert not any(key.startswith(("checkpoint.", "guard.")) for key in shown)
    assert all(isinstance(value, bool | float | str) for value in shown.values())
