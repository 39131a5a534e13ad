"""``luau-rft estimate``: a line a stage, what is there is not counted, nonsense is named."""

import re
import shutil

import pytest
import yaml

from luau_rft import profile, tables
from luau_rft.errors import UserError
from luau_rft.estimate_command import print_estimate
from luau_rft.judges.base import Request
from luau_rft.judges.model import ModelJudge
from luau_rft.llm.claude import Claude
from luau_rft.store import Store
from luau_rft.tasks import load_tasks
from luau_rft.teacher.claude import Desk
from luau_rft.teacher.gold import GoldParams, gold
from luau_rft.teacher.label import LabelParams, label
from tests.llm.questions import FAST, MODEL, spending
from tests.project import ROOT

STAGES = [
    "label", "gold", "gold, sent back", "judge train", "judge eval-base", "judge eval-sft", "judge eval-rft", "health",
    "together",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    root = tmp_path / "project"
    for name in ("tasks", "health"):
        shutil.copytree(ROOT / "data" / name, root / "data" / name)
    shutil.copy(ROOT / "params.yaml", root / "params.yaml")
    monkeypatch.chdir(root)
    monkeypatch.setenv("LUAU_RFT_STORE", str(tmp_path / "answers.sqlite"))
    monkeypatch.delenv("LUAU_RFT_NOW", raising=False)
    return root


def estimated(capsys):
    """What is told of each stage, and the whole text."""
    capsys.readouterr()
    print_estimate()
    text = capsys.readouterr().out
    return dict(re.findall(r"^([a-z, -]+?):\s+(.*)$", text, re.MULTILINE)), text


def change(root, **values):
    path = root / "params.yaml"
    content = yaml.safe_load(path.read_text())
    for name, value in values.items():
        section, field = name.split("__")
        content[section][field] = value
    path.write_text(yaml.safe_dump(content))


def test_the_default_costs_nothing_and_makes_no_store(folder, capsys, tmp_path):
    lines, text = estimated(capsys)
    assert list(lines) == [stage for stage in STAGES if stage != "gold, sent back"]
    assert all(told.startswith("costs nothing (") for stage, told in lines.items() if stage != "together")
    assert lines["together"] == "$0.00; $0.00 of budget_usd 25 are spent"
    assert "Prices" not in text
    assert not (tmp_path / "answers.sqlite").exists()


def test_the_seeds_profile_has_a_price_a_stage_with_the_tables_date(folder, capsys):
    profile.apply("mistral-7b", folder / "params.yaml")
    lines, text = estimated(capsys)
    assert list(lines)[:9] == STAGES
    shape = (
        rf"{MODEL}: (\d+) (direct requests|requests in batches), about [\d,]+ input, [\d,]+ cached and [\d,]+ output"
    )
    counts = [int(re.match(shape, lines[stage])[1]) for stage in STAGES[:-1]]
    assert counts[:2] == [300, 50]
    assert counts[3:7] == [200] * 4
    assert re.fullmatch(r"\$\d\.\d\d to \$\d\.\d\d; \$0\.00 of budget_usd 25 are spent", lines["together"])
    assert re.search(r"^Prices of 20\d\d-\d\d-\d\d, from https://", text, re.MULTILINE)
    assert "may not be enough" not in text
    change(folder, spending__budget_usd=2.0)
    assert "The budget may not be enough" in estimated(capsys)[1]


def test_what_the_store_or_a_table_has_is_not_counted(folder, capsys, claude_server):
    change(folder, label__teacher="claude", gold__teacher="claude", tasks__train=4, spending__now=True)
    corpus = [
        {
            "id": str(number),
            "source": "npm",
            "package": "p@1",
            "path": "a.luau",
            "license": "MIT",
            "code": f"f({number})",
        }
        for number in range(6)
    ]
    tables.write(corpus, folder / "data/corpus.parquet", "corpus")
    lines, _ = estimated(capsys)
    assert lines["label"].startswith(f"{MODEL}: 6 direct requests")
    assert lines["gold"].startswith(f"{MODEL}: 4 direct requests")

    asking = spending(now=True)
    labels = LabelParams(teacher="claude", model=MODEL, max_tokens=500)
    golds = GoldParams(teacher="claude", model=MODEL, max_tokens=8192, threshold=0.8)
    tasks = load_tasks(folder / "data/tasks/train", 4)
    claude_server.answer = _poor_code
    with Store() as store:
        gold(tasks[:3], golds, {}, Desk("gold", store, Claude(MODEL, FAST), asking))
        spent = store.spent()
    claude_server.answer = lambda params: '{"task": "Do it", "category": "ui", "kind": "server"}'
    with Store() as store:
        rows = label(corpus[:4], labels, {}, Desk("label", store, Claude(MODEL, FAST), asking))
        spent = store.spent()
    lines, _ = estimated(capsys)
    assert lines["label"].startswith(f"{MODEL}: 2 direct requests")
    assert lines["gold"].startswith(f"{MODEL}: 1 direct request, ")
    assert lines["gold, sent back"] == "nothing to ask: $0.00"
    assert f"${spent:.2f} of budget_usd 25 are spent" in lines["together"]

    tables.write(rows, folder / "data/labeled.parquet", "labeled")
    with pytest.MonkeyPatch.context() as another:
        another.setenv("LUAU_RFT_STORE", str(folder / "none.sqlite"))
        assert estimated(capsys)[0]["label"].startswith(f"{MODEL}: 2 direct requests")


def _poor_code(params):
    return "local a = gmae"


def test_candidates_that_are_there_are_counted_one_by_one(folder, capsys):
    change(folder, judge__backend="claude")
    [task] = load_tasks(folder / "data/tasks/train", 1)
    codes = [task.reference, task.reference, "local function (", "print(1)"]
    candidates = [
        {"task_id": task.id, "index": index, "key": str(index), "seed": 0, "model": "sft", "text": code, "code": code,
         "cleaned": False, "tokens": 9, "finish_reason": "stop"}
        for index, code in enumerate(codes)
    ]  # fmt: skip
    scores = [
        {"task_id": task.id, "index": index, "compiles": index != 2, "findings": []}
        | dict.fromkeys(("syntax", "api", "bugs", "quality", "composite"), 0.5)
        for index in range(len(codes))
    ]
    tables.write(candidates, folder / "data/train/candidates.parquet", "candidates")
    tables.write(scores, folder / "data/train/scores.parquet", "scores")
    lines, _ = estimated(capsys)
    assert lines["judge train"].startswith(f"{MODEL}: 1 direct request, ")  # two are the same, two are not asked about
    assert "no candidates yet" in lines["judge eval-sft"]
    change(folder, spending__batch_from=2)
    tables.write([row | {"code": task.reference + f"\n-- {row['index']}"} for row in candidates],
                 folder / "data/train/candidates.parquet", "candidates")  # fmt: skip
    count = int(re.match(rf"{MODEL}: (\d+) requests in batches", estimated(capsys)[0]["judge train"])[1])
    judge = ModelJudge("claude", Claude(MODEL), spending(), "judge", 1, 400)
    with Store() as store:
        for index in range(count - 1):
            store.put_row("judgments", judge.key(Request(task, task.reference + f"\n-- {(0, 1, 3)[index]}")), {})
    # Like the stage, which goes by how many there are in all.
    assert estimated(capsys)[0]["judge train"].startswith(f"{MODEL}: 1 request in batches")


def test_a_model_without_a_price_and_one_with_an_assumed_price(folder, capsys):
    change(folder, label__teacher="claude", label__model="claude-mythos-5-2")
    assert "claude-mythos-5-2: not told by that source, and assumed:" in estimated(capsys)[1]
    change(folder, label__model="gpt-5")
    with pytest.raises(UserError, match=r"gpt-5: no price is known.*prices\.yaml"):
        print_estimate()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spending__budget_usd", -1.0), ("spending__batch_from", 0), ("label__max_tokens", 0), ("label__model", " "),
        ("label__teacher", "gpt"), ("gold__threshold", 1.5), ("gold__max_tokens", "many"), ("gold__teacher", None),
    ],
)  # fmt: skip
def test_params_without_sense_are_named(folder, name, value):
    change(folder, **{name: value})
    with pytest.raises(UserError, match=rf"params\.yaml: {name.replace('__', '.')}: "):
        print_estimate()
