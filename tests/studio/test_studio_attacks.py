"""What must not get through to the bridge, each tried over real connections."""

import http.client
import json
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from luau_rft.errors import UserError
from luau_rft.studio.client import Bridge as Client
from luau_rft.studio.database import Database
from luau_rft.studio.guard import Refused
from luau_rft.studio.pairing import ATTEMPTS, CODE_S, MAX_PAUSE_S, PAUSE_S, Pairing, Tokens
from luau_rft.studio.protocol import MAX_BODY_BYTES, MAX_SOURCE
from luau_rft.studio.server import Bridge
from tests.servers.bridge import Lines, Plugin, Running, closing, insertion, one_script, receive, running

PAIR = {"place": "place-1", "name": "Obby"}
POSTS = [
    "/pair/start", "/pair", "/poll", "/results", "/requests", "/requests/cancel",
    "/client/commands", "/client/results", "/client/cancel", "/client/forget",
]  # fmt: skip


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "bridges") as bridge:
        yield bridge


def raw(port: int, text: bytes) -> bytes:
    """What comes back for bytes that no HTTP library would send."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(text)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer


def shown(bridge: Running) -> int:
    """How many codes the bridge showed."""
    return sum("code: " in line for line in bridge.lines)


class TestBrowsers:
    """A page in the user's browser, which can send what it likes but these headers."""

    def test_a_name_that_was_pointed_here_is_refused(self, bridge: Running) -> None:
        own = f":{bridge.port}"
        for host in (
            "evil.example",
            f"evil.example{own}",
            f"localhost.evil.example{own}",
            "127.0.0.1",
            "127.0.0.1:1",
            "",
        ):
            self._refused(bridge, host)

    def _refused(self, bridge: Running, host: str) -> None:
        headers = {"Host": host}
        before = shown(bridge)
        for method, path, body in (
            ("GET", "/hello", None),
            ("POST", "/pair/start", PAIR),
            ("GET", "/client/state", None),
        ):
            reply = bridge.call(method, path, body, bridge.secret, headers=headers)
            assert (reply.status, reply.reason) == (403, "foreign-host")
        assert shown(bridge) == before

    def test_both_names_of_this_machine_are_served(self, bridge: Running) -> None:
        for host in ("localhost", "LOCALHOST", "127.0.0.1"):
            assert bridge.call("GET", "/hello", headers={"Host": f"{host}:{bridge.port}"}).status == 200

    def test_two_hosts_or_none(self, bridge: Running) -> None:
        own = f"Host: 127.0.0.1:{bridge.port}\r\n".encode()
        for hosts in (own + b"Host: evil.example\r\n", own + own, b""):
            answer = raw(bridge.port, b"GET /hello HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n")
            assert answer.split()[1] in (b"400", b"403")
        assert raw(bridge.port, b"GET /hello HTTP/1.0\r\n\r\n").split()[1] == b"403"

    def test_any_origin_is_refused(self, bridge: Running) -> None:
        before = shown(bridge)
        for origin in ("https://evil.example", "null", f"http://127.0.0.1:{bridge.port}", "file://", ""):
            headers = {"Origin": origin}
            for method, path in (("GET", "/hello"), ("POST", "/pair/start"), ("OPTIONS", "/pair")):
                reply = bridge.call(method, path, PAIR if method == "POST" else None, headers=headers)
                assert (reply.status, reply.reason) == (403, "foreign-origin")
        assert shown(bridge) == before

    def test_images_and_scripts_of_pages_are_refused(self, bridge: Running) -> None:
        """They carry no Origin."""
        for header in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Mode": "no-cors"}):
            assert bridge.call("GET", "/hello", headers=header).reason == "foreign-origin"

    def test_a_simple_post_is_refused(self, bridge: Running) -> None:
        before = shown(bridge)
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "text/json"):
            reply = bridge.call("POST", "/pair/start", PAIR, headers={"Content-Type": kind})
            assert (reply.status, reply.reason) == (415, "wrong-type")
        assert shown(bridge) == before

    def test_a_preflight_gets_no_allowance(self, bridge: Running) -> None:
        asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Private-Network": "true"}
        for headers in (asks, asks | {"Origin": "https://evil.example"}):
            for path in ("/hello", *POSTS):
                reply = bridge.call("OPTIONS", path, headers=headers)
                assert reply.status in (403, 405)
                assert not [name for name in reply.headers if name.lower().startswith("access-control")]

    def test_answers_cannot_be_embedded(self, bridge: Running) -> None:
        headers = bridge.call("GET", "/hello").headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"

    def test_get_changes_nothing(self, bridge: Running) -> None:
        for path in POSTS:
            reply = bridge.call(
                "GET", f"{path}?place=place-1&name=Obby&code={bridge.lines.code()}", token=bridge.secret
            )
            assert (reply.status, reply.reason) == (405, "wrong-method")
        assert bridge.client("state")["places"] == []

    def test_a_stream_of_a_page_is_refused(self, bridge: Running) -> None:
        plugin = bridge.pair()
        for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Mode": "websocket"}):
            with pytest.raises(InvalidStatus) as refused:
                plugin.socket(**headers)
            assert refused.value.response.status_code == 403
        with pytest.raises(InvalidStatus) as refused, socket.create_connection(("127.0.0.1", bridge.port)) as own:
            connect(
                "ws://evil.example/stream", sock=own, additional_headers={"Authorization": f"Bearer {plugin.token}"}
            )
        assert refused.value.response.status_code == 403
        assert bridge.place("place-1")["state"] == "away"


class TestTokens:
    def test_without_the_right_token(self, bridge: Running) -> None:
        plugin = bridge.pair()
        for authorization, reason in (
            (None, "no-token"),
            ("Bearer ", "no-token"),
            (f"Basic {plugin.token}", "no-token"),
            (plugin.token, "no-token"),
            ("Bearer x", "unknown-token"),
            (f"Bearer {plugin.token}x", "unknown-token"),
            (f"Bearer {bridge.secret}", "unknown-token"),
            ("Bearer \xff", "unknown-token"),
        ):
            headers = {} if authorization is None else {"Authorization": authorization}
            for path, body in (("/poll", plugin.hello()), ("/results", {"results": []}), ("/requests", {})):
                reply = bridge.call("POST", path, body, headers=headers)
                assert (reply.status, reply.reason) == (401, reason)

    def test_a_stream_without_the_right_token(self, bridge: Running) -> None:
        plugin = Plugin(bridge.port, "place-1", "Obby", "wrong")
        with pytest.raises(InvalidStatus) as refused:
            plugin.socket()
        assert refused.value.response.status_code == 401
        assert json.loads(refused.value.response.body)["reason"] == "unknown-token"

    def test_a_token_is_no_client_secret(self, bridge: Running) -> None:
        plugin = bridge.pair()
        assert bridge.call("GET", "/client/state", token=plugin.token).reason == "unknown-token"
        assert bridge.call("POST", "/client/commands", {}, plugin.token).status == 401

    def test_a_token_in_the_address_does_not_count(self, bridge: Running) -> None:
        plugin = bridge.pair()
        assert bridge.call("POST", f"/poll?token={plugin.token}", plugin.hello()).reason == "no-token"

    def test_a_revoked_token(self, bridge: Running) -> None:
        plugin = bridge.pair()
        with plugin.stream() as stream:
            bridge.client("forget", {"place": "Obby"})
            assert receive(stream)["reason"] == "revoked-token"
            assert closing(stream) == 4003
        assert (plugin.poll().status, plugin.poll().reason) == (401, "revoked-token")

    def test_pairing_anew_revokes_the_old_token(self, bridge: Running) -> None:
        old = bridge.pair()
        new = bridge.pair()
        assert old.poll().reason == "revoked-token"
        assert new.poll().status == 200

    def test_a_place_reaches_only_itself(self, bridge: Running) -> None:
        first, second = bridge.pair("place-1", "Obby"), bridge.pair("place-2", "Tycoon")
        bridge.queue("place-1", "a")
        assert first.poll(place="place-2").reason == "wrong-place"
        reply = bridge.call(
            "POST", "/results", {"results": [{"id": "a", "ok": True, "value": {"path": "x"}}]}, second.token
        )
        assert reply.body == {"type": "ack", "ids": ["a"]}
        assert bridge.client("results", {"ids": ["a"]})["waiting"] == {"a": "queued"}
        assert first.commands() == ["a"]

    def test_only_hashes_are_kept_and_only_for_this_user(self, bridge: Running) -> None:
        plugin = bridge.pair()
        folder = bridge.folder / str(bridge.port)
        files = [path for path in folder.iterdir() if path.is_file()]
        assert {"bridge.json", "queue.sqlite"} <= {path.name for path in files}
        for path in files:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert plugin.token.encode() not in path.read_bytes()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    def test_hello_tells_nothing_else(self, bridge: Running) -> None:
        bridge.pair("place-1", "Secret project")
        assert sorted(bridge.call("GET", "/hello").body) == ["product", "protocol", "server"]


class TestFolder:
    """What another user of this machine may have put where the bridge keeps its tokens."""

    def test_a_folder_of_another_user_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
        for folder in (tmp_path, tmp_path / "made"):
            with pytest.raises(UserError, match="belongs to another user; move it away, or have LUAU_RFT_CONFIG name"):
                Bridge(one_script, 0, folder)
        with pytest.raises(UserError, match=r"queue\.sqlite: belongs to another user"):
            Database(tmp_path / "queue.sqlite")

    def test_what_others_may_read_is_closed_to_them(self, tmp_path: Path) -> None:
        with running(tmp_path) as bridge:
            port = bridge.port
        database = tmp_path / str(port) / "queue.sqlite"
        for path, mode in ((tmp_path, 0o777), (database.parent, 0o777), (database, 0o666)):
            path.chmod(mode)
        with running(tmp_path, port=port):
            modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path, database.parent, database)]
        assert modes == [0o700, 0o700, 0o600]

    def test_clients_send_nothing_to_the_bridge_of_another_user(
        self, bridge: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert Client.find(folder=bridge.folder)
        monkeypatch.setattr(os, "geteuid", lambda: bridge.folder.stat().st_uid + 1)
        with pytest.raises(UserError, match="no bridge runs"):
            Client.find(folder=bridge.folder)


class TestPairingCodes:
    def test_a_code_works_once(self, bridge: Running) -> None:
        body = PAIR | {"code": bridge.lines.code()}
        assert bridge.call("POST", "/pair", body).status == 200
        assert bridge.call("POST", "/pair", body).reason == "no-code"

    def test_guessing_ends_after_a_few_attempts(self, bridge: Running) -> None:
        right = bridge.lines.code()
        wrong = f"{(int(right) + 1) % 10**6:06d}"
        for _ in range(ATTEMPTS):
            reply = bridge.call("POST", "/pair", PAIR | {"code": wrong})
            assert (reply.status, reply.reason) == (403, "wrong-code")
        for path, body in (("/pair", PAIR | {"code": right}), ("/pair/start", PAIR)):
            reply = bridge.call("POST", path, body)
            assert (reply.status, reply.reason) == (429, "too-many")
            assert 0 < int(reply.headers["retry-after"]) <= PAUSE_S + 1
        assert "void" in bridge.lines[-1]

    def test_guessing_takes_ever_longer(self, tmp_path: Path) -> None:
        """At most five guesses an hour of a million in the long run."""
        now, lines = [0.0], Lines()
        pairing = Pairing(Tokens(Database(tmp_path / "queue.sqlite")), lines.append, lambda: now[0])
        pauses, codes = [], []
        for _ in range(12):
            pairing.show()
            codes.append(lines.code())
            for _ in range(ATTEMPTS):
                with pytest.raises(Refused, match="not the code"):
                    pairing.pair("p", "n", "x" * 6)
            with pytest.raises(Refused) as paused:
                pairing.show()
            assert paused.value.refusal.retry_after is not None
            pauses.append(paused.value.refusal.retry_after)
            now[0] += pauses[-1] + 0.001
        assert [round(pause) for pause in pauses[:3]] == [PAUSE_S, 2 * PAUSE_S, 4 * PAUSE_S]
        assert round(pauses[-1]) == MAX_PAUSE_S
        assert len(set(codes)) > 1

    def test_a_code_expires(self, tmp_path: Path) -> None:
        now, lines = [0.0], Lines()
        pairing = Pairing(Tokens(Database(tmp_path / "queue.sqlite")), lines.append, lambda: now[0])
        pairing.show()
        first = lines.code()
        now[0] = CODE_S - 1
        pairing.show("Obby")
        assert lines.code() == first
        assert "«Obby»" in lines[-1]
        now[0] = CODE_S
        with pytest.raises(Refused, match="no code is valid"):
            pairing.pair("p", "n", first)
        pairing.show()
        assert pairing.pair("p", "n", lines.code())


class TestFloods:
    def test_a_large_body_is_refused_before_it_is_sent(self, bridge: Running) -> None:
        head = (
            f"POST /pair HTTP/1.1\r\nHost: 127.0.0.1:{bridge.port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {MAX_BODY_BYTES + 1}\r\n\r\n"
        )
        assert raw(bridge.port, head.encode()).split()[1] == b"413"

    def test_a_large_body_in_pieces_is_refused(self, bridge: Running) -> None:
        """Without a Content-Length."""
        connection = http.client.HTTPConnection("127.0.0.1", bridge.port, timeout=20)
        connection.putrequest("POST", "/pair")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        piece = b"%x\r\n%s\r\n" % (2**16, b" " * 2**16)
        sent = 0
        try:
            for _ in range(4 * MAX_BODY_BYTES // 2**16):
                connection.send(piece)
                sent += 2**16
        except (BrokenPipeError, ConnectionResetError):
            pass
        else:
            pytest.fail("all of it was taken")
        assert sent > MAX_BODY_BYTES
        assert bridge.call("GET", "/hello").status == 200

    def test_a_body_in_pieces_that_just_exceeds(self, bridge: Running) -> None:
        head = (
            f"POST /pair HTTP/1.1\r\nHost: 127.0.0.1:{bridge.port}\r\nContent-Type: application/json\r\n"
            f"Transfer-Encoding: chunked\r\n\r\n{MAX_BODY_BYTES + 1:x}\r\n"
        )
        answer = raw(bridge.port, head.encode() + b" " * (MAX_BODY_BYTES + 1))
        assert answer.split()[1] == b"413"
        assert b"too-large" in answer

    def test_a_large_frame_closes_the_stream(self, bridge: Running) -> None:
        plugin = bridge.pair()
        with plugin.stream() as stream:
            with suppress(ConnectionClosed):
                stream.send("x" * (MAX_BODY_BYTES + 1))
            # The code is lost where the rest of the frame meets a socket that is closed already.
            assert closing(stream) in (1009, 1006)
        assert plugin.poll().status == 200

    def test_too_many_without_a_token_do_not_hinder_those_with_one(self, bridge: Running) -> None:
        plugin = bridge.pair()
        replies = [bridge.call("GET", "/hello") for _ in range(70)]
        refused = [reply for reply in replies if reply.status != 200]
        assert refused
        assert {(reply.status, reply.reason) for reply in refused} == {(429, "too-many")}
        assert all(int(reply.headers["retry-after"]) >= 1 and reply.body["retry_after"] > 0 for reply in refused)
        assert bridge.call("POST", "/poll", plugin.hello(), "wrong").status in (401, 429)
        assert plugin.poll().status == 200
        assert bridge.client("state")["places"][0]["place"] == "place-1"

    def test_too_many_of_one_place(self, bridge: Running) -> None:
        first, second = bridge.pair("place-1"), bridge.pair("place-2")
        body = {"results": [{"id": "a", "ok": True}]}
        replies = [bridge.call("POST", "/results", body, first.token) for _ in range(250)]
        assert {reply.status for reply in replies} == {200, 429}
        assert second.poll().status == 200

    def test_too_many_frames(self, bridge: Running) -> None:
        plugin = bridge.pair()
        with plugin.stream() as stream:
            with suppress(ConnectionClosed):
                for number in range(100_000):
                    stream.send(json.dumps({"type": "pong", "n": number}))
            assert closing(stream) == 4005
        assert plugin.poll().status == 200


class TestNonsense:
    def test_other_paths(self, bridge: Running) -> None:
        for path in (
            "/", "//hello", "/hello/", "/HELLO", "/hello%00", "/client/../hello", "/hello/../client/state", "/client",
            "/%2e%2e/etc/passwd", "/../../etc/passwd", "/client/state/", "/stream", "/client%2fstate/x", "/\\hello",
        ):  # fmt: skip
            reply = bridge.call("GET", path)
            assert (reply.status, reply.reason) == (404, "not-found"), path
            assert "location" not in {name.lower() for name in reply.headers}

    def test_what_is_no_message(self, bridge: Running) -> None:
        for body in (
            b"",
            b"{",
            b"null",
            b"[]",
            b'"x"',
            b"\xff\xfe",
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b'{"place": 1e999, "name": "x"}',
            b'{"place": ' + b"9" * 100_000 + b', "name": "x"}',
            b'{"place": "\\ud800", "name": "x"}',
            b'{"place": "../../x", "name": "x"}',
            b'{"place": "x"}',
            b'{"place": "x", "name": ""}',
            b'{"place": "x", "name": null}',
            b'{"place": "x", "name": "x", "more": 1}',
            b'{"place": "x", "name": "' + b"x" * 101 + b'"}',
            b'{"place": "x\\u0000", "name": "x"}',
        ):
            reply = bridge.call("POST", "/pair/start", raw=body)
            assert (reply.status, reply.reason) == (400, "bad-request"), body[:50]
            assert reply.body["message"]
            assert bridge.call("GET", "/hello").status == 200

    def test_nothing_steers_the_terminal(self, bridge: Running) -> None:
        """A name may come from any program of this machine, a path from a script that was downloaded."""
        name = "\x1b]0;x\x07\nbridge ended\u202e"
        plugin = bridge.pair("place-1", name)
        plugin.poll(name=name)
        bridge.queue(None, "a", "b")
        results = [
            {"id": "a", "ok": True, "value": {"path": "\x1b[2J"}},
            {"id": "b", "ok": False, "error": {"reason": "failed", "message": "\x9b2J\r"}},
        ]
        assert bridge.call("POST", "/results", {"results": results}, plugin.token).status == 200
        assert len([line for line in bridge.lines if "inserted" in line or "b: " in line]) == 2
        assert all(line.isprintable() for line in bridge.lines)
        assert bridge.client("state")["places"][0]["name"].isprintable()

    def test_what_is_no_poll(self, bridge: Running) -> None:
        plugin = bridge.pair()
        changes: tuple[dict[str, Any], ...] = (
            {"after": -1}, {"after": 2**60}, {"after": "1"}, {"wait_s": 26}, {"wait_s": -1}, {"protocol": None},
            {"mode": "server"}, {"session": ""}, {"session": "a b"}, {"results": [{}]}, {"results": {"a": 1}},
            {"results": [{"id": "a", "ok": "yes"}]}, {"results": [{"id": "a", "ok": True}] * 1001}, {"takeover": 1},
        )  # fmt: skip
        for change in changes:
            reply = plugin.poll(**change)
            assert (reply.status, reply.reason) == (400, "bad-request"), change
            assert next(iter(change)) in reply.body["message"]

    def test_what_is_no_command(self, bridge: Running) -> None:
        bridge.pair()
        changes: tuple[dict[str, Any], ...] = (
            {"source": "x" * (MAX_SOURCE + 1)}, {"class": "Part"}, {"parent": []}, {"name": ""}, {"type": "job_done"},
            {"type": "rm"}, {"parent": ["x"] * 51}, {"replace": "no"},
        )  # fmt: skip
        for change in changes:
            body = {"commands": [{"id": "a", "command": insertion("a") | change}]}
            reply = bridge.call("POST", "/client/commands", body, bridge.secret)
            assert (reply.status, reply.reason) == (400, "bad-request"), change
        assert bridge.place("place-1")["waiting"] == 0

    def test_what_is_no_frame(self, bridge: Running) -> None:
        plugin = bridge.pair()
        for frame in (
            "",
            "x",
            "{}",
            "[" * 10_000,
            '{"type": "hello"}',
            '{"type": "pong"}',
            '{"type": "exit"}',
            b"\x00",
        ):
            with plugin.socket() as first, plugin.stream() as later:
                for stream in (first, later):
                    stream.send(frame)
                    assert receive(stream)["reason"] == "bad-request"
                    assert closing(stream) == 4004
        assert plugin.poll().status == 200

    def test_what_is_no_http(self, bridge: Running) -> None:
        for text in (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
            b"GET\r\n\r\n",
            b"\r\n" * 10 + b"x\r\n\r\n",
        ):
            assert not raw(bridge.port, text) or b" 400 " in raw(bridge.port, text)
        assert bridge.call("GET", "/hello").status == 200


def test_only_the_loopback_address_is_served(bridge: Running) -> None:
    with pytest.raises(OSError, match=r"refused|timed out"):
        socket.create_connection(("127.0.0.2", bridge.port), timeout=2).close()
