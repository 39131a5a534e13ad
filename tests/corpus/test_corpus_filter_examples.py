from pathlib import Path

import pytest

from luau_rft import tables
from luau_rft.corpus.filter import FilterParams, filter_examples, statistics
from luau_rft.corpus.overlap import Overlap
from luau_rft.errors import UserError
from luau_rft.tasks import load_tasks

ROOT = Path(__file__).parents[2]
EVAL = load_tasks(ROOT / "data" / "tasks" / "eval")
TRAIN = load_tasks(ROOT / "data" / "tasks" / "train")
PARAMS = FilterParams(corpus_threshold=0.75, gold_threshold=0.80, overlap_ngram=13, overlap="stop")
GOOD = (ROOT / "data" / "sample" / "team-balance.server.luau").read_text()
BAD = "local x = wait(1)\nlocal function y(\n"


def labeled(code=GOOD, task="Write a Script that balances the teams.", path="a.luau"):
    return {"package": "p@1", "path": path, "task": task, "code": code}


def gold(task):
    return {"task_id": task.id, "task": task.prompt, "code": task.reference}


def test_good_examples_are_kept_and_bad_ones_are_told_why():
    rows = [labeled(), labeled(BAD, path="b.luau"), labeled(task="", path="c.luau")]
    sft, filtered = filter_examples(rows, [gold(task) for task in TRAIN], EVAL, PARAMS)
    assert [row["reason"] for row in filtered[:3]] == ["kept", "below threshold 0.75", "no label"]
    assert [row["origin"] for row in sft] == ["corpus"] + ["gold"] * len(TRAIN)
    assert [row["task_id"] for row in sft] == [None] + [task.id for task in TRAIN]
    assert {row["id"] for row in sft} == {row["id"] for row in filtered if row["kept"]}


def test_the_rows_fit_their_tables(tmp_path):
    sft, filtered = filter_examples([labeled(), labeled(BAD)], [gold(TRAIN[0])], EVAL, PARAMS)
    assert tables.write(sft, tmp_path / "sft.parquet", "sft").height == 2
    assert tables.write(filtered, tmp_path / "filtered.parquet", "filtered").height == 3


@pytest.mark.parametrize("field", ["task", "code"])
def test_gold_that_repeats_an_eval_task_stops_the_run(field):
    held_out = EVAL[0]
    row = gold(TRAIN[0]) | {field: {"task": held_out.prompt, "code": held_out.reference}[field]}
    for overlap in ("stop", "drop"):
        with pytest.raises(UserError) as error:
            filter_examples([], [row], EVAL, PARAMS.model_copy(update={"overlap": overlap}))
        id = tables.content_hash("gold", row["task_id"], row["task"], row["code"])
        assert f"data/tasks/eval/{held_out.id}: shares the words" in str(error.value)
        assert f"training text {id} (data/tasks/train/{TRAIN[0].id})" in str(error.value)


def test_corpus_that_repeats_an_eval_task_stops_the_run_or_is_dropped():
    stolen = labeled("-- Reformatted.\n" + EVAL[1].reference.upper().replace("\t", " "), path="stolen.luau")
    with pytest.raises(
        UserError, match=rf"data/tasks/eval/{EVAL[1].id}: .*p@1 stolen\.luau.*set filter\.overlap to drop"
    ):
        filter_examples([labeled(), stolen], [], EVAL, PARAMS)
    sft, filtered = filter_examples([labeled(), stolen], [], EVAL, PARAMS.model_copy(update={"overlap": "drop"}))
    assert [row["reason"] for row in filtered] == ["kept", f"overlaps eval task {EVAL[1].id}"]
    assert len(sft) == 1


def test_nothing_left_is_said():
    with pytest.raises(UserError, match="no example reaches its threshold"):
        filter_examples([labeled(BAD)], [], EVAL, PARAMS)


def test_statistics_count_rows_and_tokens_by_origin_and_reason():
    rows, solutions = [labeled(), labeled(BAD)], [gold(TRAIN[0])]
    _, filtered = filter_examples(rows, solutions, EVAL, PARAMS)
    counts = statistics(rows, solutions, filtered, lambda texts: [len(text) for text in texts])
    assert counts["corpus"] == {
        "before": {"rows": 2, "tokens": len(GOOD) + len(BAD)},
        "after": {"rows": 1, "tokens": len(GOOD)},
        "dropped": {"below threshold 0.75": {"rows": 1, "tokens": len(BAD)}},
    }
    size = {"rows": 1, "tokens": len(TRAIN[0].reference)}
    assert counts["gold"] == {"before": size, "after": size, "dropped": {}}


def test_train_tasks_and_samples_share_nothing_with_the_eval_tasks():
    overlap = Overlap(EVAL, length=13)
    texts = [text for task in TRAIN for text in (task.prompt, task.reference)]
    texts += [path.read_text() for path in sorted((ROOT / "data" / "sample").glob("*.luau"))]
    assert [overlap.find(text) for text in texts] == [None] * len(texts)


def test_every_eval_task_overlaps_itself_whatever_its_case_and_blanks():
    overlap = Overlap(EVAL, length=13)
    for task in EVAL:
        assert overlap.find(" ".join(task.prompt.upper().split()))[0] == task.id
        assert overlap.find(task.reference.replace("\n", "\n\n").replace('"', "'"))[0] == task.id


def test_services_that_every_script_gets_are_no_overlap():
    services = "".join(
        f'local {name} = game:GetService("{name}")\n' for name in ("Players", "RunService", "TweenService", "Debris")
    )
    task = EVAL[0].model_copy(
        update={"reference": f"--!strict\n{services}\nPlayers.PlayerAdded:Wait()", "prompt": "Wait."}
    )
    assert Overlap([task], length=5).find(f"--!strict\n{services}\nprint(1)") is None


def test_texts_shorter_than_the_run_are_compared_whole():
    task = EVAL[0].model_copy(update={"prompt": "Open the door.", "reference": ""})
    overlap = Overlap([task], length=13)
    assert overlap.find("open The door!") == (task.id, "open the door")
    assert overlap.find("", "Open the other door.") is None
