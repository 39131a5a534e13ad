"""Chooses what the SFT model learns from: corpus and gold that score well and share nothing with the eval tasks."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from luau_rft import tables
from luau_rft.config import Params
from luau_rft.corpus.overlap import Overlap
from luau_rft.errors import UserError
from luau_rft.progress import bar
from luau_rft.scorers.composite import score_code
from luau_rft.tasks import Task

Row = Mapping[str, Any]


class FilterParams(Params):
    """Section ``filter``."""

    corpus_threshold: float = Field(ge=0, le=1)
    gold_threshold: float = Field(ge=0, le=1)
    overlap_ngram: int = Field(ge=1)
    overlap: Literal["stop", "drop"]


def filter_examples(
    labeled: Iterable[Row], gold: Iterable[Row], eval_tasks: Sequence[Task], params: FilterParams
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of the ``sft`` and of the ``filtered`` table: what is learned, and the verdict on everything.

    Raises ``UserError`` when gold overlaps an eval task (or corpus, where ``overlap`` is ``stop``) or nothing is left.
    """
    examples = [_example("corpus", None, row) | {"place": f"{row['package']} {row['path']}"} for row in labeled]
    examples += [
        _example("gold", row["task_id"], row) | {"place": f"data/tasks/train/{row['task_id']}"} for row in gold
    ]
    overlap = Overlap(eval_tasks, params.overlap_ngram)
    sft, filtered = [], []
    with bar("scoring the training data", len(examples)) as advance:
        for example in examples:
            scores = score_code(example["code"])
            threshold = params.gold_threshold if example["origin"] == "gold" else params.corpus_threshold
            if not example["task"]:
                reason = "no label"
            elif shared := overlap.find(example["task"], example["code"]):
                reason = f"overlaps eval task {shared[0]}"
                if example["origin"] == "gold" or params.overlap == "stop":
                    raise UserError(_told(example, *shared))
            elif scores.composite < threshold:
                reason = f"below threshold {threshold:.2f}"
            else:
                reason = "kept"
                sft.append({column: example[column] for column in tables.SCHEMAS["sft"]})
            filtered.append(
                {
                    "id": example["id"],
                    "origin": example["origin"],
                    "syntax": scores.syntax,
                    "api": scores.api,
                    "bugs": scores.bugs,
                    "quality": scores.quality,
                    "composite": scores.composite,
                    "kept": reason == "kept",
                    "reason": reason,
                }
            )
            advance(1)
    if not sft:
        raise UserError("params.yaml: filter: no example reaches its threshold; lower the thresholds or collect more")
    return sft, filtered


def statistics(
    labeled: Iterable[Row],
    gold: Iterable[Row],
    filtered: Iterable[Row],
    count_tokens: Callable[[list[str]], list[int]],
) -> dict[str, Any]:
    """Per origin, rows and tokens of code before and after the filter, and of what each reason dropped."""
    codes = {_example("corpus", None, row)["id"]: row["code"] for row in labeled}
    codes |= {_example("gold", row["task_id"], row)["id"]: row["code"] for row in gold}
    tokens = dict(zip(codes, count_tokens(list(codes.values())), strict=True))
    by_reason: dict[str, dict[str, list[int]]] = {"corpus": defaultdict(list), "gold": defaultdict(list)}
    for row in filtered:
        by_reason[row["origin"]][row["reason"]].append(tokens[row["id"]])
    return {
        origin: {
            "before": _size(count for counts in reasons.values() for count in counts),
            "after": _size(reasons.get("kept", [])),
            "dropped": {reason: _size(counts) for reason, counts in reasons.items() if reason != "kept"},
        }
        for origin, reasons in by_reason.items()
    }


def _example(origin: str, task_id: str | None, row: Row) -> dict[str, Any]:
    task, code = row["task"], row["code"]
    id = tables.content_hash(origin, task_id, task, code)
    return {"id": id, "origin": origin, "task_id": task_id, "task": task, "code": code}


def _told(example: Row, task_id: str, words: str) -> str:
    remedy = (
        "reword one of the two tasks"
        if example["origin"] == "gold"
        else "take that file out of the sources, or set filter.overlap to drop"
    )
    return (
        f"data/tasks/eval/{task_id}: shares the words {words!r} with the training text {example['id']} "
        f"({example['place']}), so the task would not be held out; {remedy}"
    )


def _size(counts: Iterable[int]) -> dict[str, int]:
    counts = list(counts)
    return {"rows": len(counts), "tokens": sum(counts)}
