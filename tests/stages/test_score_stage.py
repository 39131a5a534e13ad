"""The score stage: real scorers in worker processes, a row a candidate."""

import subprocess
import sys

import finished_run
import pytest

from luau_rft import tables
from luau_rft.scorers.composite import score_code

CODES = {
    ("train-0", 0): (finished_run.ROOT / "data/tasks/train/coin-pickup/reference.luau").read_text(),
    ("train-0", 1): "this is not ( Luau",
    ("train-1", 0): "",
    ("train-2", 0): "return " + "(" * 2000 + ")" * 2000,
}


def score(root, pool: str = "train") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stages.score", pool]
    environment = {"PYTHONPATH": str(finished_run.ROOT), "PATH": ""}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)


@pytest.fixture
def root(tmp_path):
    finished_run.make(tmp_path, train=3, evaluated=1)
    rows = [
        {"task_id": task_id, "index": index, "key": f"{task_id} {index}", "seed": 0, "model": "sft", "text": code,
         "code": code, "cleaned": False, "tokens": 1, "finish_reason": "stop"}
        for (task_id, index), code in CODES.items()
    ]  # fmt: skip
    tables.write(rows, tmp_path / "data/train/candidates.parquet", "candidates")
    return tmp_path


def test_rows_are_what_the_scorers_say(root):
    done = score(root)
    assert done.returncode == 0, done.stderr
    rows = tables.read(root / "data/train/scores.parquet", "scores").to_dicts()
    assert {(row["task_id"], row["index"]): row["composite"] for row in rows} == {
        key: score_code(code, ("server", "client", "module")[int(key[0][-1])]).composite for key, code in CODES.items()
    }
    by_key = {(row["task_id"], row["index"]): row for row in rows}
    assert [row["compiles"] for row in rows] == [True, False, True, False]
    assert by_key["train-0", 0]["composite"] > 0.5 >= by_key["train-0", 1]["composite"]
    (finding, *_) = by_key["train-0", 1]["findings"]
    assert (finding["scorer"], finding["line"]) == ("syntax", 1)


def test_candidates_of_an_unknown_task_and_an_unknown_pool_are_named(root):
    path = root / "data/train/candidates.parquet"
    row = tables.read(path, "candidates").to_dicts()[0]
    tables.write([row | {"task_id": "gone"}], path, "candidates")
    done = score(root)
    assert (done.returncode, done.stderr) == (
        1,
        "error: data/train/candidates.parquet: gone: no such task in data/tasks/train; run `dvc repro`\n",
    )
    assert "'eval-gpt': no such pool; the pools are train" in score(root, "eval-gpt").stderr
