"""A study's report: one self-contained HTML page and a Markdown file, for somebody who knows nothing of the runs."""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engine.store.files import read_json, write_atomic
from engine.store.paths import Store
from engine.study.cells import CellState, counts, study_folder, troubles
from engine.study.conclude import Conclusion
from engine.study.pictures import Picture, pictures
from engine.study.results import ArmRow, Report, gather
from engine.study.verdict import LEAST_SEEDS, NOT_COUNTED, Comparison, Word

_WIDEST_MATRIX = 10
_LONGEST_LIST = 30


def write(store: Store, conclusion: Conclusion, folder: Path | None = None) -> tuple[Path, Path]:
    """Write report.html and report.md; the paths.

    Args:
        store: the store of the study's runs.
        conclusion: the verdicts to report.
        folder: where to; by default the study's folder in the store.

    Raises:
        MachineError: the folder can't be written.
    """
    folder = folder or study_folder(store, conclusion.study)
    folder.mkdir(parents=True, exist_ok=True)
    report = gather(conclusion)
    found = pictures(report)
    facts = _facts(store, report)
    page, text = folder / "report.html", folder / "report.md"
    for picture in found:
        write_atomic(folder / f"{_file_name(picture)}.svg", picture.svg.encode())
    write_atomic(page, render("report.html.j2", facts | _placed(found, _inline)).encode())
    write_atomic(text, render("report.md.j2", facts | _placed(found, lambda item: f"{_file_name(item)}.svg")).encode())
    return page, text


def _file_name(picture: Picture) -> str:
    """A picture's name as a file's: names of arms may hold anything."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in picture.name)


def _placed(found: Sequence[Picture], address: Callable[[Picture], str]) -> dict[str, Any]:
    """The pictures as the templates want them: the paired differences stand by the verdicts."""
    placed = [{"address": address(item), "caption": item.caption, "name": item.name} for item in found]
    return {
        "first_pictures": [item for item in placed if item["name"] == "differences"],
        "pictures": [item for item in placed if item["name"] != "differences"],
    }


def _inline(picture: Picture) -> str:
    """An address that holds the picture itself: two pictures in one page would share the ids of their clip paths."""
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.svg.encode()).decode()}"


def render(template: str, facts: dict[str, Any]) -> str:
    """Fill in one of the templates; text is escaped in HTML."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("engine.study"), autoescape=template.endswith(".html.j2"),
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters |= {
        "figure": number,
        "seconds": duration,
        "cell": _table_cell,
        "sentence": _sentence,
        "option": _value,
    }
    return environment.get_template(template).render(facts)


def number(value: float | None, digits: int = 4) -> str:
    """A number for people; a dash where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{value:.{digits}g}"


def duration(seconds: float | None) -> str:
    """Seconds as `45 s`, `12 min` or `3.4 h`."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def big(value: float | None) -> str:
    """A large number for people, as `1.2 M`."""
    if value is None:
        return "–"
    for bound, unit in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= bound:
            return f"{value / bound:.3g} {unit}"
    return f"{value:.4g}"


def _table_cell(value: Any) -> str:
    """Text that can't break a Markdown table."""
    return str(value).replace("|", "\\|").replace("\n", " ")


def _facts(store: Store, report: Report) -> dict[str, Any]:
    study, conclusion = report.study, report.conclusion
    environment: dict[str, Any] = {}
    for state in conclusion.states:
        if state.run is not None:
            environment = read_json(state.run.environment) or {}
            break
    packages = environment.get("packages")
    as_run, now = _text(study_folder(store, study) / "study.yaml"), _text(study.file)
    preset = f" --preset {study.preset}" if study.preset else ""
    return {
        "study": study,
        "spec": study.spec,
        "headline": headline(report),
        "scope": scope(report),
        "troubles": troubles(conclusion.states),
        "reaching": reaching(report),
        "matrix": _matrix(conclusion.states),
        "long_list": len(conclusion.states) > _LONGEST_LIST,
        "comparisons": [(item, explain(item)) for item in conclusion.comparisons],
        "arms": _ranked(report),
        "best": report.best_arm(),
        "references": list(report.references.items()),
        "option_keys": list(report.arms[0].options) if report.arms else [],
        "states": conclusion.states,
        "counts": counts(conclusion.states),
        "metric": study.metric,
        "commits": conclusion.commits,
        "when": time.strftime("%Y-%m-%d %H:%M", time.localtime(conclusion.time)),
        "environment": environment,
        "torch": packages.get("torch") if isinstance(packages, dict) else None,
        "command": f"heats study run {study.file.name}{preset}",
        "file_text": as_run if as_run is not None else now or "",
        "file_changed": as_run is not None and now is not None and as_run != now,
        "store": store.root.name,
        "least_seeds": LEAST_SEEDS,
        "value_of": lambda state: state.value(study.metric, study.spec.value) if study.metric else None,
    }


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _ranked(report: Report) -> Sequence[ArmRow]:
    """The arms in the order of the study; trials, whose order says nothing, the best first."""
    if report.study.spec.search is None:
        return report.arms
    sign = 1.0 if report.study.mode == "max" else -1.0
    return sorted(report.arms, key=lambda row: -sign * row.sample.mean if row.sample.values else math.inf)


def _matrix(states: Sequence[CellState]) -> dict[str, Any] | None:
    """Arms by seeds with how each cell stands; None where the seeds are too many for a table."""
    seeds = sorted({state.cell.seed for state in states})
    if len(seeds) > _WIDEST_MATRIX or not states:
        return None
    rows: dict[str, dict[int, CellState]] = {}
    for state in states:
        rows.setdefault(state.cell.arm, {})[state.cell.seed] = state
    return {"seeds": seeds, "rows": rows}


def scope(report: Report) -> str:
    """What was trained, as `2 arms, 5 seeds each: 10 runs, all finished`."""
    states, spec = report.conclusion.states, report.study.spec
    if not states:
        return "nothing has been trained yet"
    which = "trial" if spec.search is not None else "arm"
    arms = len(report.arms)
    finished = sum(state.standing == "finished" for state in states)
    cells = f"{len(states)} run{'s' if len(states) > 1 else ''}"
    seeds = f"{len(spec.seeds)} seed{'s' if len(spec.seeds) > 1 else ''}"
    ended = "finished" if len(states) == 1 and finished else "all finished" if finished == len(states) else (
        f"{finished} of them finished" if finished else "none of which finished"
    )  # fmt: skip
    return f"{arms} {which}{'s' if arms > 1 else ''}, {seeds}{' each' if arms > 1 else ''}: {cells}, {ended}"


def headline(report: Report) -> str:
    """The answer in one sentence."""
    comparisons = report.conclusion.comparisons
    if comparisons and not any(state.done for state in report.conclusion.states):
        return f"No answer yet: {scope(report)}."
    if len(comparisons) == 1:
        item = comparisons[0]
        return f"{item.word.capitalize()}: {item.why}."
    if comparisons:
        words = [str(item.word) for item in comparisons]
        return ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words)).capitalize() + "."
    best = report.best_arm()
    looks = "This study only looks: it makes no claim that could be confirmed or rejected."
    if best is None:
        return f"{looks} There is no figure yet: {scope(report)}."
    which = "setting tried" if report.study.spec.search is not None else "arm"
    options = ", ".join(f"{key} = {_value(value)}" for key, value in best.options.items())
    return (
        f"{looks} The {which} with the best mean {report.study.metric} is {best.name} with {number(best.sample.mean)}"
        f"{f' ({options})' if options and options != best.name else ''}."
    )


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def reaching(report: Report) -> list[tuple[str, list[str]]]:
    """By arm, how soon it came to the target: how many runs, steps, time, samples, and samples times weights.

    Empty for a study without a target, or without a finished run.
    """
    if report.study.spec.target is None or not any(row.finished for row in report.arms):
        return []
    found = []
    for row in report.arms:
        reach = row.reach
        if not reach.finished:
            found.append((row.name, ["no finished run", "", "", "", ""]))
        elif not reach.reached:
            found.append((row.name, [f"never (0 of {reach.finished})", "–", "–", "–", "–"]))
        else:
            steps = number(reach.mean_steps)
            if len(set(reach.steps)) > 1:
                steps += f" ({number(min(reach.steps))} to {number(max(reach.steps))})"
            seconds = duration(reach.seconds)
            found.append(
                (
                    row.name,
                    [f"{reach.reached} of {reach.finished}", steps, seconds, big(reach.samples), big(reach.work)],
                )
            )
    return found


def explain(item: Comparison) -> str:
    """What a verdict means, for somebody who has never seen one."""
    claim = item.hypothesis
    if item.word is Word.CONFIRMED:
        margin = f", which is beyond the margin of {claim.by:g}" if claim.by else ""
        return f"The data support the claim: {_difference(item)}{margin}, and chance alone hardly explains that."
    if item.word is Word.REJECTED:
        if item.interval is not None and item.interval.upper < 0:
            return f"The data speak against the claim: {_difference(item)}, the opposite of what was claimed."
        return (
            f"The data speak against the claim: {_difference(item)}, and an advantage of {claim.by:g} or more is "
            "hardly to be reconciled with that."
        )
    if item.word is Word.IDENTICAL:
        return (
            f"The runs of {claim.better} and {claim.than} are the same to the last bit: the setting in which they "
            "differ changes nothing at all."
        )
    if not item.differences:
        return "There is no pair of runs to compare yet, so nothing can be said."
    if item.why.startswith(NOT_COUNTED):
        return "There is no answer yet: first the runs that are missing or can't be counted must be seen to."
    return "The data don't settle the question. That is no proof that there is no difference."


def _difference(item: Comparison) -> str:
    """The mean difference as a sentence that says which arm was better, whichever way the metric counts."""
    claim, mean = item.hypothesis, item.mean or 0.0
    pairs = f"over {len(item.seeds)} pairs of runs"
    if mean == 0:
        return f"{pairs} {claim.better} and {claim.than} were equally good on average"
    better, worse = (claim.better, claim.than) if mean > 0 else (claim.than, claim.better)
    way = "higher" if claim.mode == "max" else "lower"
    return (
        f"{pairs} {better} had a {claim.metric} that was {way} than that of {worse} by {number(abs(mean))} on average"
    )


def _sentence(text: str) -> str:
    """With a capital at its start; names inside keep theirs."""
    return text[:1].upper() + text[1:]
