"""Compare base, SFT and RFT on the held-out tasks.

dvc repro evaluate
"""

from luau_rft import pools, tables
from luau_rft.config import load
from luau_rft.errors import run
from luau_rft.evaluation import compare, metrics
from luau_rft.reward import Weights


def main() -> None:
    params = load("evaluate", compare.EvaluateParams)
    weights = load("select.weights", Weights)
    n_selected = tables.read_json("metrics/selection.json", "n_kept")["n_kept"]

    rows = {model: pools.read(f"eval-{model}").to_dicts() for model in ("base", "sft", "rft")}
    means = {model: metrics.task_means(rows[model], weights) for model in rows}
    comparison = compare.compare(means, n_selected, params)
    for model in rows:
        tables.write_json(metrics.summary(rows[model], means[model]), f"metrics/{model}.json")
    tables.write_json(comparison, "metrics/compare.json")

    # For `dvc plots`: a row a metric, and a row a task with its reward, a column a model.
    by_metric = [{"metric": metrics.LABELS[name]} | {m: comparison[name][m] for m in rows} for name in metrics.METRICS]
    by_task = [{"task_id": task} | {m: means[m][task]["reward"] for m in rows} for task in means["rft"]]
    tables.write_json(by_metric, "metrics/plots/metrics.json")
    tables.write_json(by_task, "metrics/plots/tasks.json")
    delta = comparison["reward"]
    print(
        f"evaluate: reward {delta['sft']:.3f} (SFT) -> {delta['rft']:.3f} (RFT), {delta['delta']:+.3f} "
        f"[{delta['ci_low']:+.3f}, {delta['ci_high']:+.3f}] over {len(by_task)} tasks"
    )


if __name__ == "__main__":
    run(main)
