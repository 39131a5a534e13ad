"""Direct requests to Claude: what comes back, what goes wrong, what is kept. The SDK against a real server."""

import json
import re
import time
from dataclasses import replace

import pytest

from luau_rft.config import load
from luau_rft.errors import UserError
from luau_rft.llm.ask import ask
from luau_rft.llm.base import Answer, Usage
from luau_rft.llm.batches import Pace
from luau_rft.llm.books import Spending
from luau_rft.llm.claude import Claude
from luau_rft.store import Store
from tests.llm.questions import FAST, MODEL, Verdict, prompt, question, questions, spending
from tests.project import ROOT

DIRECT = spending(now=True)
GOOD = '{"functionality": 0.5, "reason": "opens"}'


@pytest.fixture
def store(claude_server):
    with Store() as store:
        yield store


def sent(claude_server) -> dict[str, dict]:
    """The bodies of the direct requests by their prompt."""
    return {b["messages"][0]["content"][-1]["text"]: b for name, b in claude_server.requests if name == "messages"}


def charges(store: Store) -> list[str]:
    with store.transaction() as connection:
        return [row["why"] for row in connection.execute("SELECT why FROM charges ORDER BY created")]


def test_every_question_is_answered_in_the_questions_order(claude_server, store):
    answers = ask(questions(10), Claude(MODEL, FAST), store, DIRECT)
    assert list(answers) == [q.key for q in questions(10)]
    assert all(a.status == "answered" and Verdict.model_validate_json(a.text) for a in answers.values())
    assert set(claude_server.asked().values()) == {1}
    assert 0 < store.spent() == pytest.approx(sum(a.cost_usd for a in answers.values()))
    assert any(a.usage.cache_read for a in answers.values())


def test_a_second_run_makes_no_request_and_a_larger_one_asks_only_for_the_new_ones(claude_server, store, capsys):
    first = ask(questions(6), Claude(MODEL, FAST), store, DIRECT)
    before = len(claude_server.requests)
    assert ask(questions(6), Claude(MODEL, FAST), store, DIRECT) == first
    assert len(claude_server.requests) == before
    capsys.readouterr()
    ask(questions(8), Claude(MODEL, FAST), store, DIRECT)
    assert claude_server.asked() == {prompt(n): 1 for n in range(8)}
    out = capsys.readouterr().out
    [first] = [line for line in out.splitlines() if MODEL in line]
    assert re.fullmatch(
        rf"judge: {MODEL}: 2 direct requests, about .* tokens, \$0\.\d\d by the prices of 20\d\d-\d\d-\d\d, "
        r"at most \$0\.\d\d; 6 of 8 answers are in the store",
        first,
    )
    assert "judge: 2/2 in " in out


def test_what_another_process_has_got_in_the_meantime_is_not_asked(claude_server, store):
    free = claude_server.answer

    def answer(params):
        with Store() as other:
            for number in range(1, 6):
                other.put(
                    Answer(question(number).key, "answered", free(params), MODEL, Usage(output=1), 0.001), "judge"
                )
        return free(params)

    claude_server.answer = answer
    answers = ask(questions(8), Claude(MODEL, FAST), store, spending(now=True, concurrency=1))
    assert claude_server.asked() == {prompt(n): 1 for n in (0, 6, 7)}
    assert list(answers) == [q.key for q in questions(8)]


def test_half_a_surrogate_pair_in_an_answer_becomes_text(claude_server, store):
    claude_server.answer = lambda params: "print('\ud83d')"
    asked = question(1, schema=None)
    answer = ask([asked], Claude(MODEL, FAST), store, DIRECT)[asked.key]
    assert answer.text == "print('?')"


def test_identical_questions_are_asked_once(claude_server, store):
    answers = ask([question(1)] * 5, Claude(MODEL, FAST), store, DIRECT)
    assert list(answers) == ["key0001"]
    assert claude_server.asked() == {prompt(1): 1}


def test_the_request_caches_what_is_shared_and_long_enough_asks_for_json_and_turns_thinking_off(claude_server, store):
    long_tasks = [question(n, task=7) for n in range(3)] + [question(3, task=8)]
    ask(long_tasks, Claude(MODEL, FAST), store, DIRECT)
    bodies = sent(claude_server)
    body = bodies[prompt(0)]
    assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert body["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in body["messages"][0]["content"][1]
    assert "cache_control" not in bodies[prompt(3)]["messages"][0]["content"][0]  # its task is asked once
    assert body["thinking"] == {"type": "between_tools"}
    schema = body["output_config"]["format"]["schema"]
    assert schema["properties"]["functionality"]["type"] == "number"
    assert not {"temperature", "top_p", "top_k"} & set(body)


def test_short_or_single_texts_are_not_marked_for_the_cache(claude_server, store):
    ask([question(1)], Claude(MODEL, FAST), store, DIRECT)
    [body] = sent(claude_server).values()
    assert "cache_control" not in json.dumps(body)


def test_a_model_without_structured_output_is_told_the_schema_and_may_fence_its_json(claude_server, store):
    claude_server.unstructured_models.add(MODEL)
    claude_server.fail("messages", text=f"```json\n{GOOD}\n```")
    answers = ask([question(1)], Claude(MODEL, FAST), store, DIRECT)
    [body] = sent(claude_server).values()
    assert "output_config" not in body
    assert '"functionality"' in body["system"][0]["text"]
    assert answers["key0001"].text == GOOD


def test_plain_text_comes_back_as_it_is(claude_server, store):
    answer = ask([question(1, schema=None)], Claude(MODEL, FAST), store, DIRECT)["key0001"]
    assert answer.text.startswith("```luau\nlocal Players")


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429, "kind": "rate_limit_error", "headers": {"retry-after": "0.05"}},
        {"status": 429, "kind": "rate_limit_error"},
        {"status": 529, "kind": "overloaded_error"},
        {"status": 500, "kind": "api_error"},
        {"drop": True},
        {"hang_s": 1.0},
    ],
    ids=["429-retry-after", "429", "529", "500", "dropped", "time-out"],
)
def test_what_passes_is_retried(claude_server, store, fault, capsys):
    claude_server.fail("messages", match=prompt(2), **fault)
    pace = Pace(retries=3, timeout_s=0.5) if "hang_s" in fault else FAST
    answers = ask(questions(4), Claude(MODEL, pace), store, DIRECT)
    assert {a.status for a in answers.values()} == {"answered"}
    assert claude_server.asked() == {prompt(n): 2 if n == 2 else 1 for n in range(4)}
    assert "retries 1," in capsys.readouterr().out


def test_retry_after_is_waited_for(claude_server, store):
    claude_server.fail("messages", status=429, kind="rate_limit_error", headers={"retry-after": "1.2"})
    start = time.monotonic()
    ask([question(1)], Claude(MODEL, FAST), store, DIRECT)
    assert time.monotonic() - start >= 1.2  # the server's word, not a speed


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"functionality": 0.5', "Invalid JSON"),
        ('{"functionality": 0.5, "note": "x"}', "reason: Field required"),
        ('{"functionality": 1.5, "reason": "x"}', "functionality: Input should be less than or equal to 1"),
        ('{"functionality": -0.1, "reason": "x"}', "functionality: Input should be greater than or equal to 0"),
        ("I would give it nine points.", "Invalid JSON"),
        ("", "empty"),
        ("  \n", "empty"),
    ],
)
def test_a_useless_answer_is_charged_and_asked_again(claude_server, store, text, why):
    claude_server.fail("messages", text=text)
    answer = ask([question(1)], Claude(MODEL, FAST), store, DIRECT)["key0001"]
    assert answer.status == "answered"
    [noted] = charges(store)
    assert noted.startswith(why)
    assert store.spent() > answer.cost_usd


def test_an_answer_that_stays_useless_is_decided_so_that_it_is_not_paid_again(claude_server, store):
    claude_server.fail("messages", times=99, text='{"functionality": 7, "reason": "x"}')
    answer = ask([question(1)], Claude(MODEL, FAST), store, DIRECT)["key0001"]
    assert answer.status == "refused"
    assert answer.text == "functionality: Input should be less than or equal to 1, 3 times"
    assert claude_server.count("messages") == 3
    assert ask([question(1)], Claude(MODEL, FAST), store, DIRECT)["key0001"] == answer
    assert claude_server.count("messages") == 3


def test_a_refusal_is_an_answer(claude_server, store):
    claude_server.fail("messages", stop="refusal")
    answer = ask([question(1)], Claude(MODEL, FAST), store, DIRECT)["key0001"]
    assert (answer.status, answer.text) == ("refused", "cyber: I do not do that")
    assert answer.cost_usd > 0
    assert claude_server.count("messages") == 1


def test_a_truncated_answer_gets_twice_the_room_once(claude_server, store):
    claude_server.fail("messages", match=prompt(1), text='{"functio', stop="max_tokens")
    claude_server.fail("messages", match=prompt(2), text='{"functio', stop="max_tokens", times=9)
    answers = ask([question(1), question(2)], Claude(MODEL, FAST), store, DIRECT)
    assert [a.status for a in answers.values()] == ["answered", "truncated"]
    assert answers["key0002"].text == "longer than 600 tokens"
    assert charges(store) == ["longer than 300 tokens"] * 2
    room = [body["max_tokens"] for name, body in claude_server.requests if name == "messages"]
    assert sorted(room) == [300, 300, 600, 600]


@pytest.mark.parametrize(
    "body", ['{"id": "msg_', "[]", '"hello"', '{"type": "message"}', '{"content": null, "usage": {}}']
)
def test_a_body_that_is_no_message_is_asked_again_and_at_last_told(claude_server, store, body):
    claude_server.fail("messages", match=prompt(1), body=body)
    assert ask([question(1)], Claude(MODEL, FAST), store, DIRECT)["key0001"].status == "answered"
    assert charges(store) == []  # nobody knows of a price
    claude_server.fail("messages", match=prompt(2), body=body, times=9)
    with pytest.raises(UserError, match="what came back is no message of the API, 3 times"):
        ask([question(2)], Claude(MODEL, FAST), store, DIRECT)


def test_one_question_that_fails_loses_no_other(claude_server, store):
    claude_server.latency_s = 0.02
    claude_server.fail("messages", match=prompt(3), status=400, kind="invalid_request_error", message="too odd")
    with pytest.raises(UserError, match=r"does not take a request for claude-sonnet-5-5 \(400 .*: too odd"):
        ask(questions(12), Claude(MODEL, FAST), store, DIRECT)
    served = set(sent(claude_server))
    kept = store.get(q.key for q in questions(12))
    assert {prompt(int(key[3:])) for key in kept} == served - {prompt(3)}
    assert len(ask(questions(12), Claude(MODEL, FAST), store, DIRECT)) == 12
    assert claude_server.asked() == {prompt(n): 2 if n == 3 else 1 for n in range(12)}


@pytest.mark.parametrize("where", ["models", "messages"])
@pytest.mark.parametrize(
    "fault", [{"status": 401, "kind": "authentication_error"}, {"status": 403, "kind": "permission_error"}]
)
def test_a_wrong_key_stops_at_once_and_is_named(claude_server, store, where, fault):
    claude_server.fail(where, times=99, **fault)
    with pytest.raises(UserError, match=r"does not accept the key in ANTHROPIC_API_KEY.* 0 of 9 answers are"):
        ask(questions(9), Claude(MODEL, FAST), store, DIRECT)
    assert claude_server.count("messages") <= 1


def test_another_credential_is_named_by_its_own_variable(claude_server, store, monkeypatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token-of-the-tests")
    claude_server.workspaces = {}
    with pytest.raises(UserError, match="does not accept the key in ANTHROPIC_AUTH_TOKEN"):
        ask([question(1)], Claude(MODEL, FAST), store, DIRECT)


def test_no_key_at_all_is_told(claude_server, store, monkeypatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(UserError, match="no key for Claude: set ANTHROPIC_API_KEY"):
        ask([question(1)], Claude(MODEL, FAST), store, DIRECT)
    assert claude_server.requests == []


@pytest.mark.parametrize("key", ["sk-ant-ü", "sk-ant \n", "sk\tant"])
def test_a_key_that_cannot_be_sent_is_told_without_it(claude_server, store, monkeypatch, key):
    monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    with pytest.raises(UserError, match="ANTHROPIC_API_KEY: holds a character") as error:
        ask([question(1)], Claude(MODEL, FAST), store, DIRECT)
    assert key not in str(error.value)


@pytest.mark.parametrize(
    "fault",
    [
        {
            "status": 400,
            "kind": "invalid_request_error",
            "message": "Your credit balance is too low",
        },
        {"status": 402, "kind": "billing_error", "message": "There is an issue with your payment."},
    ],
)
def test_credit_that_is_used_up_stops_with_all_kept_and_another_key_asks_for_the_rest(
    claude_server, store, monkeypatch, fault
):
    claude_server.fail("messages", match="Task 2", times=99, **fault)
    with pytest.raises(UserError, match=r"may not spend any more.*Add credit.*of 12 answers are in the store"):
        ask(questions(12), Claude(MODEL, FAST), store, DIRECT)
    kept = store.get(q.key for q in questions(12))
    assert len(kept) >= 1
    claude_server.faults.clear()
    claude_server.requests.clear()
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-another")
    ask(questions(12), Claude(MODEL, FAST), store, DIRECT)
    assert claude_server.asked() == {prompt(n): 1 for n in range(12) if f"key{n:04d}" not in kept}


def test_an_unknown_model_is_told_before_anything_is_paid(claude_server, store):
    claude_server.unknown_models.add(MODEL)
    claude_server.fail("messages", times=9, status=404, kind="not_found_error", message=f"model: {MODEL}")
    with pytest.raises(UserError, match=f"does not know {MODEL}"):
        ask([question(1)], Claude(MODEL, FAST), store, DIRECT)


def test_a_server_that_is_gone_is_told(claude_server, store, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"cannot be reached.*ANTHROPIC_BASE_URL.* 0 of 1 answers are in the store"):
        ask([question(1)], Claude(MODEL, Pace(retries=0, timeout_s=2)), store, DIRECT)


def test_an_outage_that_lasts_is_told_with_all_kept(claude_server, store):
    claude_server.fail("messages", match=prompt(3), times=99, status=529, kind="overloaded_error")
    with pytest.raises(UserError, match=r"overloaded or out of order.*run the same command again"):
        ask(questions(4), Claude(MODEL, Pace(retries=1)), store, DIRECT)
    assert len(store.get(q.key for q in questions(4))) == 3


def test_a_model_that_ends_warns_with_the_date(claude_server, store, capsys):
    ask(questions(2), Claude("claude-sonnet-4-5", FAST), store, DIRECT)
    err = capsys.readouterr().err
    assert err.count("claude-sonnet-4-5 ends on November 30th, 2026") == 1
    ask(questions(1), Claude(MODEL, FAST), store, DIRECT)
    assert "ends on" not in capsys.readouterr().err


def test_the_budget_stops_before_the_request_that_would_exceed_it(claude_server, store):
    provider = Claude(MODEL, FAST)
    most = provider.ceiling(question(0), batch=False)
    ask(questions(1), provider, store, DIRECT)
    budget = most + 6 * store.spent()
    with pytest.raises(UserError, match=r"judge: \$0\.\d\d of budget_usd .*spending\.budget_usd.* of 40 answers are"):
        ask(questions(40), provider, store, spending(now=True, budget_usd=budget))
    asked = claude_server.count("messages")
    assert 4 <= asked < 40
    assert len(store.get(q.key for q in questions(40))) == asked  # those under way were waited for
    assert budget - most < store.spent() <= budget
    ask(questions(40), provider, store, spending(now=True))
    assert set(claude_server.asked().values()) == {1}


def test_the_budget_counts_what_was_of_no_use(claude_server, store):
    provider = Claude(MODEL, FAST)
    most = provider.ceiling(question(0), batch=False)
    claude_server.fail("messages", times=99, text="x" * 1200)
    with pytest.raises(UserError, match="budget_usd"):
        ask(questions(9), provider, store, spending(now=True, budget_usd=2 * most, concurrency=1))
    assert most < store.spent() <= 2 * most


def test_text_that_is_no_unicode_is_asked_all_the_same(claude_server, store):
    odd = replace(question(1), prompt="local x = '\ud800'")
    assert ask([odd], Claude(MODEL, FAST), store, DIRECT)["key0001"].status == "answered"
    assert claude_server.asked() == {"local x = '?'": 1}


@pytest.mark.parametrize(
    ("field", "value"),
    [("budget_usd", "-1"), ("budget_usd", ".inf"), ("batch_from", "0"), ("concurrency", "0"), ("now", "1")],
)
def test_the_section_spending_is_checked(tmp_path, field, value):
    values = {"budget_usd": "25", "batch_from": "20", "concurrency": "8", "now": "false"}
    path = tmp_path / "params.yaml"
    path.write_text("spending: {" + ", ".join(f"{k}: {v}" for k, v in values.items()) + "}")
    assert load("spending", Spending, path) == load("spending", Spending, ROOT / "params.yaml")
    path.write_text("spending: {" + ", ".join(f"{k}: {v}" for k, v in (values | {field: value}).items()) + "}")
    with pytest.raises(UserError, match=rf"spending\.{field}: Input should be"):
        load("spending", Spending, path)


def test_nothing_to_ask_needs_no_budget_and_no_key(claude_server, store, monkeypatch):
    first = ask(questions(2), Claude(MODEL, FAST), store, DIRECT)
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    assert ask(questions(2), Claude(MODEL, FAST), store, spending(budget_usd=0.0)) == first
