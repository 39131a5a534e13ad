"""Presets of ``params.yaml``: a profile's values are written over the file, its comments stay."""

import difflib
import io
import os
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
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
    # Round-trip mode keeps comments, order and number spelling; a narrow width would fold the lists.
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    try:
        before = path.read_text(encoding="utf-8")
        params = yaml.load(before)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run from the project's root") from None
    except YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    _overlay(params, YAML().load(FOLDER / f"{name}.yaml"), str(path))
    stream = io.StringIO()
    yaml.dump(params, stream)
    after = stream.getvalue()
    if after != before:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(after, encoding="utf-8")
        os.replace(temporary, path)
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), str(path), f"{path} ({name})", "", "", 1, "")
    return "\n".join(lines)


def _overlay(target: Any, values: CommentedMap, name: str) -> None:
    for key, value in values.items():
        if not isinstance(target, dict) or key not in target:
            raise UserError(f"{name}: {key} is missing; restore the file with `git checkout params.yaml`")
        if isinstance(value, dict):
            _overlay(target[key], value, f"{name}: {key}")
        elif target[key] != value:
            target[key] = value
