"""The bridge: pairing, delivery by both ways, order, faults, restarts, requests to the agent."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from http.client import HTTPException
from pathlib import Path

import pytest
from websockets.exceptions import WebSocketException

from luau_rft.errors import UserError
from luau_rft.model.chat import Stream
from luau_rft.model.prompt import Messages
from luau_rft.studio.agent_handler import agent_handler
from luau_rft.studio.jobs import Answer, Talk
from luau_rft.studio.places import Timing
from luau_rft.studio.protocol import AgentRequest, Insert
from luau_rft.studio.server import Bridge
from tests.servers.bridge import (
    PATIENCE_S,
    ROOT,
    Process,
    Running,
    call,
    closing,
    insertion,
    one_script,
    receive,
    result,
    running,
    until,
)

SHORT = Timing(ping_s=0.1, lost_s=0.5)


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "bridges") as bridge:
        yield bridge


class TestDelivery:
    @pytest.mark.parametrize("transport", ["stream", "poll"])
    def test_in_order_and_once(self, bridge: Running, transport: str) -> None:
        """Two hundred at once."""
        plugin = bridge.pair()
        ids = [f"c{number}" for number in range(200)]
        got: list[str] = []
        if transport == "stream":
            with plugin.stream() as stream:
                bridge.queue(None, *ids)
                for _ in ids:
                    message = receive(stream)
                    got.append(message["id"])
                for id_ in ids:
                    stream.send(result(id_, value={"path": id_}))
                acknowledged = [id_ for _ in ids for id_ in receive(stream)["ids"]]
                assert acknowledged == ids
        else:
            plugin.messages()
            bridge.queue(None, *ids)
            after = 0
            while len(got) < len(ids):
                for message in plugin.messages(5, after=after):
                    got.append(message["id"])
                    after = message["seq"]
            results = [{"id": id_, "ok": True, "value": {"path": id_}} for id_ in ids]
            [acknowledged] = plugin.messages(0, after=after, results=results)
            assert acknowledged == {"type": "ack", "ids": ids}
        assert got == ids
        found = bridge.client("results", {"ids": ids})
        assert {id_: one["value"] for id_, one in found["results"].items()} == {id_: {"path": id_} for id_ in ids}
        assert bridge.place("place-1")["waiting"] == 0

    def test_two_hundred_clients_at_once(self, bridge: Running) -> None:
        """While the plugin works, each client waits for its own result."""
        with bridge.pair().working() as plugin, ThreadPoolExecutor(16) as pool:
            ids = [f"c{number}" for number in range(200)]

            def one(id_: str) -> bool:
                bridge.queue("Obby", id_)
                return bridge.client("results", {"ids": [id_], "wait_s": 20})["results"][id_]["ok"]

            assert all(pool.map(one, ids))
        assert sorted(plugin.done) == sorted(ids)

    def test_a_held_poll_is_answered_by_the_command(self, bridge: Running) -> None:
        plugin = bridge.pair()
        plugin.messages()
        with ThreadPoolExecutor(1) as pool:
            held = pool.submit(plugin.commands, 25)
            until(lambda: bridge.place("place-1")["state"] == "connected")
            bridge.queue("place-1", "a")
            assert held.result(timeout=10) == ["a"]  # far below the 25 s

    def test_it_comes_again_until_its_result_has_come(self, bridge: Running) -> None:
        plugin = bridge.pair()
        bridge.queue("place-1", "a", "b")
        assert plugin.commands() == ["a", "b"]
        with plugin.stream() as stream:
            assert [receive(stream)["id"] for _ in range(2)] == ["a", "b"]
            stream.send(result("a"))
            assert receive(stream) == {"type": "ack", "ids": ["a"]}
        plugin.session = "session-2"
        assert plugin.commands() == ["b"]
        assert plugin.commands(after=2) == []

    def test_a_result_may_be_repeated(self, bridge: Running) -> None:
        plugin = bridge.pair()
        bridge.queue("place-1", "a")
        for value in ({"path": "first"}, {"path": "second"}):
            body = {"results": [{"id": "a", "ok": True, "value": value}, {"id": "never-heard-of", "ok": True}]}
            reply = bridge.call("POST", "/results", body, plugin.token)
            assert reply.body == {"type": "ack", "ids": ["a", "never-heard-of"]}
        assert bridge.client("results", {"ids": ["a"]})["results"]["a"]["value"] == {"path": "first"}

    def test_an_empty_table_of_luau_is_a_value(self, bridge: Running) -> None:
        plugin = bridge.pair()
        bridge.queue("place-1", "a")
        plugin.messages(results=[{"id": "a", "ok": True, "value": []}])
        assert bridge.client("results", {"ids": ["a"]})["results"]["a"]["value"] == {}

    def test_a_client_may_repeat_a_command(self, bridge: Running) -> None:
        plugin = bridge.pair()
        for _ in range(3):
            bridge.queue("place-1", "a")
        assert plugin.commands() == ["a"]

    def test_what_nobody_waits_for_is_withdrawn(self, bridge: Running) -> None:
        plugin = bridge.pair()
        bridge.queue("place-1", "short", valid_s=0.05)
        bridge.queue("place-1", "long")
        until(lambda: bridge.client("results", {"ids": ["short"]})["withdrawn"] == ["short"])
        assert plugin.commands() == ["long"]

    def test_a_client_takes_a_command_back(self, bridge: Running) -> None:
        plugin = bridge.pair()
        bridge.queue("place-1", "a", "b")
        state = bridge.client("cancel", {"ids": ["a", "unknown"]})
        assert state["withdrawn"] == ["a", "unknown"]
        assert plugin.commands() == ["b"]

    def test_clients_see_what_was_delivered(self, bridge: Running) -> None:
        plugin = bridge.pair()
        bridge.queue("place-1", "a")
        assert bridge.client("results", {"ids": ["a"]})["waiting"] == {"a": "queued"}
        plugin.messages()
        assert bridge.client("results", {"ids": ["a"]})["waiting"] == {"a": "delivered"}

    def test_a_plugin_that_claims_too_much_gets_all(self, bridge: Running) -> None:
        """Its ``after`` belongs to another bridge."""
        plugin = bridge.pair()
        bridge.queue("place-1", "a")
        assert plugin.commands(after=1000) == ["a"]

    def test_polls_stay_below_the_limit_of_studio(self, bridge: Running) -> None:
        """After a burst of 60 there are four a second, so that a minute has at most 300 of HttpService's 500."""
        plugin = bridge.pair()
        for _ in range(60):
            plugin.messages()
        start = time.monotonic()
        for _ in range(4):
            plugin.messages()
        assert time.monotonic() - start > 0.5

    def test_a_large_source_arrives_whole(self, bridge: Running) -> None:
        plugin = bridge.pair()
        source = "-- ä€😀\n" * 24_000
        commands = [{"id": f"c{number}", "command": insertion("x") | {"source": source}} for number in range(3)]
        bridge.client("commands", {"commands": commands})
        after, sources = 0, []
        while len(sources) < 3:
            for message in plugin.messages(5, after=after):
                if message["type"] == "command":
                    sources.append(message["command"]["source"])
                    after = message["seq"]
        assert sources == [source] * 3


class TestConnections:
    def test_a_stream_that_does_not_answer_is_lost_and_nothing_with_it(self, tmp_path: Path) -> None:
        with running(tmp_path, timing=SHORT) as bridge:
            plugin = bridge.pair()
            with plugin.socket() as stream:
                stream.send(json.dumps({"type": "hello"} | plugin.hello()))
                until(lambda: bridge.place("place-1")["state"] == "connected")
                bridge.queue("place-1", "a")
                assert closing(stream) == 4002  # it took the command, but no ping was answered
            assert bridge.place("place-1") | {"seen_s": 0} == {
                "place": "place-1", "name": "Obby", "state": "lost", "waiting": 1, "seen_s": 0,
            }  # fmt: skip
            assert "«Obby» does not answer, 1 commands wait" in bridge.lines
            assert plugin.commands() == ["a"]
            assert bridge.place("place-1")["state"] == "connected"

    def test_a_stream_that_answers_stays(self, tmp_path: Path) -> None:
        with running(tmp_path, timing=SHORT) as bridge:
            plugin = bridge.pair()
            with plugin.working():
                time.sleep(3 * SHORT.lost_s)
                bridge.queue("place-1", "a")
                assert bridge.client("results", {"ids": ["a"], "wait_s": 20})["results"]["a"]["ok"]
            assert [line for line in bridge.lines if "connected" in line and "dis" not in line] == [
                "«Obby» connected (stream)"
            ]

    def test_a_plugin_that_stops_polling_is_lost(self, tmp_path: Path) -> None:
        with running(tmp_path, timing=SHORT) as bridge:
            bridge.pair().messages()
            assert bridge.place("place-1")["state"] == "connected"
            until(lambda: bridge.place("place-1")["state"] == "lost")

    def test_a_poll_whose_plugin_is_gone_does_not_count(self, tmp_path: Path) -> None:
        with running(tmp_path, timing=SHORT) as bridge:
            plugin = bridge.pair()
            plugin.messages()
            body = json.dumps(plugin.hello(wait_s=25)).encode()
            head = (
                f"POST /poll HTTP/1.1\r\nHost: 127.0.0.1:{bridge.port}\r\nContent-Type: application/json\r\n"
                f"Authorization: Bearer {plugin.token}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            with socket.create_connection(("127.0.0.1", bridge.port)) as gone:
                gone.sendall(head.encode() + body)
                time.sleep(2 * SHORT.lost_s)
                assert bridge.place("place-1")["state"] == "connected"
            until(lambda: bridge.place("place-1")["state"] == "lost")

    def test_a_second_poll_ends_the_first(self, bridge: Running) -> None:
        plugin = bridge.pair()
        plugin.messages()
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(plugin.messages, 25)
            time.sleep(0.3)
            second = pool.submit(plugin.commands, 25)
            assert first.result(timeout=10) == []
            bridge.queue("place-1", "a")
            assert second.result(timeout=10) == ["a"]

    def test_polls_and_streams_take_turns(self, bridge: Running) -> None:
        plugin = bridge.pair()
        with ThreadPoolExecutor(1) as pool:
            plugin.messages()
            held = pool.submit(plugin.messages, 25)
            time.sleep(0.3)
            with plugin.stream() as stream:
                assert held.result(timeout=10) == []
                assert bridge.place("place-1")["transport"] == "stream"
                plugin.messages()
                assert closing(stream) == 1000
        assert bridge.place("place-1")["transport"] == "poll"

    def test_play_mode_leaves_the_edit_connection_alone(self, bridge: Running) -> None:
        plugin = bridge.pair()
        with plugin.stream() as stream:
            for mode in ("play-server", "play-client"):
                reply = plugin.poll(mode=mode, session=mode)
                assert (reply.status, reply.reason) == (409, "not-edit")
                with plugin.socket() as other:
                    other.send(json.dumps({"type": "hello"} | plugin.hello(mode=mode, session=mode)))
                    assert receive(other)["reason"] == "not-edit"
            bridge.queue(None, "a")
            assert receive(stream)["id"] == "a"

    def test_a_play_test_that_interrupts_the_edit_connection_loses_nothing(self, bridge: Running) -> None:
        plugin = bridge.pair()
        with plugin.stream():
            pass
        until(lambda: bridge.place("place-1")["state"] == "away")
        bridge.queue(None, "a")
        assert plugin.poll(mode="play-server", session="play").reason == "not-edit"
        with plugin.stream() as stream:
            assert receive(stream)["id"] == "a"

    def test_two_windows_of_one_place_do_not_fight(self, bridge: Running) -> None:
        plugin = bridge.pair()
        with ExitStack() as stack:
            first = stack.enter_context(plugin.stream(session="window-1"))
            second = stack.enter_context(plugin.stream(session="window-2"))
            assert receive(first)["reason"] == "replaced"
            assert closing(first) == 4001
            assert plugin.poll(session="window-1").reason == "replaced"
            bridge.queue(None, "a")
            assert receive(second)["id"] == "a"
            again = stack.enter_context(plugin.stream(session="window-1", takeover=True))
            assert receive(second)["reason"] == "replaced"
            assert receive(again)["id"] == "a"

    def test_a_replaced_window_comes_back_once_the_other_is_gone(self, bridge: Running) -> None:
        plugin = bridge.pair()
        with plugin.stream(session="window-1") as first, plugin.stream(session="window-2"):
            assert closing(first) == 4001
        until(lambda: bridge.place("place-1")["state"] == "away")
        assert plugin.poll(session="window-1").status == 200

    def test_a_held_poll_of_a_replaced_window(self, bridge: Running) -> None:
        plugin = bridge.pair()
        plugin.messages(session="window-1")
        with ThreadPoolExecutor(1) as pool:
            held = pool.submit(plugin.poll, 25, session="window-1")
            time.sleep(0.3)
            with plugin.stream(session="window-2"):
                assert held.result(timeout=10).reason == "replaced"

    def test_another_version_of_the_protocol(self, bridge: Running) -> None:
        plugin = bridge.pair()
        assert plugin.poll(protocol=2).reason == "protocol"
        assert "update the bridge" in plugin.poll(protocol=2).body["message"]
        assert "update the plugin" in plugin.poll(protocol=0).body["message"]

    def test_a_stream_without_hello_is_closed(self, tmp_path: Path) -> None:
        with running(tmp_path, timing=Timing(hello_s=0.1)) as bridge, bridge.pair().socket() as stream:
            assert closing(stream) == 4004

    def test_a_renamed_place(self, bridge: Running) -> None:
        plugin = bridge.pair()
        plugin.name = "Tower Defense"
        plugin.messages()
        assert bridge.place("place-1")["name"] == "Tower Defense"


class TestPlaces:
    def test_commands_go_to_the_place_that_is_named(self, bridge: Running) -> None:
        first, second = bridge.pair("place-1", "Obby"), bridge.pair("place-2", "Tycoon")
        bridge.queue("tycoon", "by-name")
        bridge.queue("place-1", "by-id")
        assert (first.commands(), second.commands()) == (["by-id"], ["by-name"])

    def test_the_only_one_that_is_connected(self, bridge: Running) -> None:
        bridge.pair("place-1", "Obby")
        second = bridge.pair("place-2", "Tycoon")
        with second.stream() as stream:
            bridge.queue(None, "a")
            assert receive(stream)["id"] == "a"

    def test_an_unclear_place_lists_them(self, bridge: Running) -> None:
        body = {"commands": [{"id": "a", "command": insertion("a")}]}

        def refused(place: str | None) -> tuple[int, str, list[str]]:
            reply = bridge.call("POST", "/client/commands", body | {"place": place}, bridge.secret)
            return reply.status, reply.reason, [one["place"] for one in reply.body["places"]]

        assert refused(None) == (404, "no-place", [])
        bridge.pair("place-1", "Obby")
        bridge.pair("place-2", "Obby")
        assert refused(None) == (409, "several-places", ["place-1", "place-2"])
        assert refused("Obby") == (409, "several-places", ["place-1", "place-2"])
        assert refused("Tycoon") == (404, "unknown-place", ["place-1", "place-2"])

    def test_a_forgotten_place_has_nothing_waiting(self, bridge: Running) -> None:
        bridge.pair()
        bridge.queue(None, "a")
        bridge.client("forget", {"place": "place-1"})
        assert bridge.client("state")["places"] == []
        assert bridge.client("results", {"ids": ["a"]})["withdrawn"] == ["a"]
        again = bridge.pair()
        bridge.queue(None, "b")
        assert again.commands() == ["b"]


class TestRestart:
    def test_a_restarted_bridge_knows_its_places(self, tmp_path: Path) -> None:
        with running(tmp_path) as bridge:
            plugin = bridge.pair()
            server = bridge.call("GET", "/hello").body["server"]
            bridge.queue(None, "a", "b")
            plugin.messages(results=[{"id": "a", "ok": True, "value": {"path": "x"}}])
        with running(tmp_path, port=plugin.port) as bridge:
            assert bridge.call("GET", "/hello").body["server"] == server
            assert plugin.commands() == ["b"]
            assert bridge.client("results", {"ids": ["a"]})["results"]["a"]["value"] == {"path": "x"}
            assert any("paired: «Obby»" in line for line in bridge.lines)

    def test_a_replaced_bridge_asks_to_pair_anew(self, tmp_path: Path) -> None:
        """Never a plugin that is stuck with a dead token."""
        with running(tmp_path / "old") as bridge:
            plugin = bridge.pair()
            old = bridge.call("GET", "/hello").body["server"]
        with running(tmp_path / "new", port=plugin.port) as bridge:
            assert bridge.call("GET", "/hello").body["server"] != old
            assert (plugin.poll().status, plugin.poll().reason) == (401, "unknown-token")
            again = bridge.pair()
            bridge.queue(None, "a")
            assert again.commands(after=7) == ["a"]

    def test_the_end_says_so_to_everybody(self, tmp_path: Path) -> None:
        with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
            with running(tmp_path) as bridge:
                first, second = bridge.pair("place-1"), bridge.pair("place-2")
                stream = stack.enter_context(first.stream())
                second.messages()
                held = pool.submit(second.poll, 25)
                until(lambda: bridge.place("place-2")["state"] == "connected")
                time.sleep(0.2)
            assert held.result(timeout=10).reason == "stopping"
            assert closing(stream) == 1001

    def test_killed_at_any_moment_nothing_is_lost_or_done_twice(self, tmp_path: Path) -> None:
        """A client hands over one command after the other while the bridge is killed and started again."""
        accepted: list[str] = []
        stop = threading.Event()
        with Process(tmp_path) as process:
            plugin = process.pair("place-1", "Obby")
            done: dict[str, str] = {}
            acknowledged: set[str] = set()

            def hand_over() -> None:
                number = 0
                while not stop.is_set():
                    with suppress(OSError, HTTPException, AssertionError):
                        process.bridge().queue("place-1", f"c{number}")
                        accepted.append(f"c{number}")
                        number += 1

            end = time.monotonic() + 3 * PATIENCE_S

            def finished() -> bool:
                return (tasks[0].done() and set(accepted) <= acknowledged) or time.monotonic() > end

            def work() -> None:
                """A plugin: does what is new, sends a result until it is acknowledged."""
                while not finished():
                    with suppress(OSError, WebSocketException, AssertionError), plugin.stream() as stream:
                        for id_ in done.keys() - acknowledged:
                            stream.send(done[id_])
                        while not finished():
                            with suppress(TimeoutError):
                                message = json.loads(stream.recv(timeout=0.2))
                                if message["type"] == "ping":
                                    stream.send(json.dumps({"type": "pong", "n": message["n"]}))
                                elif message["type"] == "ack":
                                    acknowledged.update(message["ids"])
                                elif message["type"] == "command":
                                    value = {"path": str(len(done))}
                                    done.setdefault(message["id"], result(message["id"], value=value))
                                    stream.send(done[message["id"]])
                    time.sleep(0.05)

            with ThreadPoolExecutor(2) as pool:
                tasks = [pool.submit(hand_over)]
                tasks.append(pool.submit(work))
                try:
                    for count in (10, 30, 50):
                        until(lambda count=count: len(accepted) >= count or tasks[0].done())
                        process.kill()
                        process.start()
                    until(lambda: len(accepted) >= 70 or tasks[0].done())
                finally:
                    stop.set()
                for task in tasks:
                    task.result(timeout=2 * PATIENCE_S)
            assert set(accepted) <= set(done)
            bridge = process.bridge()
            assert bridge.place("place-1")["waiting"] == 0
            found = bridge.client("results", {"ids": accepted})["results"]
            assert {id_: one["value"]["path"] for id_, one in found.items()} == {
                id_: json.loads(done[id_])["value"]["path"] for id_ in accepted
            }

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_it_ends_cleanly(self, tmp_path: Path, number: signal.Signals) -> None:
        with Process(tmp_path) as process:
            plugin = process.pair("place-1", "Obby")
            process.bridge().queue(None, "a")
            with plugin.stream() as stream:
                process.process.send_signal(number)
                output, _ = process.process.communicate(timeout=PATIENCE_S)
                assert closing(stream) == 1001
            assert process.process.returncode == 0
            assert output.splitlines()[-1] == "bridge ended, 1 commands wait for its next start"
            assert "Traceback" not in output
            assert not list(process.folder.glob("*/bridge.json"))

    def test_a_port_that_a_bridge_has(self, bridge: Running) -> None:
        with pytest.raises(UserError, match=r"a bridge already runs there \(process \d+\)"):
            Bridge(one_script, bridge.port, bridge.folder)

    def test_a_port_that_something_else_has(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with pytest.raises(UserError, match=f"--port {port}: taken by another program"):
                Bridge(one_script, port, tmp_path)

    def test_a_stale_file_is_replaced(self, tmp_path: Path) -> None:
        with Process(tmp_path) as process:
            process.kill()
            assert list(process.folder.glob("*/bridge.json"))
            process.start()
            assert process.bridge().client("state")["pid"] == process.process.pid

    def test_two_bridges_side_by_side(self, tmp_path: Path) -> None:
        with running(tmp_path) as first, running(tmp_path) as second:
            plugins = [bridge.pair("place-1", "Obby") for bridge in (first, second)]
            first.queue(None, "a")
            second.queue(None, "b")
            assert [plugin.commands() for plugin in plugins] == [["a"], ["b"]]
            assert call(second.port, "POST", "/poll", plugins[0].hello(), plugins[0].token).reason == "unknown-token"

    def test_a_damaged_file_is_named(self, tmp_path: Path) -> None:
        with running(tmp_path) as bridge:
            port = bridge.port
        path = tmp_path / str(port) / "queue.sqlite"
        path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
        with pytest.raises(UserError, match=r"queue.sqlite: cannot be read"):
            Bridge(one_script, port, tmp_path)


class Slow:
    """A handler that goes on when it is told to, or when its request is given up."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.go = threading.Event()

    def __call__(self, request: AgentRequest, talk: Talk) -> Answer:
        self.started.append(request.id)
        talk.say(f"writing {request.id}")
        while not self.go.wait(0.01):
            talk.check()
        return Answer([Insert(name="Made", class_="Script", source=request.wish)], "score 0.90", 0.9)


def request(id_: str, **more: object) -> dict[str, object]:
    return {"id": id_, "kind": "generate", "wish": f"wish {id_}"} | more


class TestRequests:
    def test_progress_then_the_script_then_the_end(self, tmp_path: Path) -> None:
        slow = Slow()
        with running(tmp_path, slow) as bridge:
            plugin = bridge.pair()
            with plugin.stream() as stream:
                reply = bridge.call("POST", "/requests", request("r"), plugin.token)
                assert reply.body == {"id": "r", "state": "queued", "message": ""}
                progress = receive(stream)
                while "message" not in progress or not progress["message"]:
                    progress = receive(stream)
                assert progress == {"type": "progress", "job": "r", "state": "running", "message": "writing r"}
                slow.go.set()
                made, end = receive(stream), receive(stream)
            assert made["command"] == {
                "type": "insert", "name": "Made", "class": "Script", "source": "wish r", "replace": False,
                "request": "r",
            }  # fmt: skip
            assert end["command"] == {
                "type": "job_done", "job": "r", "state": "done", "message": "score 0.90", "score": 0.9,
                "commands": [made["id"]],
            }  # fmt: skip
            reply = bridge.call("POST", "/requests", request("r"), plugin.token)
            assert reply.body["state"] == "done"
            assert slow.started == ["r"]

    def test_progress_by_polls(self, tmp_path: Path) -> None:
        with running(tmp_path) as bridge:
            plugin = bridge.pair()
            plugin.messages()
            bridge.call("POST", "/requests", request("r"), plugin.token)
            got = plugin.messages(10)
            while not any(message.get("command", {}).get("type") == "job_done" for message in got):
                got = plugin.messages(10)
            assert [message["command"]["type"] for message in got if message["type"] == "command"] == [
                "insert",
                "job_done",
            ]

    def test_a_repair_replaces_the_script_it_was_about(self, bridge: Running) -> None:
        plugin = bridge.pair()
        about = {"name": "Door", "class": "LocalScript", "parent": ["StarterGui"], "source": "x"}
        bridge.call("POST", "/requests", request("r", kind="repair", wish="", **about), plugin.token)
        until(lambda: bridge.place("place-1")["waiting"] == 2)
        made = plugin.messages()[1]["command"]
        assert {name: made[name] for name in ("name", "class", "parent", "replace", "request")} == {
            "name": "Door", "class": "LocalScript", "parent": ["StarterGui"], "replace": True, "request": "r",
        }  # fmt: skip

    def test_one_at_a_time_in_order(self, tmp_path: Path) -> None:
        slow = Slow()
        with running(tmp_path, slow) as bridge:
            plugin, other = bridge.pair("place-1"), bridge.pair("place-2")
            for id_, who in (("a", plugin), ("b", other), ("c", plugin)):
                bridge.call("POST", "/requests", request(id_), who.token)
            until(lambda: slow.started)
            assert [(job["id"], job["state"]) for job in bridge.client("state")["jobs"]] == [
                ("a", "running"), ("b", "queued"), ("c", "queued"),
            ]  # fmt: skip
            assert slow.started == ["a"]
            slow.go.set()
            until(lambda: not bridge.client("state")["jobs"])
            assert slow.started == ["a", "b", "c"]

    def test_requests_are_cancelled(self, tmp_path: Path) -> None:
        slow = Slow()
        with running(tmp_path, slow) as bridge:
            plugin = bridge.pair()
            for id_ in ("a", "b", "c"):
                bridge.call("POST", "/requests", request(id_), plugin.token)
            until(lambda: slow.started)
            assert bridge.call("POST", "/requests/cancel", {"ids": ["b", "a", "no"]}, plugin.token).status == 200
            until(lambda: slow.started == ["a", "c"])
            slow.go.set()
            until(lambda: bridge.place("place-1")["waiting"] == 4)
            ends = [one["command"] for one in plugin.messages() if one.get("command", {}).get("type") == "job_done"]
            assert sorted((end["job"], end["state"]) for end in ends) == [
                ("a", "cancelled"), ("b", "cancelled"), ("c", "done"),
            ]  # fmt: skip

    def test_another_place_cannot_cancel(self, tmp_path: Path) -> None:
        slow = Slow()
        with running(tmp_path, slow) as bridge:
            plugin, other = bridge.pair("place-1"), bridge.pair("place-2")
            bridge.call("POST", "/requests", request("a"), plugin.token)
            bridge.call("POST", "/requests/cancel", {"ids": ["a"]}, other.token)
            slow.go.set()
            until(lambda: bridge.place("place-1")["waiting"] == 2)
            assert [one["command"]["type"] for one in plugin.messages() if "command" in one] == ["insert", "job_done"]

    @pytest.mark.parametrize(
        ("error", "told"),
        [(UserError("no adapter"), "no adapter"), (KeyError("x"), "KeyError: 'x'"), (SystemExit(1), "SystemExit(1)")],
    )
    def test_a_handler_that_fails(self, tmp_path: Path, error: BaseException, told: str) -> None:
        def fail(request: AgentRequest, talk: Talk) -> Answer:
            if request.id == "bad":
                raise error
            return one_script(request, talk)

        with running(tmp_path, fail) as bridge:
            plugin = bridge.pair()
            bridge.call("POST", "/requests", request("bad"), plugin.token)
            bridge.call("POST", "/requests", request("good"), plugin.token)
            until(lambda: bridge.place("place-1")["waiting"] == 3)
            end = plugin.messages()[1]["command"]
            assert (end["job"], end["state"]) == ("bad", "failed")
            assert told in end["message"]

    def test_a_message_that_cannot_be_kept_fails_that_request_alone(self, tmp_path: Path) -> None:
        def odd(request: AgentRequest, talk: Talk) -> Answer:
            return Answer([], "half a letter: \ud83d" if request.id == "bad" else "fine")

        with running(tmp_path, odd) as bridge:
            plugin = bridge.pair()
            for id_ in ("bad", "good"):
                bridge.call("POST", "/requests", request(id_), plugin.token)
            until(lambda: bridge.place("place-1")["waiting"] == 2)
            ends = [one["command"] for one in plugin.messages() if "command" in one]
            assert [(end["job"], end["state"]) for end in ends] == [("bad", "failed"), ("good", "done")]

    def test_a_place_forgotten_while_its_request_is_at_work(self, tmp_path: Path) -> None:
        slow = Slow()
        with running(tmp_path, slow) as bridge:
            plugin = bridge.pair()
            bridge.call("POST", "/requests", request("a"), plugin.token)
            until(lambda: slow.started == ["a"])
            bridge.client("forget", {"place": "place-1"})
            until(lambda: bridge.client("state")["jobs"] == [])
            slow.go.set()
            again = bridge.pair()
            bridge.call("POST", "/requests", request("b"), again.token)
            until(lambda: bridge.place("place-1")["waiting"] == 2)
            assert slow.started == ["a", "b"]

    def test_what_is_no_request(self, bridge: Running) -> None:
        plugin = bridge.pair()
        for body in (
            request("r", kind="repair"),
            request("r", wish="  "),
            request("r", wish="x" * 20_001),
            request(""),
        ):
            assert bridge.call("POST", "/requests", body, plugin.token).reason == "bad-request"

    def test_too_many_wait(self, tmp_path: Path) -> None:
        slow = Slow()
        with running(tmp_path, slow) as bridge:
            plugin = bridge.pair()
            replies = [bridge.call("POST", "/requests", request(f"r{number}"), plugin.token) for number in range(25)]
            assert {reply.status for reply in replies} == {200, 429}
            slow.go.set()

    def test_a_restart_starts_what_waited_and_reports_what_was_at_work(self, tmp_path: Path) -> None:
        slow = Slow()
        with running(tmp_path, slow) as bridge:
            plugin = bridge.pair()
            for id_ in ("a", "b"):
                bridge.call("POST", "/requests", request(id_), plugin.token)
            until(lambda: slow.started)
        with running(tmp_path, port=plugin.port) as bridge:
            until(lambda: bridge.place("place-1")["waiting"] == 3)
            ends = [one["command"] for one in plugin.messages() if one.get("command", {}).get("type") == "job_done"]
            assert [(end["job"], end["state"]) for end in ends] == [("a", "failed"), ("b", "done")]


class Scripted:
    """A model whose answers are known."""

    name, max_tokens, verbatim = "scripted", 1000, False

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def fits(self, messages: Messages) -> bool:
        return True

    def stream(self, messages: Messages, seed: int) -> Stream:
        self.asked.append(messages[-1]["content"])
        yield from self.answers.pop(0).splitlines(keepends=True)
        return "stop"


class TestAgent:
    """The handler of `luau-rft studio serve`, with the real agent."""

    GOOD = (ROOT / "data/tasks/train/lava-floor/reference.luau").read_text(encoding="utf-8")

    def test_a_wish_becomes_a_script(self, tmp_path: Path) -> None:
        chat = Scripted("local x = \n", self.GOOD)
        with running(tmp_path, agent_handler(lambda: chat, 0.85, 3)) as bridge:
            plugin = bridge.pair()
            bridge.call("POST", "/requests", request("r", wish="Greet players"), plugin.token)
            until(lambda: bridge.place("place-1")["waiting"] == 2)
            made, end = [one["command"] for one in plugin.messages() if one["type"] == "command"]
        assert made["source"].strip() == self.GOOD.strip()
        assert (made["class"], made["request"]) == ("Script", "r")
        assert end["state"] == "done"
        assert end["score"] >= 0.85
        assert "Greet players" in chat.asked[0]

    def test_a_script_is_repaired(self, tmp_path: Path) -> None:
        with running(tmp_path, agent_handler(lambda: Scripted(self.GOOD), 0.85, 3)) as bridge:
            plugin = bridge.pair()
            about = {"name": "Greeter", "class": "Script", "source": "Players.PlayerAdded:Connect(\n"}
            bridge.call("POST", "/requests", request("r", kind="repair", wish="", **about), plugin.token)
            until(lambda: bridge.place("place-1")["waiting"] == 2)
            made = plugin.messages()[1]["command"]
        assert (made["name"], made["replace"]) == ("Greeter", True)
        assert made["source"].strip() == self.GOOD.strip()

    def test_a_model_that_is_missing_is_told(self, tmp_path: Path) -> None:
        def missing() -> Scripted:
            raise UserError("models/rft is missing")

        with running(tmp_path, agent_handler(missing, 0.85, 3)) as bridge:
            plugin = bridge.pair()
            bridge.call("POST", "/requests", request("r"), plugin.token)
            until(lambda: bridge.place("place-1")["waiting"] == 1)
            assert plugin.messages()[1]["command"]["message"] == "models/rft is missing"


def test_the_command_without_its_packages_says_what_to_install(tmp_path: Path) -> None:
    """In an interpreter that has no Starlette."""
    program = (
        "import sys; sys.modules['starlette'] = None; sys.argv = ['luau-rft', 'studio', 'serve']; "
        "from luau_rft.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "starlette is missing; run: pip install" in done.stderr
