"""The tools and resources of ``luau-rft mcp`` through the SDK's client, over stdio and HTTP, in both of its ages."""

import json
import re
import threading
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from mcp import Client, MCPError, StdioServerParameters, stdio_client

from luau_rft.studio.jobs import Answer
from luau_rft.studio.server import Bridge
from tests.studio.mcp_session import (
    COMMAND,
    HANGS,
    ROOT,
    SHOP,
    Calls,
    ChatServer,
    http_server,
    http_transport,
    until,
    workers,
)  # fmt: skip
from tests.studio.polling_plugin import Plugin

TOOLS = {"score_luau", "run_luau", "generate_luau", "fix_luau", "insert_into_studio", "read_studio_selection"}
SEVERAL = "-- ServerScriptService/Shop.server.luau\nprint(1)\n-- ReplicatedStorage/Prices.luau\nreturn { sword = 3 }\n"
NOW, BEFORE = "auto", "legacy"  # a request that stands alone, or a session
every_way = pytest.mark.parametrize(
    "client", [(way, age) for way in ("stdio", "http") for age in (BEFORE, NOW)], indirect=True, ids="-".join
)


@pytest.fixture(scope="module")
def chat():
    with ChatServer().running() as server:
        yield server


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return tmp_path_factory.mktemp("config")


@pytest.fixture(scope="module")
def plugin(config):
    """A place that is connected to a real bridge, as the plugin does it by long polling."""
    told: list[str] = []
    bridge = Bridge(lambda request, talk: Answer([], ""), 0, config / "studio", told.append)
    thread = threading.Thread(target=bridge.run, daemon=True)
    thread.start()
    code = until(lambda: next((m[1] for line in told if (m := re.search(r"code: (\d{6})", line))), None))
    with Plugin(bridge.port, code) as plugin:
        yield plugin
    bridge.stop()
    thread.join(20)


@pytest.fixture(
    scope="module",
    params=[("stdio", BEFORE), ("http", NOW)],
    ids="-".join,
)
def client(request, chat, config, plugin, tmp_path_factory):
    """``call(function, ...)`` calls a method of a client, or a function of one, that is connected for all tests."""
    transport, mode = request.param
    arguments = ["--url", chat.url, "--model", "m"]
    environment = {"LUAU_RFT_CONFIG": str(config), "NO_PROXY": "127.0.0.1"}
    log = tmp_path_factory.mktemp("log") / "stderr"

    @asynccontextmanager
    async def connected():
        if transport == "http":
            with http_server(arguments, environment) as url:
                async with Client(http_transport(url), mode=mode) as client:
                    yield client
        else:
            parameters = StdioServerParameters(
                command=COMMAND, args=["mcp", "--project", str(ROOT), *arguments], env=environment, cwd="/"
            )
            with log.open("w") as errors:
                async with Client(stdio_client(parameters, errlog=errors), mode=mode) as client:
                    yield client
            assert "Traceback" not in log.read_text()

    with start_blocking_portal() as portal, portal.wrap_async_context_manager(connected()) as client:
        yield Calls(portal, client)


@every_way
def test_the_server_tells_what_it_has(client):
    tools = client.portal.call(client.client.list_tools).tools
    assert {tool.name for tool in tools} == TOOLS
    assert all(tool.description and tool.input_schema and tool.output_schema for tool in tools)
    writes = {tool.name for tool in tools if not tool.annotations.read_only_hint}
    assert writes == {"insert_into_studio"}
    resources = {str(resource.uri) for resource in client.portal.call(client.client.list_resources).resources}
    assert resources == {"luau-rft://rules", "luau-rft://tasks", "luau-rft://report"}
    templates = client.portal.call(client.client.list_resource_templates).resource_templates
    assert {template.uri_template for template in templates} == {"luau-rft://rules/{rule}", "luau-rft://tasks/{id}"}
    assert client.client.server_info.name == "luau-rft"


def test_score_luau(client):
    found = client.tool(
        "score_luau", code="local part = Instance.new('Part')\npart.Parant = workspace\n", kind="server"
    )
    assert 0 < found["composite"] < 1
    assert found["compiles"] is True
    assert "unknown-member" in {finding["rule"] for finding in found["findings"]} or found["api"] < 1
    broken = client.tool("score_luau", code="local = 1")
    assert (broken["compiles"], broken["cap"][:19]) == (False, "it does not compile")


@every_way
def test_run_luau_for_some_seconds(client):
    found = client.tool("run_luau", code="print('a')\ntask.wait(2)\nprint(nil + 1)", seconds=5)
    assert (found["ok"], found["line"], found["output"][0]) == (False, 3, "a")
    assert "attempt to perform arithmetic" in found["error"]
    assert client.progress


def test_run_luau_against_the_checks_of_a_task(client):
    found = client.tool("run_luau", code=(SHOP / "reference.luau").read_text(), task="shop-remote")
    assert found["checks"]
    assert all(check["passed"] for check in found["checks"])
    assert found["judgment"]["functionality"] == found["judgment"]["correctness"] == 1
    idle = client.tool("run_luau", code="print(1)", task="shop-remote")
    assert idle["judgment"]["functionality"] == 0


def test_run_luau_against_own_checks(client):
    checks = """return { checks = { { name = "named", use = "normal", run = function(place)
        place:equal(workspace.Crate.Name, "Crate") end } } }"""
    code = "local crate = Instance.new('Part')\ncrate.Name = 'Crate'\ncrate.Parent = workspace"
    assert client.tool("run_luau", code=code, checks=checks)["checks"] == [
        {"name": "named", "passed": True, "message": None}
    ]


def test_long_output_and_findings_are_cut(client):
    found = client.tool("run_luau", code="for i = 1, 1000 do print(i) end")
    assert (len(found["output"]), found["left_out"]) == (300, 700)
    scored = client.tool("score_luau", code="".join(f"foo{number}()\n" for number in range(500)))
    assert len(scored["findings"]) == 100
    assert scored["left_out"] >= 400


def test_calls_at_the_same_time_are_all_answered(client):
    async def all_at_once():
        async def one(number: int) -> None:
            result = await client.client.call_tool("run_luau", {"code": f"print({number})"})
            outputs[number] = result.structured_content["output"]

        outputs = {}
        async with anyio.create_task_group() as group:
            for number in range(6):
                group.start_soon(one, number)
        return outputs

    assert client.portal.call(all_at_once) == {number: [str(number)] for number in range(6)}


@every_way
def test_generate_luau_corrects_until_it_is_good(client):
    found = client.tool("generate_luau", task="shop-remote")
    assert [one["number"] for one in found["rounds"]] == [0, 1]
    assert found["rounds"][0]["score"] < 0.85 <= found["rounds"][1]["score"] == found["score"]
    assert (found["reason"], found["model"]) == ("good", "m")
    assert found["passed"] == found["total"] > 0
    assert found["code"].strip() == (SHOP / "reference.luau").read_text().strip()
    assert found["scripts"][0]["class_name"] == "Script"
    times = [progress for progress, _ in client.progress]
    assert times == sorted(set(times))
    assert any(re.match(r"round \d: ", message) for _, message in client.progress)


def test_fix_luau_repairs_what_is_found_or_what_it_is_told(client, chat):
    broken = (SHOP / "reference.luau").read_text() + "\nlocal broken = = 1\n"
    found = client.tool("fix_luau", code=broken, kind="server")
    assert found["rounds"][0]["number"] == 0
    assert found["score"] > found["rounds"][0]["score"]
    assert "broken" not in found["code"]
    client.tool("fix_luau", code=(SHOP / "reference.luau").read_text(), problem="the price is off by one", rounds=0)
    assert "the price is off by one" in chat.questions[-1]


def test_insert_into_studio_and_read_its_selection(client, plugin):
    plugin.inserted.clear()
    found = client.tool("insert_into_studio", code=SEVERAL)
    assert [one["path"] for one in found["inserted"]] == ["ServerScriptService.Shop", "ReplicatedStorage.Prices"]
    assert [(one["name"], one["class"], one["parent"]) for one in plugin.inserted] == [
        ("Shop", "Script", ["ServerScriptService"]),
        ("Prices", "ModuleScript", ["ReplicatedStorage"]),
    ]
    client.tool("insert_into_studio", code="return {}", name="My Module", place="Obby", replace=True)
    last = plugin.inserted[-1]
    assert (last["name"], last["class"], last["replace"]) == ("My Module", "ModuleScript", True)
    assert client.tool("read_studio_selection")["selection"] == [
        {"path": "Workspace.Door", "class": "Script", "name": "Door", "source": "print('door')"}
    ]


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("score_luau", {}, "code: Field required"),
        ("score_luau", {"code": 3}, "code: Input should be a valid string"),
        ("score_luau", {"code": ""}, "at least 1 character"),
        ("score_luau", {"code": "x" * 200_001}, "at most 200000 characters"),
        ("score_luau", {"code": "x", "kind": "plugin"}, "kind: "),
        ("score_luau", {"code": "x", "file": "y"}, "no argument file; there are code, kind"),
        ("run_luau", {"code": "x", "seconds": 0}, "seconds: "),
        ("run_luau", {"code": "x", "seconds": 1e9}, "seconds: Input should be less than or equal to 600"),
        ("run_luau", {"code": "x", "seconds": "soon"}, "seconds: "),
        ("run_luau", {"code": "x", "task": "../eval"}, "no such task; luau-rft://tasks lists them"),
        ("run_luau", {"code": "x", "task": "shop-remote", "checks": "x"}, "give one of the two"),
        ("run_luau", {"code": "x", "checks": "return 3"}, "data/tasks/README.md"),
        ("generate_luau", {}, "say what the script is to do"),
        ("generate_luau", {"wish": " \n"}, "say what the script is to do"),
        ("generate_luau", {"wish": "x" * 20_001}, "wish: "),
        ("generate_luau", {"wish": "x", "rounds": 11}, "rounds: "),
        ("generate_luau", {"wish": "x", "seed": -1}, "seed: "),
        ("generate_luau", {"wish": "x", "task": "nope"}, "no such task"),
        ("fix_luau", {"problem": "x"}, "code: Field required"),
        ("insert_into_studio", {"code": "x", "place": "Nowhere"}, "Obby"),
        ("insert_into_studio", {"code": SEVERAL, "name": "X"}, "leave it out"),
        ("read_studio_selection", {"place": "Nowhere"}, "Obby"),
    ],
)
def test_nonsense_is_refused_with_what_to_do(client, tool, arguments, told):
    assert told in client.error(tool, **arguments)


def test_an_unknown_tool_is_an_error(client):
    result = client.result("make_coffee")
    assert result.is_error
    assert "make_coffee" in result.content[0].text


@every_way
def test_resources(client):
    assert "### nil-index" in client.read("luau-rft://rules")
    assert client.read("luau-rft://rules/nil-index").startswith("nil-index (bugs)")
    tasks = {task["id"]: task for task in json.loads(client.read("luau-rft://tasks"))}
    assert tasks["shop-remote"]["split"] == "train"
    assert {task["split"] for task in tasks.values()} == {"train", "eval"}
    task = json.loads(client.read("luau-rft://tasks/shop-remote"))
    assert "ReplicatedStorage" in task["prompt"]
    assert not {"reference", "checks"} & task.keys()
    assert "| Composite |" in client.read("luau-rft://report")


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("luau-rft://rules/no-such-rule", "there is no rule"),
        ("luau-rft://tasks/no-such-task", "luau-rft://tasks lists them"),
        ("luau-rft://tasks/..%2F..%2Fmetrics", "Unknown resource"),
        ("luau-rft://nothing", "Unknown resource"),
        ("file:///etc/passwd", "Unknown resource"),
    ],
)
def test_what_is_no_resource_is_an_error(client, uri, told):
    with pytest.raises(MCPError, match=told):
        client.read(uri)


@every_way
def test_a_cancelled_run_is_killed(client):
    client.cancelled("run_luau", lambda: client.progress and workers(), code=HANGS, seconds=600)
    until(lambda: not workers())
    assert client.tool("run_luau", code="print('next')")["output"] == ["next"]


@every_way
def test_a_cancelled_answer_is_broken_off(client, chat):
    chat.left.clear()
    client.cancelled(
        "generate_luau", lambda: any("written" in message for _, message in client.progress), wish="endless"
    )
    assert chat.left.wait(30)
    assert client.tool("score_luau", code="print(1)")["compiles"]
