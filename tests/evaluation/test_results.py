"""The results table on the terminal and in the README."""

import pytest

from luau_rft import tables
from luau_rft.errors import UserError
from luau_rft.evaluation.metrics import LABELS
from luau_rft.evaluation.results import HEADINGS, print_results, results_markdown, update_readme


def entry(base: float, sft: float, rft: float, low: float, high: float) -> dict:
    return {"base": base, "sft": sft, "rft": rft, "delta": rft - sft, "ci_low": low, "ci_high": high, "p_better": 0.9}


@pytest.fixture
def root(tmp_path):
    write(tmp_path)
    return tmp_path


def write(root, n_selected: int = 3, **changed: dict) -> None:
    unmeasured = dict.fromkeys(("base", "sft", "rft", "delta", "ci_low", "ci_high", "p_better"))
    comparison = dict.fromkeys(LABELS, entry(0.1, 0.5, 0.6, 0.02, 0.2)) | {"pass_at_1": unmeasured} | changed
    tables.write_json(comparison | {"n_selected": n_selected}, root / "metrics/compare.json")
    measured = {"n_tasks": 8, "n_samples": 16, "judge_backend": "execution"}
    tables.write_json(measured, root / "metrics/rft.json")


def test_markdown_has_a_row_a_metric_in_order(root):
    lines = [line for line in results_markdown(root).splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert tuple(cells[0]) == HEADINGS
    assert [row[0] for row in cells[2:]] == list(LABELS.values())
    assert cells[2] == ["Syntax", "0.100", "0.500", "**0.600**", "+0.100", "[+0.020, +0.200]"]
    assert cells[-1] == ["Pass@1", "-", "-", "**-**", "-", "-"]


@pytest.mark.parametrize(
    ("n", "note"),
    [(0, "Nothing was selected"), (1, "1 selected candidate was added"), (3, "3 selected candidates were")],
)
def test_every_table_says_what_was_selected(root, capsys, n, note):
    write(root, n)
    print_results(root)
    assert note in " ".join(capsys.readouterr().out.split())
    assert note in results_markdown(root)


@pytest.mark.parametrize(
    ("n", "low", "high", "verdict"),
    [
        (3, 0.01, 0.2, "RFT earns a higher reward than SFT."),
        (3, -0.01, 0.2, "No difference in reward shown"),
        (0, 0.01, 0.2, "Nothing was selected, so there is no gain to show"),
        (3, 0.0, 0.0, "No difference in reward shown"),
    ],
)
def test_no_gain_is_claimed_where_none_is_shown(root, n, low, high, verdict):
    write(root, n, reward=entry(0.1, 0.5, 0.6, low, high))
    assert results_markdown(root).startswith(f"**{verdict}")


def test_a_loss_is_called_a_loss(root):
    write(root, reward=entry(0.1, 0.6, 0.5, -0.2, -0.01))
    assert "RFT earns a lower reward" in results_markdown(root)


def test_terminal_shows_table_and_report(root, capsys):
    print_results(root)
    shown = capsys.readouterr().out
    assert all(label in shown for label in LABELS.values())
    assert "reports/index.html" in "".join(shown.split())


def test_readme_section_is_replaced_and_nothing_else(root):
    readme = root / "README.md"
    readme.write_text("# Title\n\n<!-- results -->\nold\n<!-- /results -->\n\nrest | of | it\n")
    update_readme(readme, root)
    once = readme.read_text()
    assert once == f"# Title\n\n<!-- results -->\n\n{results_markdown(root)}\n\n<!-- /results -->\n\nrest | of | it\n"
    update_readme(readme, root)
    assert readme.read_text() == once


@pytest.mark.parametrize("text", ["no markers", "<!-- /results --> <!-- results -->", "<!-- results --> only"])
def test_a_readme_without_its_markers_is_left_alone(root, text):
    (root / "README.md").write_text(text)
    with pytest.raises(UserError, match=r"README\.md: expected <!-- results -->"):
        update_readme(root / "README.md", root)
    assert (root / "README.md").read_text() == text


def test_missing_or_old_metrics_are_named(root):
    tables.write_json({"n_selected": 1}, root / "metrics/compare.json")
    with pytest.raises(UserError, match=r"metrics/compare\.json: syntax is missing"):
        print_results(root)
    (root / "metrics/compare.json").unlink()
    with pytest.raises(UserError, match=r"metrics/compare\.json: no such file"):
        print_results(root)
