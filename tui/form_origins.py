"""Where a launch form's first values come from: a run, or an arm of a study; and what was typed and not launched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.config.options import list_options
from engine.config.resolve import flatten, resolve
from engine.config.sections import RunConfig
from engine.config.tasks import config_class
from engine.errors import HeatsError
from engine.store.paths import open_store
from tui.launch_form import Origin, default_text, value_text

_KEPT_DRAFTS = 8


def of_run(root: Path, run_id: str) -> Origin:
    """The options of a run, overrides of resumed attempts among them.

    Raises:
        HeatsError: its config can't be read, or its task isn't installed.
    """
    from engine.store.records import read_run
    from engine.store.stored_config import effective_config

    run = open_store(root).run(run_id)
    config = effective_config(run)
    record = read_run(run.record)
    task = record.task if record is not None else ""
    name = record.name if record is not None else run_id
    folder = record.folder if record is not None else None
    return Origin(f"clone of {name} {run_id[-4:]}", task, differing(config), run_id, folder=folder)


def of_studies(task: str) -> list[Origin]:
    """The arms of all studies of a task, and of their presets; studies with mistakes are left out."""
    from engine.study.expand import arms_of
    from engine.study.spec import read_study
    from tui.cli.studies import study_files

    kind = config_class(task)
    found = []
    for path in study_files():
        try:
            plain = read_study(path)
            if plain.spec.task != task:
                continue
            studies = [plain, *(read_study(path, preset) for preset in plain.spec.presets)]
        except HeatsError:
            continue
        for study in studies:
            try:
                base = flatten(study.spec.base)
                arms = [(arm.name, dict(arm.values)) for arm in arms_of(study)] or [("", {})]
                for name, values in arms:
                    config = resolve(kind, base | values)
                    needs = ", ".join(study.spec.needs)
                    told = f"{needs} would come from other studies, and stand at their defaults" if needs else ""
                    found.append(Origin(f"{study.label}  {name}".rstrip(), task, differing(config), told=told))
            except HeatsError:
                continue
    return found


def differing(config: RunConfig) -> dict[str, str]:
    """By key, as people type them, the options that aren't at the task's defaults."""
    values = flatten(config.model_dump())
    found = {}
    for option in list_options(type(config)):
        value = values.get(option.key)
        if option.open:  # {lr: 0.001}, as one field holds it
            value = {key.partition(".")[2]: inner for key, inner in values.items() if key.startswith(f"{option.key}.")}
        text = value_text(value)
        if text != default_text(option):
            found[option.key] = text
    return found


# Drafts: by task or run, what stands in the fields


def draft_key(task: str, clone_of: str | None) -> str:
    """What a form's draft is kept under."""
    return f"clone {clone_of}" if clone_of else f"new {task}"


def read_drafts(text: str) -> dict[str, dict[str, str]]:
    """All drafts; none where the text is damaged."""
    try:
        content: Any = json.loads(text) if text else {}
    except ValueError:
        return {}
    if not isinstance(content, dict):
        return {}
    return {
        str(key): {str(name): str(value) for name, value in fields.items()}
        for key, fields in content.items()
        if isinstance(fields, dict)
    }


def with_draft(text: str, key: str, fields: Mapping[str, str] | None) -> str:
    """The drafts with one of them replaced, or dropped where it is None; only the newest few are kept."""
    drafts = read_drafts(text)
    drafts.pop(key, None)
    if fields is not None:
        drafts[key] = dict(fields)
    newest = list(drafts.items())[-_KEPT_DRAFTS:]
    return json.dumps(dict(newest)) if newest else ""
