"""Selection: the best candidate of each task joins the training data, if it is good enough and new."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import Field

from luau_rft import tables
from luau_rft.config import Params
from luau_rft.luau.shingles import shingles
from luau_rft.reward import Weights, reward
from luau_rft.tasks import Task


class SelectParams(Params):
    """Section ``select``."""

    weights: Weights
    threshold: float = Field(ge=0, le=1)
    near_copy: float = Field(gt=0, le=1)


class NearCopies:
    """Finds the training code that a candidate repeats.

    >>> NearCopies({"a": "print('one', 1)"}, threshold=0.8).of("print('one', 1) -- mine")
    'a'
    """

    def __init__(self, codes: Mapping[str, str], threshold: float) -> None:
        self.threshold = threshold
        self.sizes: dict[str, int] = {}
        self.holders: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for id, code in sorted(codes.items()):
            found = shingles(code)
            self.sizes[id] = len(found)
            for shingle in found:
                self.holders[shingle].append(id)

    def of(self, code: str) -> str | None:
        """The id of the training code most like ``code`` by Jaccard similarity, None when below the threshold."""
        found = shingles(code)
        shared = Counter(id for shingle in found for id in self.holders.get(shingle, ()))
        similarity = {id: count / (len(found) + self.sizes[id] - count) for id, count in shared.items()}
        best = min(similarity, key=lambda id: (-similarity[id], id), default=None)
        return best if best is not None and similarity[best] >= self.threshold else None


def select(
    candidates: Iterable[Mapping[str, Any]], training: Mapping[str, str], params: SelectParams
) -> list[dict[str, Any]]:
    """Rows of the ``selection`` table: of each task the best candidate that the judge could decide on, that reaches the
    threshold and that is no near-copy of ``training`` (code by id) is kept.

    ``candidates`` are rows of ``pools.read``. ``rank`` counts from 1 within the task, null where there is no reward.
    """
    copies = NearCopies(training, params.near_copy)
    by_task: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in candidates:
        by_task[row["task_id"]].append(row)
    return [choice for rows in by_task.values() for choice in _choose(rows, copies, params)]


def _choose(rows: Iterable[Mapping[str, Any]], copies: NearCopies, params: SelectParams) -> list[dict[str, Any]]:
    rewarded = [(reward(row["composite"], row["judgment"], params.weights), row) for row in rows]
    rewarded.sort(key=lambda pair: (pair[0] is None, -(pair[0] or 0.0), pair[1]["index"]))
    choices: list[dict[str, Any]] = []
    for rank, (value, row) in enumerate(rewarded, start=1):
        if copied := copies.of(row["code"]):
            reason = f"near copy of {copied}"
        elif value is None:
            reason = "judge could not decide"
        elif value < params.threshold:
            reason = f"below threshold {params.threshold:.2f}"
        elif any(choice["kept"] for choice in choices):
            reason = "not the best of its task"
        else:
            reason = "kept"
        choices.append(
            {
                "task_id": row["task_id"],
                "index": row["index"],
                "composite": row["composite"],
                "judge": row["judgment"],
                "reward": value,
                "rank": None if value is None else rank,
                "kept": reason == "kept",
                "reason": reason,
            }
        )
    return choices


def training_rows(
    selection: Iterable[Mapping[str, Any]], codes: Mapping[tuple[str, int], str], tasks: Mapping[str, Task]
) -> list[dict[str, Any]]:
    """What the kept candidates add to the ``rft`` table; ``codes`` by task id and index."""
    rows = []
    for row in selection:
        if row["kept"]:
            task, code = tasks[row["task_id"]].prompt, codes[row["task_id"], row["index"]]
            id = tables.content_hash("best_of_n", task, code)
            rows.append({"id": id, "origin": "best_of_n", "task_id": row["task_id"], "task": task, "code": code})
    return rows


def statistics(selection: Sequence[Mapping[str, Any]], tasks: Mapping[str, Task]) -> dict[str, Any]:
    """``metrics/selection.json``: counts and mean rewards over all candidates, and the same per category.

    A candidate on which the judge could not decide counts with a reward of 0.
    """
    by_category: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in selection:
        by_category[tasks[row["task_id"]].category].append(row)
    return _summary(selection) | {"categories": {name: _summary(rows) for name, rows in sorted(by_category.items())}}


def _summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | int]:
    rewards = [row["reward"] or 0.0 for row in rows]
    best: dict[str, float] = {}
    for row, value in zip(rows, rewards, strict=True):
        best[row["task_id"]] = max(value, best.get(row["task_id"], 0.0))
    kept = sum(row["kept"] for row in rows)
    return {
        "n_candidates": len(rows),
        "n_kept": kept,
        "keep_rate": kept / len(rows) if rows else 0.0,
        "mean_reward": sum(rewards) / len(rows) if rows else 0.0,
        "best_reward_mean": sum(best.values()) / len(best) if best else 0.0,
        "n_near_copies": sum(row["reason"].startswith("near copy of ") for row in rows),
    }
