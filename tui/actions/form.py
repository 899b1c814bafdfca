"""The acts of the launch form. None is on a plain character but `Y`, which works where nothing is typed into."""

from __future__ import annotations

from tui.actions.action import ONLY_LAUNCH, Action

ACTIONS: tuple[Action, ...] = (
    Action("submit", ("ctrl+g",), "Launch", "Launch the run, or a run for each seed, as the form says.", "submit",
           ONLY_LAUNCH, "Form", changes=True, footer=1),
    Action("next_field", ("down", "enter", "tab"), "Next field", "To the next option.", "next_field", ONLY_LAUNCH,
           "Form"),
    Action("previous_field", ("up", "shift+tab"), "Previous field", "To the option before.", "previous_field",
           ONLY_LAUNCH, "Form"),
    Action("next_page", ("pagedown",), "Next section", "To the next section.", "next_section(1)", ONLY_LAUNCH, "Form"),
    Action("previous_page", ("pageup",), "Previous section", "To the section before.", "next_section(-1)", ONLY_LAUNCH,
           "Form"),
    Action("find_option", ("ctrl+f",), "Find an option",
           "Show only options that hold a text; KEY=VALUE and Enter sets one.", "find_option", ONLY_LAUNCH, "Form",
           footer=3, short="Find"),
    Action("start_from", ("ctrl+o",), "Start from a study", "Take the options of an arm of a study, or of a preset.",
           "start_from", ONLY_LAUNCH, "Form", footer=4, short="From study"),
    Action("copy_command", ("ctrl+y", "Y"), "Copy the command",
           "Copy the command line that does the same to the clipboard, through the terminal.", "copy_command",
           ONLY_LAUNCH, "Form", footer=5, short="Copy"),
    Action("empty_form", ("ctrl+l",), "Empty the form", "Back to the values that it began with.", "empty_form",
           ONLY_LAUNCH, "Form", footer=6, short="Empty"),
    Action("bring_back", ("ctrl+r",), "Bring back", "What stood in the form before it was emptied or filled anew.",
           "bring_back", ONLY_LAUNCH, "Form"),
    Action("cancel", ("escape",), "Back without launching", "Leave the form; what was typed is kept for the next time.",
           "cancel", ONLY_LAUNCH, "Form", footer=2, short="Back"),
)  # fmt: skip
