"""Two ready notification commands: `desktop` and `webhook [URL]`. They read the facts from HEATS_* variables.

`python -m engine.launch.messengers desktop` shows a notification on this machine's desktop; `... webhook URL` posts to
an address in the shape that its service takes (Slack, Discord, ntfy), else all facts as JSON. Without URL it is taken
from HEATS_WEBHOOK, which keeps a secret address out of the run's files. Standard library alone.
"""

from __future__ import annotations

import html
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

SHAPES = ("slack", "discord", "ntfy", "json")
_POST_SECONDS = 20.0
_URGENT = ("failed", "killed", "lost", "alert", "suspect")


@dataclass(frozen=True)
class Post:
    """A request to be sent: body and headers."""

    body: bytes
    headers: Mapping[str, str]


def title(facts: Mapping[str, str]) -> str:
    """What happened to which run, in a few words."""
    return f"{facts.get('HEATS_EVENT', '?')}: {facts.get('HEATS_RUN_NAME', '?')}"


def sentence(facts: Mapping[str, str]) -> str:
    """The message with the step and the end of the id, by which commands find the run."""
    step = f"step {facts['HEATS_STEP']}, " if facts.get("HEATS_STEP") else ""
    return f"{facts.get('HEATS_MESSAGE', '')} ({step}{facts.get('HEATS_RUN_ID', '')})"


def shape_of(url: str) -> str:
    """Which service an address belongs to."""
    server = urlsplit(url).hostname or ""
    if server == "hooks.slack.com":
        return "slack"
    if server in ("discord.com", "discordapp.com"):
        return "discord"
    return "ntfy" if server == "ntfy.sh" or server.startswith("ntfy.") else "json"


def build(shape: str, facts: Mapping[str, str]) -> Post:
    """The request that tells the facts to a service. Text of a run can't call people or groups by name there."""
    text = f"{title(facts)}\n{sentence(facts)}"
    if shape == "ntfy":
        plain_title = title(facts).encode("ascii", "replace").decode().replace("\n", " ").replace("\r", " ")
        priority = "high" if facts.get("HEATS_EVENT") in _URGENT else "default"
        return Post(sentence(facts).encode(), {"Title": plain_title, "Priority": priority})
    content: dict[str, object]
    if shape == "slack":
        content = {"text": html.escape(text, quote=False)}
    elif shape == "discord":
        content = {"content": text[:1900], "allowed_mentions": {"parse": []}}
    else:
        names = ("event", "cause", "message", "step", "run_id", "run_name", "run_dir")
        content = {"text": text, **{name: facts.get(f"HEATS_{name.upper()}", "") for name in names}}
    return Post(json.dumps(content).encode(), {"Content-Type": "application/json"})


def post(url: str, shape: str | None, facts: Mapping[str, str]) -> None:
    """Send the facts to an address.

    Raises:
        ValueError: the address is none of http or https.
        OSError: nobody answered, or the answer was a refusal.
    """
    import urllib.request

    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("a webhook's address begins with https:// or http://")
    made = build(shape or shape_of(url), facts)
    request = urllib.request.Request(url, made.body, dict(made.headers) | {"User-Agent": "heats"}, method="POST")
    with urllib.request.urlopen(request, timeout=_POST_SECONDS):
        pass


def desktop_command(facts: Mapping[str, str], find: object = shutil.which) -> list[str]:
    """The command that shows a notification on this desktop. The run's text is an argument, never a script.

    Raises:
        OSError: neither notify-send nor osascript is installed.
    """
    assert callable(find)
    if find("notify-send"):
        urgency = "critical" if facts.get("HEATS_EVENT") in _URGENT else "normal"
        body = html.escape(sentence(facts))  # desktops read markup in it
        return ["notify-send", "--app-name=heats", f"--urgency={urgency}", "--", title(facts), body]
    if find("osascript"):
        script = ["on run argv", "display notification (item 2 of argv) with title (item 1 of argv)", "end run"]
        lines = [word for line in script for word in ("-e", line)]
        return ["osascript", *lines, title(facts), sentence(facts)]
    raise OSError("neither notify-send nor osascript is installed here")


def main(words: Sequence[str]) -> int:
    """Send what the environment says; what went wrong goes to stderr, with exit code 1."""
    kind, *rest = words or ("",)
    shape = None
    if len(rest) >= 2 and rest[0] == "--shape":
        shape, rest = rest[1], rest[2:]
    try:
        if kind == "desktop":
            subprocess.run(desktop_command(os.environ), check=True)
        elif kind == "webhook" and len(rest) <= 1 and shape in (None, *SHAPES):
            url = rest[0] if rest else os.environ.get("HEATS_WEBHOOK", "")
            if not url:
                raise ValueError("no address: give it after `webhook`, or in HEATS_WEBHOOK")
            post(url, shape, os.environ)
        else:
            raise ValueError(f"usage: desktop | webhook [--shape {'|'.join(SHAPES)}] [URL]")
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
