"""How local programs find a bridge and have Studio do something."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from luau_rft.errors import UserError
from luau_rft.roblox.scripts import split
from luau_rft.studio.client import Bridge, CommandFailed, NotAnswered
from luau_rft.studio.folder import Running as Written
from luau_rft.studio.folder import config_folder, read_running, write_running
from luau_rft.studio.protocol import Insert, Inserted, Line, Selected
from tests.servers.bridge import PATIENCE_S, Process, Running, running, until

SEVERAL = (
    "-- ServerScriptService/Shop.server.luau\nprint(1)\n"
    "-- StarterPlayer/StarterPlayerScripts/Button.client.luau\nprint(2)\n"
    "-- Prices.luau\nreturn {}\n"
)


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path) as bridge:
        yield bridge


def studio(command: dict[str, Any]) -> dict[str, Any]:
    """What a place answers."""
    match command["type"]:
        case "insert":
            path = ".".join([*command.get("parent", ["Workspace"]), command["name"]])
            return {"value": {"path": path} | ({"backup": f"{path}_old"} if command["replace"] else {})}
        case "read_selection":
            script = {"path": "Workspace.Door", "class": "Script", "name": "Door", "source": "print(1)"}
            part = {"path": "Workspace.Part", "class": "Part", "name": "Part"}
            return {"value": {"selection": [script, part], "truncated": False, "later": "unknown"}}
        case "run":
            return {"value": {"output": [{"kind": "warn", "message": "hm"}], "seconds": command["seconds"]}}
        case _:
            return {"value": {"undone": command.get("of", "last")}}


class TestCommands:
    def test_scripts_go_where_they_belong(self, bridge: Running) -> None:
        with bridge.pair().working(studio) as plugin:
            client = Bridge.find(folder=bridge.folder)
            assert client.insert(split(SEVERAL, "server")) == [
                Inserted(path="ServerScriptService.Shop"),
                Inserted(path="StarterPlayer.StarterPlayerScripts.Button"),
                Inserted(path="ReplicatedStorage.Prices"),
            ]
            assert client.insert(split("print(1)", "server"), place="obby", replace=True) == [
                Inserted(path="Workspace.Script", backup="Workspace.Script_old")
            ]
            own = Insert(name="Own", class_="ModuleScript", source="return 1", parent=["Lighting"])
            assert client.insert([own])[0].path == "Lighting.Own"
        assert len(plugin.done) == 5

    def test_reading_running_undoing(self, bridge: Running) -> None:
        with bridge.pair().working(studio):
            client = Bridge.find(folder=bridge.folder)
            assert client.read_selection().selection == [
                Selected(path="Workspace.Door", class_="Script", name="Door", source="print(1)"),
                Selected(path="Workspace.Part", class_="Part", name="Part"),
            ]
            assert client.run(seconds=2.5).output == [Line(kind="warn", message="hm")]
            assert client.run(seconds=2.5).seconds == 2.5
            assert client.undo().undone == "last"
            assert client.undo(of="an-id").undone == "an-id"

    def test_nothing_to_insert(self, bridge: Running) -> None:
        bridge.pair()
        assert Bridge.find(folder=bridge.folder).insert([]) == []

    def test_what_studio_refuses_is_told(self, bridge: Running) -> None:
        refusal = {"error": {"reason": "playing", "message": "the place is in play mode"}}
        with bridge.pair().working(lambda command: refusal):
            with pytest.raises(CommandFailed, match="Studio: the place is in play mode") as failed:
                Bridge.find(folder=bridge.folder).undo()
            assert failed.value.reason == "playing"

    def test_a_plugin_that_answers_something_else(self, bridge: Running) -> None:
        told = r"selection: .* run `luau-rft studio install`"
        with bridge.pair().working(lambda command: {"value": {"selection": 1}}), pytest.raises(UserError, match=told):
            Bridge.find(folder=bridge.folder).read_selection()

    def test_a_place_that_is_closed_gets_it_later(self, bridge: Running) -> None:
        plugin = bridge.pair()
        client = Bridge.find(folder=bridge.folder)
        with pytest.raises(NotAnswered, match=r"«Obby» is not connected.* 3 scripts wait there") as missing:
            client.insert(split(SEVERAL, "server"), timeout_s=0.2)
        assert missing.value.place is not None
        assert missing.value.place.state == "away"
        with plugin.working(studio):
            until(lambda: len(plugin.done) == 3)

    def test_other_commands_do_not_come_late(self, bridge: Running) -> None:
        plugin = bridge.pair()
        with pytest.raises(NotAnswered, match=r"not connected; open it in Studio$"):
            Bridge.find(folder=bridge.folder).read_selection(timeout_s=0.2)
        until(lambda: bridge.place("place-1")["waiting"] == 0)
        assert plugin.commands() == []

    def test_a_place_that_is_connected_but_does_nothing(self, bridge: Running) -> None:
        with bridge.pair().stream(), pytest.raises(NotAnswered, match="«Obby» is connected, but Studio did not do it"):
            Bridge.find(folder=bridge.folder).insert(split("print(1)", "server"), timeout_s=0.3)

    def test_a_client_outlives_a_restart_of_the_bridge(self, tmp_path: Path) -> None:
        with Process(tmp_path) as process:
            plugin = process.pair("place-1", "Obby")
            client = Bridge.find(folder=process.folder)
            got: list[Inserted] = []
            waiting = threading.Thread(target=lambda: got.extend(client.insert(split("print(1)", "server"))))
            waiting.start()
            until(lambda: process.bridge().place("place-1")["waiting"] == 1)
            process.kill()
            process.start()
            with plugin.working(studio):
                waiting.join(PATIENCE_S)
            assert got == [Inserted(path="Workspace.Script")]
            assert len(plugin.done) == 1

    def test_what_studio_could_not_hold(self, bridge: Running) -> None:
        bridge.pair()
        client = Bridge.find(folder=bridge.folder)
        with pytest.raises(UserError, match="code: Script: source: String should have at most 199999 characters"):
            client.insert(split("--" + "x" * 1_000_000, "server"))
        assert bridge.place("place-1")["waiting"] == 0

    def test_an_answer_that_is_not_understood(self, bridge: Running) -> None:
        deep: Any = []
        for _ in range(197):
            deep = [deep]
        working = bridge.pair().working(lambda command: {"value": {"path": "x", "deep": deep}})
        with working, pytest.raises(UserError, match="the bridge's answer is not understood"):
            Bridge.find(folder=bridge.folder).insert(split("print(1)", "server"))


class TestFinding:
    def test_none(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="no bridge runs; start one with `luau-rft studio serve`"):
            Bridge.find(folder=tmp_path / "none")

    def test_a_stale_file_is_no_bridge(self, tmp_path: Path) -> None:
        with running(tmp_path) as bridge:
            written = read_running(tmp_path / str(bridge.port))
            assert written is not None
        write_running(tmp_path / str(bridge.port), written)
        with pytest.raises(UserError, match="no bridge runs"):
            Bridge.find(folder=tmp_path)

    def test_another_bridge_on_the_port_of_a_stale_file(self, tmp_path: Path, bridge: Running) -> None:
        other = Written(port=bridge.port, pid=1, server="another", secret="wrong")
        (tmp_path / "1").mkdir()
        write_running(tmp_path / "1", other)
        assert Bridge.find(folder=tmp_path).state().server == bridge.call("GET", "/hello").body["server"]

    def test_a_damaged_file_is_no_bridge(self, tmp_path: Path) -> None:
        (tmp_path / "1").mkdir()
        (tmp_path / "1" / "bridge.json").write_text("{")
        with pytest.raises(UserError, match="no bridge runs"):
            Bridge.find(folder=tmp_path)

    def test_several_bridges(self, tmp_path: Path) -> None:
        with running(tmp_path) as first, running(tmp_path) as second:
            first.pair("place-1", "Obby")
            plugin = second.pair("place-2", "Tycoon")
            with pytest.raises(UserError, match="several bridges run") as unclear:
                Bridge.find(folder=tmp_path)
            assert f"port {first.port}: Obby (place-1): away" in str(unclear.value)
            assert f"port {second.port}: Tycoon (place-2): away" in str(unclear.value)
            assert Bridge.find(port=first.port, folder=tmp_path).state().port == first.port
            assert Bridge.find(place="tycoon", folder=tmp_path).state().port == second.port
            assert Bridge.find(place="place-1", folder=tmp_path).state().port == first.port
            with pytest.raises(UserError, match="no bridge runs on port 1;"):
                Bridge.find(port=1, folder=tmp_path)
            with plugin.stream():
                assert Bridge.find(folder=tmp_path).state().port == second.port

    def test_an_unclear_place_lists_them(self, bridge: Running) -> None:
        client = Bridge.find(folder=bridge.folder)
        with pytest.raises(UserError, match="no place is paired with the bridge; open it in Studio"):
            client.undo()
        bridge.pair("place-1", "Obby")
        bridge.pair("place-2", "Tycoon")
        for place in (None, "Nothing"):
            with pytest.raises(UserError, match=r"(?s)Obby \(place-1\): away.*Tycoon \(place-2\): away"):
                client.undo(place=place)
        client.forget("Obby")
        assert [place.name for place in client.places()] == ["Tycoon"]

    def test_a_bridge_that_is_gone(self, tmp_path: Path) -> None:
        with running(tmp_path) as bridge:
            client = Bridge.find(folder=bridge.folder)
        start = time.monotonic()
        with pytest.raises(UserError, match=f"the bridge on port {bridge.port} does not answer"):
            client.places()
        assert time.monotonic() - start < PATIENCE_S


def test_where_the_folder_is(tmp_path: Path) -> None:
    assert config_folder({"LUAU_RFT_CONFIG": str(tmp_path)}, "linux") == tmp_path
    assert config_folder({"XDG_CONFIG_HOME": "/x"}, "linux") == Path("/x/luau_rft")
    assert config_folder({}, "darwin") == Path.home() / ".config/luau_rft"
    assert config_folder({"APPDATA": "/roaming"}, "win32") == Path("/roaming/luau_rft")
