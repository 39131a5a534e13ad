"""Presets of ``params.yaml``: a profile's values are written over the file, its comments stay."""

import difflib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from luau_rft.errors import UserError

FOLDER = Path(__file__).parent / "profiles"


def profiles() -> dict[str, str]:
    """Name and description (the file's first comment) of every profile."""
    return {
        path.stem: path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        for path in sorted(FOLDER.glob("*.yaml"))
    }


def apply(name: str, path: str | Path = "params.yaml") -> str:
    """Write the profile ``name`` over ``path`` and return the unified diff, empty when nothing changed.

    Raises ``UserError`` for an unknown profile, an unreadable file or a key that the file does not have.
    """
    if name not in profiles():
        raise UserError(f"{name}: no such profile; the profiles are {', '.join(profiles())}")
    path = Path(path)
    try:
        before = path.read_text(encoding="utf-8")
        params = YAML().load(before)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run from the project's root") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    lines = before.splitlines(keepends=True)
    preset = YAML(typ="safe").load(FOLDER / f"{name}.yaml")
    for (line, column), value in _changes(params, preset, str(path)):
        comment = re.search(r"(\s+#.*)?\n?$", lines[line]).group()
        lines[line] = lines[line][:column] + value + comment
    after = "".join(lines)
    if not _holds(after, preset, str(path)):
        raise UserError(
            f"{path}: a value that the profile sets has no line of its own; put it on one line behind its key, or "
            "restore the file with `git checkout params.yaml`"
        )
    if after != before:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(after, encoding="utf-8")
        os.replace(temporary, path)
    diff = difflib.unified_diff(
        before.splitlines(), after.splitlines(), str(path), f"{path} ({name})", n=1, lineterm=""
    )
    return "\n".join(diff)


def _holds(text: str, preset: dict[str, Any], name: str) -> bool:
    """Whether the text still is YAML and has the preset's values."""
    try:
        return not list(_changes(YAML().load(text), preset, name))
    except (YAMLError, UserError):
        return False


def _changes(target: Any, values: dict[str, Any], name: str) -> Iterator[tuple[tuple[int, int], str]]:
    """Line and column of every value that differs, and what goes there. Only the value's own text is replaced: ruamel's
    round trip would also move comments and respell null.
    """
    for key, value in values.items():
        if not isinstance(target, dict) or key not in target:
            raise UserError(f"{name}: {key} is missing; restore the file with `git checkout params.yaml`")
        if isinstance(value, dict):
            yield from _changes(target[key], value, f"{name}: {key}")
        elif target[key] != value:
            yield (
                target.lc.value(key),
                f"[{', '.join(value)}]" if isinstance(value, list) else json.dumps(value).strip('"'),
            )
