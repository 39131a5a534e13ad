"""What the plugin asks of the agent, by the handler of ``luau-rft studio serve`` and a model behind a server."""

import pytest
from starlette.responses import PlainTextResponse

from luau_rft.errors import UserError
from luau_rft.model.chat import ServedChat
from luau_rft.studio.agent_handler import agent_handler
from luau_rft.studio.jobs import Cancelled, Talk
from luau_rft.studio.protocol import AgentRequest
from tests.servers.chat_server import ChatServer
from tests.test_agent import BROKEN, GOOD, INVENTED, SEVERAL_SCRIPTS

SCRIPT = {"id": "1", "name": "Pay", "class": "Script", "parent": ["ServerScriptService"]}
FASTER = GOOD.replace("PAY = 1", "PAY = 10")


@pytest.fixture
def server():
    with ChatServer(lambda body: GOOD, ["coder"]) as running:
        yield running


def asked(server, said, **fields):
    handle = agent_handler(lambda: ServedChat(server.url, retries=0), 0.95, 3)
    return handle(AgentRequest.model_validate(SCRIPT | fields), Talk(said.append))


def test_a_wish_becomes_scripts_in_their_places(server):
    server.answer = lambda body: SEVERAL_SCRIPTS
    answer = asked(server, [], kind="generate", wish="A shop", **{"name": None, "class": None, "parent": None})
    assert [(one.name, one.class_, one.parent) for one in answer.scripts] == [
        ("Coins", "Script", ["ServerScriptService"]),
        ("Panel", "LocalScript", ["StarterPlayer", "StarterPlayerScripts"]),
        ("Prices", "ModuleScript", ["ReplicatedStorage"]),
    ]
    assert "findings left, the worst: " in answer.message


def test_a_repair_without_a_wish_corrects_what_is_found(server):
    said = []
    answer = asked(server, said, kind="repair", source=INVENTED)
    assert [one.source for one in answer.scripts] == [GOOD]
    assert answer.score == 1.0
    assert said[-1] == "round 1: score 1.00"
    assert any(line.startswith("round 1: coder writes, told ") for line in said)


def test_a_repair_of_good_code_without_a_wish_changes_nothing(server):
    answer = asked(server, [], kind="repair", source=GOOD)
    assert (list(answer.scripts), server.bodies) == ([], [])
    assert answer.message == "nothing better was found; the script scores 1.00"


@pytest.mark.parametrize("source", [GOOD, BROKEN])
def test_a_repair_with_a_wish_changes_good_code_too(server, source):
    server.answer = lambda body: FASTER
    answer = asked(server, [], kind="repair", source=source, wish="Pay ten coins")
    assert [one.source for one in answer.scripts] == [FASTER]
    [body] = server.bodies
    assert body["messages"][2]["content"] == source
    assert "Pay ten coins" in body["messages"][3]["content"]


def test_a_request_that_is_given_up_stops_the_model(server):
    talk = Talk(lambda line: talk.cancelled.set())
    handle = agent_handler(lambda: ServedChat(server.url, retries=0), 0.95, 3)
    server.answer = lambda body: GOOD * 2000
    with pytest.raises(Cancelled):
        handle(AgentRequest.model_validate(SCRIPT | {"kind": "generate", "wish": "Coins"}), talk)
    assert server.left.wait(10)


def test_what_the_server_refuses_is_told(server):
    server.answer = lambda body: PlainTextResponse("out of memory", 500)
    with pytest.raises(UserError, match="failed with HTTP 500"):
        asked(server, [], kind="generate", wish="Coins")
