"""The acts of the screens of studies."""

from __future__ import annotations

from tui.actions.action import STUDIES, STUDY, Action

_STUDIES, _STUDY = frozenset({STUDIES}), frozenset({STUDY})
ACTIONS: tuple[Action, ...] = (
    Action(
        "open_study", ("enter",), "Open", "Open the study: its matrix, its verdict so far.", "open_study", _STUDIES,
        "Studies", footer=3,
    ),
    Action("read_studies", ("R",), "Look again", "Read all study files again.", "read_again", _STUDIES, "Studies",
           footer=4),
    Action(
        "open_cell", ("enter",), "Open the run", "Open the run of the cell under the cursor.", "open_cell", _STUDY,
        "Study", footer=3, short="Open",
    ),
    Action(
        "run_study", ("r",), "Run what is missing",
        "Queue every missing cell and start as many as may run at once. Says how many and how long, and asks.",
        "run_missing", _STUDY, "Study", changes=True, footer=4, short="Run",
    ),
    Action(
        "redo", ("R",), "Train anew", "Train a cell, its arm, or all that failed, are suspect or stopped, anew. Asks.",
        "redo", _STUDY, "Study", changes=True, footer=6, short="Redo",
    ),
    Action(
        "stop_study", ("s",), "Stop all", "Stop all runs of the study and take the rest out of the queue. Asks.",
        "stop_study", _STUDY, "Study", destructive=True, changes=True, footer=5, short="Stop all",
    ),
    Action("preset", ("p",), "Next preset", "The next of the file's presets, such as smoke.", "next_preset", _STUDY,
           "Study", footer=7, short="Preset"),
    Action("report", ("t",), "Report", "The report to read here; Esc leaves it.", "show_report", _STUDY, "Study",
           footer=8),
    Action("mark_cell", ("space",), "Mark", "Mark the cell, or unmark it.", "mark_cell", _STUDY, "Study", footer=9),
    Action("unmark_cells", ("U",), "Unmark all", "Unmark all cells.", "unmark_cells", _STUDY, "Study"),
    Action("overlay_cells", ("z",), "Overlay curves",
           "The curves of the marked cells in one chart; without marks, of all arms with this seed.",
           "overlay", _STUDY, "Study", footer=10, short="Overlay"),
    Action("compare_cells", ("d",), "Compare",
           "Compare the runs of the marked cells; without marks, of all arms with this seed.",
           "compare", _STUDY, "Study", footer=11),
    Action("cell_metric", ("m",), "Next metric", "Show another metric in the matrix.", "next_metric(1)", _STUDY,
           "Study"),
    Action("cell_metric_back", ("M",), "Previous metric", "Show the metric before in the matrix.", "next_metric(-1)",
           _STUDY, "Study"),
)  # fmt: skip
