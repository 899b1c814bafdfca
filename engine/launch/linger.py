"""Whether this machine kills a user's processes at the last logout, and what to do about it."""

from __future__ import annotations

from pathlib import Path


def logout_warning(
    settings: Path = Path("/etc/systemd"), lingers: Path = Path("/var/lib/systemd/linger")
) -> str | None:
    """One sentence if logind would end runs at logout, else None.

    Args:
        settings: the folder with logind.conf and logind.conf.d.
        lingers: the folder in which logind keeps the names of users who linger.
    """
    import configparser
    import getpass

    kills = False
    for path in [settings / "logind.conf", *sorted((settings / "logind.conf.d").glob("*.conf"))]:
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        try:
            parser.read(path)
            kills = parser.getboolean("Login", "KillUserProcesses", fallback=kills)
        except (configparser.Error, ValueError, OSError):
            continue
    if not kills or (lingers / getpass.getuser()).exists():
        return None
    return "this machine ends your processes at logout (KillUserProcesses=yes); run `loginctl enable-linger` once"
