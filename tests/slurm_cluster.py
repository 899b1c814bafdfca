"""A real SLURM on this machine for tests: a controller, two nodes, keys and ports of its own, no accounting."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

NODES = ("one", "two")
_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
_START_SECONDS = 90.0


def why_not() -> str | None:
    """Why no cluster can be started here; None where one can."""
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"SLURM is not installed ({', '.join(missing)} missing)"
    return None if os.getuid() == 0 else "only root can start SLURM's daemons"


@dataclass
class Cluster:
    """One running cluster. Programs find it through `environment`."""

    folder: Path
    environment: Mapping[str, str]
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def do(self, *words: str) -> str:
        """Run one of SLURM's programs; what it printed."""
        done = subprocess.run(
            words, env={**os.environ, **self.environment}, capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode:
            raise AssertionError(f"{' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def jobs(self, states: str = "all") -> dict[str, str]:
        """The state of each job that the controller knows, by id."""
        lines = self.do("squeue", "--noheader", "--array", f"--states={states}", "--format=%i %T").splitlines()
        return dict(line.split(None, 1) for line in lines)

    def fill(self, *options: str) -> str:
        """Give both nodes, or what the options say, to a job that goes before all others; its number."""
        words = options or (f"--nodes={len(NODES)}",)
        where = ("--partition=urgent", "--exclusive", "--output=/dev/null", f"--chdir={self.folder}")
        return self.do("sbatch", "--parsable", *where, *words, "--wrap", "sleep 300").strip()

    def release(self, job: str) -> None:
        """Let a requeued job start now, where SLURM would wait for its credentials to expire.

        A node refuses credentials of the very second in which it revoked the last ones, and the job fails of that.
        """
        deadline = time.monotonic() + _START_SECONDS
        while self.jobs()[job] != "PENDING":
            assert time.monotonic() < deadline, self.jobs()
            time.sleep(0.1)
        time.sleep(2.0)
        self.do("scontrol", "update", f"jobid={job}", "StartTime=now")

    def start_node(self, name: str) -> None:
        """Start one node's daemon."""
        self._start(name, ["slurmd", "-D", "-N", name])

    def kill_node(self, name: str) -> None:
        """Kill one node's daemon; what it had started goes on, cut off."""
        daemon = self.daemons.pop(name)
        daemon.kill()
        daemon.wait()

    def start_controller(self) -> None:
        """Start the controller, with what it knew before."""
        self._start("controller", ["slurmctld", "-D"])

    def stop_controller(self) -> None:
        """End the controller; jobs go on."""
        daemon = self.daemons.pop("controller")
        daemon.terminate()
        daemon.wait(30)

    def answers(self) -> bool:
        """Whether the controller answers and both nodes can take jobs."""
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            lines = self.do("sinfo", "--noheader", "--Node", "--format=%N %t").split("\n")
            states = dict(line.split() for line in lines if line)
            return all(states.get(name) in ("idle", "mix", "alloc", "comp") for name in NODES)
        return False

    def wait_ready(self) -> None:
        """Wait until both nodes can take jobs."""
        deadline = time.monotonic() + _START_SECONDS
        while not self.answers():
            dead = [name for name, daemon in self.daemons.items() if daemon.poll() is not None]
            if dead or time.monotonic() > deadline:
                logs = {path.name: path.read_text(errors="replace")[-1500:] for path in self.folder.glob("*.out")}
                raise AssertionError(f"no cluster ({dead or 'it does not answer'}): {logs}")
            time.sleep(0.1)

    def empty(self) -> None:
        """Cancel every job and wait until none runs."""
        self.do("scancel", f"--user={os.getuid()}")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if not self.jobs("pending,running,completing,suspended,requeued"):
                return
            time.sleep(0.1)
        raise AssertionError(f"jobs are left: {self.jobs()}")

    def end(self) -> None:
        """End every daemon, by its pid."""
        for job in _steps(self.folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(job, signal.SIGKILL)
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
        for daemon in self.daemons.values():
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def _start(self, name: str, words: list[str]) -> None:
        with open(self.folder / f"{name}.out", "ab") as output:
            self.daemons[name] = subprocess.Popen(
                words, env={**os.environ, **self.environment}, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )


def _steps(folder: Path) -> list[int]:
    """The pids of what keeps this cluster's jobs, whose own daemon may have been killed."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if path.joinpath("comm").read_text().strip() == "slurmstepd" and (
                f"SLURM_CONF={folder}/slurm.conf".encode() in path.joinpath("environ").read_bytes().split(b"\0")
            ):
                found.append(int(path.name))
    return found


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A cluster from here to the end of the block."""
    # Sockets' paths are short by law, so not in pytest's own deep folders.
    folder = Path(tempfile.mkdtemp(prefix="heats-slurm-"))
    folder.chmod(0o755)
    cluster = Cluster(folder, {"SLURM_CONF": str(folder / "slurm.conf")})
    try:
        _configure(folder)
        (folder / "munge.key").write_bytes(os.urandom(128))
        (folder / "munge.key").chmod(0o400)
        cluster._start(
            "munge",
            ["munged", "--foreground", "--force", f"--key-file={folder}/munge.key", f"--socket={folder}/munge.socket",
             f"--pid-file={folder}/munged.pid", f"--seed-file={folder}/munge.seed"],
        )  # fmt: skip
        deadline = time.monotonic() + _START_SECONDS
        while not (folder / "munge.socket").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        cluster.start_controller()
        for name in NODES:
            cluster.start_node(name)
        cluster.wait_ready()
        yield cluster
    finally:
        cluster.end()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _session_cluster() -> Iterator[Cluster]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(_session_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The session's cluster with nothing in its queue; this test's programs find it."""
    for name, value in _session_cluster.environment.items():
        monkeypatch.setenv(name, value)
    _session_cluster.empty()
    yield _session_cluster
    for node in NODES:
        if node not in _session_cluster.daemons:
            _session_cluster.start_node(node)
    if "controller" not in _session_cluster.daemons:
        _session_cluster.start_controller()
    _session_cluster.wait_ready()
    _session_cluster.empty()


def _configure(folder: Path) -> None:
    controller, *ports = _free_ports(1 + len(NODES))
    host = os.uname().nodename.split(".")[0]
    lines = [
        "ClusterName=heats-test",
        f"SlurmctldHost={host}(127.0.0.1)",
        "SlurmUser=root",
        "SlurmdUser=root",
        f"SlurmctldPort={controller}",
        "AuthType=auth/munge",
        # A requeued job waits until the credentials of its last start have expired.
        f"AuthInfo=socket={folder}/munge.socket,cred_expire=60",
        "CredType=cred/munge",
        f"StateSaveLocation={folder}/state",
        f"SlurmdSpoolDir={folder}/spool-%n",
        f"SlurmctldPidFile={folder}/slurmctld.pid",
        f"SlurmdPidFile={folder}/slurmd-%n.pid",
        f"SlurmctldLogFile={folder}/slurmctld.log",
        f"SlurmdLogFile={folder}/slurmd-%n.log",
        "ProctrackType=proctrack/pgid",
        "TaskPlugin=task/none",
        "JobAcctGatherType=jobacct_gather/none",
        "AccountingStorageType=accounting_storage/none",
        "MpiDefault=none",
        "SwitchType=switch/none",
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_Core",
        "SchedulerType=sched/backfill",
        "SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0,sched_min_interval=0,requeue_delay=0",
        "PreemptType=preempt/partition_prio",
        "PreemptMode=REQUEUE",
        "ReturnToService=2",
        "SlurmctldTimeout=10",
        "SlurmdTimeout=10",
        "InactiveLimit=0",
        "KillWait=20",
        "MinJobAge=300",
        "MessageTimeout=10",
        "Waittime=0",
        "MaxJobCount=2000",
        "SlurmdParameters=config_overrides",  # nodes are what is said here, whatever this machine has
        *(
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=512 State=UNKNOWN"
            for name, port in zip(NODES, ports, strict=True)
        ),
        f"PartitionName=main Nodes={','.join(NODES)} Default=YES MaxTime=INFINITE State=UP PriorityTier=1",
        f"PartitionName=urgent Nodes={','.join(NODES)} MaxTime=INFINITE State=UP PriorityTier=9",
    ]
    for name in ("state", *(f"spool-{node}" for node in NODES)):
        (folder / name).mkdir()
    (folder / "slurm.conf").write_text("\n".join(lines) + "\n")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
