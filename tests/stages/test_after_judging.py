"""The stages from select to release on the tables of a small finished run."""

import filecmp
import json
import shutil
import subprocess
import sys
from pathlib import Path

import finished_run
import polars as pl
import pytest

from luau_rft import tables
from luau_rft.errors import UserError
from luau_rft.evaluation.metrics import METRICS
from stages import evaluate, release, report, select

OUTPUTS = (
    "data/rft.parquet", "data/selection.parquet", "metrics/selection.json", "metrics/base.json", "metrics/sft.json",
    "metrics/rft.json", "metrics/compare.json", "metrics/plots/metrics.json", "metrics/plots/tasks.json",
    "reports/index.html", "models/release/README.md", "models/release/adapter_model.safetensors",
    "metrics/release.json",
)  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("finished")
    finished_run.make(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        run_all()
    return root


@pytest.fixture
def root(finished, tmp_path, monkeypatch):
    """A copy of the finished run, in which the test runs."""
    shutil.copytree(finished, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    return tmp_path / "run"


def run_all() -> None:
    for stage in (select, evaluate, report, release):
        stage.main()


def edit_params(root: Path, old: str, new: str) -> None:
    text = (root / "params.yaml").read_text()
    assert old in text
    (root / "params.yaml").write_text(text.replace(old, new))


def test_same_inputs_same_bytes(finished, tmp_path, monkeypatch):
    finished_run.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    run_all()
    assert filecmp.cmpfiles(finished, tmp_path, OUTPUTS, shallow=False) == (list(OUTPUTS), [], [])


def test_rft_is_sft_and_the_kept_candidates(root):
    sft, rft = tables.read("data/sft.parquet", "sft"), tables.read("data/rft.parquet", "rft")
    chosen = tables.read("data/selection.parquet", "selection").filter("kept")
    candidates = tables.read("data/train/candidates.parquet", "candidates")
    added = rft.filter(pl.col("origin") == "best_of_n")
    assert rft.filter(pl.col("origin") != "best_of_n").equals(sft)
    assert chosen.height > 3
    assert sorted(added["code"]) == sorted(chosen.join(candidates, on=["task_id", "index"])["code"])
    assert added.filter(pl.col("task").str.starts_with("Write script number")).height == chosen.height
    assert json.loads(Path("metrics/selection.json").read_text())["n_kept"] == chosen.height


def test_nothing_selected_leaves_the_sft_data_and_is_said_everywhere(root, capsys):
    edit_params(root, "threshold: 0.70", "threshold: 1.0")
    run_all()
    assert tables.read("data/rft.parquet", "rft").equals(tables.read("data/sft.parquet", "sft"))
    assert "nothing was selected" in capsys.readouterr().out
    assert tables.read_json("metrics/compare.json")["n_selected"] == 0
    assert "Nothing was selected" in Path("reports/index.html").read_text()
    card = Path("models/release/README.md").read_text()
    assert "Nothing was selected" in card
    assert "trained on the SFT data alone" in card


def test_metrics_and_plots(root):
    comparison = tables.read_json("metrics/compare.json")
    for model in ("base", "sft", "rft"):
        metrics = tables.read_json(f"metrics/{model}.json")
        assert metrics.keys() == {*METRICS, "n_tasks", "n_samples", "judge_backend"}
        assert all(comparison[name][model] == metrics[name] for name in METRICS)
    by_task = tables.read_json("metrics/plots/tasks.json")
    assert sum(row["rft"] for row in by_task) / len(by_task) == pytest.approx(comparison["reward"]["rft"])
    assert len(tables.read_json("metrics/plots/metrics.json")) == len(METRICS)


def test_a_judge_without_checks(tmp_path, monkeypatch, capsys):
    finished_run.make(tmp_path, train=4, evaluated=2, judge="claude")
    monkeypatch.chdir(tmp_path)
    run_all()
    assert tables.read_json("metrics/compare.json")["pass_at_1"]["delta"] is None
    assert "Pass@1" not in Path("models/release/README.md").read_text().split("---")[1]


@pytest.mark.parametrize("model", ["sft", "rft"])
def test_release_is_the_named_adapter_with_its_metrics(root, model):
    edit_params(root, "model: rft # rft, sft", f"model: {model} # rft, sft")
    release.main()
    assert Path("models/release/adapter_model.safetensors").read_bytes() == model.encode()
    assert sorted(path.name for path in Path("models/release").iterdir()) == sorted(
        ["README.md", *(path.name for path in Path("models", model).iterdir())]
    )
    assert tables.read_json("metrics/release.json") == tables.read_json(f"metrics/{model}.json")
    assert not list(Path("models").glob(".release-*"))


def test_release_needs_no_torch(root):
    code = (
        "import sys; from stages import release; release.main(); "
        "assert not {'torch', 'transformers'} & sys.modules.keys()"
    )
    environment = {"PYTHONPATH": str(finished_run.ROOT), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_missing_adapter_is_named_and_the_old_release_stays(root):
    before = Path("models/release/README.md").read_text()
    Path("models/rft/adapter_model.safetensors").unlink()
    with pytest.raises(UserError, match=r"models/rft/adapter_model\.safetensors: missing"):
        release.main()
    assert Path("models/release/README.md").read_text() == before


def test_a_stage_ends_without_a_traceback(root):
    Path("data/eval-sft/scores.parquet").write_bytes(b"PAR1")
    environment = {"PYTHONPATH": str(finished_run.ROOT), "PATH": ""}
    command = [sys.executable, "-m", "stages.evaluate"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: data/eval-sft/scores.parquet: not a readable parquet file")
    assert len(done.stderr.splitlines()) == 1
