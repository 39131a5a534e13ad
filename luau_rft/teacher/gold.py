"""Gold: a solution of every train task that is worth learning from."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from luau_rft import tables
from luau_rft.config import Params
from luau_rft.tasks import Task

Teacher = Callable[[Task], str]  # task → code


class GoldParams(Params):
    """Section ``gold``."""

    teacher: Literal["reference"]


def gold(tasks: Iterable[Task], params: GoldParams, known: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the ``gold`` table; a row of ``known``, by its ``key``, is not asked for again."""
    teacher = _TEACHERS[params.teacher]
    rows = []
    for task in tasks:
        key = tables.content_hash("gold", params.teacher, task.model_dump())
        code = known[key]["code"] if key in known else teacher(task)
        cost = known[key]["cost_usd"] if key in known else 0.0
        row = {"task_id": task.id, "task": task.prompt, "code": code, "teacher": params.teacher}
        rows.append(row | {"key": key, "cost_usd": cost})
    return rows


def reference(task: Task) -> str:
    """The hand-written solution that comes with the task."""
    return task.reference


_TEACHERS: dict[str, Teacher] = {"reference": reference}
