"""The root of the command line: loads one verb, runs it, and turns mistakes into one sentence each."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import typer
import typer.core
import typer.main

from engine.errors import HeatsError
from tui.cli import terminal
from tui.cli.light import lighten
from tui.cli.options import RunsDir
from tui.cli.verbs import VERBS, nearest_verb

_SETTINGS = {"help_option_names": ["--help", "-h"]}


class LazyVerbs(typer.core.TyperGroup):
    """A group whose verbs are imported when they are called, and listed without being imported."""

    table: Mapping[str, tuple[str, str]] = VERBS
    words = "heats"

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.table:
            return None
        module = importlib.import_module(self.table[cmd_name][0])
        if hasattr(module, "VERBS"):
            return _build_group(module.VERBS, cmd_name, self.table[cmd_name][1])
        command = _build(module.command, cmd_name)
        lighten(command)
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if name not in self.table:
            near = nearest_verb(name, self.table)
            remedy = f"did you mean `{self.words} {near}`?" if near else f"`{self.words} --help` lists the verbs"
            group = self.words.partition(" ")[2]
            raise HeatsError(f"there is no verb `{f'{group} {name}'.strip()}`", remedy=remedy)
        return name, self.get_command(ctx, name), args[1:]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, line) for name, (_, line) in self.table.items()])


def _build(function: Any, name: str) -> Any:
    single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    single.command(name, context_settings=dict(_SETTINGS))(function)
    return typer.main.get_command(single)


def _build_group(verbs: Mapping[str, tuple[str, str]], name: str, line: str) -> Any:
    """A verb that is a group of verbs, each imported when it is called."""

    def callback(context: typer.Context, runs_dir: RunsDir = None) -> None:
        if context.invoked_subcommand is None:
            print(context.get_help())
            return
        given = runs_dir if runs_dir is not None else (context.default_map or {}).get("runs_dir")
        context.default_map = {verb: {"runs_dir": given} for verb in verbs} if given is not None else None

    kind = type("LazyGroup", (LazyVerbs,), {"table": verbs, "words": f"heats {name}"})
    app = typer.Typer(
        cls=kind, name=name, help=line, invoke_without_command=True, add_completion=False, rich_markup_mode=None,
        pretty_exceptions_enable=False, subcommand_metavar="VERB ...", context_settings=dict(_SETTINGS),
    )  # fmt: skip
    app.callback()(callback)
    group = typer.main.get_command(app)
    lighten(group)
    return group


def build() -> Any:
    """The whole command, with its verbs not yet imported."""
    app = typer.Typer(
        cls=LazyVerbs,
        invoke_without_command=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        subcommand_metavar="VERB ...",
        context_settings=dict(_SETTINGS),
    )
    app.callback()(_root)
    group = typer.main.get_command(app)
    lighten(group)
    return group


def _root(
    context: typer.Context,
    runs_dir: RunsDir = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    read_only: Annotated[bool, typer.Option("--read-only", help="The app changes nothing.")] = False,
    low_bandwidth: Annotated[bool, typer.Option("--low-bandwidth", help="The app draws less, for slow links.")] = False,
    ascii_only: Annotated[bool, typer.Option("--ascii", help="No glyphs beyond ASCII.")] = False,
    no_mouse: Annotated[bool, typer.Option("--no-mouse", help="The app leaves the mouse to the terminal.")] = False,
    theme: Annotated[
        Literal["dark", "light", "contrast"] | None,
        typer.Option("--theme", help="The app's colours; kept for next time."),
    ] = None,
) -> None:
    """Launch, watch, stop and resume training runs; without a verb, open the full-screen app."""
    if version:
        from importlib.metadata import version as installed

        print(f"heats {installed('heats')}")
        raise typer.Exit
    if ascii_only:
        terminal.force_ascii()
    if context.invoked_subcommand is not None:
        for given, option in (
            (read_only, "--read-only"), (low_bandwidth, "--low-bandwidth"), (no_mouse, "--no-mouse"),
            (theme is not None, "--theme"),
        ):  # fmt: skip
            if given:
                raise HeatsError(f"{option} is for the app", remedy="leave it out, or leave out the verb")
        # A verb's own --runs-dir beats the one before the verb, which beats the environment.
        context.default_map = {verb: {"runs_dir": runs_dir} for verb in VERBS} if runs_dir is not None else None
        return
    if not (terminal.is_terminal() and sys.stdin.isatty()):
        from tui.cli.list import command as list_runs

        list_runs(runs_dir=runs_dir)
        return
    import gc

    gc.enable()
    from engine.store.paths import default_root
    from tui.app import run_app

    run_app(
        default_root(runs_dir),
        read_only=read_only,
        low_bandwidth=low_bandwidth,
        ascii_only=not terminal.glyphs(),
        mouse=not no_mouse,
        theme=theme,
    )


def run(arguments: list[str]) -> int:
    """Run one command line in this process; its exit code. Mistakes are said on stderr, in one line."""
    group = build()
    try:
        with group.make_context("heats", arguments) as context:
            group.invoke(context)
    except typer.Exit as leaving:
        return leaving.exit_code
    except HeatsError as error:
        terminal.complain(str(error))
        terminal.point(error)
        return error.exit_code
    except typer.TyperException as error:
        terminal.complain(_sentence(error))
        return error.exit_code
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except OSError as error:
        place = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
        terminal.complain(f"{place}{error.strerror or error}")
        return 1
    return 0


def _sentence(error: Any) -> str:
    """Typer's message about a wrong option or argument, in our form."""
    path = error.ctx.command_path if getattr(error, "ctx", None) is not None else "heats"
    option = str(getattr(error, "option_name", ""))
    if hasattr(error, "possibilities"):
        if "." in option:
            return f"there is no option {option}; a task's options are written key=value: {option.lstrip('-')}=..."
        near = sorted(error.possibilities or ())
        remedy = f"did you mean {near[0]}?" if near else f"`{path} --help` lists them"
        return f"there is no option {option}; {remedy}"
    message = error.format_message().rstrip(".")
    return f"{message[:1].lower()}{message[1:]}; `{path} --help` says more"
