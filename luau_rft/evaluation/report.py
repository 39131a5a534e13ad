"""The report page: one HTML file without outside resources. Whatever a model wrote in it is text, never markup."""

import base64
import csv
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from luau_rft import pools, tables
from luau_rft.evaluation import results
from luau_rft.evaluation.metrics import LABELS, LOWER_IS_BETTER
from luau_rft.luau.lexer import tokens
from luau_rft.reward import Weights, reward

TEMPLATE = Path(__file__).parent / "report.html.j2"
STYLE = Path(__file__).parent / "report.css"
SCRIPT = Path(__file__).parent / "report.js"

POOL_LABELS = {"eval-base": "Base", "eval-sft": "SFT", "eval-rft": "RFT", "train": "SFT, for selection"}
# Control characters, and those that turn the direction of text so that code reads as it does not run.
INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
KEYWORDS = {
    "and", "break", "continue", "do", "else", "elseif", "end", "export", "false", "for", "function", "if", "in",
    "local", "nil", "not", "or", "repeat", "return", "then", "true", "type", "until", "while",
}  # fmt: skip
TAGS = {"comment": "i", "string": "q", "number": "u"}


def render(root: str | Path = ".", weights: Weights | None = None) -> str:
    """The page for the tables and metrics below ``root``; the same files give the same page.

    Raises ``UserError`` when a table or a metrics file is missing or not what it should be.
    """
    root = Path(root)
    style, script = (path.read_text(encoding="utf-8") for path in (STYLE, SCRIPT))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(number=results.number, interval=results.interval, visible=visible)
    comparison = results.read_comparison(root)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        policy=f"default-src 'none'; style-src {_source(style)}; script-src {_source(script)}; "
        "base-uri 'none'; form-action 'none'",
        style=Markup(style),
        script=Markup(script),
        base=tables.read_json(root / "models/base.json"),
        verdict=results.verdict(comparison),
        change=results.reward_change(comparison),
        notes=(
            results.scale_note(results.read_measured(root)),
            results.selection_note(comparison),
            results.judge_note(tables.read_json(root / "metrics/judge.json", "judge_backend", "auc", "n")),
        ),
        comparison=comparison,
        labels=LABELS,
        lower_is_better=LOWER_IS_BETTER,
        span=_span(comparison),
        funnels=funnels(tables.read_json(root / "metrics/data.json", "collect", "corpus", "gold")),
        selection=tables.read_json(root / "metrics/selection.json", "n_kept"),
        charts=[chart for name in ("sft", "rft") if (chart := loss_chart(root / "metrics/train" / name, name.upper()))],
        pools=POOL_LABELS,
        tasks=_tasks(root, weights or Weights()),
    )


def _source(text: str) -> str:
    """What the page's security policy calls an inline style or script of exactly this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _span(comparison: Mapping[str, Any]) -> float:
    """The largest distance from 0 of any interval's end, at which the plots of differences end."""
    ends = [comparison[metric][end] or 0.0 for metric in LABELS for end in ("ci_low", "ci_high")]
    return max(0.05, *(abs(end) for end in ends))


def _tasks(root: Path, weights: Weights) -> list[dict[str, Any]]:
    """Held-out tasks first, then the others, each with its candidates by pool."""
    chosen = {(row["task_id"], row["index"]): row for row in _selection(root)}
    shown: dict[tuple[str, str], dict[str, Any]] = {}
    for pool in POOL_LABELS:
        rows = pools.read(pool, root).to_dicts()
        tasks = pools.tasks(pool, {row["task_id"] for row in rows}, root)
        for row in rows:
            task = tasks[row["task_id"]]
            entry = shown.setdefault((pools.split(pool), task.id), {"task": task, "pools": {}})
            entry["split"] = pools.split(pool)
            entry["reference"] = code_lines(task.reference, ())
            choice = chosen.get((task.id, row["index"])) if pool == "train" else None
            entry["pools"].setdefault(pool, []).append(_candidate(row, choice, weights))
    for entry in shown.values():
        entry["means"] = {
            pool: sum(candidate["reward"] or 0.0 for candidate in candidates) / len(candidates)
            for pool, candidates in entry["pools"].items()
        }
    return [shown[key] for key in sorted(shown)]


def _selection(root: Path) -> list[dict[str, Any]]:
    return tables.read(root / "data/selection.parquet", "selection").to_dicts()


def _candidate(row: Mapping[str, Any], choice: Mapping[str, Any] | None, weights: Weights) -> dict[str, Any]:
    lines = code_lines(row["code"], row["findings"])
    return dict(row) | {
        "reward": reward(row["composite"], row["judgment"], weights),
        "choice": choice,
        "lines": lines,
        "elsewhere": [finding for finding in row["findings"] if not 1 <= finding["line"] <= len(lines)],
    }


def code_lines(code: str, findings: Iterable[Mapping[str, Any]]) -> list[tuple[Markup, list[Mapping[str, Any]]]]:
    """The program's lines as escaped markup with comments, strings, numbers and keywords marked, and their findings.

    >>> code_lines("return 1 < x", ())
    [(Markup('<b>return</b> <u>1</u> &lt; x'), [])]
    """
    parts: list[Markup] = []
    end = 0
    for token in tokens(code):
        tag = "b" if token.text in KEYWORDS else TAGS.get(token.kind)
        if tag is None:
            continue
        parts.append(escape(visible(code[end : token.start])))
        # A tag closes with its line, as each line stands by itself.
        pieces = [Markup(f"<{tag}>%s</{tag}>") % line if line else "" for line in visible(token.text).split("\n")]
        parts.append(Markup("\n").join(pieces))
        end = token.end
    parts.append(escape(visible(code[end:])))
    by_line: dict[int, list[Mapping[str, Any]]] = {}
    for finding in findings:
        by_line.setdefault(finding["line"], []).append(finding)
    lines = Markup("").join(parts).rstrip("\n").split("\n")
    return [(line, by_line.get(number, [])) for number, line in enumerate(lines, start=1)]


def visible(text: str) -> str:
    """Text in which characters that hide or reorder others are spelled out.

    >>> visible("safe\\u202eedoc")
    'safe⟨202E⟩edoc'
    """
    return INVISIBLE.sub(lambda match: f"⟨{ord(match[0]):04X}⟩", text.replace("\r\n", "\n"))


def funnels(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """``metrics/data.json`` as bars by origin: what came in, then what each filter left and dropped."""
    collected = [(name, step) for name, step in data["collect"].items() if "after" in step]
    # JSON keeps no order of filters, but each gets what the one before it left.
    collected.sort(key=lambda item: (-item[1]["before"]["rows"], -item[1]["after"]["rows"]))
    shown = []
    for origin, steps in (("corpus", collected), ("gold", [])):
        steps = [*steps, ("scores", data[origin])]
        bars = [{"name": "in"} | steps[0][1]["before"] | {"dropped": {}}]
        for name, step in steps:
            # The corpus's own filters count rows, the last one rows and tokens.
            dropped = {why: lost if isinstance(lost, int) else lost["rows"] for why, lost in step["dropped"].items()}
            bars.append({"name": name} | step["after"] | {"dropped": dropped})
        shown.append({"origin": origin, "bars": bars, "most": max(1, *(bar["rows"] for bar in bars))})
    return shown


def loss_chart(folder: Path, name: str, width: int = 520, height: int = 200) -> dict[str, Any] | None:
    """A training's loss by step, from DVCLive's table, as the points of a line; None when there is no such table."""
    path = folder / "plots/metrics/loss.tsv"
    if not path.exists():
        return None
    with path.open(encoding="utf-8", newline="") as file:
        curve = [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(file, delimiter="\t")]
    if not curve:
        return None
    first, last = curve[0][0], curve[-1][0]
    top = max(loss for _, loss in curve) * 1.05 or 1.0
    left, bottom = 40, height - 24

    def x(step: float) -> float:
        return round(left + (step - first) / max(last - first, 1) * (width - left - 12), 1)

    def y(loss: float) -> float:
        return round(bottom - loss / top * (bottom - 10), 1)

    return {
        "name": name,
        "width": width,
        "height": height,
        "points": " ".join(f"{x(step)},{y(loss)}" for step, loss in curve),
        "final": curve[-1][1],
        "steps": len(curve),
        "x_ticks": [(x(step), step) for step in sorted({first, (first + last) // 2, last})],
        "y_ticks": [(y(top * share), f"{top * share:.2f}") for share in (0.0, 0.5, 1.0)],
    }
