"""The paired bootstrap over tasks."""

import random

import pytest

from luau_rft.errors import UserError
from luau_rft.evaluation.compare import EvaluateParams, compare
from luau_rft.evaluation.metrics import METRICS

PARAMS = EvaluateParams(bootstrap=4000, seed=0)


def means(**values: float | None) -> dict:
    """Task means that hold the same value for every metric of a task."""
    return {task: dict.fromkeys(METRICS, value) for task, value in values.items()}


def test_the_interval_covers_the_true_difference_about_95_times_in_100():
    choose = random.Random(1)
    covered = 0
    for trial in range(100):
        sft = {f"t{task}": choose.random() for task in range(40)}
        rft = {task: value + choose.gauss(0.05, 0.2) for task, value in sft.items()}
        entry = compare(
            {"base": means(**sft), "sft": means(**sft), "rft": means(**rft)},
            1,
            EvaluateParams(bootstrap=300, seed=trial),
        )["reward"]
        covered += entry["ci_low"] <= 0.05 <= entry["ci_high"]
    assert 87 <= covered <= 99


def test_pairs_are_compared_not_means():
    # Tasks differ a lot, each is a little better: no doubt about the sign.
    sft = means(**{f"t{task}": task / 10 for task in range(8)})
    rft = means(**{f"t{task}": task / 10 + 0.01 for task in range(8)})
    entry = compare({"base": sft, "sft": sft, "rft": rft}, 1, PARAMS)["judge"]
    assert entry["delta"] == pytest.approx(0.01)
    assert entry["ci_low"] == pytest.approx(0.01)
    assert entry["p_better"] == 1.0


def test_equal_models_are_a_draw():
    same = means(a=0.3, b=0.7, c=0.1)
    entry = compare({"base": same, "sft": same, "rft": same}, 0, PARAMS)["composite"]
    assert (entry["delta"], entry["ci_low"], entry["ci_high"], entry["p_better"]) == (0, 0, 0, 0.5)


def test_opposite_changes_that_cancel_are_no_gain():
    sft, rft = means(a=0.1, b=0.8), means(a=0.8, b=0.1)
    entry = compare({"base": sft, "sft": sft, "rft": rft}, 1, PARAMS)["reward"]
    assert entry["delta"] == pytest.approx(0, abs=1e-12)
    assert entry["p_better"] == pytest.approx(0.5, abs=0.03)


def test_where_lower_is_better_a_fall_is_a_gain():
    sft, rft = means(a=0.5, b=0.5), means(a=0.1, b=0.2)
    result = compare({"base": sft, "sft": sft, "rft": rft}, 1, PARAMS)
    assert result["unknown_rate"]["delta"] < 0
    assert result["unknown_rate"]["p_better"] == 1.0
    assert result["compile_rate"]["p_better"] == 0.0


def test_same_seed_same_numbers():
    sft, rft = means(a=0.5, b=0.1, c=0.9), means(a=0.6, b=0.1, c=0.7)
    pools = {"base": sft, "sft": sft, "rft": rft}
    assert compare(pools, 1, PARAMS) == compare(pools, 1, PARAMS)
    other = compare(pools, 1, EvaluateParams(bootstrap=4000, seed=1))
    assert other["reward"]["p_better"] != compare(pools, 1, PARAMS)["reward"]["p_better"]


def test_what_was_not_measured_has_no_difference():
    sft, rft = means(a=None, b=0.5), means(a=0.5, b=0.5)
    entry = compare({"base": rft, "sft": sft, "rft": rft}, 1, PARAMS)["pass_at_1"]
    assert entry == {
        "base": 0.5,
        "sft": None,
        "rft": 0.5,
        "delta": None,
        "ci_low": None,
        "ci_high": None,
        "p_better": None,
    }


def test_models_that_answered_other_tasks_are_named():
    with pytest.raises(UserError, match=r"data/eval-rft/candidates\.parquet: c: .*the same tasks"):
        compare({"base": means(a=1.0, b=1.0), "sft": means(a=1.0, b=1.0), "rft": means(a=1.0, b=1.0, c=1.0)}, 1, PARAMS)
