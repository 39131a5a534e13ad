"""The judge stage: real programs in the real sandbox, a row a candidate, rows of an earlier run reused."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from luau_rft import tables
from luau_rft.luau.compiler import compile_error
from tests.judges import pools

ROOT = Path(__file__).parents[2]
JUDGE = """\
judge:
  backend: execution
  processes: 2
  model: claude-sonnet-5-5
  answers: 1
  max_tokens: 400
  show_execution: false
  openai: {url: "http://127.0.0.1:1/v1", model: none}
"""
CODES = pools.CODES | {("coin-label", 0): "return {}"}


def judge(root, pool="train"):
    command = [sys.executable, "-m", "stages.judge", pool]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)


def write(root, codes):
    candidates = [
        {"task_id": task_id, "index": index, "key": f"{task_id} {index}", "seed": 0, "model": "sft", "text": code,
         "code": code, "cleaned": False, "tokens": 1, "finish_reason": "stop"}
        for (task_id, index), code in codes.items()
    ]  # fmt: skip
    scores = [
        {"task_id": task_id, "index": index, "compiles": compile_error(code) is None, "findings": []}
        | dict.fromkeys(("syntax", "api", "bugs", "quality", "composite"), 0.5)
        for (task_id, index), code in codes.items()
    ]
    tables.write(candidates, root / "data/train/candidates.parquet", "candidates")
    tables.write(scores, root / "data/train/scores.parquet", "scores")


@pytest.fixture
def root(tmp_path):
    for task_id in ("lava-floor", "coin-label"):
        shutil.copytree(ROOT / "data/tasks/train" / task_id, tmp_path / "data/tasks/train" / task_id)
    (tmp_path / "params.yaml").write_text(JUDGE)
    write(tmp_path, CODES | {("lava-floor", 1): pools.HURTS.replace("that is no", "but")})
    return tmp_path


def rows(root):
    frame = tables.read(root / "data/train/judgments.parquet", "judgments")
    return {(row["task_id"], row["index"]): row for row in frame.iter_rows(named=True)}


def test_every_candidate_gets_a_row(root):
    done = judge(root)
    assert done.returncode == 0, done.stderr
    assert "judge: train: 6 judgments (5 new)" in done.stdout
    assert "judge: train: 0 of 31 checks met what the engine does not model (0.0 %)" in done.stdout
    judged = rows(root)
    assert judged.keys() == CODES.keys()
    assert judged["lava-floor", 0]["value"] == 1
    assert 0.5 < judged["lava-floor", 1]["value"] < 0.9
    assert [judged["lava-floor", index]["value"] for index in (2, 3)] == [0, 0]
    assert judged["lava-floor", 2]["reason"] == "It does not compile."
    assert judged["lava-floor", 3]["reason"].startswith("It has no substance")
    assert judged["lava-floor", 4] == judged["lava-floor", 0] | {"index": 4}
    assert {row["checks_total"] for row in judged.values()} == {5, 6}


def test_the_share_of_checks_that_are_not_modelled_is_printed(root):
    unknown = pools.LAVA + "\nworkspace.Terrain:FillBall(Vector3.zero, 4, Enum.Material.Grass)\n"
    write(root, CODES | {("lava-floor", 1): unknown})
    printed = judge(root).stdout
    assert ", 1 undecided\n" in printed
    assert "judge: train: 5 of 31 checks met what the engine does not model (16.1 %)" in printed
    row = rows(root)["lava-floor", 1]
    assert (row["value"], row["checks_unknown"]) == (None, 5)
    assert "Not modelled: Terrain:FillBall." in row["reason"]


def test_a_second_run_judges_only_what_is_new_and_from_nothing_gives_the_same_bytes(root):
    path = root / "data/train/judgments.parquet"
    assert judge(root).returncode == 0
    first = path.read_bytes()
    assert "(0 new)" in judge(root).stdout
    assert path.read_bytes() == first

    write(root, CODES)
    assert "6 judgments (1 new)" in judge(root).stdout
    resumed = path.read_bytes()
    path.unlink()
    assert "6 judgments (5 new)" in judge(root).stdout
    assert path.read_bytes() == resumed


def test_changed_checks_are_judged_anew(root):
    assert judge(root).returncode == 0
    checks = root / "data/tasks/train/lava-floor/checks.luau"
    checks.write_text(checks.read_text().replace("weight = 2", "weight = 3"))
    assert "(4 new)" in judge(root).stdout


def test_broken_checks_are_named_and_nothing_is_lost(root):
    assert judge(root).returncode == 0
    before = (root / "data/train/judgments.parquet").read_bytes()
    checks = root / "data/tasks/train/lava-floor/checks.luau"
    checks.write_text(checks.read_text().replace("checks = {", "checks = ["))
    done = judge(root)
    assert done.returncode == 1
    assert done.stderr.startswith("error: data/tasks/train/lava-floor/checks.luau:")
    assert done.stderr.count("\n") == 1
    assert (root / "data/train/judgments.parquet").read_bytes() == before


def test_missing_scores_and_a_wrong_backend_are_named(root):
    scores = tables.read(root / "data/train/scores.parquet", "scores").to_dicts()
    tables.write(scores[1:], root / "data/train/scores.parquet", "scores")
    assert "scores.parquet: candidates are missing" in judge(root).stderr
    (root / "params.yaml").write_text(JUDGE.replace("backend: execution", "backend: oracle"))
    assert judge(root).stderr.startswith("error: params.yaml: judge.backend: Input should be 'execution'")
