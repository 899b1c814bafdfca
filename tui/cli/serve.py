"""`heats serve`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from engine.errors import HeatsError
from tui.cli.options import RunsDir
from tui.cli.terminal import hint


def command(
    port: Annotated[int, typer.Option("--port", metavar="PORT", min=0, help="Where to listen; 0 takes any free.")] = 0,
    read_only: Annotated[bool, typer.Option("--read-only", help="The app changes nothing.")] = False,
    theme: Annotated[Literal["dark", "light", "contrast"] | None, typer.Option("--theme", help="Its colours.")] = None,
    runs_dir: RunsDir = None,
) -> None:
    """Show the app in a browser, on this machine alone. Whoever has the printed address can do all that you can."""
    import asyncio

    from engine.store.paths import default_root

    try:
        from tui.serve import HeatsServer
    except ImportError as error:
        raise HeatsError(f"the app can't be served: {error}", remedy="install the package textual-serve") from None
    if port > 65535:
        raise HeatsError("there are no ports above 65535", place=f"port {port}")
    words = [str(default_root(runs_dir).absolute())]
    words += ["--read-only"] if read_only else []
    words += ["--theme", theme] if theme is not None else []
    server = HeatsServer(words, port)

    def told(address: str) -> None:
        print(address, flush=True)
        hint("open it in a browser on this machine; the address is the key, so keep it to yourself")
        hint(f"from elsewhere first: ssh -L {server.port}:127.0.0.1:{server.port} THIS-MACHINE; Ctrl-C ends it")

    asyncio.run(server.run(told))
