"""Reverse labels by Claude, which reads the code."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from luau_rft import tables
from luau_rft.llm.base import Answer, Question
from luau_rft.llm.quoting import quoted
from luau_rft.tasks import Category, Kind
from luau_rft.teacher.claude import ClaudeParams, Desk

PROMPT = (Path(__file__).parent / "prompts/label.md").read_text(encoding="utf-8").strip()
ASKED = "Write the request for this file, its category and its kind."


class Label(BaseModel):
    """What a creator would have typed; empty where nobody would have asked for the file."""

    model_config = ConfigDict(extra="forbid")

    task: str = Field(max_length=2000)
    category: Category | Literal["other"]
    kind: Kind


def labels(rows: Sequence[Mapping[str, Any]], params: ClaudeParams, desk: Desk) -> list[dict[str, Any]]:
    """For each row of the corpus the columns that a label adds.

    A question without a usable answer gives an empty task, which the filter drops as "no label".
    """
    questions = [question(row, params) for row in rows]
    known = desk.known(asked.key for asked in questions)
    answers = desk.ask([asked for asked in questions if asked.key not in known])
    found = []
    for asked in questions:
        said = _label(answers[asked.key]) if asked.key in answers else known[asked.key]
        columns = {name: said[name] for name in ("task", "category", "kind", "cost_usd")}
        found.append(columns | {"labeler": params.model, "key": asked.key})
    return found


def question(row: Mapping[str, Any], params: ClaudeParams) -> Question:
    """The question about one file. Its name is shown, too: it tells the kind, and what a module is called."""
    name = PurePosixPath(row["path"]).name
    prompt = f"{quoted('name', name)}\n\n{quoted('file', row['code'])}\n\n{ASKED}"
    key = tables.content_hash("label", params.model, params.max_tokens, PROMPT, prompt, Label.model_json_schema())
    return Question(key, "label", PROMPT, "", prompt, params.max_tokens, Label)


def _label(answer: Answer) -> dict[str, Any]:
    said: dict[str, Any] = {"task": "", "category": None, "kind": "module"}
    if answer.status == "answered":
        said = Label.model_validate_json(answer.text).model_dump()
    return said | {"task": " ".join(said["task"].split()), "cost_usd": answer.cost_usd}
