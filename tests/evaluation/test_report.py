"""The report page: whole, self-contained, and deaf to what models write into it."""

import base64
import hashlib
from html.parser import HTMLParser

import finished_run
import pytest

from luau_rft import tables
from luau_rft.errors import UserError
from luau_rft.evaluation.metrics import LABELS
from luau_rft.evaluation.report import code_lines, funnels, loss_chart, render, visible
from stages import evaluate, select

VOID = {"meta", "input", "circle", "path", "rect", "polyline", "br"}


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, and the text inside each kind of element."""

    def __init__(self, html: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in set(self.open):
            self.text[tag] = self.text.get(tag, "") + data

    def of(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        return [found for name, found in self.elements if name == tag and attributes.items() <= found.items()]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("report")
    finished_run.make(root, train=4, evaluated=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        select.main()
        evaluate.main()
    return root


@pytest.fixture(scope="module")
def html(root):
    return render(root)


@pytest.fixture(scope="module")
def page(html):
    page = Page(html)
    assert page.open == []
    return page


def test_what_models_write_is_text(html, page):
    assert len(page.of("script")) == 1
    assert not page.of("img")
    assert not page.of("b", **{"onerror": "alert(2)"})
    for tag in ("pre", "code", "li"):
        assert "alert(1)" not in "".join(value or "" for found in page.of(tag) for value in found.values())
    assert finished_run.HOSTILE in page.text["li"]
    assert "show <b>0</b> coins" in page.text["p"]
    assert "no <Players>" in page.text["li"]
    assert html.count(finished_run.HOSTILE) == 0


def test_no_outside_resources_and_a_policy_that_admits_only_its_own_style_and_script(html, page):
    assert not {"link", "img", "iframe", "object", "base", "embed"} & {name for name, _ in page.elements}
    targets = {
        value for _, found in page.elements for name, value in found.items() if name in ("src", "href", "action")
    }
    assert targets
    assert all(target.startswith("#") for target in targets)
    assert not any(name.startswith("on") or name == "style" for _, found in page.elements for name in found)
    (policy,) = page.of("meta", **{"http-equiv": "Content-Security-Policy"})
    for tag in ("style", "script"):
        content = html.split(f"<{tag}>")[1].split(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy["content"]
    assert policy["content"].startswith("default-src 'none'")


def test_links_and_fields_lead_somewhere(page):
    ids = {found["id"] for _, found in page.elements if "id" in found}
    assert {found["href"].removeprefix("#") for found in page.of("a")} <= ids
    assert {found["name"] for name, found in page.elements if name in ("input", "select")} == {
        "text", "pool", "category", "state",
    }  # fmt: skip


def test_every_candidate_and_metric_is_shown(root, page):
    by_pool = {pool: len(page.of("details", **{"data-pool": pool})) for pool in finished_run.QUALITY}
    assert by_pool == {"train": 16, "eval-base": 6, "eval-sft": 6, "eval-rft": 6}
    assert all(label in page.text["table"] for label in LABELS.values())
    assert len(page.of("polyline")) == 2
    kept = [found for found in page.of("details") if " kept" in (found.get("data-state") or "")]
    assert len(kept) == tables.read_json(root / "metrics/selection.json")["n_kept"] > 0
    reasons = tables.read(root / "data/selection.parquet", "selection")["reason"]
    assert all(reason in page.text["summary"] for reason in reasons)


def test_what_the_judge_is_worth_is_told(page):
    assert (
        "execution told good from bad with an AUC of 0.980 on 62 programs of known worth (1 undecided)"
        in (page.text["header"])
    )


def test_code_keeps_its_characters_and_gets_its_findings():
    code = 'local a = [[two\nlines <b>]] -- "c"\nif a then print(1e5, `x`) end\n'
    finding = {"line": 2, "rule": "r", "message": "m"}
    lines = code_lines(code, [finding])
    assert Page(str(lines[0][0])).elements == [("b", {}), ("q", {})]
    texts = []
    for line, _ in lines:
        reader = HTMLParser()
        parts: list[str] = []
        reader.handle_data = parts.append
        reader.feed(str(line))
        reader.close()
        texts.append("".join(parts))
    assert "\n".join(texts) + "\n" == code
    assert [findings for _, findings in lines] == [[], [finding], []]


@pytest.mark.parametrize("code", ["", "\n\n", "]]]]", '"open', "--[[ open", "\x00\x1b[31m", "\u202eedoc", "a\r\nb\rc"])
def test_odd_code_is_shown(code):
    lines = code_lines(code, ())
    assert lines
    assert not any(character in str(line) for line, _ in lines for character in "\x00\x1b\u202e\r")


def test_hidden_characters_are_spelled_out():
    assert visible("a\u200bb\x00\tc\r\n") == "a⟨200B⟩b⟨0000⟩\tc\n"


def test_funnel_follows_the_filters():
    corpus, gold = funnels(finished_run.DATA)
    assert [(bar["name"], bar["rows"]) for bar in corpus["bars"]] == [
        ("in", 500), ("length", 180), ("duplicates", 90), ("scores", 20),
    ]  # fmt: skip
    assert corpus["bars"][-1]["dropped"] == {"below threshold 0.75": 70}
    assert [(bar["name"], bar["rows"]) for bar in gold["bars"]] == [("in", 12), ("scores", 12)]


def test_loss_chart_fits_its_frame(root, tmp_path):
    chart = loss_chart(root / "metrics/train/sft", "SFT")
    points = [tuple(map(float, point.split(","))) for point in chart["points"].split()]
    assert len(points) == chart["steps"] == 40
    assert all(0 < x < chart["width"] and 0 < y < chart["height"] for x, y in points)
    assert [y for _, y in points] == sorted(y for _, y in points)
    assert loss_chart(tmp_path, "SFT") is None


def test_a_missing_table_is_named(root, tmp_path):
    finished_run.make(tmp_path, train=2, evaluated=2)
    with pytest.raises(UserError, match=r"metrics/compare\.json: no such file"):
        render(tmp_path)
