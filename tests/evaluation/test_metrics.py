"""Means over tasks of means over samples; what the judge could not decide counts as failed."""

import pytest

from luau_rft.evaluation.metrics import METRICS, summary, task_means
from luau_rft.reward import Weights


def sample(task_id: str = "a", judgment: float | None = 1.0, passed: int = 4, total: int = 4, **changes) -> dict:
    return {
        "task_id": task_id, "syntax": 1.0, "api": 1.0, "bugs": 1.0, "quality": 1.0, "composite": 1.0, "compiles": True,
        "judgment": judgment, "judge": "execution", "checks_passed": passed, "checks_total": total, "checks_unknown": 0,
        "finish_reason": "stop", "cleaned": False,
    } | changes  # fmt: skip


def measure(*rows: dict) -> dict:
    return summary(rows, task_means(rows, Weights()))


def test_every_task_counts_the_same_however_many_samples_it_has():
    rows = [sample("a", 1.0), sample("a", 0.0), sample("a", 0.5), sample("b", 1.0)]
    metrics = measure(*rows)
    assert metrics["judge"] == pytest.approx((0.5 + 1.0) / 2)
    assert (metrics["n_tasks"], metrics["n_samples"]) == (2, 4)


def test_undecided_counts_as_failed():
    metrics = measure(sample(judgment=None), sample(judgment=1.0))
    assert metrics["judge"] == 0.5
    assert metrics["reward"] == 0.5
    assert metrics["unknown_rate"] == 0.5
    assert metrics["pass_at_1"] == 0.5


def test_a_sample_passes_only_with_every_check():
    rows = [sample(passed=4, total=4), sample(passed=3, total=4, judgment=0.9), sample(passed=0, total=0, judgment=0.0)]
    metrics = measure(*rows)
    assert metrics["pass_at_1"] == pytest.approx(1 / 3)
    assert metrics["checks_passed_rate"] == pytest.approx((1 + 0.75 + 0) / 3)


def test_without_checks_nothing_is_claimed_of_them():
    metrics = measure(sample(passed=0, total=0, judge="claude"), sample(passed=None, total=None, judge="claude"))
    assert metrics["pass_at_1"] is None
    assert metrics["checks_passed_rate"] is None
    assert metrics["judge"] == 1.0
    assert metrics["judge_backend"] == "claude"


def test_rates_and_names():
    metrics = measure(
        sample(compiles=False, finish_reason="length", cleaned=True, composite=0.5, judgment=0.0), sample()
    )
    assert (metrics["compile_rate"], metrics["finished_rate"], metrics["cleaned_rate"]) == (0.5, 0.5, 0.5)
    assert metrics["reward"] == pytest.approx((0.2 + 1.0) / 2)
    assert metrics.keys() == {*METRICS, "n_tasks", "n_samples", "judge_backend"}
