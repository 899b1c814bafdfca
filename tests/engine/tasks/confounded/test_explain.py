"""`heats explain` on a real run: figures, shares that can be told by hand, pictures everywhere they belong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
import torch

from engine.store.paths import RunPaths
from engine.tasks.confounded.explain import METHODS, _methods, _shares, strip
from engine.tasks.confounded.task import Confounded
from tests.engine.tasks.confounded.trained import tiny, trained


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A run that others only read, but for its pictures."""
    return trained(tmp_path_factory.mktemp("explained"), {"loss.kind": "balanced"})[0]


def heats(run: RunPaths, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line on the run's store."""
    command = [sys.executable, "-m", "tui.cli", "--runs-dir", str(run.folder.parent), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


@pytest.mark.filterwarnings("ignore")
def test_it_prints_figures_and_writes_pictures(run: RunPaths) -> None:
    from PIL import Image
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = heats(run, "explain", run.id, "--split", "test", "--limit", "20", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["samples"] == 40
    assert found["area"] == pytest.approx(4 / 144)
    assert list(found["saliency"]) == list(METHODS)
    for shares in found["saliency"].values():
        assert 0 <= shares["share"] <= shares["near_share"] <= 1
        assert shares["ratio"] == pytest.approx(shares["share"] * 36)
    assert found["figures"]["worst_group"] == min(
        value for name, value in found["figures"].items() if name.startswith("accuracy_")
    )
    assert len(found["pictures"]) == 4 * len(METHODS)
    for path in found["pictures"]:
        with Image.open(run.folder / path) as picture:
            assert picture.size == ((3 * 12 + 4) * 4, 12 * 4)
    assert json.loads((run.pictures / "explain" / "explain.json").read_text())["figures"] == found["figures"]
    accumulator = EventAccumulator(str(run.tensorboard))
    accumulator.Reload()
    shown = [tag for tag in accumulator.Tags()["images"] if tag.startswith("explain/")]
    assert len(shown) == len(found["pictures"])


def test_integrated_gradients_begin_at_a_black_picture_however_pictures_are_normalised() -> None:
    task = Confounded(tiny({"data.normalise": "standard"}))
    normalise, model = task.data.normalisation, task.build_model()
    pictures = task.groups("val").dotted[:8]
    black = normalise(torch.zeros_like(pictures[:1]))
    pixels, classes = normalise(pictures), torch.zeros(8, dtype=torch.int64)
    found = _methods(model, black)["integrated_gradients"](pixels.clone().requires_grad_(), classes)
    with torch.no_grad():
        gained = model(pixels)[:, 0] - model(black)[:, 0]
    assert torch.allclose(found.flatten(1).sum(1), gained, rtol=0.1, atol=0.02)
    assert float(black.abs().min()) > 0.1, "else nothing would be told apart"


def test_a_terminal_gets_half_blocks_and_a_pipe_none(run: RunPaths) -> None:
    piped = heats(run, "explain", run.id, "--limit", "5")
    assert "worst_group" in piped.stdout
    assert "▀" not in piped.stdout
    assert "16 pictures in" in piped.stdout
    words = ["-m", "tui.cli", "--runs-dir", str(run.folder.parent), "explain", run.id, "--limit", "5"]
    environment = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    environment.pop("NO_COLOR", None)
    child = pexpect.spawn(sys.executable, words, env=environment, encoding="utf-8", dimensions=(50, 100), timeout=200)
    child.expect("sample, heat map, overlay")
    child.expect("38;2;255;255;255;48;2;")
    child.expect("▀")
    child.expect("16 pictures in")
    child.expect(pexpect.EOF)


def test_figures_alone_are_had_without_drawing(run: RunPaths) -> None:
    done = heats(run, "explain", run.id, "--limit", "5", "--pictures", "0", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["pictures"] == []


def test_mistakes_are_one_sentence(run: RunPaths) -> None:
    for words, said in ((("--checkpoint", "nonsense"), "is no checkpoint"), (("--checkpoint", "99"), "99")):
        done = heats(run, "explain", run.id, *words)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_a_share_is_what_lies_inside() -> None:
    heat = torch.zeros(3, 4, 4)
    heat[0, 0, 0] = 3.0
    heat[0, 3, 3] = 1.0
    heat[1, 1, 1] = 5.0
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[0, 0] = True
    found = _shares(heat, mask, "")
    assert found == {"share": (0.75 + 0.0) / 2, "ratio": 0.375 * 16, "without_any": 1.0}


def test_a_strip_shows_sample_heat_and_overlay() -> None:
    image, heat = torch.full((1, 5, 5), 200, dtype=torch.uint8), torch.zeros(5, 5)
    heat[2, 2] = 7.0
    shown = strip(image, heat)
    assert shown.shape == (3, 5, 19)
    assert shown[:, 2, 2].tolist() == [200, 200, 200]
    assert shown[:, 2, 9].tolist() == [255, 255, 255]
    assert shown[:, 0, 7].tolist() == [0, 0, 0]
    assert shown[:, 2, 16].tolist() == [255, 255, 255]
    assert shown[:, 0, 14].tolist() == [120, 120, 120]


def test_a_run_of_another_task_has_nothing_to_explain(tmp_path: Path) -> None:
    from engine.store.status import State
    from tests.support import start, wait_for_state

    other = start(tmp_path, None).run
    wait_for_state(other, State.FINISHED)
    done = heats(other, "explain", other.id)
    assert done.returncode == 2
    assert "nothing to explain" in done.stderr
