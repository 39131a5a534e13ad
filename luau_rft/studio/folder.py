"""Where bridges keep what they know, a folder a port: ``queue.sqlite``, and ``bridge.json`` while one runs."""

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from luau_rft.errors import UserError


class Running(BaseModel):
    """What ``bridge.json`` tells local clients. ``secret``: their bearer token."""

    model_config = ConfigDict(extra="forbid", strict=True)

    port: int
    pid: int
    server: str
    secret: str


def config_folder(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """This project's folder for settings of its user; ``LUAU_RFT_CONFIG`` moves it."""
    if moved := environment.get("LUAU_RFT_CONFIG"):
        return Path(moved)
    if platform == "win32" and (roaming := environment.get("APPDATA")):
        return Path(roaming) / "luau_rft"
    return Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "luau_rft"


def bridges_folder() -> Path:
    """The folder that has one folder for each port."""
    return config_folder() / "studio"


def make_private(folder: Path) -> None:
    """Make ``folder`` where it is missing, for this user alone. Raises ``UserError`` where it is another user's."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    check_own(folder)
    folder.chmod(0o700)


def check_own(path: Path) -> None:
    """Raises ``UserError`` for what belongs to another user, who could have put tokens of theirs there."""
    if hasattr(os, "geteuid") and path.stat().st_uid != os.geteuid():
        raise UserError(f"{path}: belongs to another user; move it away, or have LUAU_RFT_CONFIG name another folder")


def write_running(folder: Path, running: Running) -> None:
    """Write ``bridge.json``, readable by this user alone, in one step."""
    descriptor, name = tempfile.mkstemp(dir=folder)  # 0600
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(running.model_dump(), file)
    os.replace(name, folder / "bridge.json")


def read_running(folder: Path) -> Running | None:
    """What ``bridge.json`` says, if it is there, this user's and whole; whether the bridge lives is not said."""
    path = folder / "bridge.json"
    try:
        check_own(path)
        return Running.model_validate_json(path.read_bytes())
    except (OSError, UserError, ValidationError):
        return None


def all_running(folder: Path) -> list[tuple[Path, Running]]:
    """Every folder of a port in ``folder`` that has a ``bridge.json``, by port."""
    found = [(path.parent, read_running(path.parent)) for path in folder.glob("*/bridge.json")]
    return sorted(((path, running) for path, running in found if running is not None), key=lambda pair: pair[1].port)
