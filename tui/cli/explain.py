"""`heats explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from engine.store.files import decode_number
from engine.store.paths import RunPaths
from tui import format as form
from tui.cli.options import AsJson, RunName, RunsDir, the_run
from tui.cli.table import Cell, Column, render
from tui.cli.terminal import colour_works, columns, glyphs, is_terminal, print_json, safe
from tui.cli.torch_tool import Checkpoint, load_and

_MOST_ROWS = 48


def command(
    run: RunName,
    checkpoint: Checkpoint = "best",
    split: Annotated[Literal["val", "test"], typer.Option("--split", help="On which data.")] = "val",
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, help="Take attributions of so many samples of each class.")
    ] = 200,
    pictures: Annotated[
        int, typer.Option("--pictures", metavar="N", min=0, help="Draw so many samples of each group; 0 for none.")
    ] = 1,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Show what a run's model looks at: what changes when its cue is added or removed, and heat maps.

    Pictures go into the run's folder (pictures/explain), into its TensorBoard, and onto the terminal.
    """
    found = the_run(run, runs_dir)
    words = ["--split", split, "--limit", str(limit), "--pictures", str(pictures)]
    result = load_and("explaining", "the explanation", "explain", found, checkpoint, words, _fits)
    if as_json:
        print_json(result)
        return
    _print_figures(result)
    _print_pictures(found, [str(path) for path in result["pictures"]])


def _print_figures(result: dict[str, Any]) -> None:
    print(f"{safe(str(result['run']))}  step {form.count(result['checkpoint'])}  {safe(str(result['split']))}")
    rows = [
        [Cell(safe(name)), Cell(form.number(decode_number(value)))] for name, value in sorted(result["figures"].items())
    ]
    print(render([Column("figure", flexible=True, head=12), Column("value", right=True)], rows, indent="  "))
    print()
    print(f"  attribution in the cue, over {form.count(result['samples'])} samples; x 1 is its share of the area")
    rows = [
        [Cell(safe(name)), *_share(found["share"], found["ratio"]), *_share(found["near_share"], found["near_ratio"])]
        for name, found in result["saliency"].items()
    ]
    titles = [
        Column("method", flexible=True, head=12),
        *(Column(name, right=True) for name in ("in it", "", "near it", "")),
    ]
    print(render(titles, rows, indent="  "))


def _share(share: float | str, ratio: float | str) -> list[Cell]:
    part, times = decode_number(share), decode_number(ratio)
    return [Cell("-" if part is None else f"{100 * part:.2f} %"), Cell("-" if times is None else f"x {times:.1f}")]


def _print_pictures(run: RunPaths, paths: list[str]) -> None:
    from tui.half_blocks import coloured_lines, plain_lines, read_pixels

    if not paths:
        return
    if is_terminal():
        width = (columns() or 80) - 2
        for path in paths:
            pixels = read_pixels(run.folder / path, width, _MOST_ROWS)
            if pixels is None:
                continue
            print(f"\n  {safe(Path(path).stem)}: sample, heat map, overlay")
            for line in (coloured_lines if colour_works() and glyphs() else plain_lines)(pixels):
                print(f"  {line}")
    print(f"\n{form.count(len(paths))} pictures in {safe(str(run.pictures / 'explain'))}")


def _fits(result: dict[str, Any]) -> bool:
    return isinstance(result["figures"], dict) and isinstance(result["saliency"], dict) and "pictures" in result
