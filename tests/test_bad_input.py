"""A user's mistakes: exit code 1, one message that names the file and the field, no traceback, nothing lost."""

import sys

import polars as pl
import pytest
from conftest import Project

from luau_rft import tables
from luau_rft.model.base import cache_folder


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
    ],
)
def test_params(project, old, new, parts):
    edit(project, old, new)
    message = fails(project, "python", "-m", "stages.select")
    assert all(part in message for part in ["params.yaml", *parts])


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
