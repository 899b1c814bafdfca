"""`python -m tests.bench [NAME...]`: the benchmarks, each in a process of its own; figures on standard output."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

NAMES = (
    "log_cost", "checkpoint_stall", "start_up", "loop_overhead", "store_scale", "chart_redraw", "load_scalars",
    "app_terminal", "chart_terminal", "store_latency", "vision_step", "language_step",
    "conditional_step",
)  # fmt: skip
_ROOT = Path(__file__).parents[2]


def interpreter() -> str:
    """The one that has the peers, if it was made."""
    with_peers = _ROOT / ".venv-bench" / "bin" / "python"
    return str(with_peers) if with_peers.exists() else sys.executable


def main() -> int:
    """Run those named, or all; the exit code is 1 if any of them failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all without any")
    names = parser.parse_args().names or list(NAMES)
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        parser.error(f"no benchmark is called {unknown[0]}; there are {', '.join(NAMES)}")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"OMP_WAIT_POLICY": "PASSIVE"}
    failed = [
        name
        for name in names
        if subprocess.run([interpreter(), "-m", f"tests.bench.{name}"], cwd=_ROOT, env=environment).returncode
    ]
    for name in failed:
        print(f"{name} failed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
