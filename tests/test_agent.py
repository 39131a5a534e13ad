"""The agent against a server that writes worse code first, and better code when it is told what is wrong."""

from pathlib import Path

import pytest

from luau_rft.agent import CHANGE, SEVERAL, Agent, Checked, Delta, Finished, Started
from luau_rft.agent_check import check_code, kind_of_code, scripts_of
from luau_rft.errors import UserError
from luau_rft.model.chat import ServedChat
from luau_rft.model.prompt import SYSTEM_PROMPT
from luau_rft.scorers.composite import score_code
from luau_rft.tasks import load_task
from tests.servers.chat_server import ChatServer

ROOT = Path(__file__).parents[1]
GOOD = """--!strict
-- Gives every player a counter of coins and pays one each second.
local Players = game:GetService("Players")

local PAY = 1

local function addCoins(player: Player)
	local coins = Instance.new("IntValue")
	coins.Name = "Coins"
	coins.Parent = player
	while player.Parent do
		task.wait(1)
		coins.Value += PAY
	end
end

Players.PlayerAdded:Connect(addCoins)
for _, player in Players:GetPlayers() do
	task.spawn(addCoins, player)
end"""
INVENTED = GOOD.replace("--!strict\n", "").replace("coins.Parent = player\n", "coins.Parent = player\n\tcoins:Pay()\n")
BROKEN = GOOD.replace("do\n\t\ttask.wait(1)", "\n\t\twait(1)")
RAISES = GOOD + "\nerror('no such thing')"
HANGS = GOOD + "\nwhile true do\n\tlocal _ = PAY\nend"
SEVERAL_SCRIPTS = f"""-- ServerScriptService/Coins.server.luau
{GOOD}
-- StarterPlayer/StarterPlayerScripts/Panel.client.luau
--!strict
local Players = game:GetService("Players")
local Prices = require(game:GetService("ReplicatedStorage"):WaitForChild("Prices"))
Players.LocalPlayer:SetAttribut("Price", Prices.Sword)
-- ReplicatedStorage/Prices.luau
--!strict
return {{ Sword = 60 }}"""
ROMAN = load_task(ROOT / "data/tasks/eval/roman-rank")
WRONG = ROMAN.reference.replace('"CD"', '"DC"').strip()  # passes all checks but those with a 400


@pytest.fixture
def server():
    with ChatServer(lambda body: GOOD, ["coder"]) as running:
        yield running


@pytest.fixture
def agent(server):
    return lambda **options: Agent(ServedChat(server.url, retries=0), **options)


def in_order(server, *answers):
    """The server gives these answers, one after the other, and repeats the last."""
    server.answer = lambda body: answers[min(len(server.bodies), len(answers)) - 1]


def turn(events):
    """The rounds' scores, whether each gained, and the end."""
    seen = list(events)
    assert isinstance(seen[-1], Finished)
    checked = [event for event in seen if isinstance(event, Checked)]
    assert tuple(event.round for event in checked) == seen[-1].rounds
    return [event.round.score for event in checked], [event.gained for event in checked], seen[-1]


def test_findings_lead_to_better_code(agent, server):
    """The server corrects what it is told of, and nothing else."""

    def answer(body):
        asked = body["messages"][-1]["content"]
        if "found" not in asked:
            return BROKEN
        return GOOD if "Pay is not" in asked or "'Pay'" in asked or ":Pay" in asked else INVENTED

    server.answer = answer
    one = agent()
    events = list(one.ask("Coins, please"))
    starts = [event for event in events if isinstance(event, Started)]
    assert [(start.number, start.findings > 0, start.model) for start in starts] == [
        (0, False, "coder"), (1, True, "coder"),
    ]  # fmt: skip
    scores, gained, finished = turn(iter(events))
    assert scores[0] <= 0.5 < 0.85 <= scores[1]
    assert gained == [True, True]
    assert (finished.reason, finished.best.number) == ("good", 1)
    for number, code in enumerate((BROKEN, INVENTED)):
        assert "".join(e.text for e in events if isinstance(e, Delta) and e.number == number) == code
    assert one.best is finished.best
    assert one.best.code == INVENTED


def test_a_higher_threshold_takes_another_round(agent, server):
    in_order(server, BROKEN, INVENTED, GOOD)
    scores, gained, finished = turn(agent(threshold=1.0).ask("Coins, please"))
    assert scores == sorted(scores)
    assert (gained, finished.reason, finished.best.code) == ([True] * 3, "good", GOOD)
    assert finished.best.score == 1.0 == score_code(GOOD, "server").composite


def test_what_the_model_is_told(agent, server):
    in_order(server, BROKEN, INVENTED, GOOD)
    turn(agent(threshold=1.0).ask("Coins, please"))
    wish = f"Coins, please\n\n{SEVERAL}"
    assert [len(body["messages"]) for body in server.bodies] == [2, 4, 4]
    for body, code in zip(server.bodies[1:], (BROKEN, INVENTED), strict=True):
        system, first, script, request = body["messages"]
        assert [m["role"] for m in body["messages"]] == ["system", "user", "assistant", "user"]
        assert (system["content"], first["content"], script["content"]) == (SYSTEM_PROMPT, wish, code)
        findings = sorted(score_code(code, "server").findings, key=lambda f: (-f.penalty, f.line))
        told = [line for line in request["content"].splitlines() if line.startswith("- ")]
        assert told == [f"- line {f.line}: {f.message}" for f in findings][:20]
    assert len({body["seed"] for body in server.bodies}) == 3


def test_the_best_round_is_kept_and_a_round_without_gain_ends_it(agent, server):
    in_order(server, INVENTED, BROKEN, GOOD)
    scores, gained, finished = turn(agent(threshold=0.99).ask("Coins"))
    assert gained == [True, False]
    assert scores[1] < scores[0]
    assert (finished.reason, finished.best.code, len(server.bodies)) == ("no-gain", INVENTED, 2)


def test_the_same_code_ends_it(agent, server):
    in_order(server, INVENTED, f"Here it is:\n```lua\n{INVENTED}\n```")
    _, gained, finished = turn(agent(threshold=0.99).ask("Coins"))
    assert (gained, finished.reason, len(server.bodies)) == ([True], "same-code", 2)


def test_rounds_are_counted(agent, server):
    in_order(server, BROKEN, INVENTED, GOOD)
    assert turn(agent(threshold=0.99, rounds=1).ask("Coins"))[2].reason == "rounds"
    assert len(server.bodies) == 2
    server.bodies.clear()
    _, _, finished = turn(agent(rounds=0).ask("Coins"))
    assert (finished.reason, len(server.bodies)) == ("rounds", 1)


def test_good_code_is_not_corrected(agent, server):
    _, _, finished = turn(agent().ask("Coins"))
    assert (finished.reason, len(server.bodies)) == ("good", 1)


@pytest.mark.parametrize(
    ("code", "told"), [(RAISES, "- line 21: no such thing"), (HANGS, "never came to an end")], ids=["error", "loop"]
)
def test_what_goes_wrong_at_run_time_is_told(agent, server, code, told):
    in_order(server, code, GOOD)
    scores, _, finished = turn(agent(threshold=0.5).ask("Coins"))  # a good composite alone is not good enough
    assert (finished.reason, finished.best.code) == ("good", GOOD)
    assert scores[0] < finished.rounds[0].report.scores.composite
    assert told in server.bodies[1]["messages"][-1]["content"]
    server.bodies.clear()
    in_order(server, RAISES)
    [alone] = turn(agent(run=False).ask("Coins"))[2].rounds
    assert (alone.report.ran, alone.score) == (False, alone.report.scores.composite)


def test_what_an_empty_place_lacks_is_no_fault():
    report = check_code(f"{GOOD}\nprint(workspace.Door.Name)")
    assert (report.score, report.in_order, report.ran) == (1.0, True, True)
    assert report.notes == (
        'line 21: Door is not a valid member of Workspace "Workspace": the place it ran in is empty',
    )


def test_what_no_place_can_have_is_a_fault():
    report = check_code(f"{GOOD}\nlocal part = Instance.new('Part')\npart.Glow = true")
    assert [(finding.rule, finding.line) for finding in report.findings if finding.scorer == "run"] == [
        ("run-time-error", 22)
    ]
    assert report.score == pytest.approx(report.scores.composite * 0.8, abs=1e-4)


def test_failed_checks_of_a_task_are_told(agent, server):
    in_order(server, WRONG, ROMAN.reference)
    scores, _, finished = turn(agent(task=ROMAN).ask(ROMAN.prompt))
    first, last = (done.report for done in finished.rounds)
    assert first.scores.composite == last.scores.composite == 1.0
    assert 0 < first.passed < first.total == last.passed == last.total
    failed = [finding for finding in first.findings if finding.rule == "failed-check"]
    assert len(failed) == first.total - first.passed
    assert scores == [pytest.approx(1 - sum(finding.penalty for finding in failed), abs=1e-3), 1.0]
    assert server.bodies[0]["messages"][1]["content"] == ROMAN.prompt  # word for word
    told = server.bodies[1]["messages"][-1]["content"]
    assert all(f"- {finding.message}" in told for finding in failed)


def test_checks_of_code_that_cannot_run():
    for code in (BROKEN, ""):
        report = check_code(code, task=ROMAN)
        assert (report.passed, report.ran) == (0, False)
        assert report.score == pytest.approx(0.4 * (report.scores.composite if code else 0), abs=1e-4)
    killed = check_code("while true do end\nreturn {}", task=ROMAN)
    assert (killed.passed, killed.total) == (0, check_code(ROMAN.reference, task=ROMAN).total)
    assert {"run-limit", "failed-check"} <= {finding.rule for finding in killed.findings}


def test_several_scripts_are_scored_one_by_one(agent, server):
    server.answer = lambda body: SEVERAL_SCRIPTS
    [done] = turn(agent(rounds=0).ask("A shop"))[2].rounds
    homes = [(part.script.kind, ".".join((*part.script.folder, part.script.name))) for part in done.report.parts]
    assert homes == [
        ("server", "ServerScriptService.Coins"),
        ("client", "StarterPlayer.StarterPlayerScripts.Panel"),
        ("module", "ReplicatedStorage.Prices"),
    ]
    server_part, client, module = (part.composite for part in done.report.parts)
    assert client < server_part == score_code(GOOD, "server").composite
    assert module > 0.9  # of little substance by itself, but the program has some
    [worst, *_] = done.report.findings
    assert SEVERAL_SCRIPTS.split("\n")[worst.line - 1].startswith("Players.LocalPlayer:SetAttribut(")
    assert all(part.placed for part in done.report.parts)


def test_one_script_says_where_it_belongs():
    headed = "-- StarterGui/Menu.client.luau\nprint(1)"
    [script], placed = scripts_of(headed, "server")
    assert (script.name, script.kind, script.folder, script.source, placed) == (
        "Menu", "client", ("StarterGui",), headed, True,
    )  # fmt: skip
    assert check_code(headed).kind == "client"
    assert check_code(headed, "server").kind == "server"
    [script], placed = scripts_of("print(1)", "module")
    assert (script.kind, script.folder, placed) == ("module", ("ReplicatedStorage",), False)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (GOOD, "server"), ("return {}", "module"), ("print('LocalPlayer')", "server"), ("-- LocalPlayer", "server"),
        ("game:GetService('UserInputService').InputBegan:Connect(print)", "client"), ("let x = {", "server"),
        ("local R = game.ReplicatedStorage.Buy\nR:FireServer(1)", "client"), ("", "server"),
    ],
)  # fmt: skip
def test_the_kind_that_code_looks_like(code, kind):
    assert kind_of_code(code) == kind


def test_a_follow_up_changes_the_last_script(agent, server):
    in_order(server, GOOD, BROKEN, GOOD.replace("PAY = 1", "PAY = 5"))
    one = agent()
    turn(one.ask("Coins"))
    _, _, finished = turn(one.follow_up("Five coins"))
    assert one.best.code == finished.best.code == GOOD.replace("PAY = 1", "PAY = 5")
    _, first, second = (body["messages"] for body in server.bodies)
    assert [m["content"] for m in first[2:]] == [GOOD, CHANGE.format(change="Five coins")]
    assert second[2]["content"] == BROKEN
    assert second[3]["content"].startswith("The code must also do this: Five coins\n")
    assert {m[1]["content"] for m in (first, second)} == {f"Coins\n\n{SEVERAL}"}


def test_a_long_conversation_does_not_grow(agent, server):
    one = agent()
    turn(one.ask("Coins"))
    for number in range(4):
        turn(one.follow_up(f"change {number}"))
    sizes = {sum(len(m["content"]) for m in body["messages"]) for body in server.bodies[1:]}
    assert len(sizes) == 1
    assert {len(body["messages"]) for body in server.bodies[1:]} == {4}


def test_a_script_that_is_there_is_repaired(agent, server):
    one = agent(threshold=0.95)
    scores, _, finished = turn(one.repair(INVENTED, "Coins"))
    assert (scores[0], finished.best.code) == (score_code(INVENTED, "server").composite, GOOD)
    [body] = server.bodies
    assert [m["content"] for m in body["messages"][1:3]] == ["Coins", INVENTED]
    server.bodies.clear()
    _, _, finished = turn(one.repair(GOOD))
    assert (finished.reason, server.bodies) == ("good", [])


def test_good_code_that_is_there_is_changed(agent, server):
    faster = GOOD.replace("PAY = 1", "PAY = 10")
    in_order(server, faster)
    _, _, finished = turn(agent().change(GOOD, "Pay ten coins"))
    assert (finished.reason, finished.best.code) == ("good", faster)
    [body] = server.bodies
    assert [m["content"] for m in body["messages"][2:]] == [GOOD, CHANGE.format(change="Pay ten coins")]


def test_what_does_not_fit_the_model_is_left_out(server):
    in_order(server, BROKEN.replace("coins.Name", "coins:Foo()\n\tcoins.Name"), GOOD)

    def with_context(tokens):
        server.bodies.clear()
        chat = ServedChat(server.url, retries=0, context=tokens, max_tokens=100)
        return turn(Agent(chat).ask("Coins"))[2]

    assert with_context(10_000).reason == "good"
    whole = server.bodies[1]["messages"][-1]["content"]
    size = sum(len(m["content"]) for m in server.bodies[1]["messages"]) // 3 + 100
    assert with_context(size - 5).reason == "good"
    less = server.bodies[1]["messages"][-1]["content"]
    told, all_told = ([line for line in text.split("\n") if line.startswith("- ")] for text in (less, whole))
    assert 0 < len(told) < len(all_told)
    assert told == all_told[: len(told)]
    assert with_context(size - len(whole) // 3).reason == "context"
    with pytest.raises(UserError, match=r"too long for coder with answers of 100 tokens"):
        with_context(110)


def test_an_answer_that_was_cut_off(agent, server):
    server.finish = "length"
    in_order(server, GOOD[:300], GOOD)
    _, _, finished = turn(agent().ask("Coins"))
    assert finished.rounds[0].finish == "length"
    assert "- it ends in the middle, after 4096 tokens" in server.bodies[1]["messages"][-1]["content"]


@pytest.mark.parametrize("answer", ["", "I am sorry.", "```lua\n```", "\0\x1b[2J", "local " * 500, "a\ud800"])
def test_answers_without_code(agent, server, answer):
    in_order(server, answer, GOOD)
    scores, _, finished = turn(agent().ask("Coins"))
    assert scores[0] <= 0.2
    assert finished.best.code == GOOD


def test_seeds(agent, server):
    in_order(server, BROKEN, INVENTED)
    seeds = []
    for seed in (0, 0, 1):
        server.bodies.clear()
        turn(agent(seed=seed).ask("Coins"))
        seeds.append([body["seed"] for body in server.bodies])
    assert seeds[0] == seeds[1]
    assert not set(seeds[0]) & set(seeds[2])


def test_a_failure_keeps_the_best_so_far(agent, server):
    in_order(server, BROKEN)
    one = agent()
    events = one.ask("Coins")
    while not isinstance(next(events), Checked):
        pass
    server.cut = 2
    with pytest.raises(UserError, match="no connection"):
        list(events)
    assert one.best.code == BROKEN
    server.cut = None
    in_order(server, GOOD)
    turn(one.follow_up("again"))
    assert one.best.code == GOOD


def test_who_stops_listening_stops_the_model(agent, server):
    server.answer = lambda body: GOOD * 2000
    events = agent().ask("Coins")
    while not isinstance(next(events), Delta):
        pass
    events.close()
    assert server.left.wait(10)
    assert next(events, None) is None
