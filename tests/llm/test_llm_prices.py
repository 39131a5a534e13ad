"""The price table: every living model, the formula, and what a user is told about others."""

import typing

import pytest
from anthropic.resources.messages.messages import DEPRECATED_MODELS
from anthropic.types import Model

from luau_rft.errors import UserError
from luau_rft.llm import prices
from luau_rft.llm.base import Question, Usage
from tests.llm.questions import Verdict

MODEL = "claude-sonnet-5-5"
ENDED = {"claude-mythos-preview"}  # before the table's date


def question(text="x" * 1000, schema=None):
    return Question("k", "judge", text, text, text, 500, schema)


def test_every_model_that_the_sdk_knows_and_that_lives_has_a_price():
    known = {name for part in typing.get_args(Model) for name in typing.get_args(part)}
    assert MODEL in known
    for name in known - ENDED:
        line = prices.price(name)
        assert 0 < line.input < line.output, name
        assert 0 < line.read < 1, name
        assert line.least in (512, 1024, 2048, 4096), name
    assert {name for name in ENDED if name in DEPRECATED_MODELS} == ENDED


def test_the_parts_of_a_use_cost_what_the_provider_lists():
    million = 1_000_000
    assert prices.cost(MODEL, Usage(input=million), batch=False) == pytest.approx(2.0)
    assert prices.cost(MODEL, Usage(cache_write=million), batch=False) == pytest.approx(2.5)
    assert prices.cost(MODEL, Usage(cache_read=million), batch=False) == pytest.approx(0.1)
    assert prices.cost(MODEL, Usage(output=million), batch=False) == pytest.approx(10.0)
    everything = Usage(million, million, million, million)
    assert prices.cost(MODEL, everything, batch=True) == pytest.approx(prices.cost(MODEL, everything, batch=False) / 2)
    assert prices.cost("claude-sonnet-4-5", Usage(cache_read=million), batch=False) == pytest.approx(0.3)


def test_a_long_prompt_costs_more_where_the_provider_says_so():
    short = prices.cost("claude-haiku-5-5", Usage(input=100_000, output=1000), batch=False)
    assert short == pytest.approx(0.0105)
    long = prices.cost("claude-haiku-5-5", Usage(input=50_000, cache_read=50_001, output=1000), batch=False)
    assert long == pytest.approx((50_000 * 0.5 + 50_001 * 0.05 + 1000 * 2.5) / 1e6)


def test_a_dated_name_has_the_price_of_the_model():
    assert prices.price("claude-haiku-4-5-20251001") == prices.price("claude-haiku-4-5")


@pytest.mark.parametrize("name", ["claude-sonnet-9", "gpt-5", "", "claude-haiku-4-5-fast"])
def test_a_model_without_a_price_names_the_file_and_the_models(name):
    with pytest.raises(UserError, match=rf"{name}: no price is known.*claude-sonnet-5-5.*prices\.yaml"):
        prices.cost(name, Usage(), batch=False)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("  claude-x: {input: -1, output: 2, read: 0.1, least: 512}", "models.claude-x.input"),
        ("  claude-x: {input: 1, output: 2, least: 512}", "models.claude-x.read"),
        ("  claude-x: {input: .inf, output: 2, read: 0.1, least: 512}", "models.claude-x.input"),
        ("  claude-x: {input: 1, output: 2, read: 0.1, least: 512, cheap: yes}", "models.claude-x.cheap"),
        ("  claude-x: [", "not valid YAML"),
    ],
)
def test_a_mistake_in_the_table_is_named(tmp_path, monkeypatch, line, told):
    path = tmp_path / "prices.yaml"
    path.write_text(prices.FILE.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    monkeypatch.setattr(prices, "FILE", path)
    prices.table.cache_clear()
    try:
        with pytest.raises(UserError, match=f"prices.yaml: {told}"):
            prices.price(MODEL)
    finally:
        prices.table.cache_clear()


@pytest.mark.parametrize("text", ["local door = workspace.Door\n" * 60, "扉を開けてください" * 60, "({[<%$#@!]})" * 60])
def test_the_ceiling_is_above_every_use_of_a_question(text):
    asked = question(text)
    worst = Usage(cache_write=3 * prices.tokens(text), output=500)
    for batch in (False, True):
        assert prices.ceiling(MODEL, asked, batch) >= prices.cost(MODEL, worst, batch)
    assert prices.ceiling(MODEL, question(text, Verdict), False) > prices.ceiling(MODEL, asked, False)
