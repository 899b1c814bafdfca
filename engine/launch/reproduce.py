"""Training a run again from its record: its config and seed, with the code that it trained with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import HeatsError
from engine.launch.starting import Started, begin
from engine.launch.torchrun import Processes
from engine.launch.worktrees import clear_worktrees, lend_worktree, make_worktree, new_worktree_path
from engine.store.code import git
from engine.store.paths import RunPaths, open_store
from engine.store.provenance import Change, environment, environment_changes, recorded
from engine.store.records import RunRecord, read_launch, read_run


@dataclass(frozen=True)
class Reproduction:
    """What reproducing a run would do. `commit` and `repository` are None where it uses the code at hand."""

    run: RunPaths
    record: RunRecord
    config_yaml: str
    config_hash: str
    total_steps: int | None
    processes: Processes
    commit: str | None
    patch: bytes
    repository: Path | None
    import_root: str
    folder: str | None
    """The working folder of the trainer."""
    inside: Path | None
    """Where in the repository a command of the user's own works: the new run's works there in the work tree."""
    changes: tuple[Change, ...]
    """What differs between the recorded environment and this one."""
    notes: tuple[str, ...]
    """Why the new run may not equal the old one."""


def plan_reproduction(run: RunPaths, *, here: bool = False) -> Reproduction:
    """Read a run's record and find its code. Nothing is written.

    Args:
        run: which run.
        here: train with the code at hand instead of the recorded one.

    Raises:
        HeatsError: its record is damaged, or its commit isn't to be had.
    """
    from engine.config.resolve import config_hash, dump_yaml, flatten
    from engine.config.tasks import task_package
    from engine.launch.scripts import code_of, names_files_of
    from engine.store.stored_config import effective_config

    record = read_run(run.record)
    if record is None:
        raise HeatsError("its run.json is missing or damaged", place=run.id, remedy="see `heats show`")
    task_package(record.task)
    stands = recorded(run)
    home = Path(record.folder) if record.folder is not None else None
    repository = None if here else _repository(run, stands.commit, stands.code, code_of(record.task, None, home))
    notes = [f"untracked and not recorded: {name}" for name in stands.code.get("left_out", []) if not here]
    launches = [launch for launch in (read_launch(attempt.launch) for attempt in run.attempts()) if launch]
    overridden = any(launch.overrides for launch in launches)
    if overridden:
        notes.append("its options were changed on the way; the new run has the last ones from its start on")
    for launch in launches[1:]:
        own = recorded(run, launch.attempt)
        if (own.commit, own.patch) != (stands.commit, stands.patch):
            notes.append(f"attempt {launch.attempt} went on with other code; the new run has the first attempt's")
    if overridden or here:
        config = effective_config(run)
        text, digest, values = dump_yaml(config), config_hash(config), flatten(config.model_dump())
    else:  # as it stands: an older commit may not know options that are known here
        text, digest, values = _stored(run), record.config_hash or "", _stored_values(run)
    folder = record.folder or (launches[0].folder if launches else None)
    inside: Path | None = None
    if repository is not None and home is not None:
        if home.is_relative_to(repository):
            inside = home.relative_to(repository)
        named = names_files_of(repository, effective_config(run))
        if named:
            notes.append(f"its command names {named}, which is taken as it stands now")
    if folder is not None and inside is None and not os.path.isdir(folder):
        notes.append(f"its working folder has gone ({folder}); the new run works in this one")
        folder = None
    steps = values.get("train.max_steps")
    root = stands.code.get("import_root")
    return Reproduction(
        run=run,
        record=record,
        config_yaml=text,
        config_hash=digest,
        total_steps=steps if isinstance(steps, int) else None,
        processes=_processes(values),
        commit=None if here else stands.commit,
        patch=b"" if here else stands.patch,
        repository=repository,
        import_root=root if isinstance(root, str) and not os.path.isabs(root) and ".." not in Path(root).parts else ".",
        folder=folder,
        inside=inside,
        changes=tuple(environment_changes(stands.environment, environment())),
        notes=tuple(notes),
    )


def reproduce(
    plan: Reproduction,
    *,
    worktree: Path | None = None,
    keep_worktree: bool = False,
    name: str | None = None,
    command: tuple[str, ...] = (),
) -> tuple[Started, Path | None]:
    """Make the work tree and the run, and start it.

    Args:
        plan: what to do.
        worktree: a new folder for the code, which stays; else one in the cache.
        keep_worktree: leave the one in the cache in place after the run has finished.
        name: of the new run; else the old one's with -again behind it, so that the old one's still names one run.
        command: what the person typed.

    Returns:
        The attempt under way, and the work tree (None with the code at hand).

    Raises:
        HeatsError: the patch doesn't apply, or the work tree's folder is in use.
        MachineError: something can't be written or started.
    """
    from engine.launch.scripts import code_of
    from engine.launch.worktrees import remove_worktree
    from engine.store.create import create_run

    clear_worktrees()
    store = open_store(plan.run.folder.parent)
    record, tree = plan.record, None
    if plan.repository is not None and plan.commit is not None:
        tree = (worktree or new_worktree_path(plan.commit)).absolute()
        make_worktree(plan.repository, plan.commit, plan.patch, tree)
    code = tree / plan.import_root if tree else None
    folder = tree / plan.inside if tree is not None and plan.inside is not None else None
    if folder is None and record.folder is not None:
        folder = Path(plan.folder) if plan.folder is not None else Path.cwd()
    try:
        run = create_run(
            store, task=record.task, slug=_slug(plan.run.id, record.task), config_yaml=plan.config_yaml,
            config_hash=plan.config_hash, name=name or _name(record), seed=record.seed, parent=plan.run.id,
            command=command, code=code or code_of(record.task, None, folder), folder=folder,
        )  # fmt: skip
        if tree is not None and plan.repository is not None and worktree is None and not keep_worktree:
            lend_worktree(tree, plan.repository, run)
        places = {"code": str(code)} if code else {}
        more = places | _folder(plan, folder)
        started = begin(store, run, total_steps=plan.total_steps, processes=plan.processes, **more)
    except HeatsError:
        if tree is not None and plan.repository is not None:
            remove_worktree(plan.repository, tree)
        raise
    return started, tree


def _processes(values: Mapping[str, object]) -> Processes:
    """How many trained together; an older commit knows of no more than one."""
    on_each, nodes = values.get("parallel.procs", 1), values.get("parallel.nodes", 1)
    if nodes != 1:
        raise HeatsError("it was trained on several machines, which can't be reproduced from here")
    return Processes(on_each) if isinstance(on_each, int) else Processes()


def _folder(plan: Reproduction, folder: Path | None) -> dict[str, str]:
    if folder is not None:
        return {"folder": str(folder)}
    return {"folder": plan.folder} if plan.folder is not None else {}


def _name(record: RunRecord) -> str | None:
    """A run without a name of its own is called by its slug, as the new one will be."""
    return f"{record.name}-again" if record.name and record.name not in record.id else record.name


def _slug(run_id: str, task: str) -> str:
    middle = run_id.split("_", 1)[1].rpartition("_")[0]
    return middle.removeprefix(f"{task}-")


def _stored(run: RunPaths) -> str:
    try:
        return run.config.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HeatsError(f"can't be read ({error})", place=str(run.config)) from None


def _stored_values(run: RunPaths) -> dict[str, object]:
    from engine.config.resolve import read_yaml_file

    return read_yaml_file(run.config)


def _repository(run: RunPaths, commit: str | None, code: dict[str, object], package: Path | None) -> Path:
    """A repository at hand that has the commit: the one that was recorded, or that of the installed code."""
    if commit is None:
        raise HeatsError(
            "no commit was recorded: its code was in no git work tree",
            place=run.id, remedy="train with the code at hand: --here",
        )  # fmt: skip
    recorded_place = code.get("repository")
    for place in (recorded_place, package):
        if place is None or not os.path.isdir(str(place)):
            continue
        if git(Path(str(place)), "cat-file", "-e", "--end-of-options", f"{commit}^{{commit}}") is not None:
            return Path(str(place))
    where = f" (it was in {recorded_place})" if recorded_place else ""
    raise HeatsError(
        f"its commit {commit[:12]} is in no repository at hand{where}",
        place=run.id, remedy="fetch it there, or train with the code at hand: --here",
    )  # fmt: skip
