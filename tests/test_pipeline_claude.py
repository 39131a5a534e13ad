"""The tiny profile with Claude as teacher and judge, by DVC, against a server that speaks its API."""

import re

import pytest

from luau_rft import tables

PAID = ("label", "gold", "judge@train", "judge@eval-base", "judge@eval-sft", "judge@eval-rft", "health")


@pytest.mark.slow
def test_a_run_with_claude_ends_and_asks_nothing_twice(project, claude_server, tmp_path):
    params = project.root / "params.yaml"
    text = params.read_text()
    for before, after in (
        ("teacher: embedded", "teacher: claude"),
        ("teacher: reference", "teacher: claude"),
        ("backend: execution", "backend: claude"),
        ("corpus_threshold: .*", "corpus_threshold: 0"),
        ("gold_threshold: .*", "gold_threshold: 0"),
        ("max_new_tokens: .*", "max_new_tokens: 12"),
    ):
        text, count = re.subn(before, after, text)
        assert count == 1, before
    params.write_text(text)

    assert set(PAID) < set(project.repro())
    asked = len(claude_server.requests)
    assert {place for place, _ in claude_server.requests} >= {"messages", "create", "results"}
    health = tables.read_json(project.root / "metrics" / "judge.json")
    assert health["judge_backend"] == "claude:claude-sonnet-5-5"
    assert "Judge health" in (project.root / "reports" / "index.html").read_text()
    labeled = tables.read(project.root / "data" / "labeled.parquet", "labeled")
    assert set(labeled["labeler"]) == {"claude-sonnet-5-5"}
    assert labeled["cost_usd"].sum() > 0

    hashes = {path: path.read_bytes() for path in (project.root / "data").rglob("*.parquet")}
    # The store alone answers for tables that are gone, then the tables for a store that is gone.
    for path in hashes:
        if path.name in ("labeled.parquet", "gold.parquet", "judgments.parquet", "judge_health.parquet"):
            path.unlink()
    assert project.repro("--force", "--single-item", *PAID) == list(PAID)
    (tmp_path / "answers.sqlite").unlink()
    assert project.repro("--force", "--single-item", *PAID) == list(PAID)
    assert len(claude_server.requests) == asked
    assert {path: path.read_bytes() for path in hashes} == hashes
    assert "sk-ant-api03-of-the-tests" not in (project.root / "dvc.lock").read_text()
