"""The benchmark of the judge's cost: its formula by hand, and its last lines."""

import re
import sys

import pytest

from bench import judge_cost as bench
from luau_rft import tables
from luau_rft.llm.estimate import Size
from luau_rft.tasks import load_tasks

MODEL = "claude-sonnet-5-5"
SIZES = [Size(1000, 400, f"task {number // 4}", 600, 100) for number in range(200)]


def test_the_ratios_are_those_of_a_calculation_by_hand():
    whole = 2000 + 5 * 100  # an output token costs five times an input token
    assert bench.naive(MODEL, SIZES) == pytest.approx(200 * whole * 2e-6)
    assert bench.ours(MODEL, SIZES, None) == pytest.approx(bench.naive(MODEL, SIZES) / 2)
    missing = 0.5 * (1.25 * 1400 + 600 + 500) / whole
    assert bench.ours(MODEL, SIZES, 0.0) / bench.naive(MODEL, SIZES) == pytest.approx(missing)
    shared = 1000 * (1.25 + 199 * (0.9 * 0.05 + 0.1 * 1.25)) + 50 * 400 * (1.25 + 3 * (0.9 * 0.05 + 0.1 * 1.25))
    hits = 0.5 * (shared / 200 + 600 + 500) / whole
    assert bench.ours(MODEL, SIZES, 0.9) / bench.naive(MODEL, SIZES) == pytest.approx(hits)


def test_the_questions_are_the_judges_own_about_200_candidates():
    sizes = bench.candidates(MODEL)
    assert len(sizes) == 200
    assert len({size.group for size in sizes}) == 50
    assert len({size.system for size in sizes}) == 1
    assert sizes[0].system > 512
    assert all(size.output == bench.answer_tokens() for size in sizes)


def test_the_last_lines_are_results(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["judge_cost", "--quick"])
    bench.main()
    lines = capsys.readouterr().out.splitlines()
    assert re.match(r"200 candidates, tokens of each: rubric \d+, task \d+, program \d+, answer \d+", lines[0])
    assert re.fullmatch(r"RESULT judge_cost_all_missing 0\.\d{3} <=0\.50", lines[-2])
    assert re.fullmatch(r"RESULT judge_cost_90_hits 0\.\d{3} <=0\.30", lines[-1])


def test_a_pool_tells_how_many_are_asked_about(tmp_path, monkeypatch, capsys):
    [task] = load_tasks("data/tasks/train", 1)
    codes = [task.reference, task.reference, "local function (", "print(1)"]
    fixed = {"task_id": task.id, "seed": 0, "model": "sft", "cleaned": False, "tokens": 9, "finish_reason": "stop"}
    rows = [fixed | {"index": i, "key": str(i), "text": code, "code": code} for i, code in enumerate(codes)]
    tables.write(rows, tmp_path / "data/train/candidates.parquet", "candidates")
    values = dict.fromkeys(("syntax", "api", "bugs", "quality", "composite"), 0.5)
    scores = [
        {"task_id": task.id, "index": i, "compiles": i != 2, "findings": []} | values for i, _ in enumerate(codes)
    ]
    tables.write(scores, tmp_path / "data/train/scores.parquet", "scores")
    monkeypatch.chdir(tmp_path)
    bench.tell_pool("train", {"all_missing": 0.6})
    assert capsys.readouterr().out == "data/train: 1 of 4 candidates are asked about: all_missing 0.150 of naive\n"
