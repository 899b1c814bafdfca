"""`heats study list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import HeatsError
from tui.cli.options import AsJson, RunsDir
from tui.cli.studies import FOLDER, study_files
from tui.cli.table import Cell, Column, render
from tui.cli.terminal import print_json, safe

if TYPE_CHECKING:
    from engine.study.spec import Study


def command(as_json: AsJson = False, runs_dir: RunsDir = None) -> None:
    """List the studies in experiments/, and how many runs of each are in the store."""
    from engine.store.index import list_runs
    from engine.store.paths import default_root, open_store
    from engine.study.spec import read_study

    counts: dict[str | None, int] = {}
    root = default_root(runs_dir)
    if root.is_dir():
        for run in list_runs(open_store(root)):
            counts[run.study] = counts.get(run.study, 0) + 1
    found: list[dict[str, Any]] = []
    for path in study_files():
        try:
            study = read_study(path)
        except HeatsError as error:
            found.append(
                {"name": path.stem, "file": str(path), "problem": str(error), "runs": counts.get(path.stem, 0)}
            )
            continue
        found.append(
            {
                "name": study.name, "file": str(path), "question": study.spec.question, "task": study.spec.task,
                "presets": list(study.spec.presets),
                "runs": sum(counts.get(label, 0) for label in (study.name, *_labels(study))),
                "runs_by_preset": {
                    label.removeprefix(f"{study.name}."): counts[label] for label in _labels(study) if label in counts
                },
            }
        )  # fmt: skip
    if as_json:
        print_json(found)
        return
    if not found:
        print(f"no studies in {FOLDER}/: a study is a YAML file there")
        return
    rows = [
        [
            Cell(safe(item["name"])), Cell(_count(item)),
            Cell(safe(item.get("question") or item["problem"]), "red" if "problem" in item else None),
        ]
        for item in found
    ]  # fmt: skip
    print(render([Column("study"), Column("runs", right=True), Column("question", flexible=True)], rows))


def _labels(study: Study) -> list[str]:
    """What the runs of its presets call it."""
    return [f"{study.name}.{preset}" for preset in study.spec.presets]


def _count(item: dict[str, Any]) -> str:
    """As `16 (6 smoke)`."""
    presets = ", ".join(f"{count} {safe(name)}" for name, count in item.get("runs_by_preset", {}).items())
    return f"{item['runs']} ({presets})" if presets else str(item["runs"])
