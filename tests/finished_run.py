"""A small pipeline's files up to the judgments, as the stages from select on read them, without a model in sight."""

import random
import shutil
from pathlib import Path
from typing import Any

import yaml

from luau_rft import tables
from luau_rft.model.base import BaseRecord, HubSource, write_record

ROOT = Path(__file__).parents[1]
BASE = "org/tiny"
CATEGORIES = ("npc-behaviour", "game-mechanics", "data-persistence", "ui", "physics", "networking")
DATA = {
    "collect": {
        "read": {"rows": 500, "tokens": 250_000},
        "length": {"before": {"rows": 500, "tokens": 250_000}, "after": {"rows": 180, "tokens": 60_000},
                   "dropped": {"longer than collect.bounds.max_tokens": 250, "shorter than min_tokens": 70}},
        "duplicates": {"before": {"rows": 180, "tokens": 60_000}, "after": {"rows": 90, "tokens": 31_000},
                       "dropped": {"near copy of another": 90}},
    },
    "corpus": {"before": {"rows": 90, "tokens": 31_000}, "after": {"rows": 20, "tokens": 25_000},
               "dropped": {"below threshold 0.75": {"rows": 70, "tokens": 6_000}}},
    "gold": {"before": {"rows": 12, "tokens": 2_000}, "after": {"rows": 12, "tokens": 2_000}, "dropped": {}},
}  # fmt: skip
HEALTH = {
    "auc": 0.98, "good_mean": 0.95, "bad_mean": 0.4, "spread": None, "move_largest": 0.05, "move_mean": 0.01, "n": 62,
    "n_undecided": 1,
}  # fmt: skip
HOSTILE = "-- </script><script>alert(1)</script> <img src=x onerror=alert(2)> & \"quoted\" 'too'"
QUALITY = {"train": 0.7, "eval-base": 0.2, "eval-sft": 0.6, "eval-rft": 0.75}


def make(root: Path, train: int = 12, evaluated: int = 6, judge: str = "execution") -> None:
    """Write params, tasks, the SFT table and four judged pools below ``root``; the same arguments, the same bytes."""
    shutil.copy(ROOT / "params.yaml", root / "params.yaml")
    for split, count in (("train", train), ("eval", evaluated)):
        for number in range(count):
            _task(root, split, number)
    sft = [_training_row("corpus", None, number) for number in range(20)]
    sft += [_training_row("gold", f"train-{number}", 100 + number) for number in range(train)]
    tables.write(sft, root / "data/sft.parquet", "sft")
    corpus = {"source": "npm", "path": "init.luau", "license": "MIT", "code": "return 1"}
    corpus = [corpus | {"id": str(number), "package": f"@org/package-{number}"} for number in range(3)]
    tables.write(corpus, root / "data/corpus.parquet", "corpus")
    for pool, quality in QUALITY.items():
        split, count, samples = ("train", train, 4) if pool == "train" else ("eval", evaluated, 2)
        _pool(root / "data" / pool, [f"{split}-{number}" for number in range(count)], samples, quality, judge)
    record = {
        "source": "hub",
        "name": BASE,
        "license": "apache-2.0",
        "hub": HubSource(),
        "revision": "main",
        "files": {},
    }
    tables.write_json(DATA, root / "metrics/data.json")
    tables.write_json(HEALTH | {"judge_backend": judge}, root / "metrics/judge.json")
    (root / "models").mkdir()
    write_record(BaseRecord(**record), root / "models/base.json")
    for training in ("sft", "rft"):
        adapter = root / "models" / training
        adapter.mkdir()
        tables.write_json({"base_model_name_or_path": BASE}, adapter / "adapter_config.json")
        (adapter / "adapter_model.safetensors").write_bytes(training.encode())
        _curve(root / "metrics/train" / training / "plots/metrics/loss.tsv")


def _curve(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("step\tloss\n" + "".join(f"{step}\t{3 / step**0.5}\n" for step in range(1, 41)), encoding="utf-8")


def program(number: int, lines: int = 12) -> str:
    """A distinct program a number."""
    choose = random.Random(number)
    names = ["door", "coins", "wave", "npc", "score", "timer", "part", "remote"]
    body = [
        f"local {choose.choice(names)}{line} = {choose.choice(names)}({choose.randrange(1000)}, {number})"
        for line in range(lines)
    ]
    return "\n".join(['local Players = game:GetService("Players")', HOSTILE, *body, ""])


def _task(root: Path, split: str, number: int) -> None:
    folder = root / "data" / "tasks" / split / f"{split}-{number}"
    folder.mkdir(parents=True)
    description = {
        "id": folder.name,
        "title": f"Task {number} of {split}",
        "prompt": f"Write script number {number}: when a player joins, show <b>{number}</b> coins.",
        "category": CATEGORIES[number % len(CATEGORIES)],
        "difficulty": ("easy", "medium", "hard")[number % 3],
        "kind": ("server", "client", "module")[number % 3],
        "requires": {"services": ["Players"]},
    }
    (folder / "task.yaml").write_text(yaml.safe_dump(description), encoding="utf-8")
    (folder / "reference.luau").write_text(program(1000 + number), encoding="utf-8")
    (folder / "checks.luau").write_text("return { checks = {} }\n", encoding="utf-8")


def _training_row(origin: str, task_id: str | None, number: int) -> dict[str, Any]:
    task, code = f"Do thing {number}", program(number)
    return {
        "id": tables.content_hash(origin, task, code),
        "origin": origin,
        "task_id": task_id,
        "task": task,
        "code": code,
    }


def _pool(folder: Path, task_ids: list[str], samples: int, quality: float, judge: str) -> None:
    rows: dict[str, list[dict[str, Any]]] = {"candidates": [], "scores": [], "judgments": []}
    choose = random.Random(folder.name)
    for number, task_id in enumerate(task_ids):
        for index in range(samples):
            key = {"task_id": task_id, "index": index}
            # Every ninth candidate repeats a training program.
            copied = (number * samples + index) % 9 == 8
            code = program(number if copied else choose.randrange(10**6))
            rows["candidates"].append(key | {
                "key": tables.content_hash(folder.name, task_id, index), "seed": index, "model": folder.name,
                "text": f"```lua\n{code}```", "code": code, "cleaned": choose.random() < 0.3, "tokens": 150,
                "finish_reason": choose.choice(["stop", "stop", "length"]),
            })  # fmt: skip
            compiles = choose.random() < quality + 0.2
            four = {
                name: round(choose.uniform(quality - 0.2, quality + 0.25), 3)
                for name in ("syntax", "api", "bugs", "quality")
            }
            composite = sum(four.values()) / 4
            finding = {"rule": "unknown-service", "scorer": "api", "line": 1, "column": 17, "message": "no <Players>",
                       "penalty": 0.1}  # fmt: skip
            rows["scores"].append(key | four | {
                "compiles": compiles, "composite": composite if compiles else min(composite, 0.5),
                "findings": [finding, finding | {"rule": "no-comment", "scorer": "quality", "line": 5}][: index + 1],
            })  # fmt: skip
            value = None if choose.random() < 0.06 else round(choose.uniform(0.3, 1.0), 3) if compiles else 0.0
            total = 5 if judge == "execution" else 0
            passed = round(total * (value or 0))
            rows["judgments"].append(key | {
                "key": tables.content_hash(task_id, code), "judge": judge, "functionality": value,
                "correctness": value, "completeness": value, "value": value, "spread": 0.0, "answers": 1,
                "reason": "not modelled: Workspace.Terrain" if value is None else f"passed {passed} of {total} checks",
                "checks_passed": passed, "checks_total": total, "checks_unknown": 1 if value is None else 0,
                "input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0,
            })  # fmt: skip
    for name, table_rows in rows.items():
        tables.write(table_rows, folder / f"{name}.parquet", name)
