"""`heats study verdict`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tui import format as form
from tui.cli.options import AsJson, RunsDir, the_store
from tui.cli.studies import Preset, StudyName, the_study
from tui.cli.terminal import paint, print_json, safe

if TYPE_CHECKING:
    from engine.study.verdict import Comparison

_COLOURS = {"confirmed": "green", "rejected": "red", "inconclusive": "yellow", "identical": "cyan"}


def command(
    study: StudyName,
    preset: Preset = None,
    record: Annotated[bool, typer.Option("--record/--no-record", help="Keep it as a file of the study.")] = True,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Judge a study's hypotheses: confirmed, rejected, inconclusive or identical, with all that it rests on.

    The interval of the paired differences decides. Fewer than 3 seeds an arm are never better than inconclusive.
    """
    from engine.study import conclude

    found = the_study(study, preset)
    store = the_store(runs_dir)
    conclusion = conclude.conclude(store, found)
    path = conclude.record(store, conclusion) if record else None
    if as_json:
        print_json(conclude.to_json(conclusion) | {"recorded": str(path) if path else None})
        return
    print(safe(found.spec.question))
    for item in conclusion.comparisons:
        print()
        print(f"{paint(item.word.upper(), _COLOURS[item.word])}: {safe(item.hypothesis.sentence())}")
        for name, text in facts(item):
            print(f"  {name:22} {safe(text)}")
    if path is not None:
        print()
        print(f"recorded as {path.relative_to(store.root)}; `heats study report {found.label}` writes the report")


def facts(item: Comparison) -> list[tuple[str, str]]:
    """What a verdict rests on, as lines of name and text."""
    better, than = item.hypothesis.better, item.hypothesis.than
    rows = [("why", item.why)]
    for arm, sample in ((better, item.better), (than, item.than)):
        spread = f" (deviation {form.number(sample.deviation)})" if sample.deviation is not None else ""
        rows.append((arm, f"{form.number(sample.mean)}{spread} over {len(sample.values)} runs"))
    if item.mean is not None:
        rows.append(("paired difference", f"{form.number(item.mean)} over {len(item.seeds)} pairs"))
    if item.interval is not None:
        rows.append(("95 % interval", f"{form.number(item.interval.lower)} to {form.number(item.interval.upper)}"))
    if item.hypothesis.by:
        rows.append(("margin asked for", form.number(item.hypothesis.by)))
    if item.p is not None:
        rows.append(("p against the margin", form.number(item.p)))
    if item.equivalence_p is not None:
        rows.append(("p of equivalence", form.number(item.equivalence_p)))
    if item.sign_flip is not None:
        flip = item.sign_flip
        rows.append(
            ("sign-flip test", f"p {form.number(flip.p)}; the smallest possible is {form.number(flip.smallest)}")
        )
    if item.bootstrap is not None:
        rows.append(
            ("bootstrap interval", f"{form.number(item.bootstrap.lower)} to {form.number(item.bootstrap.upper)}")
        )
    if item.effect_size is not None:
        rows.append(("effect size", form.number(item.effect_size)))
    rows += [("note", note) for note in item.notes]
    return rows
