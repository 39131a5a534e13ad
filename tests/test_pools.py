"""A pool's three tables as one, and what happens when they do not belong together."""

import finished_run
import pytest

from luau_rft import pools, tables
from luau_rft.errors import UserError


@pytest.fixture
def root(tmp_path):
    finished_run.make(tmp_path, train=3, evaluated=2)
    return tmp_path


def test_rows_carry_scores_and_judgments_in_order(root):
    rows = pools.read("train", root).to_dicts()
    assert [(row["task_id"], row["index"]) for row in rows] == [(f"train-{t}", i) for t in range(3) for i in range(4)]
    judgments = tables.read(root / "data/train/judgments.parquet", "judgments").to_dicts()
    assert [row["judgment"] for row in rows] == [row["value"] for row in judgments]
    assert {row["key"] for row in rows}.isdisjoint(row["judgment_key"] for row in rows)
    assert all(isinstance(row["findings"][0]["rule"], str) for row in rows)


@pytest.mark.parametrize("table", ["scores", "judgments"])
def test_a_table_of_other_candidates_is_named(root, table):
    path = root / f"data/train/{table}.parquet"
    tables.write(tables.read(path, table).to_dicts()[1:], path, table)
    with pytest.raises(UserError, match=rf"data/train/{table}\.parquet: task_id and index are not those"):
        pools.read("train", root)


def test_an_empty_pool_is_named(root):
    tables.write([], root / "data/eval-rft/candidates.parquet", "candidates")
    with pytest.raises(UserError, match=r"data/eval-rft/candidates\.parquet: no candidates"):
        pools.read("eval-rft", root)


def test_unknown_pools_and_tasks_are_named(root):
    with pytest.raises(UserError, match="'eval-gpt': no such pool"):
        pools.read("eval-gpt", root)
    with pytest.raises(UserError, match=r"data/train/candidates\.parquet: nobody: no such task"):
        pools.tasks("train", ["train-0", "nobody"], root)
    assert pools.tasks("eval-sft", ["eval-1"], root)["eval-1"].category == "game-mechanics"
