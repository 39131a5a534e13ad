"""Reads ``params.yaml``. The typed sections live beside the code that they configure."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from luau_rft.errors import UserError

SECTIONS = (
    "base", "model", "tasks", "collect", "label", "gold", "filter", "train", "generate", "score", "judge", "select",
    "evaluate", "release", "spending",
)  # fmt: skip


class Params(BaseModel):
    """Base of every section: an unknown key or a wrong type is an error, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Section = TypeVar("Section", bound=BaseModel)


def load(section: str, schema: type[Section], path: str | Path = "params.yaml") -> Section:
    """Read and check one section, given by its dotted name (``train.sft``).

    Raises ``UserError`` that names the file and the field.
    """
    node: Any = _read(Path(path))
    for depth, part in enumerate(section.split("."), start=1):
        if not isinstance(node, dict) or part not in node:
            name = ".".join(section.split(".")[:depth])
            raise UserError(f"{path}: {name} is missing; compare with the file that `luau-rft profile embedded` writes")
        node = node[part]
    try:
        return schema.model_validate(node)
    except ValidationError as error:
        raise UserError("\n".join(_explain(path, section, e) for e in error.errors())) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        # YAML 1.2 like DVC's own reader, so that 2e-4 is a number to both.
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run from the project's root") from None
    except (YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a mapping of sections at the top")
    for name in content:
        if name not in SECTIONS:
            raise UserError(f"{path}: {name}: unknown section; the sections are {', '.join(SECTIONS)}")
    return content


def _explain(path: str | Path, section: str, error: Any) -> str:
    field = ".".join([section, *(str(part) for part in error["loc"])])
    if error["type"] == "extra_forbidden":
        return f"{path}: {field}: unknown key; remove it or correct its name"
    if error["type"] == "missing":
        return f"{path}: {field}: missing; add it"
    return f"{path}: {field}: {error['msg']}, got {error['input']!r}"
