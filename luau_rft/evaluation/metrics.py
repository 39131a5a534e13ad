"""What a pool's candidates say about their model: means over tasks of the means over each task's samples."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from luau_rft.reward import Weights, reward

# In the order in which every table shows them.
LABELS = {
    "syntax": "Syntax",
    "api": "API correctness",
    "bugs": "Bug-free",
    "quality": "Code quality",
    "composite": "Composite",
    "judge": "Judge",
    "reward": "Reward",
    "compile_rate": "Compiles",
    "finished_rate": "Finished by itself",
    "cleaned_rate": "Needed cleaning",
    "checks_passed_rate": "Checks passed",
    "unknown_rate": "Judge undecided",
    "pass_at_1": "Pass@1",
}
METRICS = tuple(LABELS)
LOWER_IS_BETTER = frozenset({"cleaned_rate", "unknown_rate"})

# By task id, every metric's mean over the task's samples; None for what its judge does not measure.
TaskMeans = dict[str, dict[str, float | None]]


def task_means(rows: Iterable[Mapping[str, Any]], weights: Weights) -> TaskMeans:
    """The metrics of each task, from rows of ``pools.read``, in order of task id.

    Where the judge could not decide, judge, reward and pass_at_1 are 0. A sample passes when it passes every check;
    ``checks_passed_rate`` and ``pass_at_1`` are None throughout when the judge ran no checks.
    """
    by_task: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_task[row["task_id"]].append(row)
    has_checks = any(row["checks_total"] for samples in by_task.values() for row in samples)
    means: TaskMeans = {}
    for task_id in sorted(by_task):
        samples = [_sample(row, weights, has_checks) for row in by_task[task_id]]
        columns = {metric: [sample[metric] for sample in samples] for metric in METRICS}
        means[task_id] = {metric: None if None in column else _mean(column) for metric, column in columns.items()}
    return means


def _sample(row: Mapping[str, Any], weights: Weights, has_checks: bool) -> dict[str, float | None]:
    unknown = row["judgment"] is None
    passed, total = row["checks_passed"] or 0, row["checks_total"] or 0
    return {
        **{scorer: row[scorer] for scorer in ("syntax", "api", "bugs", "quality", "composite")},
        "judge": 0.0 if unknown else row["judgment"],
        "reward": reward(row["composite"], row["judgment"], weights) or 0.0,
        "compile_rate": float(row["compiles"]),
        "finished_rate": float(row["finish_reason"] != "length"),
        "cleaned_rate": float(row["cleaned"]),
        "checks_passed_rate": (passed / total if total else 0.0) if has_checks else None,
        "unknown_rate": float(unknown),
        "pass_at_1": float(not unknown and 0 < total == passed) if has_checks else None,
    }


def summary(rows: Iterable[Mapping[str, Any]], means: TaskMeans) -> dict[str, Any]:
    """``metrics/<model>.json`` of a pool's rows and their ``task_means``."""
    rows = list(rows)
    overall = {metric: over_tasks(means, metric) for metric in METRICS}
    judges = sorted({row["judge"] for row in rows})
    return overall | {"n_tasks": len(means), "n_samples": len(rows), "judge_backend": ", ".join(judges)}


def over_tasks(means: TaskMeans, metric: str) -> float | None:
    """A metric's mean over tasks, None where it was not measured."""
    values = [task[metric] for task in means.values()]
    return None if None in values else _mean(values)


def _mean(values: list[Any]) -> float:
    return sum(values) / len(values)
