"""The hand-written tasks in ``data/tasks/<split>/<task-id>/``."""

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from luau_rft.config import Params
from luau_rft.errors import UserError

Category = Literal["npc-behaviour", "game-mechanics", "data-persistence", "ui", "physics", "networking"]
Kind = Literal["server", "client", "module"]


class TaskCounts(Params):
    """Section ``tasks``: how many tasks of each split are used, in order of id; null means all."""

    train: int | None = Field(ge=1)
    eval: int | None = Field(ge=1)


class Requires(BaseModel):
    """What a run of a complete solution must be seen to do; names as the engine records them, ``A|B`` for either."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    services: list[str] = []  # through game:GetService
    instances: list[str] = []  # classes created by Instance.new
    events: list[str] = []  # connected, as "Class.Event"
    methods: list[str] = []  # called, as "Class:Method"


class Task(BaseModel):
    """One task: what is asked (``prompt``), a solution (``reference``) and the checks that a solution passes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    title: str = Field(pattern=r"\S")
    prompt: str = Field(pattern=r"\S")
    category: Category
    difficulty: Literal["easy", "medium", "hard"]
    kind: Kind
    requires: Requires
    reference: str
    checks: str
    folder: Path = Field(default=Path(), exclude=True)  # for messages; no part of what the task is


def load_tasks(folder: str | Path, limit: int | None = None) -> list[Task]:
    """The first ``limit`` tasks of a folder, in order of id.

    Raises ``UserError`` naming the task's file and field.
    """
    return [load_task(path) for path in task_folders(folder)[:limit]]


def task_folders(folder: str | Path) -> list[Path]:
    """The folders of tasks in ``folder``, in order of id. Raises ``UserError`` when there is none."""
    paths = sorted(path for path in Path(folder).glob("*") if path.is_dir())
    if not paths:
        raise UserError(f"{folder}: no tasks; expected folders with task.yaml, reference.luau and checks.luau")
    return paths


def load_task(folder: str | Path) -> Task:
    """Read one task folder. Raises ``UserError`` naming the file and field."""
    folder = Path(folder)
    description = folder / "task.yaml"
    try:
        fields = YAML(typ="safe", pure=True).load(_text(description))
    except YAMLError as error:
        raise UserError(f"{description}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(fields, dict):
        raise UserError(
            f"{description}: expected a mapping with id, title, prompt, category, difficulty, kind, requires"
        )
    sources = {name: _text(folder / f"{name}.luau") for name in ("reference", "checks")} | {"folder": folder}
    if strange := fields.keys() & sources.keys():
        raise UserError(f"{description}: {min(strange)}: unknown key; remove it")
    try:
        task = Task.model_validate(fields | sources)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        found = "" if first["type"] == "missing" else f", got {first['input']!r}"
        raise UserError(f"{description}: {field}: {first['msg']}{found}") from None
    if task.id != folder.name or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", task.id):
        raise UserError(f"{description}: id: {task.id!r} must be its folder's name, in lower-case words joined by '-'")
    return task


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: missing; a task folder holds task.yaml, reference.luau and checks.luau") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
    if not text.strip():
        raise UserError(f"{path}: empty; see data/tasks/README.md")
    return text
