"""`python -m tests.bench.store_scale [RUNS]`: lists of a store of many runs, beside peers' lists."""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.made_store import config_values, fill, final_metrics
from tests.bench.report import emit, median, skip

PEERS = "HEATS_BENCH_PEERS"
_ROOT = Path(__file__).parents[2]
_ADDED = 100


@dataclass(frozen=True)
class Cost:
    """What a command took, in seconds, and the most memory it had, in MiB."""

    wall: float
    cpu: float
    memory: float


def measure(words: list[str], environment: dict[str, str]) -> Cost:
    """Run a command to its end."""
    began = time.perf_counter()
    process = subprocess.Popen(
        words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    complaint = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{words[-1]} failed: {complaint.decode(errors='replace').strip()[-300:]}")
    return Cost(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def report(figure: str, costs: list[Cost]) -> None:
    """One line of JSON: the median of the wall time, and the least CPU time, which a busy machine spoils least."""
    emit(
        figure, median([cost.wall for cost in costs]), "s", lowest=min(cost.wall for cost in costs),
        cpu=min(cost.cpu for cost in costs), memory_mib=max(cost.memory for cost in costs), load=os.getloadavg()[0],
    )  # fmt: skip


def heats(runs: int, rounds: int, folder: Path, environment: dict[str, str]) -> None:
    """Our own figures."""
    store = folder / "runs"
    began = time.perf_counter()
    fill(store, runs)
    emit(f"store_scale/{runs}/writing the runs", time.perf_counter() - began, "s")
    command = [sys.executable, "-m", "tui.cli", "--runs-dir", str(store), "list"]
    first = measure(command, environment)
    report(f"store_scale/{runs}/heats list, first ever", [first])
    report(f"store_scale/{runs}/heats list --rescan", [measure([*command, "--rescan"], environment) for _ in range(3)])
    measure([*command, "--filter", "optim.lr>0"], environment)
    for label, words in {
        "heats list": [],
        "heats list --sort loss": ["--sort", "loss"],
        "heats list --filter 'status:failed'": ["--filter", "status:failed"],
        "heats list --filter 'loss<0.01'": ["--filter", "loss<0.01"],
        "heats list --filter 'optim.lr>=1e-3 val/exact_match>0.9'": ["--filter", "optim.lr>=1e-3 val/exact_match>0.9"],
    }.items():
        report(f"store_scale/{runs}/{label}", [measure([*command, *words], environment) for _ in range(rounds)])
    fill(store, _ADDED, first=runs)
    report(
        f"store_scale/{runs}/heats list --sort loss, {_ADDED} new runs",
        [measure([*command, "--sort", "loss"], environment)],
    )
    fill(store, _ADDED, first=runs + _ADDED, live=_ADDED)
    report(
        f"store_scale/{runs}/heats list --sort status, {_ADDED} live runs",
        [measure([*command, "--sort", "status"], environment)],
    )


_MLFLOW_FILL = """
import json, sys, uuid
from mlflow.tracking import MlflowClient
import sqlalchemy
MlflowClient("sqlite:///" + sys.argv[1]).create_experiment("bench")
engine = sqlalchemy.create_engine("sqlite:///" + sys.argv[1])
with engine.begin() as connection:
    for line in sys.stdin:
        number, created, params, metrics = json.loads(line)
        run = uuid.UUID(int=number).hex
        connection.execute(sqlalchemy.text(
            "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time,"
            " end_time, source_version, lifecycle_stage, artifact_uri, experiment_id)"
            " VALUES (:r, :r, 'LOCAL', '', '', 'me', 'FINISHED', :t, :t, '', 'active', '', 1)"),
            {"r": run, "t": created})
        connection.execute(sqlalchemy.text("INSERT INTO params (key, value, run_uuid) VALUES (:k, :v, :r)"),
            [{"k": k, "v": str(v), "r": run} for k, v in params.items()])
        for table in ("latest_metrics", "metrics"):
            connection.execute(sqlalchemy.text(
                f"INSERT INTO {table} (key, value, timestamp, run_uuid, step, is_nan)"
                " VALUES (:k, :v, :t, :r, 2000, 0)"),
                [{"k": k, "v": v, "t": created, "r": run} for k, v in metrics.items()])
"""
_MLFLOW_LIST = """
import sys
from mlflow.tracking import MlflowClient
client = MlflowClient("sqlite:///" + sys.argv[1])
for run in client.search_runs(["1"], order_by=["attributes.start_time DESC"], max_results=20):
    print(run.info.run_id, run.info.status, run.data.metrics.get("val/loss"))
"""


def mlflow(runs: int, rounds: int, folder: Path, environment: dict[str, str], python: str) -> None:
    """The newest 20 of as many runs with the same options and figures in MLflow's SQLite store."""
    import json

    database = str(folder / "mlflow.db")
    lines = [
        json.dumps([number, 1_700_000_000_000 + 60_000 * number, config_values(number), final_metrics(number)])
        for number in range(runs)
    ]
    filling = subprocess.run(
        [python, "-c", _MLFLOW_FILL, database], input="\n".join(lines), text=True, env=environment, capture_output=True
    )
    if filling.returncode:
        skip(f"store_scale/{runs}/mlflow", f"its store could not be filled: {filling.stderr.strip()[-200:]}")
        return
    command = [python, "-c", _MLFLOW_LIST, database]
    report(f"store_scale/{runs}/mlflow search_runs", [measure(command, environment) for _ in range(rounds)])


def guild(runs: int, rounds: int, folder: Path, environment: dict[str, str], python: str) -> None:
    """`guild runs`, which shows the newest 20, over as many run folders as Guild writes them."""
    home = folder / "guild"
    for number in range(runs):
        attributes = home / "runs" / f"{number:032x}" / ".guild" / "attrs"
        attributes.mkdir(parents=True)
        moment = (1_700_000_000 + 60 * number) * 1_000_000
        flags = "".join(f"{name}: {value}\n" for name, value in config_values(number).items())
        for name, text in (
            ("started", f"{moment}\n"), ("initialized", f"{moment}\n"), ("stopped", f"{moment + 300_000_000}\n"),
            ("exit_status", "0\n"), ("id", f"{number:032x}\n"), ("flags", flags), ("cmd", "- python\n- train.py\n"),
        ):  # fmt: skip
            (attributes / name).write_text(text)
        (attributes.parent / "opref").write_text("script:/tmp/train.py '' '' train.py\n")
    program = str(Path(python).with_name("guild"))
    costs = [measure([program, "-H", str(home), "runs"], environment) for _ in range(rounds)]
    report(f"store_scale/{runs}/guild runs", costs)


def main() -> None:
    """Write the store, measure, and then the peers that there are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="?", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-peers", action="store_true")
    arguments = parser.parse_args()
    peers = os.environ.get(PEERS, str(_ROOT / ".venv-bench-store" / "bin" / "python"))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory(prefix="heats-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": str(_ROOT)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        bare = [measure([sys.executable, "-c", "pass"], environment) for _ in range(arguments.rounds)]
        report("store_scale/python -c pass", bare)
        heats(arguments.runs, arguments.rounds, folder, environment)
        if arguments.no_peers:
            return
        for label, peer in (("guild runs", guild), ("mlflow search_runs", mlflow)):
            module = label.partition(" ")[0]
            known = (
                subprocess.run([peers, "-c", f"import {module}"], capture_output=True) if Path(peers).exists() else None
            )
            if known is None or known.returncode:
                skip(f"store_scale/{arguments.runs}/{label}", f"{module} is not installed (see tests/bench/README.md)")
                continue
            theirs = {key: value for key, value in environment.items() if key != "PYTHONPATH"}
            try:
                peer(arguments.runs, min(3, arguments.rounds), folder, theirs, peers)
            except RuntimeError as error:
                skip(f"store_scale/{arguments.runs}/{label}", str(error))


if __name__ == "__main__":
    main()
