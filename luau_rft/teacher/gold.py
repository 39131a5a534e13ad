"""Gold: a solution of every train task that is worth learning from."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field

from luau_rft import tables
from luau_rft.tasks import Task
from luau_rft.teacher import claude_gold
from luau_rft.teacher.claude import ClaudeParams, Desk


class GoldParams(ClaudeParams):
    """Section ``gold``."""

    teacher: Literal["reference", "claude"]
    threshold: float = Field(ge=0, le=1)  # composite of a first answer below which Claude gets it back once


def gold(
    tasks: Iterable[Task], params: GoldParams, known: Mapping[str, Mapping[str, Any]], desk: Desk | None = None
) -> list[dict[str, Any]]:
    """Rows of the ``gold`` table; a row of ``known``, by its ``key``, is not asked for again.

    Claude has its rows and answers from the ``desk``. Raises ``UserError`` where that stops; what came until then is
    kept.
    """
    if params.teacher == "claude":
        assert desk is not None
        return claude_gold.rows(list(tasks), params, params.threshold, desk)
    rows = []
    for task in tasks:
        key = tables.content_hash("gold", params.teacher, task.model_dump())
        code = known[key]["code"] if key in known else reference(task)
        cost = known[key]["cost_usd"] if key in known else 0.0
        row = {"task_id": task.id, "task": task.prompt, "code": code, "teacher": params.teacher}
        rows.append(row | {"key": key, "cost_usd": cost})
    return rows


def reference(task: Task) -> str:
    """The hand-written solution that comes with the task."""
    return task.reference
