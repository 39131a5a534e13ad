"""The base → SFT → RFT table: on the terminal, in the README, in the model card."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from luau_rft import tables
from luau_rft.errors import UserError
from luau_rft.evaluation.metrics import LABELS

REPORT = "reports/index.html"
MARKERS = ("<!-- results -->", "<!-- /results -->")
HEADINGS = ("Scorer", "Base", "SFT", "RFT", "Delta", "95 % interval")


def read_comparison(root: str | Path = ".") -> dict[str, Any]:
    """``metrics/compare.json``. Raises ``UserError`` when it is missing or lacks a metric."""
    path = Path(root, "metrics", "compare.json")
    return tables.read_json(path, "n_selected", *LABELS)


def read_measured(root: str | Path = ".") -> dict[str, Any]:
    """``metrics/rft.json``, for ``scale_note``. Raises ``UserError`` when it is missing or lacks what that states."""
    return tables.read_json(Path(root, "metrics", "rft.json"), "n_tasks", "n_samples", "judge_backend")


def table_rows(comparison: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The table's cells under ``HEADINGS``: label, base, SFT, RFT, delta (RFT - SFT) and its 95 % interval."""
    return [
        (
            label,
            *(number(comparison[metric][model]) for model in ("base", "sft", "rft")),
            number(comparison[metric]["delta"], "+"),
            interval(comparison[metric]),
        )
        for metric, label in LABELS.items()
    ]


def number(value: float | None, sign: str = "") -> str:
    """Three decimals, a dash for what was not measured.

    >>> number(0.5), number(-0.0001, "+"), number(None)
    ('0.500', '+0.000', '-')
    """
    if value is None:
        return "-"
    return f"{round(value, 3) + 0.0:{sign}.3f}"


def interval(entry: Mapping[str, Any]) -> str:
    """A metric's 95 % interval in brackets, a dash for what was not measured."""
    if entry["ci_low"] is None:
        return "-"
    return f"[{number(entry['ci_low'], '+')}, {number(entry['ci_high'], '+')}]"


def verdict(comparison: Mapping[str, Any]) -> str:
    """One sentence on whether the reward of RFT differs from that of SFT; no gain is claimed where none is shown."""
    if comparison["n_selected"] == 0:
        return "Nothing was selected, so there is no gain to show."
    entry = comparison["reward"]
    if entry["ci_low"] <= 0 <= entry["ci_high"]:
        return "No difference in reward shown between SFT and RFT."
    return f"RFT earns a {'lower' if entry['delta'] < 0 else 'higher'} reward than SFT."


def reward_change(comparison: Mapping[str, Any]) -> str:
    """The figures behind the verdict."""
    entry = comparison["reward"]
    figures = f"{number(entry['base'])} (base) → {number(entry['sft'])} (SFT) → {number(entry['rft'])} (RFT)"
    return f"Reward {figures}; RFT - SFT {number(entry['delta'], '+')}, 95 % interval {interval(entry)}."


def selection_note(comparison: Mapping[str, Any]) -> str:
    """What every table says about the selection behind the RFT column."""
    n = comparison["n_selected"]
    if n == 0:
        return (
            "Nothing was selected: RFT was trained on the SFT data alone, so the difference between SFT and RFT is "
            "that of two training runs, not a gain from selection."
        )
    return f"{n} selected candidate{'s were' if n > 1 else ' was'} added to the SFT data for RFT."


def scale_note(measured: Mapping[str, Any]) -> str:
    """What the numbers were measured on, from a model's metrics; it is the same for all of them."""
    return (
        f"Means over {measured['n_tasks']} held-out tasks with {measured['n_samples']} samples a model, judge: "
        f"{measured['judge_backend']}. Delta is RFT - SFT, its interval a paired bootstrap over tasks."
    )


def judge_note(health: Mapping[str, Any]) -> str:
    """What the judge's numbers are worth, from ``metrics/judge.json``."""
    auc, good, bad = (number(health[name]) for name in ("auc", "good_mean", "bad_mean"))
    undecided = f" ({health['n_undecided']} undecided)" if health["n_undecided"] else ""
    return (
        f"Judge health: {health['judge_backend']} told good from bad with an AUC of {auc} on {health['n']} programs "
        f"of known worth{undecided}: means {good} and {bad}. The largest move of a value by text that speaks to the "
        f"judge was {number(health['move_largest'], '+')}."
    )


def markdown_table(comparison: Mapping[str, Any], bold: str = "rft") -> str:
    """The table in Markdown; the column of the model ``bold`` stands out."""
    strong = {"base": 1, "sft": 2, "rft": 3}[bold]
    lines = [f"| {' | '.join(HEADINGS)} |", f"|---|{'---:|' * (len(HEADINGS) - 1)}"]
    for cells in table_rows(comparison):
        marked = [f"**{cell}**" if column == strong else cell for column, cell in enumerate(cells)]
        lines.append(f"| {' | '.join(marked)} |")
    return "\n".join(lines)


def results_markdown(root: str | Path = ".") -> str:
    """What the README says: the verdict, the table and what it was measured on."""
    comparison, notes = read_comparison(root), _notes(root)
    return f"**{verdict(comparison)}**\n\n{markdown_table(comparison)}\n\n{notes}"


def _notes(root: str | Path) -> str:
    return f"{scale_note(read_measured(root))} {selection_note(read_comparison(root))}"


def print_results(root: str | Path = ".") -> None:
    """Print the table, what it was measured on and where the report page is."""
    from rich.console import Console
    from rich.table import Table

    comparison = read_comparison(root)
    table = Table(*HEADINGS, title="Held-out tasks: base → SFT → RFT")
    for column in table.columns[1:]:
        column.justify = "right"
    for metric, cells in zip(LABELS, table_rows(comparison), strict=True):
        # The seed's four scorers and their composite, then judge and reward, then rates.
        table.add_row(*cells, end_section=metric in ("composite", "reward"))
    console = Console()
    console.print(table)
    console.print(verdict(comparison), style="bold")
    console.print(_notes(root), highlight=False)
    console.print(f"Report: {Path(root, REPORT)}", highlight=False)


def update_readme(path: str | Path, root: str | Path = ".") -> None:
    """Put the current table between the README's markers. Raises ``UserError`` when they are not there once each."""
    path = Path(path)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    start, end = MARKERS
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        raise UserError(f"{path}: expected {start} and, after it, {end}, once each, around the results table")
    before, after = text.split(start)[0], text.split(end)[1]
    path.write_text(f"{before}{start}\n\n{results_markdown(root)}\n\n{end}{after}", encoding="utf-8")
