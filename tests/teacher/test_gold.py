from pathlib import Path

from luau_rft import tables
from luau_rft.tasks import load_tasks
from luau_rft.teacher.gold import GoldParams, gold

TASKS = load_tasks(Path(__file__).parents[2] / "data" / "tasks" / "train")
PARAMS = GoldParams(teacher="reference", model="claude-sonnet-5-5", max_tokens=8192, threshold=0.8)


def test_every_task_is_answered_by_its_own_reference(tmp_path):
    rows = gold(TASKS, PARAMS, {})
    assert [(row["task_id"], row["task"], row["code"]) for row in rows] == [
        (task.id, task.prompt, task.reference) for task in TASKS
    ]
    tables.write(rows, tmp_path / "gold.parquet", "gold")
    assert tables.reusable(tmp_path / "gold.parquet", "gold") == {row["key"]: row for row in rows}


def test_a_known_answer_is_used_again_until_the_task_or_its_checks_change():
    (row,) = gold(TASKS[:1], PARAMS, {})
    bought = row | {"code": "return 1", "cost_usd": 0.25}
    assert gold(TASKS[:1], PARAMS, {row["key"]: bought}) == [bought]
    changed = TASKS[0].model_copy(update={"checks": TASKS[0].checks + "\n-- stricter"})
    (new,) = gold([changed], PARAMS, {row["key"]: bought})
    assert new["key"] != row["key"]
    assert new["code"] == TASKS[0].reference
