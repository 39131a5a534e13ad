"""Selection: best of each task, above the threshold, nothing that repeats the training data."""

import random

import pytest

from luau_rft.luau.shingles import shingles
from luau_rft.reward import Weights
from luau_rft.selection import NearCopies, SelectParams, select, statistics, training_rows
from luau_rft.tasks import Requires, Task

PARAMS = SelectParams(weights=Weights(), threshold=0.70, near_copy=0.80)


def program(seed: int, lines: int = 10) -> str:
    choose = random.Random(seed)
    return "\n".join(
        f"local v{choose.randrange(99)} = f{choose.randrange(99)}({choose.randrange(99)})" for _ in range(lines)
    )


def candidate(task_id: str, index: int, score: float, judgment: float | None, code: str | None = None) -> dict:
    code = program(hash((len(task_id), ord(task_id[0]), index))) if code is None else code
    return {"task_id": task_id, "index": index, "composite": score, "judgment": judgment, "code": code}


def task(id: str, category: str = "ui") -> Task:
    return Task(
        id=id, title=id, prompt=f"Do {id}", category=category, difficulty="easy", kind="server", requires=Requires(),
        reference="", checks="",
    )  # fmt: skip


def outcome(rows: list[dict]) -> dict[tuple[str, int], tuple[int | None, bool, str]]:
    return {(row["task_id"], row["index"]): (row["rank"], row["kept"], row["reason"]) for row in rows}


def test_every_reason():
    known = program(1)
    rows = select(
        [
            candidate("a", 0, 0.9, 0.8),
            candidate("a", 1, 0.9, 0.9),
            candidate("a", 2, 1.0, 1.0, known),
            candidate("a", 3, 0.9, 0.5),
            candidate("b", 0, 1.0, None),
            candidate("b", 1, 0.2, 0.0),
        ],
        {"known": known},
        PARAMS,
    )
    assert outcome(rows) == {
        ("a", 0): (3, False, "not the best of its task"),
        ("a", 1): (2, True, "kept"),
        ("a", 2): (1, False, "near copy of known"),
        ("a", 3): (4, False, "below threshold 0.70"),
        ("b", 0): (None, False, "judge could not decide"),
        ("b", 1): (1, False, "below threshold 0.70"),
    }


def test_a_reward_on_the_threshold_is_kept_and_ties_go_to_the_first():
    rows = select([candidate("a", 1, 1.0, 0.5), candidate("a", 0, 1.0, 0.5)], {}, PARAMS)
    assert [(row["index"], row["reward"], row["kept"]) for row in sorted(rows, key=lambda row: row["index"])] == [
        (0, 0.7, True),
        (1, 0.7, False),
    ]


def test_at_most_one_a_task_and_always_its_best_eligible():
    choose = random.Random(0)
    candidates = [
        candidate(f"{letter}", index, choose.random(), choose.choice([None, choose.random(), 1.0]))
        for letter in "abcdefghij"
        for index in range(6)
    ]
    rows = select(candidates, {}, PARAMS)
    assert len(rows) == len(candidates)
    for letter in "abcdefghij":
        mine = [row for row in rows if row["task_id"] == letter]
        eligible = [row["reward"] for row in mine if row["reward"] is not None and row["reward"] >= 0.70]
        assert [row["reward"] for row in mine if row["kept"]] == ([max(eligible)] if eligible else [])


def test_comments_and_layout_do_not_make_a_copy_new():
    known = program(5)
    disguised = "--[[ all mine ]]\n" + known.replace("\n", " -- padding\n\n\t").replace("(", " ( ")
    assert shingles(disguised) == shingles(known)
    assert NearCopies({"x": program(6), "y": known}, 0.8).of(disguised) == "y"


@pytest.mark.parametrize(("changed", "copy"), [(0, True), (1, True), (5, False), (10, False)])
def test_near_copy_is_jaccard_similarity_of_shingles(changed, copy):
    known, other = program(7, 40).split("\n"), program(8, 40).split("\n")
    code = "\n".join(other[:changed] + known[changed:])
    both = shingles(code) & shingles("\n".join(known))
    either = shingles(code) | shingles("\n".join(known))
    assert (len(both) / len(either) >= 0.8) is copy
    assert NearCopies({"x": "\n".join(known)}, 0.8).of(code) == ("x" if copy else None)


def test_code_without_five_tokens_is_compared_whole():
    copies = NearCopies({"empty": "-- nothing", "call": "f()"}, 0.8)
    assert copies.of("f( ) -- f") == "call"
    assert copies.of("g()") is None
    assert copies.of("") == "empty"


def test_training_rows_carry_the_tasks_prompt():
    rows = select([candidate("a", 0, 1.0, 1.0, "print(1)"), candidate("b", 0, 0.0, 0.0, "print(2)")], {}, PARAMS)
    (row,) = training_rows(rows, {("a", 0): "print(1)", ("b", 0): "print(2)"}, {"a": task("a"), "b": task("b")})
    assert row.pop("id")
    assert row == {"origin": "best_of_n", "task_id": "a", "task": "Do a", "code": "print(1)"}


def test_statistics_by_category():
    known = program(1)
    tasks = {"a": task("a", "ui"), "b": task("b", "physics")}
    rows = select(
        [candidate("a", 0, 1.0, 1.0), candidate("a", 1, 1.0, None), candidate("b", 0, 0.5, 0.5, known)],
        {"known": known},
        PARAMS,
    )
    metrics = statistics(rows, tasks)
    assert metrics.pop("categories") == {
        "physics": {"n_candidates": 1, "n_kept": 0, "keep_rate": 0.0, "mean_reward": 0.5, "best_reward_mean": 0.5,
                    "n_near_copies": 1},
        "ui": {"n_candidates": 2, "n_kept": 1, "keep_rate": 0.5, "mean_reward": 0.5, "best_reward_mean": 1.0,
               "n_near_copies": 0},
    }  # fmt: skip
    assert metrics == {
        "n_candidates": 3, "n_kept": 1, "keep_rate": 1 / 3, "mean_reward": 0.5, "best_reward_mean": 0.75,
        "n_near_copies": 1,
    }  # fmt: skip
