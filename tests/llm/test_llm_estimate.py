"""Estimates: they agree with what the same questions cost at a server, and say what is not asked."""

import re

import pytest

from luau_rft.llm import prices
from luau_rft.llm.ask import ask
from luau_rft.llm.base import Usage
from luau_rft.llm.claude import Claude
from luau_rft.llm.estimate import Size, estimate, usage
from luau_rft.store import Store
from tests.llm.questions import FAST, MODEL, question, questions, spending

SIZES = [Size(1000, 200, f"task {number // 4}", 500, 100) for number in range(8)]


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "answers.sqlite") as store:
        yield store


def test_what_is_shared_is_written_once_and_then_read():
    found = usage(MODEL, SIZES, hits=1.0)
    assert found == Usage(input=8 * 500, cache_write=1000 + 2 * 200, cache_read=7 * 1000 + 6 * 200, output=800)


def test_a_miss_is_written_again():
    found = usage(MODEL, SIZES, hits=0.0)
    assert found == Usage(input=8 * 500, cache_write=8 * 1200, cache_read=0, output=800)


def test_what_is_too_short_or_asked_once_is_not_cached():
    short = [Size(200, 100, "a", 500, 100)] * 3
    assert usage(MODEL, short, hits=1.0) == Usage(input=3 * 800, output=300)
    assert usage(MODEL, SIZES[:1], hits=1.0) == Usage(input=1700, output=100)
    assert usage("claude-haiku-4-5", SIZES, hits=1.0) == Usage(input=8 * 1700, output=800)


def test_a_task_that_makes_the_beginning_long_enough_takes_the_rubric_with_it():
    sizes = [Size(400, 200, "a", 500, 100)] * 4 + [Size(400, 150, "b", 500, 100)] * 2
    assert usage(MODEL, sizes, hits=1.0) == Usage(
        input=3000, cache_write=600 + 550, cache_read=3 * 600 + 550, output=600
    )


def test_batches_cost_half_and_have_a_range():
    direct, batch = estimate(MODEL, SIZES, batch=False), estimate(MODEL, SIZES, batch=True)
    assert direct.cheapest == direct.dearest == prices.cost(MODEL, usage(MODEL, SIZES, 1.0), batch=False)
    assert batch.cheapest < batch.dearest < direct.cheapest
    assert re.fullmatch(
        r"8 requests in batches, about 4,000 input, 9,600 cached and 800 output tokens, \$0\.01 to \$0\.02", str(batch)
    )


def test_the_estimate_of_direct_requests_is_near_what_a_server_charges(claude_server, store):
    asked = questions(12)
    answers = ask(asked, Claude(MODEL, FAST), store, spending(now=True, concurrency=1))
    written = sum(answer.usage.cache_write for answer in answers.values())
    read = sum(answer.usage.cache_read for answer in answers.values())
    found = usage(MODEL, [Size.of(question) for question in asked], hits=1.0)
    assert read / (read + written) == pytest.approx(found.cache_read / (found.cache_read + found.cache_write), abs=0.05)


def test_the_first_line_counts_what_is_missing_and_equal_questions_once(claude_server, store, capsys):
    params = spending(now=True)

    def first_line(asked):
        capsys.readouterr()
        ask(asked, Claude(MODEL, FAST), store, params)
        return capsys.readouterr().out.splitlines()[0]

    assert f"{MODEL}: 1 direct request, about" in first_line([question(0)] * 3)
    assert f"{MODEL}: 5 direct requests" in first_line(questions(6))
    assert first_line(questions(6)) == "judge: nothing to ask: $0.00"


def test_batches_from_a_number_on_unless_it_is_to_be_now(monkeypatch):
    monkeypatch.delenv("LUAU_RFT_NOW", raising=False)
    assert not spending().batched(19)
    assert spending().batched(20)
    assert not spending(now=True).batched(20)
    monkeypatch.setenv("LUAU_RFT_NOW", "1")
    assert not spending().batched(20)
