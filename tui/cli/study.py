"""`heats study`: a group of verbs around study files."""

from __future__ import annotations

VERBS = {
    "list": ("tui.cli.study_list", "List the studies, and how far each is."),
    "show": ("tui.cli.study_show", "Show a study's question, arms and cells before anything is trained."),
    "run": ("tui.cli.study_run", "Train what is missing of a study; run again, it trains the missing cells only."),
    "status": ("tui.cli.study_status", "Show how every cell stands."),
    "stop": ("tui.cli.study_stop", "Stop a study's runs and take the rest out of the queue."),
    "verdict": ("tui.cli.study_verdict", "Judge the hypotheses by the runs that there are, and record the verdict."),
    "report": ("tui.cli.study_report", "Write the report: one self-contained page and a Markdown file."),
}
