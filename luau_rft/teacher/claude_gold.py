"""Gold by Claude: a complete implementation of a task, sent back once where the scorers think little of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from luau_rft import tables
from luau_rft.llm.base import Answer, Question
from luau_rft.llm.quoting import filled, quoted
from luau_rft.model.clean import clean
from luau_rft.model.prompt import SYSTEM_PROMPT
from luau_rft.scorers.composite import Scores, score_code
from luau_rft.tasks import Task
from luau_rft.teacher.claude import ClaudeParams, Desk

REPAIR = (Path(__file__).parent / "prompts/repair.md").read_text(encoding="utf-8").strip()
MOST_FINDINGS = 20  # told of one answer


def rows(tasks: Sequence[Task], params: ClaudeParams, threshold: float, desk: Desk) -> list[dict[str, Any]]:
    """Rows of the ``gold`` table: of a task's two answers the one that scores better, with what both cost.

    A task without a usable answer gets no code, and the filter drops it. What the scorers say decides what is sent
    back, but is no part of a row's key: a mended rule does not buy gold anew.
    """
    keys = [key(task, params, threshold) for task in tasks]
    known = desk.known(keys)
    missing = [task for task, row_key in zip(tasks, keys, strict=True) if row_key not in known]
    first = desk.ask([question(task, params) for task in missing])
    again = {task.id: repair(task, params, first[question(task, params).key], threshold) for task in missing}
    repairs = [asked for asked in again.values() if asked is not None]
    second = desk.ask(repairs) if repairs else {}
    found = []
    for task, row_key in zip(tasks, keys, strict=True):
        if row_key in known:
            code, cost = known[row_key]["code"], known[row_key]["cost_usd"]
        else:
            asked = again[task.id]
            answers = [first[question(task, params).key], *([second[asked.key]] if asked else [])]
            code = _best(task, answers)
            cost = sum(answer.cost_usd for answer in answers)
        row = {"task_id": task.id, "task": task.prompt, "code": code, "teacher": params.model}
        found.append(row | {"key": row_key, "cost_usd": cost})
    return found


def key(task: Task, params: ClaudeParams, threshold: float) -> str:
    """The key of a task's row."""
    return tables.content_hash(question(task, params).key, REPAIR, threshold)


def question(task: Task, params: ClaudeParams) -> Question:
    """The task in the words that the model in training gets, too."""
    return _question(task.prompt, params)


def repair(task: Task, params: ClaudeParams, answer: Answer, threshold: float) -> Question | None:
    """The answer with its findings, for another try; None where it is good enough, or there is none."""
    if answer.status != "answered":
        return None
    code = clean(answer.text)[0]
    scores = score_code(code, task.kind)
    if scores.composite >= threshold:
        return None
    return _question(filled(REPAIR, task=task.prompt, code=quoted("answer", code), findings=_told(scores)), params)


def _question(prompt: str, params: ClaudeParams) -> Question:
    key = tables.content_hash("gold", params.model, params.max_tokens, SYSTEM_PROMPT, prompt)
    return Question(key, "gold", SYSTEM_PROMPT, "", prompt, params.max_tokens)


def _told(scores: Scores) -> str:
    """The findings, a line each, the worst first."""
    worst = sorted(scores.findings, key=lambda finding: (-finding.penalty, finding.line, finding.column))
    lines = [f"- line {finding.line}: {finding.message} ({finding.rule})" for finding in worst[:MOST_FINDINGS]]
    if not scores.has_substance:
        lines.insert(0, "- it does hardly anything: write the whole program, no stub")
    return "\n".join(lines)


def _best(task: Task, answers: Sequence[Answer]) -> str:
    """The code that scores best, the first of equals."""
    codes = [clean(answer.text)[0] for answer in answers if answer.status == "answered"]
    return max(codes, key=lambda code: score_code(code, task.kind).composite, default="")
