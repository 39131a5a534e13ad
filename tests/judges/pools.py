"""A folder with candidates of the pool ``train`` to judge, and the stage run on it."""

import contextlib
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from luau_rft import tables
from luau_rft.luau.compiler import compile_error
from stages import judge

ROOT = Path(__file__).parents[2]
TASKS = ("lava-floor", "coin-label")
LAVA, LABEL = ((ROOT / f"data/tasks/train/{task_id}/reference.luau").read_text() for task_id in TASKS)
HURTS = (ROOT / "tests/data/wrong/lava-floor/no-nil-check.luau").read_text()
CODES = {
    ("lava-floor", 0): LAVA,
    ("lava-floor", 1): HURTS,
    ("lava-floor", 2): "this is not ( Luau",
    ("lava-floor", 3): "print('lava')",
    ("lava-floor", 4): LAVA,
    ("coin-label", 0): LABEL,
}
ASKED = 3  # of them: neither the copy, nor what does not compile or does nothing
JUDGE = {
    "backend": "claude",
    "processes": 2,
    "model": "claude-sonnet-5-5",
    "answers": 1,
    "max_tokens": 400,
    "show_execution": False,
    "openai": {"url": "http://127.0.0.1:9/v1", "model": "qwen"},
}
SPENDING = {"budget_usd": 5, "batch_from": 100, "concurrency": 4, "now": False}


class Pool:
    """The folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.table = root / "data/train/judgments.parquet"
        for task_id in TASKS:
            shutil.copytree(ROOT / "data/tasks/train" / task_id, root / "data/tasks/train" / task_id)
        self.params()
        self.write(CODES)

    def params(self, spending: dict[str, Any] | None = None, **judge: Any) -> None:
        content = {"judge": JUDGE | judge, "spending": SPENDING | (spending or {})}
        (self.root / "params.yaml").write_text(yaml.safe_dump(content))

    def write(self, codes: dict[tuple[str, int], str]) -> None:
        """The candidates and their scores."""
        candidates = [
            {"task_id": task_id, "index": index, "key": f"{task_id} {index}", "seed": 0, "model": "the-writer",
             "text": code, "code": code, "cleaned": False, "tokens": 1, "finish_reason": "stop"}
            for (task_id, index), code in codes.items()
        ]  # fmt: skip
        scores = [
            {"task_id": task_id, "index": index, "compiles": compile_error(code) is None, "findings": []}
            | dict.fromkeys(("syntax", "api", "bugs", "quality", "composite"), 0.5)
            for (task_id, index), code in codes.items()
        ]
        tables.write(candidates, self.root / "data/train/candidates.parquet", "candidates")
        tables.write(scores, self.root / "data/train/scores.parquet", "scores")

    def judge(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the stage as DVC does."""
        return stage(self.root, "judge", "train", *arguments)

    def judged(self, *arguments: str) -> str:
        """Run the stage's script in this process; what it printed. Raises ``UserError``."""
        printed = io.StringIO()
        with (
            contextlib.chdir(self.root),
            mock.patch.object(sys, "argv", ["stages/judge.py", "train", *arguments]),
            contextlib.redirect_stdout(printed),
        ):
            judge.main()
        return printed.getvalue()

    def rows(self) -> dict[tuple[str, int], dict[str, Any]]:
        frame = tables.read(self.table, "judgments")
        return {(row["task_id"], row["index"]): row for row in frame.iter_rows(named=True)}


def stage(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", f"stages.{command[0]}", *command[1:]],
        cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
