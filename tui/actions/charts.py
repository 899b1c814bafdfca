"""The acts on charts and logs."""

from __future__ import annotations

from dataclasses import replace

from tui.actions.action import BOTH, CHART, RUN, Action

GRIDS = frozenset({RUN, CHART})
"""The screens with a grid of charts."""
ALL = BOTH | GRIDS
ONLY_CHART = frozenset({CHART})

_OWN: tuple[Action, ...] = (
    Action(
        "metric", ("m",), "Next metric", "Go to the chart of the next metric.", "next_metric", ALL, "Charts",
        footer=8, short="Metric",
    ),
    Action("metric_back", ("M",), "Previous metric", "Go to the chart before.", "previous_metric", ALL, "Charts"),
    Action(
        "log_y", ("y",), "Log scale", "Logarithmic y axis, on or off.", "log_y", ALL, "Charts", footer=9, short="Log y",
    ),
    Action(
        "smoother", ("right_square_bracket",), "Smooth more", "Smooth the curves more; the raw ones stay, dimmed.",
        "smooth(1)", ALL, "Charts", footer=10, short="Smooth",
    ),
    Action("rougher", ("left_square_bracket",), "Smooth less", "Smooth the curves less.", "smooth(-1)", ALL, "Charts"),
    Action(
        "follow", ("f",), "Follow", "Keep the end in view, on or off: of the log, or of a zoomed chart.", "follow",
        BOTH, "Charts", footer=11,
    ),
    Action(
        "open_chart",
        ("z",),
        "Full chart",
        "Charts over the whole screen: the chosen one with its legend, or all of the selected run.",
        "open_chart",
        frozenset({RUN}),
        "Charts",
    ),
    Action(
        "full_chart", ("enter", "z"), "Full chart", "The chosen chart alone with its legend, or all of them.",
        "open_chart", ONLY_CHART, "Charts", footer=3, short="Full",
    ),
    Action(
        "crosshair_right", ("full_stop",), "Crosshair right",
        "Read the curves at a place: from the newest point, or one column on. In a full chart the arrows do it too.",
        "crosshair(1)", GRIDS, "Charts",
    ),
    Action(
        "crosshair_left", ("comma",), "Crosshair left", "Read the curves at a place: one column back.",
        "crosshair(-1)", ONLY_CHART, "Charts", footer=5, short="Read",
    ),
    Action(
        "zoom_in", ("plus", "equals_sign"), "Zoom in", "Half as much of the x axis, around the crosshair or the end.",
        "zoom(1)", ONLY_CHART, "Charts", footer=6, short="Zoom",
    ),
    Action("zoom_out", ("minus",), "Zoom out", "Twice as much of the x axis.", "zoom(-1)", GRIDS, "Charts"),
    Action("pan_left", ("less_than_sign",), "Pan left", "What came before, while zoomed.", "pan(-1)", GRIDS, "Charts"),
    Action("pan_right", ("greater_than_sign",), "Pan right", "What comes after.", "pan(1)", GRIDS, "Charts"),
    Action(
        "reset_zoom", ("0",), "All of the x axis", "Neither zoom nor crosshair.", "reset_zoom", GRIDS, "Charts",
    ),
    Action(
        "x_axis", ("x",), "X axis", "Along steps, epochs, time trained (pauses left out) or the clock.", "x_axis",
        ONLY_CHART, "Charts", footer=14,
    ),
    Action("log_x", ("X",), "Log x", "Logarithmic x axis, on or off.", "log_x", GRIDS, "Charts"),
    Action(
        "trim", ("t",), "Trim outliers", "Scale y by the middle 98 % of the values; how many are outside is said.",
        "trim", ONLY_CHART, "Charts",
    ),
    Action(
        "limits", ("R",), "Range of y", "Type the limits of the chosen chart's y axis.", "limits", ONLY_CHART, "Charts",
    ),
    Action(
        "bands", ("b",), "Bands over seeds", "Runs of one arm as their mean with the range over them, or each alone.",
        "bands", ONLY_CHART, "Charts",
    ),
    Action("pin_chart", ("p",), "Pin chart", "Keep the chosen chart in front.", "pin_chart", GRIDS, "Charts"),
    Action("hide_chart", ("H",), "Hide chart", "Take the chosen chart out.", "hide_chart", GRIDS, "Charts"),
    Action("show_charts", ("U",), "Unhide all", "All charts and lines again.", "show_charts", GRIDS, "Charts"),
    Action("chart_back", ("K",), "Move chart back", "One place towards the front.", "move_chart(-1)", GRIDS, "Charts"),
    Action("chart_on", ("J",), "Move chart on", "One place towards the end.", "move_chart(1)", GRIDS, "Charts"),
    Action(
        "fewer_columns", ("left_curly_bracket",), "Fewer columns", "Wider charts.", "resize_grid(-1, 0)", GRIDS,
        "Charts",
    ),
    Action(
        "more_columns", ("right_curly_bracket",), "More columns", "Narrower charts.", "resize_grid(1, 0)", GRIDS,
        "Charts",
    ),
    Action(
        "fewer_rows", ("left_parenthesis",), "Fewer rows", "Taller charts.", "resize_grid(0, -1)", GRIDS, "Charts"
    ),
    Action(
        "more_rows", ("right_parenthesis",), "More rows", "Lower charts.", "resize_grid(0, 1)", GRIDS, "Charts"
    ),
    Action(
        "filter_charts", ("slash",), "Filter charts", "Show only charts that hold these words, as `loss` or `val/*`.",
        "filter_charts", ONLY_CHART, "Charts", footer=7, short="Filter",
    ),
    Action(
        "toggle_line", ("space",), "Hide line", "In a full chart: hide the line under the cursor, or show it.",
        "toggle_line", ONLY_CHART, "Charts",
    ),
    Action("tail", ("f",), "Follow", "While zoomed: keep the newest points in view, or stay.", "tail", ONLY_CHART,
           "Charts", footer=11),
)  # fmt: skip

_NAMED_ON_THE_CHART = ("crosshair_left", "zoom_in", "x_axis")
"""The footer of a run's screen has no room for these, which its grid of charts has too."""

ACTIONS: tuple[Action, ...] = _OWN + tuple(
    replace(action, where=frozenset({RUN}), footer=0) for action in _OWN if action.id in _NAMED_ON_THE_CHART
)
