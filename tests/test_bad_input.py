"""A user's mistakes: exit code 1, one message that names the file and the field, no traceback, nothing lost."""

import sys

import polars as pl
import pytest

from luau_rft import tables
from luau_rft.model.base import cache_folder
from tests.project import Project


def fails(project: Project, *command: str) -> str:
    """Run a command that must fail the polite way; its message."""
    result = project.run(*command, check=False)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    assert result.stderr.startswith("error: ")
    return result.stderr


def edit(project: Project, old: str, new: str, path: str = "params.yaml") -> None:
    text = (project.root / path).read_text()
    assert old in text
    (project.root / path).write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("threshold: 0.70", "thresold: 0.70", ["select.thresold", "unknown key"]),
        ("threshold: 0.70", "threshold: high", ["select.threshold", "'high'"]),
        ("threshold: 0.70", "threshold: 1.5", ["select.threshold", "1.5"]),
        ("select:", "selection:", ["selection", "unknown section"]),
        ("select:", "select: [", ["not valid YAML"]),
        ("threshold: 0.70", "threshold: 0.70\n  threshold: 0.80", ["duplicate key", "threshold"]),
    ],
)
def test_params(project, old, new, parts):
    edit(project, old, new)
    message = fails(project, "python", "-m", "stages.select")
    assert all(part in message for part in ["params.yaml", *parts])


def test_params_are_a_folder(project):
    (project.root / "params.yaml").unlink()
    (project.root / "params.yaml").mkdir()
    assert "params.yaml: Is a directory" in fails(project, "python", "-m", "stages.select")


def test_missing_table(project):
    assert "data/sft.parquet: no such file" in fails(project, "python", "-m", "stages.train", "sft")


def test_truncated_table(project):
    rows = [{"id": "a", "origin": "gold", "task_id": "t", "task": "t", "code": "c"}]
    path = project.root / "data" / "sft.parquet"
    tables.write(rows, path, "sft")
    path.write_bytes(path.read_bytes()[:200])
    assert "data/sft.parquet: not a readable parquet file" in fails(project, "python", "-m", "stages.train", "sft")


@pytest.mark.parametrize(
    ("frame", "part"),
    [
        (pl.DataFrame({"question": ["a"], "answer": ["b"]}), "column 'id' of the sft table is missing"),
        (pl.DataFrame({"id": [1], "origin": "x", "task_id": "x", "task": "x", "code": "x"}), "column 'id' is Int64"),
    ],
)
def test_foreign_table(project, frame, part):
    frame.write_parquet(project.root / "data" / "sft.parquet")
    message = fails(project, "python", "-m", "stages.train", "sft")
    assert "data/sft.parquet" in message
    assert part in message


def test_table_without_values(project):
    row = {"id": "a", "origin": "gold", "task_id": None, "task": None, "code": "c"}
    pl.DataFrame([row]).cast(pl.String).write_parquet(project.root / "data" / "sft.parquet")
    message = fails(project, "python", "-m", "stages.train", "sft")
    assert "data/sft.parquet: column 'task' has rows without a value" in message


def test_table_with_a_repeated_key(project):
    row = {"id": "a", "origin": "gold", "task_id": "t", "task": "t", "code": "c"}
    pl.DataFrame([row, row]).write_parquet(project.root / "data" / "sft.parquet")
    assert "data/sft.parquet: id: repeated" in fails(project, "python", "-m", "stages.train", "sft")


def test_table_that_cannot_be_written(project):
    (project.root / "data" / "gold.parquet").unlink(missing_ok=True)
    message = fails(project, "bash", "-c", "ulimit -f 0; python -m stages.gold")
    assert "data/gold.parquet" in message
    assert not list((project.root / "data").glob(".gold.parquet*"))


@pytest.mark.parametrize("stage", ["score", "judge"])
def test_pool(project, stage):
    assert "'': no such pool; the pools are train" in fails(project, "python", "-m", f"stages.{stage}")
    (project.root / "data" / "train").mkdir(exist_ok=True)
    tables.write([], project.root / "data/train/candidates.parquet", "candidates")
    message = fails(project, "python", "-m", f"stages.{stage}", "train")
    assert "data/train/candidates.parquet: no candidates" in message


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("id: ", "id: a\nid: ", "duplicate key"),
        ("title: ", "title: ''\nx: ", "title"),
    ],
)
def test_task_description(project, old, new, part):
    first = min(path for path in (project.root / "data/tasks/train").iterdir() if path.is_dir())
    edit(project, old, new, f"data/tasks/train/{first.name}/task.yaml")
    message = fails(project, "python", "-m", "stages.gold")
    assert f"data/tasks/train/{first.name}/task.yaml" in message
    assert part in message


def test_empty_reference(project):
    first = min(path for path in (project.root / "data/tasks/train").iterdir() if path.is_dir())
    (first / "reference.luau").write_text("\n")
    assert "reference.luau: empty" in fails(project, "python", "-m", "stages.gold")


def test_task_without_reference(project):
    first = min(path for path in (project.root / "data/tasks/train").iterdir() if path.is_dir())
    (first / "reference.luau").unlink()
    message = fails(project, "python", "-m", "stages.gold")
    assert f"data/tasks/train/{first.name}/reference.luau: missing" in message


def test_task_with_broken_checks(project):
    first = min(path for path in (project.root / "data/tasks/train").iterdir() if path.is_dir())
    (first / "checks.luau").write_text("return { checks = {\n")
    candidate = {
        "task_id": first.name, "index": 0, "key": "k", "seed": 0, "model": "sft", "text": "print(1)",
        "code": "print(1)", "cleaned": False, "tokens": 3, "finish_reason": "stop",
    }  # fmt: skip
    score = {
        "task_id": first.name, "index": 0, "compiles": True, "syntax": 1.0, "api": 1.0, "bugs": 1.0, "quality": 1.0,
        "composite": 1.0, "findings": [],
    }  # fmt: skip
    tables.write([candidate], project.root / "data/train/candidates.parquet", "candidates")
    tables.write([score], project.root / "data/train/scores.parquet", "scores")
    message = fails(project, "python", "-m", "stages.judge", "train")
    assert f"{first.name}/checks.luau" in message


def test_missing_adapter(project):
    project.run("python", "-m", "stages.base")
    message = fails(project, "python", "-m", "stages.generate", "eval-sft", "models/sft")
    assert "models/sft" in message


def test_no_npm(project, tmp_path):
    project.run("python", "-m", "stages.base")
    edit(project, "sources: [directory]", "sources: [npm]")
    # The base model is at hand, the packages are not.
    (tmp_path / "models").symlink_to(cache_folder() / "models")
    environment = (f"PATH={tmp_path}", f"LUAU_RFT_CACHE={tmp_path}")
    message = fails(project, "env", *environment, sys.executable, "-m", "stages.collect")
    assert all(word in message for word in ("npm", "directory", "hub"))
