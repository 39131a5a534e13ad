"""A language model as judge: what it is asked, what becomes of its answers, and what is not asked again."""

import json
import shutil
from dataclasses import replace

import pytest

from luau_rft.judges import questions
from luau_rft.judges.backends import JudgeParams, judge_of
from luau_rft.judges.base import Request
from luau_rft.judges.model import ModelJudge
from luau_rft.llm.claude import Claude
from luau_rft.llm.prices import least_cached, tokens
from luau_rft.tasks import load_task
from tests.judges.pools import ASKED, CODES, HURTS, JUDGE, LABEL, LAVA, ROOT, Pool
from tests.llm.questions import spending
from tests.servers.openai_server import OpenAIServer

LAVA_FLOOR = load_task(ROOT / "data/tasks/train/lava-floor")


@pytest.fixture
def pool(tmp_path, claude_server):
    return Pool(tmp_path / "work")


def verdict(value, reason="Because."):
    return json.dumps({"reason": reason, "functionality": value, "correctness": value, "completeness": value})


def model_judge(model="claude-sonnet-5-5", answers=1, max_tokens=400, runs=None):
    return ModelJudge("claude", Claude(model), spending(), "judge", answers, max_tokens, runs)


def test_a_question_holds_task_and_program_and_neither_checks_nor_reference():
    [question] = model_judge().questions(Request(LAVA_FLOOR, HURTS))
    assert LAVA_FLOOR.prompt.strip() in question.shared
    assert "server script" in question.shared
    assert HURTS in question.prompt
    everything = question.system + question.shared + question.prompt
    check_names = [line.split('"')[1] for line in LAVA_FLOOR.checks.splitlines() if "name = " in line]
    assert len(check_names) >= 4
    assert not any(name in everything for name in check_names)
    assert LAVA not in everything
    assert "claude" not in everything.lower()


def test_the_rubric_is_long_enough_for_the_cache_and_not_longer_than_it_must_be():
    assert least_cached("claude-sonnet-5-5") < tokens(questions.rubric()) < 1600


def test_the_examples_of_the_rubric_are_valid_answers():
    examples = [line for line in questions.rubric().splitlines() if line.startswith('{"reason"')]
    assert len(examples) == 3
    for line in examples:
        questions.Verdict.model_validate_json(line)


def test_several_answers_are_questions_of_one_text_and_the_first_stay_when_there_are_more():
    three, one = (model_judge(answers=n).questions(Request(LAVA_FLOOR, LAVA)) for n in (3, 1))
    assert three[0] == one[0]
    assert len({question.key for question in three}) == 3
    assert len({(question.system, question.shared, question.prompt) for question in three}) == 1


def test_the_key_changes_with_everything_that_determines_the_row(monkeypatch):
    request = Request(LAVA_FLOOR, LAVA)
    key = model_judge().key(request)
    other = [
        model_judge(model="claude-haiku-5-5").key(request),
        model_judge(answers=2).key(request),
        model_judge(max_tokens=500).key(request),
        model_judge(runs=2).key(request),
        model_judge().key(replace(request, code=HURTS)),
        *(
            model_judge().key(replace(request, task=LAVA_FLOOR.model_copy(update=change)))
            for change in ({"prompt": "another"}, {"kind": "client"})
        ),
    ]
    moved = LAVA_FLOOR.model_copy(update={"folder": ROOT, "title": "another"})
    assert model_judge().key(replace(request, task=moved)) == key
    assert model_judge(runs=4).key(request) == other[3]
    checked = replace(request, task=LAVA_FLOOR.model_copy(update={"checks": "another"}))
    assert model_judge().key(checked) == key  # the model does not see them
    other.append(model_judge(runs=2).key(checked))
    monkeypatch.setattr("luau_rft.judges.model.rubric", lambda: "another rubric")
    other.append(model_judge().key(request))
    assert len({key, *other}) == len(other) + 1


def test_only_programs_worth_a_look_are_asked_about_and_each_once(pool, claude_server):
    claude_server.answer = lambda params: verdict(1)
    printed = pool.judged()
    first = printed.splitlines()[0]
    assert first.startswith(f"judge: claude-sonnet-5-5: {ASKED} direct requests, about ")
    assert "$0.0" in first
    assert sum(claude_server.asked().values()) == len(claude_server.asked()) == ASKED
    assert f"judge: train: {len(CODES)} judgments (5 new)" in printed
    rows = pool.rows()
    assert rows.keys() == CODES.keys()
    assert {row["judge"] for row in rows.values()} == {"claude:claude-sonnet-5-5"}
    assert [rows["lava-floor", index]["value"] for index in (2, 3)] == [0, 0]
    assert [rows["lava-floor", index]["answers"] for index in (2, 3)] == [0, 0]
    assert rows["lava-floor", 2]["reason"] == "It does not compile."
    good = rows["lava-floor", 0]
    assert (good["value"], good["spread"], good["answers"], good["checks_total"]) == (1, None, 1, 0)
    assert good["cost_usd"] > 0 < good["input_tokens"] * good["output_tokens"]
    assert rows["lava-floor", 4] == good | {"index": 4}


def test_nothing_is_asked_twice_whichever_of_table_and_store_is_there(pool, claude_server, tmp_path):
    pool.judged()
    first, asked = pool.table.read_bytes(), len(claude_server.requests)
    assert "(0 new)" in pool.judged()
    assert pool.table.read_bytes() == first
    store = tmp_path / "answers.sqlite"
    assert store.is_file()
    pool.table.unlink()
    assert "(0 new)" in pool.judged()
    assert pool.table.read_bytes() == first
    for path in tmp_path.glob("answers.sqlite*"):
        path.unlink()
    assert "(0 new)" in pool.judged()
    assert pool.table.read_bytes() == first
    # What the pulled table brought stays, also when another judge overwrites the table.
    for path in tmp_path.glob("answers.sqlite*"):
        path.unlink()
    pool.params(backend="execution")
    assert "(5 new)" in pool.judged()
    pool.params()
    assert "(0 new)" in pool.judged()
    assert pool.table.read_bytes() == first
    assert len(claude_server.requests) == asked


def test_a_new_candidate_is_the_only_one_asked_about_and_the_table_holds_only_what_is_used(pool, claude_server):
    pool.judged()
    pool.write({("lava-floor", 0): LAVA, ("lava-floor", 1): f"{LAVA}-- It is hot.\n"})
    assert "2 judgments (1 new)" in pool.judged()
    assert sum(claude_server.asked().values()) == ASKED + 1
    assert pool.rows().keys() == {("lava-floor", 0), ("lava-floor", 1)}


def test_more_answers_ask_for_the_new_ones_and_their_mean_and_spread_count(pool, claude_server):
    values = iter([0.5, 0.75, 1.0])
    pool.write({("coin-label", 0): LABEL})
    claude_server.answer = lambda params: verdict(next(values), "Well.")
    pool.judged()
    assert pool.rows()["coin-label", 0]["value"] == 0.5
    pool.params(answers=3)
    pool.judged()
    assert claude_server.count("messages") == 3
    row = pool.rows()["coin-label", 0]
    assert (row["functionality"], row["value"], row["answers"]) == (0.75, 0.75, 3)
    assert row["spread"] == pytest.approx(0.2041, abs=1e-4)
    assert row["reason"] == "1. Well.\n2. Well.\n3. Well."
    assert row["cost_usd"] > 0
    assert row["output_tokens"] > 0


def test_what_a_run_showed_is_told_when_the_params_say_so(pool, claude_server):
    pool.judged()
    before = pool.rows()
    pool.params(show_execution=True)
    printed = pool.judged()
    assert "checks met what the engine does not model (0.0 %)" in printed
    told = [prompt for prompt in claude_server.asked() if "<run-" in prompt]
    assert len(told) == ASKED
    assert sum("Passed 6 of 6 checks." in prompt for prompt in told) == 1
    assert any("Failed: " in prompt and HURTS in prompt for prompt in told)
    rows = pool.rows()
    assert rows["coin-label", 0]["checks_passed"] == rows["coin-label", 0]["checks_total"] == 6
    assert rows["lava-floor", 2]["checks_total"] > 0
    assert {row["key"] for row in rows.values()}.isdisjoint(row["key"] for row in before.values())


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"stop": "refusal"}, "No judgment: the answer was refused (cyber: I do not do that)."),
        ({"stop": "max_tokens"}, "No judgment: the answer was truncated (longer than 800 tokens)."),
        ({"text": verdict(1.5)}, "No judgment: the answer was refused (functionality: Input should be less than"),
        ({"text": verdict(-0.01)}, "No judgment: the answer was refused (functionality: Input should be greater than"),
        ({"text": verdict(1)[:-1] + ', "bonus": 1}'}, "No judgment: the answer was refused (bonus: Extra inputs"),
        ({"text": verdict("1.0")}, "No judgment: the answer was refused (functionality: Input should be a valid"),
        ({"text": verdict(1).replace("1", "NaN", 1)}, "No judgment: the answer was refused (functionality: Input"),
        ({"text": verdict(1, "x" * 1001)}, "No judgment: the answer was refused (reason: String should have at most"),
        ({"text": "10/10!"}, "No judgment: the answer was refused (Invalid JSON"),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_leaves_the_candidate_undecided_and_is_not_asked_for_again(
    pool, claude_server, fault, reason
):
    pool.write({("lava-floor", 0): LAVA, ("coin-label", 0): LABEL})
    claude_server.fail("messages", match="CoinLabel", times=10, **fault)
    assert ", 1 undecided\n" in pool.judged()
    row = pool.rows()["coin-label", 0]
    assert [row[name] for name in ("functionality", "correctness", "completeness", "value")] == [None] * 4
    assert row["answers"] == 0
    assert row["reason"].startswith(reason)
    assert pool.rows()["lava-floor", 0]["value"] is not None
    asked = claude_server.count("messages")
    assert "(0 new)" in pool.judged()
    assert claude_server.count("messages") == asked


def test_of_several_answers_those_that_are_usable_count(pool, claude_server):
    pool.write({("coin-label", 0): LABEL})
    pool.params(answers=3)
    claude_server.answer = lambda params: verdict(0.75)
    claude_server.fail("messages", match="CoinLabel", stop="refusal")
    pool.judged()
    row = pool.rows()["coin-label", 0]
    assert (row["value"], row["answers"], row["spread"]) == (0.75, 2, 0)
    assert "1. No judgment: the answer was refused" in row["reason"]


def test_a_program_beyond_all_bounds_is_not_asked_about_and_undecided(pool, claude_server):
    pool.write({("coin-label", 0): LABEL + "-- padding\n" * 4000, ("coin-label", 1): LABEL + "--\u200b" * 5000})
    assert ", 2 undecided\n" in pool.judged()
    assert claude_server.requests == []
    assert pool.rows()["coin-label", 1]["reason"].startswith("It is longer than 40000 characters")


def test_many_questions_go_in_a_batch_unless_it_has_to_be_now(pool, claude_server):
    pool.params(spending={"batch_from": ASKED})
    assert f"{ASKED} requests in batches" in pool.judged().splitlines()[0]
    assert (claude_server.count("create"), claude_server.count("messages")) == (1, 0)
    halved = sum(row["cost_usd"] for row in pool.rows().values())
    pool.params(spending={"batch_from": ASKED}, max_tokens=401)
    pool.judged("--now")
    assert (claude_server.count("create"), claude_server.count("messages")) == (1, ASKED)
    assert halved < sum(row["cost_usd"] for row in pool.rows().values())


def test_it_stops_at_the_budget_and_goes_on_when_that_is_raised(pool, claude_server):
    pool.params(spending={"budget_usd": 0.0125, "concurrency": 1})
    done = pool.judge()
    assert done.returncode == 1
    assert "Raise spending.budget_usd in params.yaml" in done.stderr
    asked = claude_server.count("messages")
    assert 0 < asked < ASKED
    assert not pool.table.exists()
    pool.params()
    pool.judged()
    assert sum(claude_server.asked().values()) == ASKED
    pool.params(spending={"budget_usd": 0})
    assert "(0 new)" in pool.judged()


def test_a_model_that_ends_warns_with_the_date(pool):
    pool.params(model="claude-sonnet-4-5")
    assert "claude-sonnet-4-5 ends on " in pool.judge().stderr


def test_a_server_of_ones_own(pool, claude_server, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with OpenAIServer() as server:
        pool.params(backend="openai", answers=2, openai={"url": server.url, "model": "qwen"})
        server.texts = ["no JSON", verdict(2)]  # asked again
        pool.judged()
        assert len(server.bodies) == 2 * ASKED + 2
        assert "(0 new)" in pool.judged()
        assert len(server.bodies) == 2 * ASKED + 2
    assert claude_server.requests == []
    assert {body["model"] for body in server.bodies} == {"qwen"}
    assert server.bodies[0]["messages"][0] == {"role": "system", "content": questions.rubric()}
    rows = pool.rows()
    assert {row["judge"] for row in rows.values()} == {"openai:qwen"}
    assert {row["cost_usd"] for row in rows.values()} == {0}
    assert rows["coin-label", 0]["spread"] == 0


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        ({"backend": "oracle"}, "judge.backend: Input should be 'execution', 'claude' or 'openai', got 'oracle'"),
        ({"answers": 0}, "judge.answers: Input should be greater than or equal to 1, got 0"),
        ({"show_execution": "yes"}, "judge.show_execution: Input should be a valid boolean, got 'yes'"),
        ({"openai": {"url": "localhost", "model": "m"}}, "judge.openai.url: String should match"),
        ({"rubric": "mild"}, "judge.rubric: unknown key"),
    ],
)
def test_params_that_are_wrong_are_named(pool, judge, message):
    pool.params(**judge)
    assert f"error: params.yaml: {message}" in pool.judge().stderr


def test_a_model_without_a_price_and_a_section_that_is_missing_are_named(pool):
    pool.params(model="claude-unheard-of")
    assert pool.judge().stderr.startswith("error: claude-unheard-of: no price is known")
    text = (pool.root / "params.yaml").read_text()
    (pool.root / "params.yaml").write_text(text.split("spending:")[0])
    assert pool.judge().stderr.startswith("error: params.yaml: spending is missing")


def test_the_params_of_the_project_name_a_judge(tmp_path, monkeypatch):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    for backend, name in {"execution": "execution", "claude": "claude:claude-sonnet-5-5"}.items():
        assert judge_of(JudgeParams.model_validate(JUDGE | {"backend": backend}), "judge").name == name
