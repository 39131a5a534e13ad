"""Puts the plugin into Studio's Plugins folder."""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from luau_rft.errors import UserError
from luau_rft.studio import build

_VERSION = re.compile(r'<string name="Name">Version</string>\s*<string name="Value">([^<]*)</string>')
_HOW = (
    "Studio's Plugins folder is known on Windows and macOS only: give --output FILE and copy that file into the folder "
    "that Studio opens by Plugins → Plugins Folder"
)


@dataclass(frozen=True)
class Machine:
    """What decides where Studio looks for plugins."""

    platform: str = sys.platform
    home: Path = field(default_factory=Path.home)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def plugins_folder(self) -> Path | None:
        """Studio's Plugins folder, whether it is there or not; None where Studio does not run."""
        if self.platform == "win32":
            local = self.environment.get("LOCALAPPDATA")
            return (Path(local) if local else self.home / "AppData" / "Local") / "Roblox" / "Plugins"
        if self.platform == "darwin":
            return self.home / "Documents" / "Roblox" / "Plugins"
        return None


def plugin_file(machine: Machine, output: Path | None = None) -> Path:
    """Where the plugin's file belongs: ``output``, a file or a folder that is there, or Studio's folder."""
    if output is not None:
        return output / build.FILE_NAME if output.is_dir() else output
    folder = machine.plugins_folder()
    if folder is None:
        raise UserError(_HOW)
    return folder / build.FILE_NAME


def install(machine: Machine, output: Path | None = None) -> list[str]:
    """Write the plugin; lines that say what was done. Raises ``UserError`` where no place for it is known."""
    path = plugin_file(machine, output)
    shipped, before = build.version(), installed_version(path)
    if path.is_file() and before is None:
        raise UserError(f"{path}: not this plugin; move it away, or give --output FILE")
    if before == shipped:
        return [f"{path}: is there already, version {shipped}"]
    build.write(path)
    lines = [f"{path}: version {shipped}{f' instead of {before}' if before else ''}"]
    if output is not None and machine.plugins_folder() is None:
        return [*lines, "Copy it into the folder that Studio opens by Plugins → Plugins Folder, and restart Studio."]
    return [*lines, "Restart Studio, click Luau RFT in its toolbar, and run `luau-rft studio serve`."]


def uninstall(machine: Machine, output: Path | None = None) -> list[str]:
    """Delete the plugin's file. Raises ``UserError`` for a file that is something else."""
    path = plugin_file(machine, output)
    if not path.is_file():
        return [f"{path}: is not there"]
    if installed_version(path) is None:
        raise UserError(f"{path}: not this plugin; it is left as it is")
    path.unlink()
    return [f"{path}: deleted; restart Studio"]


def installed_version(path: Path) -> str | None:
    """The version of the plugin in a file; None where there is none, or another program's."""
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    found = _VERSION.search(text) if f'<string name="Name">{build.NAME}</string>' in text else None
    return found[1] if found else None


def plugin_status(machine: Machine) -> list[str]:
    """Lines about the plugin's version, installed and shipped."""
    shipped = build.version()
    folder = machine.plugins_folder()
    if folder is None:
        return [f"plugin: version {shipped} here; {_HOW}"]
    path = folder / build.FILE_NAME
    found = installed_version(path)
    if found is None:
        what = "another file is there" if path.is_file() else "not installed"
        return [f"plugin: {what}; `luau-rft studio install` writes version {shipped} to {path}"]
    if found != shipped:
        return [f"plugin: version {found} installed, {shipped} here; `luau-rft studio install` updates it"]
    return [f"plugin: version {found}, {path}"]
