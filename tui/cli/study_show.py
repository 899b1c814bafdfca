"""`heats study show`."""

from __future__ import annotations

from tui.cli.options import AsJson
from tui.cli.studies import Preset, StudyName, the_study
from tui.cli.terminal import print_json, safe

_MOST_ARMS = 20


def command(study: StudyName, preset: Preset = None, as_json: AsJson = False) -> None:
    """Show what a study asks, what it compares, and what it would train. Trains nothing."""
    from engine.study.expand import arms_of, expand

    found = the_study(study, preset)
    arms, cells = arms_of(found), expand(found) if found.spec.search is None else []
    search = found.spec.search
    if as_json:
        print_json(
            {
                "name": found.name, "label": found.label, "file": str(found.file), "question": found.spec.question,
                "task": found.spec.task, "claims": [item.sentence() for item in found.hypotheses()],
                "metric": found.metric, "mode": found.mode, "seeds": found.spec.seeds,
                "presets": list(found.spec.presets), "needs": found.spec.needs,
                "search": search.model_dump() if search is not None else None,
                "budget": found.spec.budget.model_dump(), "target": found.spec.target,
                "arms": {arm.name: dict(arm.values) for arm in arms},
                "cells": [{"arm": cell.arm, "seed": cell.seed, "config_hash": cell.hash} for cell in cells],
            }
        )  # fmt: skip
        return
    print(safe(found.spec.question))
    for claim in found.hypotheses():
        print(f"  claim     {safe(claim.sentence())}")
    if not found.hypotheses():
        print("  claim     none: it only looks")
    print(f"  task      {found.spec.task}")
    for arm in arms[:_MOST_ARMS]:
        values = ", ".join(f"{key}={value}" for key, value in arm.values.items())
        print(f"  arm       {safe(arm.name)}: {safe(values)}")
    if len(arms) > _MOST_ARMS:
        print(f"            and {len(arms) - _MOST_ARMS} more arms")
    if search is not None:
        pruning = ", bad ones are ended early" if search.prune != "none" else ""
        print(f"  search    {search.method}, {search.trials} trials{pruning}")
        for key, space in search.space.items():
            where = f"{space.low:g} to {space.high:g}{', logarithmic' if space.log else ''}" if (
                space.low is not None and space.high is not None
            ) else ", ".join(map(str, space.values or []))  # fmt: skip
            print(f"            {key}: {safe(where)}")
    print(f"  seeds     {', '.join(map(str, found.spec.seeds))}")
    for key, source in found.spec.needs.items():
        print(f"  needs     {key} from {source}")
    if found.spec.presets:
        print(f"  presets   {', '.join(found.spec.presets)}")
    steps = sum(cell.config.total_steps or 0 for cell in cells)
    spoken = f", {steps:,} steps in all" if steps else ""
    if cells:
        most = found.spec.budget.max_parallel
        print(f"  it trains {len(cells)} runs{spoken}, {most} at once at most")
