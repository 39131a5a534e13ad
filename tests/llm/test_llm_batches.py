"""Message Batches: half the price, nothing submitted twice, nothing lost. The SDK against a real server."""

import threading
from collections import Counter
from datetime import UTC, datetime

import pytest

from luau_rft.errors import UserError
from luau_rft.llm.ask import ask
from luau_rft.llm.batches import Pace
from luau_rft.llm.claude import Claude
from luau_rft.store import Store
from luau_rft.store_command import forget
from tests.llm.questions import FAST, MODEL, prompt, question, questions, spending

BATCH = spending()
NOW = spending(now=True)


@pytest.fixture
def store(claude_server):
    with Store() as store:
        yield store


def provider(**pace: object) -> Claude:
    return Claude(MODEL, Pace(**({name: getattr(FAST, name) for name in FAST.__slots__} | pace)))


def errored(kind: str, message: str = "a scripted fault") -> dict:
    return {"type": "errored", "error": {"type": "error", "error": {"type": kind, "message": message}}}


def once_each(count: int) -> Counter:
    return Counter({prompt(n): 1 for n in range(count)})


def test_many_questions_are_asked_in_a_batch_at_half_the_price(claude_server, store, tmp_path):
    answers = ask(questions(40), provider(), store, BATCH)
    assert (claude_server.count("create"), claude_server.count("messages")) == (1, 0)
    assert list(answers) == [q.key for q in questions(40)]
    assert store.open_batches() == []
    with Store(tmp_path / "direct.sqlite") as other:
        direct = ask(questions(40), provider(), other, NOW)
    assert [a.text for a in direct.values()] == [a.text for a in answers.values()]
    assert sum(a.cost_usd for a in answers.values()) == pytest.approx(sum(a.cost_usd for a in direct.values()) / 2)


def test_the_number_of_questions_decides_and_not_the_number_of_those_missing(claude_server, store, monkeypatch):
    ask(questions(19), provider(), store, BATCH)
    assert claude_server.count("create") == 0
    ask(questions(21), provider(), store, BATCH)  # two are missing
    assert claude_server.count("create") == 1
    ask([question(n) for n in (30, 31)], provider(), store, BATCH, in_all=50)
    assert claude_server.count("create") == 2
    monkeypatch.setenv("LUAU_RFT_NOW", "1")
    ask(questions(30), provider(), store, BATCH)
    assert claude_server.count("create") == 2


def test_it_is_polled_until_it_ends(claude_server, store):
    claude_server.looks = 5
    assert len(ask(questions(20), provider(), store, BATCH)) == 20
    assert claude_server.count("retrieve") >= 5


def test_limits_of_a_batch_are_kept(claude_server, store):
    ask(questions(50), provider(batch_requests=20), store, BATCH)
    sizes = [len(body["requests"]) for name, body in claude_server.requests if name == "create"]
    assert sizes == [20, 20, 10]
    claude_server.requests.clear()
    more = [question(n) for n in range(100, 130)]
    ask(more, provider(batch_bytes=60_000), store, BATCH)
    sizes = [len(body["requests"]) for name, body in claude_server.requests if name == "create"]
    assert sum(sizes) == 30
    assert len(sizes) >= 3
    assert max(sizes) * 5_000 < 60_000


@pytest.mark.parametrize(
    "kind", ["rate_limit_error", "overloaded_error", "api_error", "timeout_error", "expired", "canceled"]
)
def test_entries_that_may_succeed_are_asked_again_directly_when_few(claude_server, store, kind):
    result = {"type": kind} if kind in ("expired", "canceled") else errored(kind)
    claude_server.fail("entry", match="Task 1:", times=4, result=result)
    answers = ask(questions(24), provider(), store, BATCH)
    assert {a.status for a in answers.values()} == {"answered"}
    assert (claude_server.count("create"), claude_server.count("messages")) == (1, 4)
    assert claude_server.asked() == once_each(24) + Counter({prompt(n): 1 for n in range(4, 8)})


def test_a_batch_that_expires_as_a_whole_is_submitted_again(claude_server, store):
    claude_server.fail("entry", times=30, result={"type": "expired"})
    assert len(ask(questions(30), provider(), store, BATCH)) == 30
    assert (claude_server.count("create"), claude_server.count("messages")) == (2, 0)


def test_what_expires_again_and_again_is_told(claude_server, store):
    claude_server.fail("entry", times=999, result={"type": "expired"})
    with pytest.raises(UserError, match=r"came back expired from 3 batches.*LUAU_RFT_NOW=1.* 0 of 30 answers"):
        ask(questions(30), provider(), store, BATCH)
    assert claude_server.count("create") == 3
    assert store.spent() == 0
    claude_server.faults.clear()
    assert len(ask(questions(30), provider(), store, BATCH)) == 30


def test_a_batch_that_its_user_cancels_is_asked_again(claude_server, store):
    claude_server.looks = 3

    original = claude_server._shown

    def shown(state):
        if state.id == "msgbatch_001" and state.looks == 1:
            claude_server.cancel(state.id)
        return original(state)

    claude_server._shown = shown
    assert len(ask(questions(25), provider(), store, BATCH)) == 25
    assert claude_server.count("create") == 2


def test_a_request_that_is_wrong_stops_with_the_others_kept(claude_server, store):
    claude_server.fail("entry", match=prompt(3), result=errored("invalid_request_error", "too odd"))
    with pytest.raises(UserError, match=r"invalid_request_error: too odd.*29 of 30 answers are in the store"):
        ask(questions(30), provider(), store, BATCH)
    assert len(ask(questions(30), provider(), store, BATCH)) == 30
    assert claude_server.asked() == once_each(30) + Counter({prompt(3): 1})


@pytest.mark.parametrize(
    "result",
    [
        errored("billing_error", "There is an issue with your payment"),
        errored("invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
    ],
    ids=["billing", "credit"],
)
def test_half_without_credit_stops_and_another_key_asks_only_for_the_missing(claude_server, store, monkeypatch, result):
    claude_server.workspaces = {"sk-ant-api03-of-the-tests": "poor", "sk-ant-rich": "rich"}
    for n in range(0, 40, 2):
        claude_server.fail("entry", match=prompt(n), result=result)
    with pytest.raises(UserError, match=r"may not spend any more.*another key.* 20 of 40 answers are in the store"):
        ask(questions(40), provider(), store, BATCH)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-rich")
    assert len(ask(questions(40), provider(), store, BATCH)) == 40
    assert claude_server.asked() == once_each(40) + Counter({prompt(n): 1 for n in range(0, 40, 2)})
    assert (claude_server.count("create"), claude_server.count("messages")) == (2, 0)


def test_useless_answers_of_a_batch_are_charged_once_and_asked_again(claude_server, store):
    claude_server.fail("entry", match=prompt(3), text='{"functionality": 2, "reason": ""}')
    claude_server.fail("entry", match=prompt(4), text='{"func', stop="max_tokens")
    claude_server.fail("entry", match=prompt(5), stop="refusal")
    answers = ask(questions(30), provider(), store, BATCH)
    assert Counter(a.status for a in answers.values()) == {"answered": 29, "refused": 1}
    again = {
        body["messages"][0]["content"][-1]["text"]: body for name, body in claude_server.requests if name == "messages"
    }
    assert set(again) == {prompt(3), prompt(4)}
    assert (again[prompt(3)]["max_tokens"], again[prompt(4)]["max_tokens"]) == (300, 600)
    with store.transaction() as connection:
        assert connection.execute("SELECT count(*) FROM charges").fetchone()[0] == 2


@pytest.mark.parametrize("fault", [{"drop": True}, {"body": '{"custom_id": "x", "resu'}, {"status": 529}])
def test_results_that_break_off_are_read_again(claude_server, store, fault):
    claude_server.fail("results", **fault)
    answers = ask(questions(30), provider(), store, BATCH)
    assert len(answers) == 30
    assert claude_server.asked() == once_each(30)
    assert store.spent() == pytest.approx(sum(a.cost_usd for a in answers.values()))


@pytest.mark.parametrize(
    "fault",
    [{"status": 500}, {"drop": True}, {"hang_s": 0.7}, {"body": '{"id": "msgb'}, {"body": "{}"}],
    ids=["500", "dropped", "time-out", "no JSON", "no batch"],
)
def test_a_submission_that_arrived_unheard_is_found_and_not_repeated(claude_server, store, fault):
    claude_server.looks = 2
    claude_server.fail("create", accept=True, **fault)
    ask(questions(30), provider(timeout_s=0.5), store, BATCH)
    assert claude_server.asked() == once_each(30)
    assert claude_server.count("list") >= 1


@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"status": 529}, {"status": 429, "headers": {"retry-after": "0.05"}}]
)
def test_a_submission_that_did_not_arrive_is_repeated(claude_server, store, fault):
    claude_server.fail("create", **fault)
    assert len(ask(questions(30), provider(), store, BATCH)) == 30
    assert len(claude_server.batches) == 1


@pytest.mark.parametrize(
    ("where", "body"), [("retrieve", "<html>"), ("retrieve", "[]"), ("list", "<html>"), ("list", '{"data": [{}]}')]
)
def test_what_is_nothing_of_the_api_is_told_and_nothing_is_paid_twice(claude_server, store, where, body):
    claude_server.looks = 2
    claude_server.fail("create", accept=True, status=500)
    claude_server.fail(where, body=body)
    with pytest.raises(UserError, match=r"answers what is nothing of the API.*ANTHROPIC_BASE_URL"):
        ask(questions(30), provider(), store, BATCH)
    assert len(ask(questions(30), provider(), store, BATCH)) == 30
    assert claude_server.asked() == once_each(30)


def test_batches_that_end_without_results_are_not_submitted_for_ever(claude_server, store):
    claude_server.fail("results", times=99, body="")
    with pytest.raises(UserError, match=r"came back without a result from 3 batches"):
        ask(questions(30), provider(), store, BATCH)
    assert claude_server.count("create") == 3


def test_a_batch_that_another_process_is_just_submitting_is_shared(claude_server, store, tmp_path):
    """Its id comes while this process looks for it in vain."""
    with Store() as other:
        crash = crash_after(other, "submitted")
        with pytest.raises(crash):
            ask(questions(30), provider(), other, BATCH)
    [open_batch] = store.open_batches()
    claude_server.fail("list", body='{"data": [], "has_more": false}')
    noted = threading.Timer(0.1, store.submitted, (open_batch.intent, "msgbatch_001"))
    noted.start()
    assert len(ask(questions(30), provider(settle_s=0.5), store, BATCH)) == 30
    assert claude_server.asked() == once_each(30)


def test_another_programs_batch_of_the_same_size_is_not_taken(claude_server, store, tmp_path):
    with Store(tmp_path / "other.sqlite") as other:
        ask([question(n) for n in range(100, 130)], provider(), other, BATCH)
    claude_server.fail("create", status=500)
    ask(questions(30), provider(), store, BATCH)
    assert claude_server.asked() == once_each(30) + Counter({prompt(n): 1 for n in range(100, 130)})


def test_a_refused_submission_leaves_nothing_open(claude_server, store):
    claude_server.fail("create", status=400, kind="invalid_request_error", message="requests: too odd")
    with pytest.raises(UserError, match="too odd"):
        ask(questions(30), provider(), store, BATCH)
    assert store.open_batches() == []


def crash_after(store: Store, moment: str):
    """A store whose process dies just before it notes something."""

    class Crash(BaseException):
        pass

    def die(*_: object) -> None:
        raise Crash

    setattr(store, moment, die)
    return Crash


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("mode", [BATCH, NOW], ids=["batch", "now"])
def test_a_batch_submitted_just_before_a_crash_is_found_by_listing_and_not_paid_twice(
    claude_server, store, mode, ended
):
    with Store() as dying:
        crash = crash_after(dying, "submitted")
        with pytest.raises(crash):
            ask(questions(30), provider(), dying, BATCH)
    [open_batch] = store.open_batches()
    assert open_batch.batch_id is None
    claude_server.looks = 1 if ended else 4
    with_pages = [question(n) for n in range(200, 203)]
    for extra in with_pages:  # newer batches of others, of another size
        claude_server.batches[f"other{extra.key}"] = other_batch(extra.key)
    assert len(ask(questions(30), provider(), store, mode)) == 30
    assert claude_server.asked() == once_each(30)
    assert store.open_batches() == []


def other_batch(name: str):
    from tests.servers.anthropic_server import BatchState

    result = {"custom_id": name, "result": {"type": "canceled"}}
    return BatchState(f"other{name}", "default", datetime.now(UTC), [{"custom_id": name}], [result], looks=99)


def test_an_intent_that_was_never_submitted_is_dropped(claude_server, store):
    store.intend(MODEL, {f"abc-{n}": question(n).key for n in range(30)})
    assert len(ask(questions(30), provider(), store, BATCH)) == 30
    assert claude_server.asked() == once_each(30)
    assert store.open_batches() == []


def test_a_crash_while_results_are_read_costs_nothing(claude_server, store):
    claude_server.fail("entry", match=prompt(3), text="useless", times=1)
    with Store() as dying:
        crash = crash_after(dying, "closed")
        with pytest.raises(crash):
            ask(questions(30), provider(), dying, BATCH)
    spent = store.spent()
    assert len(store.get(q.key for q in questions(30))) == 29
    ask(questions(30), provider(), store, BATCH)
    [again] = [body for name, body in claude_server.requests if name == "messages"]
    assert again["messages"][0]["content"][-1]["text"] == prompt(3)
    assert store.spent() == pytest.approx(spent + store.get(["key0003"])["key0003"].cost_usd)
    assert store.open_batches() == []


def test_answers_that_only_other_params_ask_for_stay_in_the_open_batch(claude_server, store):
    with Store() as dying:
        crash = crash_after(dying, "submitted")
        with pytest.raises(crash):
            ask(questions(40), provider(), dying, BATCH)
    ask(questions(25), provider(), store, BATCH)
    assert len(store.open_batches()) == 1
    assert len(ask(questions(40), provider(), store, BATCH)) == 40
    assert claude_server.asked() == once_each(40)
    assert store.open_batches() == []


def test_a_batch_of_another_workspace_is_told_with_the_way_to_go_on(claude_server, store, monkeypatch):
    claude_server.workspaces = {"sk-ant-api03-of-the-tests": "one", "sk-ant-two": "two"}
    claude_server.fail("results", times=99, status=500)
    with pytest.raises(UserError, match="overloaded or out of order"):
        ask(questions(30), provider(retries=0), store, BATCH)
    claude_server.faults.clear()
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-two")
    with pytest.raises(UserError, match=r"msgbatch_001 .* holds answers to 30 questions.*another workspace"):
        ask(questions(30), provider(), store, BATCH)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-api03-of-the-tests")
    assert len(ask(questions(30), provider(), store, BATCH)) == 30
    assert claude_server.asked() == once_each(30)


def test_a_batch_whose_key_is_lost_can_be_given_up(claude_server, store, monkeypatch, capsys):
    claude_server.workspaces = {"sk-ant-api03-of-the-tests": "one", "sk-ant-two": "two"}
    claude_server.fail("results", times=99, status=500)
    with pytest.raises(UserError, match="overloaded or out of order"):
        ask(questions(30), provider(retries=0), store, BATCH)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-two")
    claude_server.faults.clear()
    with pytest.raises(UserError, match=r"no open batch; open are msgbatch_001"):
        forget("msgbatch_999")
    assert forget("msgbatch_001") == 0
    assert "30 questions are asked anew" in capsys.readouterr().out
    assert len(ask(questions(30), provider(), store, BATCH)) == 30


def test_results_that_the_provider_has_deleted_are_asked_anew(claude_server, store):
    with Store() as dying:
        crash = crash_after(dying, "submitted")
        with pytest.raises(crash):
            ask(questions(30), provider(), dying, BATCH)
    [open_batch] = store.open_batches()
    store.submitted(open_batch.intent, "msgbatch_001")
    original = claude_server._shown
    claude_server._shown = lambda state: (
        original(state)
        | ({"results_url": None, "archived_at": datetime.now(UTC).isoformat()} if state.id == "msgbatch_001" else {})
    )
    assert len(ask(questions(30), provider(), store, BATCH)) == 30
    assert len(claude_server.batches) == 2


def test_a_budget_smaller_than_the_ceiling_is_used_up_in_waves(claude_server, store):
    most = provider().ceiling(question(0), batch=True)
    answers = ask(questions(60), provider(), store, spending(budget_usd=30 * most))
    assert len(answers) == 60  # the true cost is far below the ceiling
    assert claude_server.count("create") >= 2
    assert claude_server.asked() == once_each(60)


def test_the_budget_stops_before_the_batch_that_would_exceed_it(claude_server, store):
    most = provider().ceiling(question(0), batch=True)
    with pytest.raises(UserError, match=r"of budget_usd .*spending\.budget_usd.* of 200 answers are in the store"):
        ask(questions(200), provider(), store, spending(budget_usd=4 * most))
    assert store.spent() <= 4 * most
    some = len(store.get(q.key for q in questions(200)))
    assert 4 <= some < 200
    ask(questions(200), provider(), store, BATCH)
    assert claude_server.asked() == once_each(200)


def test_a_wrong_key_stops_before_a_batch(claude_server, store):
    claude_server.workspaces = {}
    with pytest.raises(UserError, match="does not accept the key in ANTHROPIC_API_KEY"):
        ask(questions(30), provider(), store, BATCH)
    assert store.open_batches() == []
