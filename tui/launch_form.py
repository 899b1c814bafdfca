"""What a launch form says: values, their check, the equivalent command line. Pure functions, no Textual."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.config.options import Option, list_options, nearest
from engine.config.resolve import resolve
from engine.config.sections import RunConfig
from engine.config.tasks import config_class
from engine.errors import HeatsError
from engine.launch.actions import LaunchRequest
from engine.store.paths import default_root

STARTS = ("now", "queue")
BACKENDS = ("local", "slurm")
MOST_SEEDS = 100


@dataclass(frozen=True)
class Check:
    """Whether the values make a config: its slug, or one sentence and the key at fault."""

    slug: str = ""
    problem: str = ""
    key: str | None = None


def default_text(option: Option) -> str:
    """An option's default as a person would type it."""
    return value_text(option.default)


def value_text(value: Any) -> str:
    """A value as a person would type it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {value_text(inner)}" for key, inner in value.items()) + "}"
    return str(value)


def choices_of(option: Option) -> tuple[str, ...]:
    """What an option can be, where that is a short list."""
    return option.choices or (("true", "false") if option.kind == "true/false" else ())


def changed_values(options: Mapping[str, Option], typed: Mapping[str, str]) -> dict[str, str]:
    """What was typed and differs from the default."""
    return {
        key: text.strip() for key, text in typed.items() if text.strip() and text.strip() != default_text(options[key])
    }


def check(kind: type[RunConfig], values: Mapping[str, str]) -> Check:
    """Try the values against the task's config; a misspelt choice is told the nearest right one."""
    try:
        return Check(slug=resolve(kind, values).slug())
    except HeatsError as error:
        named = re.search(r"`([\w.]+)`", error.message) or re.search(r"\b(\w+(?:\.\w+)+)\b", error.message)
        key = named.group(1) if named else None
        option = next((option for option in list_options(kind) if option.key == key), None)
        near = nearest(values.get(key or "", ""), list(choices_of(option))) if option is not None else None
        return Check(problem=f"{error}; did you mean `{near}`?" if near else str(error), key=key)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds as people write them: `3`, `0 1 2`, `0,1,2`, `0-4`; none for nothing.

    Raises:
        HeatsError: something in it is no seed, one is given twice, or there are very many.
    """
    found: list[int] = []
    for word in text.replace(",", " ").split():
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", word)
        if match is None:
            raise HeatsError(f"`{word}` is no seed", remedy="write 3, or several as 0 1 2 or 0-4")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first >= MOST_SEEDS:
            raise HeatsError(f"`{word}` is no range of at most {MOST_SEEDS} seeds", remedy="write it as 0-4")
        found += range(first, last + 1)
    twice = next((seed for seed in found if found.count(seed) > 1), None)
    if twice is not None:
        raise HeatsError(f"the seed {twice} is given twice", remedy="keep one of them")
    if len(found) > MOST_SEEDS:
        raise HeatsError(f"{len(found)} seeds are too many for a form", remedy="write a study file")
    return tuple(found)


@dataclass(frozen=True)
class Filled:
    """What a form says, field by field."""

    task: str
    values: Mapping[str, str] = field(default_factory=dict)
    """Options that differ from the task's defaults, without the seed."""
    seeds: str = ""
    name: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""
    start: str = ""
    """now or queue; empty leaves it to the number of seeds."""
    backend: str = ""
    """local, slurm, or slurm:PROFILE."""
    notify: str = ""


@dataclass(frozen=True)
class Origin:
    """What a form begins with instead of the defaults: a run that is cloned, or an arm of a study."""

    title: str
    task: str
    values: Mapping[str, str]
    """By key, as text; only what differs from the task's defaults."""
    run: str | None = None
    """The run, if it is one: it becomes the parent."""
    told: str = ""
    """What couldn't be taken over."""
    folder: str | None = None
    """Where the command of a run of the user's own script works."""


def backend_of(filled: Filled) -> tuple[str, str | None]:
    """The backend, and the profile where one is named."""
    name, _, profile = filled.backend.partition(":")
    return name.strip() or BACKENDS[0], profile.strip() or None


def starts_queued(filled: Filled) -> bool:
    """Whether runs wait for a free slot: several seeds do so unless one says otherwise, or a cluster has its own."""
    if backend_of(filled)[0] == "slurm":
        return False
    if filled.start in STARTS:
        return filled.start == "queue"
    try:
        return len(parse_seeds(filled.seeds)) > 1
    except HeatsError:
        return False


def check_filled(kind: type[RunConfig], filled: Filled) -> Check:
    """Whether the whole form makes runs: its options, seeds, and how they would be started."""
    try:
        seeds = parse_seeds(filled.seeds)
    except HeatsError as error:
        return Check(problem=str(error), key="seed")
    found = check(kind, {**filled.values, **({"seed": str(seeds[0])} if seeds else {})})
    if found.problem:
        return found
    problem = _check_backend(filled)
    if problem:
        return Check(problem=problem, key="backend")
    if filled.start and filled.start not in STARTS:
        return Check(problem=f"`{filled.start}` is no way to start: choose now or queue", key="start")
    if filled.notify and starts_queued(filled):
        said = "a run that waits in the queue can't be given a command to notify: set HEATS_NOTIFY, or start it now"
        return Check(problem=said, key="notify")
    return found


def _check_backend(filled: Filled) -> str:
    """What is wrong with the backend; nothing where all is well."""
    name, profile = backend_of(filled)
    if name not in BACKENDS:
        return f"there is no `{name}`: write local, slurm, or slurm:PROFILE"
    if name == "local":
        return "" if profile is None else "a profile is for jobs of a cluster: write slurm:PROFILE"
    if filled.start == "queue":
        return "the cluster has a queue of its own: leave start empty"
    from engine.launch.slurm.submit import check as check_profile

    try:
        check_profile(profile)
    except HeatsError as error:
        return str(error)
    return ""


def command_text(filled: Filled, *, root: Path, origin: Origin | None = None) -> str:
    """The command that does the same as the form; several seeds are a loop of the shell."""
    seeds = _seeds(filled)
    words = run_words(filled, seeds[0] if len(seeds) == 1 else None, root=root, origin=origin, any_seed=len(seeds) > 1)
    if len(seeds) < 2:
        return command_line(words)
    return f"for seed in {' '.join(map(str, seeds))}; do {command_line(words)} --seed $seed; done"


def run_words(
    filled: Filled, seed: int | None, *, root: Path, origin: Origin | None = None, any_seed: bool = False
) -> list[str]:
    """The command that launches one run of the form.

    Args:
        filled: what the form says.
        seed: which seed; None for the task's default one.
        root: the store's folder.
        origin: the run that is cloned, if one is.
        any_seed: leave the seed out: a loop around the command gives it.
    """
    values = dict(filled.values)
    if origin is not None and origin.run is not None:
        words = ["heats", "clone", origin.run, *changed_words(filled, origin)]
        default = next((default_text(option) for option in list_options(config_class(filled.task))
                        if option.key == "seed"), "0")  # fmt: skip
        wanted = default if seed is None else str(seed)
        if not any_seed and wanted != origin.values.get("seed", default):
            words.append(f"seed={wanted}")
    else:
        words = command_words(filled.task, values | ({} if seed is None else {"seed": str(seed)}), name="", tags=(),
                              root=default_root())  # fmt: skip
    if filled.name:
        words += ["--name", filled.name]
    for tag in filled.tags:
        words += ["--tag", tag]
    if filled.note:
        words += ["--note", filled.note]
    if filled.notify:
        words += ["--notify", filled.notify]
    if starts_queued(filled):
        words.append("--queue")
    backend, profile = backend_of(filled)
    if backend != BACKENDS[0]:
        words += ["--backend", backend, *(["--profile", profile] if profile else [])]
    return [*words, *_store_words(root)]


def changed_words(filled: Filled, origin: Origin) -> list[str]:
    """As `key=value`, what the form changes of the run that it clones; what was emptied goes back to its default."""
    defaults = {option.key: default_text(option) for option in list_options(config_class(filled.task))}
    keys = [key for key in defaults if key in filled.values or key in origin.values]
    now = {key: filled.values.get(key, defaults[key]) for key in keys if key != "seed"}
    return [f"{key}={value}" for key, value in now.items() if value != origin.values.get(key, defaults[key])]


def requests_of(filled: Filled, *, root: Path, origin: Origin | None = None) -> list[LaunchRequest]:
    """The runs that the form describes, one a seed.

    Raises:
        HeatsError: the seeds make no sense.
    """
    seeds: tuple[int | None, ...] = parse_seeds(filled.seeds) or (None,)
    backend, profile = backend_of(filled)
    return [
        LaunchRequest(
            task=filled.task,
            values={**filled.values, **({} if seed is None else {"seed": str(seed)})},
            name=filled.name or None,
            tags=filled.tags,
            note=filled.note,
            parent=origin.run if origin is not None else None,
            notify=filled.notify or None,
            backend=backend,
            profile=profile,
            command=tuple(run_words(filled, seed, root=root, origin=origin)),
            folder=Path(origin.folder) if origin is not None and origin.folder is not None else None,
        )
        for seed in seeds
    ]


def _seeds(filled: Filled) -> tuple[int, ...]:
    try:
        return parse_seeds(filled.seeds)
    except HeatsError:
        return ()


def command_words(task: str, values: Mapping[str, str], *, name: str, tags: tuple[str, ...], root: Path) -> list[str]:
    """The plain command for a new run."""
    words = ["heats", "launch", task, *(f"{key}={value}" for key, value in values.items())]
    if name:
        words += ["--name", name]
    for tag in tags:
        words += ["--tag", tag]
    return [*words, *_store_words(root)]


def _store_words(root: Path) -> list[str]:
    return ["--runs-dir", str(root)] if root.absolute() != default_root().absolute() else []


def command_line(words: list[str]) -> str:
    """The words as a shell wants them."""
    return shlex.join(words)


def hint(option: Option) -> str:
    """One line about an option: what it means, what it can be, and its default."""
    choices = choices_of(option)
    kind = f"one of {', '.join(choices)} (Space changes)" if choices else option.kind
    return f"{option.key}: {option.help} {kind[:1].upper()}{kind[1:]}; default {default_text(option)}."


def options_by_section(kind: type[RunConfig]) -> dict[str, list[Option]]:
    """The options of a task by section, in the order of declaration."""
    sections: dict[str, list[Option]] = {}
    for option in list_options(kind):
        sections.setdefault(option.section, []).append(option)
    return sections
