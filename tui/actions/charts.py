"""The acts on charts and logs."""

from __future__ import annotations

from tui.actions.action import BOTH, Action

ACTIONS: tuple[Action, ...] = (
    Action(
        "metric",
        ("m",),
        "Next metric",
        "Show the curves of the next metric.",
        "next_metric",
        BOTH,
        "Charts",
        footer=8,
        short="Metric",
    ),
    Action(
        "metric_back",
        ("M",),
        "Previous metric",
        "Show the curves of the metric before.",
        "previous_metric",
        BOTH,
        "Charts",
    ),
    Action(
        "log_y",
        ("l",),
        "Log scale",
        "Logarithmic y axis, on or off.",
        "log_y",
        BOTH,
        "Charts",
        footer=9,
        short="Log y",
    ),
    Action(
        "smoother",
        ("plus", "right_square_bracket", "equals_sign"),
        "Smooth more",
        "Smooth the curves more; the raw ones stay, dimmed.",
        "smooth(1)",
        BOTH,
        "Charts",
        footer=10,
        short="Smooth",
    ),
    Action(
        "rougher",
        ("minus", "left_square_bracket"),
        "Smooth less",
        "Smooth the curves less.",
        "smooth(-1)",
        BOTH,
        "Charts",
    ),
    Action(
        "follow",
        ("f",),
        "Follow log",
        "Keep the end of the log in view, on or off.",
        "follow",
        BOTH,
        "Charts",
        footer=11,
        short="Follow",
    ),
)
