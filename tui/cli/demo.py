"""`make demo`: a transformer learns to multiply while you watch; it is stopped, resumed, and goes on bit for bit."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
import time

from engine.errors import HeatsError
from engine.store.names import find_run
from engine.store.paths import RunPaths, create_store, default_root, program
from engine.store.status import State
from engine.store.summary import summarize
from tui.cli.terminal import complain

SETTINGS = (
    "model.kind=simple model.d_model=32 model.num_layers=2 model.num_heads=4 model.positions=abacus "
    "data.pad_operands=true loss.column_sum_weight=0.1 optim.lr=3e-3 optim.beta2=0.98 optim.weight_decay=0.3 "
    "optim.min_lr_ratio=0.01 tf.schedule=none train.max_steps=1600 train.num_threads=1 evaluation.every=200 seed=1"
)
"""61,000 parameters on one core: small enough to see it learn in under two minutes."""
STOP_AT = 700


def main() -> int:
    """Run the tour, each step by the command that a person would type; the exit code of the first that fails."""
    try:
        return _tour()
    except HeatsError as error:
        complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        complain("left; `heats list` shows what goes on")
        return 130


def _tour() -> int:
    _say("A transformer learns to multiply numbers of up to two digits, on this machine's CPU.")
    code = _type(f"heats launch multiplication {SETTINGS} --name demo --tag demo --detach")
    if code:
        return code
    store = create_store(default_root())
    run = find_run(store, "last")
    short = run.id[-4:]
    _say(f"It trains in the background. We watch it, and stop it near step {STOP_AT}.")
    stopper = threading.Thread(target=_stop_at, args=(run, STOP_AT), daemon=True)
    stopper.start()
    _type(f"heats watch {short}")
    stopper.join(timeout=60)
    _say("Stopped: its last checkpoint holds weights, moments, data order and every random generator.")
    _type(f"heats list --limit 5 --runs-dir {shlex.quote(str(store.root))}")
    code = _type(f"heats resume {short} --follow")
    if code:
        return code
    _say("How well does it multiply pairs that it has never seen, in either order?")
    code = _type(f"heats evaluate {short} --checkpoint best --split test")
    if code:
        return code
    _say("And is a resumed run really the same as one that was left alone?")
    code = _type("heats selftest resume")
    _say("Now type `.venv/bin/heats` for the full-screen app, or `.venv/bin/heats tasks multiplication`.")
    return code


def _say(sentence: str) -> None:
    print(f"\n# {sentence}", flush=True)


def _type(line: str) -> int:
    print(f"$ {line}", flush=True)
    words = shlex.split(line)
    assert words[0] == "heats"
    environment = os.environ | {"HEATS_RUNS_DIR": str(default_root())}
    return subprocess.run([*program("tui.cli"), *words[1:]], env=environment, check=False).returncode


def _stop_at(run: RunPaths, step: int) -> None:
    """Stop the run in the background once it has come so far, as another terminal would."""
    while True:
        summary = summarize(run)
        if summary is not None and summary.status.is_final:
            return
        if summary is not None and summary.status is State.RUNNING and summary.step >= step:
            break
        time.sleep(0.3)
    command = [*program("tui.cli"), "stop", run.id, "--detach", "--runs-dir", str(run.folder.parent)]
    subprocess.run(command, capture_output=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
