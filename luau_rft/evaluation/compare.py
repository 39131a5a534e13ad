"""Paired comparison of RFT with SFT: they answered the same tasks, so the tasks are what is resampled."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from luau_rft.config import Params
from luau_rft.errors import UserError
from luau_rft.evaluation.metrics import LOWER_IS_BETTER, METRICS, TaskMeans, over_tasks

CONFIDENCE = 0.95


class EvaluateParams(Params):
    """Section ``evaluate``."""

    bootstrap: int = Field(ge=100)
    seed: int = Field(ge=0, lt=2**32)


def compare(means: Mapping[str, TaskMeans], n_selected: int, params: EvaluateParams) -> dict[str, Any]:
    """``metrics/compare.json`` from the ``task_means`` of base, sft and rft.

    Per metric the three means, ``delta`` (rft - sft), its 95 % interval and ``p_better``, the share of resamples in
    which RFT is better, draws counting half. Raises ``UserError`` when the models did not answer the same tasks.
    """
    import numpy as np

    tasks = sorted(means["sft"])
    for model, answered in means.items():
        if missing := answered.keys() ^ means["sft"].keys():
            raise UserError(
                f"data/eval-{model}/candidates.parquet: {min(missing)}: base, sft and rft must answer the same tasks; "
                f"run `dvc repro`"
            )
    # One set of resamples for all metrics: rows are resamples, columns positions of tasks.
    drawn = np.random.default_rng(params.seed).integers(len(tasks), size=(params.bootstrap, len(tasks)))
    result: dict[str, Any] = {"n_selected": n_selected}
    for metric in METRICS:
        entry = {model: over_tasks(means[model], metric) for model in ("base", "sft", "rft")}
        if None in (entry["sft"], entry["rft"]):
            entry |= dict.fromkeys(("delta", "ci_low", "ci_high", "p_better"))
        else:
            deltas = np.array([means["rft"][task][metric] - means["sft"][task][metric] for task in tasks])
            # Rounded, so that a draw is not decided by the last bits of a sum.
            resampled = deltas[drawn].mean(axis=1).round(12)
            low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
            gain = -resampled if metric in LOWER_IS_BETTER else resampled
            entry |= {
                "delta": float(deltas.mean()),
                "ci_low": float(low),
                "ci_high": float(high),
                "p_better": float((gain > 0).mean() + (gain == 0).mean() / 2),
            }
        result[metric] = entry
    return result
