"""The command ``luau-rft mcp install``: tells an MCP client where this server is."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from luau_rft.errors import UserError

SERVER = "luau-rft"
SECTION = "mcpServers"
CLIENTS = {"claude-code": "Claude Code", "claude-desktop": "Claude Desktop", "cursor": "Cursor"}

_BY_HAND = "add what --print shows by hand"


@dataclass(frozen=True, slots=True)
class Machine:
    """Where clients keep their configuration depends on these."""

    home: Path = field(default_factory=Path.home)
    platform: str = sys.platform
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)


def install(client: str | None, arguments: list[str], project: Path, only_print: bool, machine: Machine) -> list[str]:
    """Put the server into the configuration of ``client``, or of every client found; returns what was done, in lines.

    ``arguments`` are those of ``luau-rft mcp`` that the client is to use, ``project`` the folder to serve.
    ``only_print`` changes nothing and returns what would be written where. Raises ``UserError`` for an unknown client,
    or a configuration that cannot be read; nothing is written then.
    """
    if client is not None and client not in CLIENTS:
        raise UserError(f"mcp install: {client!r} is unknown; name one of {', '.join(CLIENTS)}")
    paths = {name: config_path(name, machine) for name in ([client] if client else CLIENTS)}
    if client is None and not only_print:
        paths = {name: path for name, path in paths.items() if path.exists() or _own_folder(name, path).is_dir()}
        if not paths:
            raise UserError(f"mcp install: no client found; name one of {', '.join(CLIENTS)}, or --print its settings")
    command = [*_command(), "mcp", "--project", str(project.resolve()), *arguments]
    entries = {name: _entry(name, command) for name in paths}
    if only_print:
        return [
            f"{CLIENTS[name]}, {path}:\n{_dump({SECTION: {SERVER: entries[name]}})}" for name, path in paths.items()
        ]
    contents = {name: _read(path) for name, path in paths.items()}
    return [f"{CLIENTS[name]}: {_merge(paths[name], contents[name], entries[name])}" for name in paths]


def config_path(client: str, machine: Machine) -> Path:
    """The file in which a client keeps the servers of its user.

    >>> config_path("cursor", Machine(Path("/home/ada"), "linux", {})).as_posix()
    '/home/ada/.cursor/mcp.json'
    """
    home, environment = machine.home, machine.environment
    if client == "cursor":
        return home / ".cursor" / "mcp.json"
    if client == "claude-code":
        return Path(environment.get("CLAUDE_CONFIG_DIR") or home) / ".claude.json"
    if machine.platform == "win32":
        folder = Path(environment.get("APPDATA") or home / "AppData" / "Roaming")
    elif machine.platform == "darwin":
        folder = home / "Library" / "Application Support"
    else:
        folder = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    return folder / "Claude" / "claude_desktop_config.json"


def _own_folder(client: str, path: Path) -> Path:
    """A folder that is there only where the client is."""
    return path.parent / ".claude" if client == "claude-code" else path.parent


def _command() -> list[str]:
    """What starts ``luau-rft`` from any folder, without the path of a shell."""
    script = shutil.which("luau-rft", path=str(Path(sys.executable).parent)) or shutil.which("luau-rft")
    # -P: a client's working folder is no place to import from.
    return [str(Path(script).absolute())] if script else [sys.executable, "-P", "-m", "luau_rft.cli"]


def _entry(client: str, command: list[str]) -> dict[str, Any]:
    kind = {"type": "stdio"} if client == "claude-code" else {}
    return kind | {"command": command[0], "args": command[1:]}


def _read(path: Path) -> dict[str, Any]:
    """The configuration, empty where there is none. Raises ``UserError`` where it is not what it should be."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8, or {_BY_HAND}") from None
    try:
        content = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); correct it, or {_BY_HAND}") from None
    if not isinstance(content, dict) or not isinstance(content.get(SECTION, {}), dict):
        where = f"{SECTION}: " if isinstance(content, dict) else ""
        raise UserError(f"{path}: {where}expected an object; correct it, or {_BY_HAND}")
    return content


def _merge(path: Path, content: dict[str, Any], entry: dict[str, Any]) -> str:
    """Write ``content`` with the entry in it, beside a backup of what was there; returns what was done."""
    path = path.resolve()  # a link stays one
    servers = content.get(SECTION, {})
    known = servers.get(SERVER)
    if isinstance(known, dict):
        entry = known | entry  # such as variables that the user has set for the server
    if known == entry:
        return f"{path} has the server already"
    told = "; restart the client"
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        backup = _free(path)
        shutil.copy2(path, backup)
        told = f", {backup.name} beside it is what was there{told}"
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(_dump(content | {SECTION: servers | {SERVER: entry}}) + "\n")
        if path.exists():
            shutil.copymode(path, name)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return f"wrote {path}{told}"


def _free(path: Path) -> Path:
    """A name for a backup that no earlier one has."""
    names = (path.with_name(f"{path.name}.backup{number or ''}") for number in range(10_000))
    return next(name for name in names if not name.exists())


def _dump(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False)
