"""The plugin's own Luau, in a VM on the headless engine, against a real bridge on loopback that can be killed."""

import json
import shutil
import sqlite3
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from luau_rft.studio.client import CommandFailed
from luau_rft.studio.protocol import Accepted, Insert, Result, ResultsState
from tests.studio.bridge_process import BridgeProcess
from tests.studio.host import Studio, until

CODE_BOX = "six digits"
WISH_BOX = "a wish"


class Desk:
    """A creator's desk: one bridge, Studio windows, and a hand for the widget."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bridges: list[BridgeProcess] = []
        self.windows: list[Studio] = []

    def bridge(self, name: str = "bridges", port: int = 0, **seconds: float) -> BridgeProcess:
        bridge = BridgeProcess(self.folder / name, port, **seconds)
        self.bridges.append(bridge)
        return bridge

    def studio(self, bridge: BridgeProcess, settings: dict[str, str] | None = None, **options: Any) -> Studio:
        settings = {} if settings is None else settings
        settings["LuauRft.all.port"] = str(bridge.port)
        window = Studio(settings, seed=len(self.windows) + 1, **options)
        self.windows.append(window)
        return window

    def paired(self, bridge: BridgeProcess, settings: dict[str, str] | None = None, **options: Any) -> Studio:
        window = self.studio(bridge, settings, **options)
        pair(window, bridge)
        return window

    def close(self) -> None:
        problems = [problem for window in self.windows for problem in window.problems()]
        for window in self.windows:
            window.close()
        for bridge in self.bridges:
            bridge.kill()
        assert not problems


def pair(window: Studio, bridge: BridgeProcess) -> None:
    shown = bridge.codes_shown()
    until(lambda: window.shows("Not paired") and bridge.codes_shown() > shown, window)
    pair_now(window, bridge)


def pair_now(window: Studio, bridge: BridgeProcess) -> None:
    """Type the code that is shown already."""
    window.write(CODE_BOX, bridge.code())
    window.click("Pair")
    until(lambda: window.shows("Connected"), window)


def result_of(bridge: BridgeProcess, id_: str) -> Result | None:
    """What the bridge has from the plugin, without waiting."""
    body = {"ids": [id_], "wait_s": 0.0}
    return bridge.client()._ask("POST", "/client/results", body, ResultsState).results.get(id_)


def state_of(bridge: BridgeProcess, name: str) -> str:
    [state] = [place.state for place in bridge.client().places() if place.name == name]
    return state


def forget_tokens(bridge: BridgeProcess) -> None:
    with sqlite3.connect(bridge.folder / str(bridge.port) / "queue.sqlite") as database:
        database.execute("DELETE FROM tokens")
    database.close()


def done(future: "Future[Any]", *windows: Studio) -> Any:
    until(future.done, *windows)
    return future.result()


def script(name: str = "Door", source: str = "print('door')", class_: str = "Script", **fields: Any) -> Insert:
    return Insert(name=name, class_=class_, source=source, **fields)


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    yield desk
    desk.close()


# Pairing ---------------------------------------------------------------------------------------------


def test_pairing_with_a_wrong_code_a_short_one_and_the_right_one(desk):
    bridge = desk.bridge()
    window = desk.studio(bridge)
    until(lambda: window.shows("Not paired"), window)
    wrong = f"{(int(bridge.code()) + 1) % 10**6:06d}"
    for code, told in [(wrong, "not the code"), ("12345", "six digits"), (bridge.code(), "by stream")]:
        window.write(CODE_BOX, code)
        window.click("Pair")
        until(lambda told=told: window.shows(told), window)
    [place] = bridge.client().places()
    assert (place.name, place.state, place.transport) == ("Place1", "connected", "stream")


def test_an_expired_code_leads_to_another(desk):
    bridge = desk.bridge(code_s=0.5)
    window = desk.studio(bridge)
    until(lambda: window.shows("Not paired") and bridge.codes_shown() == 2, window)
    old = bridge.code()
    expired = time.monotonic() + 0.7
    until(lambda: time.monotonic() > expired, window)
    window.write(CODE_BOX, old)
    window.click("Pair")
    until(lambda: window.shows("shows another") and bridge.codes_shown() == 3, window)
    window.write(CODE_BOX, bridge.code())
    window.click("Pair")
    until(lambda: window.shows("Connected"), window)


def test_without_http_the_widget_says_what_to_allow(desk, shared):
    window = desk.studio(shared[0], http_off=True)
    until(lambda: window.shows("allow HTTP requests in Game Settings"), window)


# Insertion -------------------------------------------------------------------------------------------


CLEAR = """
for _, home in { game.ServerScriptService, game.ReplicatedStorage, game.ServerStorage, workspace,
    game.StarterPlayer.StarterPlayerScripts } do
    for _, each in home:GetChildren() do
        if not each:IsA("Camera") and not each:IsA("Terrain") then
            each.Parent = nil
        end
    end
end
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A bridge and a window for the tests that end as they began."""
    desk = Desk(tmp_path_factory.mktemp("desk"))
    bridge = desk.bridge()
    bridge.place = "Place1"
    yield bridge, desk.paired(bridge)
    desk.close()


@pytest.fixture
def window(shared):
    _, window = shared
    yield window
    window.execute("game.Selection:Set({})")
    window.execute(CLEAR)
    assert window.problems() == []


@pytest.fixture
def bridge(shared, window):
    return shared[0]


@pytest.mark.parametrize(
    ("class_", "path"),
    [
        ("Script", "ServerScriptService.Door"),
        ("LocalScript", "StarterPlayer.StarterPlayerScripts.Door"),
        ("ModuleScript", "ReplicatedStorage.Door"),
    ],
)
def test_each_class_goes_where_it_belongs_and_one_undo_takes_it_back(bridge, window, class_, path):
    source = 'print("a </script> ]]> \\n \U0001f6aa")\n'
    [inserted] = done(bridge.ask("insert", [script(class_=class_, source=source)]), window)
    assert (inserted.path, inserted.backup) == (path, None)
    assert window.scripts()[path]["class"] == class_
    assert window.sources() == {path: source}
    window.execute("game:GetService('ChangeHistoryService'):Undo()")
    assert window.sources() == {}
    assert window.shows(f"{path} (undone)")
    window.execute("game:GetService('ChangeHistoryService'):Redo()")
    assert window.sources() == {path: source}
    assert not window.shows("(undone)")


def test_the_parent_of_a_command_and_its_missing_folders(bridge, window):
    parent = ["ServerScriptService", "Shop", "Prices"]
    [inserted] = done(bridge.ask("insert", [script(parent=parent)]), window)
    assert inserted.path == "ServerScriptService.Shop.Prices.Door"
    window.execute("game:GetService('ChangeHistoryService'):Undo()")
    assert window.execute("return game.ServerScriptService:FindFirstChild('Shop') == nil")


@pytest.mark.parametrize(
    ("selected", "class_", "path"),
    [
        ("Instance.new('Folder', workspace)", "Script", "Workspace.Folder.Door"),
        ("Instance.new('Folder', workspace)", "LocalScript", "StarterPlayer.StarterPlayerScripts.Door"),
        ("Instance.new('Script', workspace)", "ModuleScript", "Workspace.Door"),
        ("game.ReplicatedStorage", "ModuleScript", "ReplicatedStorage.Door"),
        ("workspace.Terrain", "Script", "ServerScriptService.Door"),
    ],
)
def test_a_selected_container_is_taken_where_the_class_works_there(bridge, window, selected, class_, path):
    window.execute(f"game.Selection:Set({{ {selected} }})")
    [inserted] = done(bridge.ask("insert", [script(class_=class_)]), window)
    assert inserted.path == path


def test_a_taken_name_is_left_alone_unless_the_command_replaces_it(bridge, window):
    [first] = done(bridge.ask("insert", [script(source="-- 1")]), window)
    [second] = done(bridge.ask("insert", [script(source="-- 2")]), window)
    assert [first.path, second.path] == ["ServerScriptService.Door", "ServerScriptService.Door2"]
    [third] = done(bridge.ask("insert", [script(source="-- 3", replace=True)]), window)
    assert third.path == first.path
    assert third.backup.startswith("ServerStorage.LuauRft Backups.Door ")
    assert window.sources() == {first.path: "-- 3", second.path: "-- 2", third.backup: "-- 1"}
    window.execute("game:GetService('ChangeHistoryService'):Undo()")
    assert window.sources() == {first.path: "-- 1", second.path: "-- 2"}


def test_a_script_of_another_class_moves_to_the_backups(bridge, window):
    [first] = done(bridge.ask("insert", [script(source="-- 1", parent=["ServerScriptService"])]), window)
    replacing = script(source="-- 2", class_="ModuleScript", parent=["ServerScriptService"], replace=True)
    [second] = done(bridge.ask("insert", [replacing]), window)
    assert second.path == first.path
    assert window.scripts()[second.path]["class"] == "ModuleScript"
    assert window.sources() == {second.path: "-- 2", second.backup: "-- 1"}
    assert done(bridge.ask("undo"), window).undone
    assert window.scripts()[first.path]["class"] == "Script"
    assert window.sources() == {first.path: "-- 1"}


@pytest.mark.parametrize(
    ("command", "reason"),
    [(script(parent=["CoreGui"]), "parent-not-found"), (script(parent=["Players"]), "parent-not-found")],
)
def test_what_cannot_be_inserted_says_why_and_leaves_nothing(bridge, window, command, reason):
    with pytest.raises(CommandFailed) as failure:
        done(bridge.ask("insert", [command]), window)
    assert failure.value.reason == reason
    assert window.sources() == {}


def test_an_insertion_that_fails_halfway_is_taken_back(bridge, window):
    window.editor(failure="the editor refuses")
    with pytest.raises(CommandFailed, match="the editor refuses"):
        done(bridge.ask("insert", [script(parent=["ServerScriptService", "Shop"])]), window)
    window.editor()
    assert window.execute("return #game.ServerScriptService:GetChildren()") == 0


def test_an_insertion_waits_for_what_is_being_recorded(bridge, window):
    window.editor(busy=True)
    future = bridge.ask("insert", [script()])
    waited = time.monotonic() + 0.5
    until(lambda: time.monotonic() > waited, window)
    assert (window.sources(), future.done()) == ({}, False)
    window.editor()
    assert done(future, window)[0].path == "ServerScriptService.Door"


def test_a_script_that_may_not_be_copied_is_not_replaced(bridge, window):
    window.execute(
        "local s = Instance.new('Script') s.Name = 'Door' s.Source = '-- mine' s.Archivable = false "
        "s.Parent = game.ServerScriptService"
    )
    with pytest.raises(CommandFailed) as failure:
        done(bridge.ask("insert", [script(replace=True)]), window)
    assert failure.value.reason == "read-only"
    assert window.sources() == {"ServerScriptService.Door": "-- mine"}


# Undo, selection, run --------------------------------------------------------------------------------


def test_undo_leaves_the_creators_own_work_alone(bridge, window):
    done(bridge.ask("insert", [script()]), window)
    window.execute("Instance.new('Part', workspace)")
    assert done(bridge.ask("undo"), window).undone
    assert window.sources() == {}
    assert window.execute("return workspace:FindFirstChild('Part') ~= nil")
    assert done(bridge.ask("undo", of="nothing"), window).undone is None


def test_a_script_that_was_edited_since_is_not_taken_back(bridge, window):
    [inserted] = done(bridge.ask("insert", [script()]), window)
    window.execute("game.ServerScriptService.Door.Source = '-- mine'")
    with pytest.raises(CommandFailed, match="edited or removed since"):
        done(bridge.ask("undo"), window)
    assert window.sources() == {inserted.path: "-- mine"}


def test_undo_from_the_history_of_the_widget(bridge, window):
    done(bridge.ask("insert", [script(name="FromWidget")]), window)
    window.click("Undo")
    until(lambda: window.shows("FromWidget (undone)"), window)
    assert window.sources() == {}


def test_the_selection_is_read_with_sources(bridge, window):
    window.add("Script", ["ServerScriptService"], "Mine", "-- mine")
    window.execute("game.Selection:Set({ game.ServerScriptService.Mine, workspace })")
    selection = done(bridge.ask("read_selection"), window)
    found = [(item.path, item.class_, item.name, item.source) for item in selection.selection]
    assert found == [
        ("ServerScriptService.Mine", "Script", "Mine", "-- mine"),
        ("Workspace", "Workspace", "Workspace", None),
    ]
    assert not selection.truncated


def test_bytes_that_are_no_text_do_not_stop_the_plugin(bridge, window):
    window.execute("local s = Instance.new('Script', workspace) s.Source = '-- \\255' game.Selection:Set({ s })")
    with pytest.raises(CommandFailed, match="no text"):
        done(bridge.ask("read_selection"), window)
    window.click("Repair")
    until(lambda: window.shows("no text"), window)
    window.execute("game.Selection:Set({ workspace })")
    assert done(bridge.ask("read_selection"), window).selection[0].path == "Workspace"


def test_the_place_is_run_and_its_output_returned(bridge, window):
    source = "print('one')\ntask.wait(2)\nwarn('two')\nerror('three')"
    window.add("Script", ["ServerScriptService"], "Loud", source)
    output = done(bridge.ask("run", seconds=3), window)
    found = [(line.kind, line.message) for line in output.output]
    assert found[:2] == [("print", "one"), ("warn", "two")]
    assert found[2][0] == "error"
    assert "three" in found[2][1]
    assert window.shows("by stream")


# The agent -------------------------------------------------------------------------------------------


def test_wishes_of_the_widget_become_scripts(bridge, window):
    for wish in ("a door", "a lamp"):  # the second while the first is on its way
        window.write(WISH_BOX, wish)
        window.click("Generate")
    until(lambda: window.texts().count("done: scores 0.93") == 2, window)
    assert list(window.sources().values()) == ["print('a door')", "print('a lamp')"]


def test_the_selected_script_is_repaired_where_it_is(bridge, window):
    window.execute("Instance.new('Folder', workspace).Name = 'Shop'")
    window.add("LocalScript", ["Workspace", "Shop"], "Broken", "-- broken")
    window.click("Repair")
    until(lambda: window.shows("select one script first"), window)
    window.execute("game.Selection:Set({ workspace.Shop.Broken })")
    window.write(WISH_BOX, "mend it")
    window.click("Repair")
    until(lambda: window.sources().get("Workspace.Shop.Broken") == "-- mend it\n-- broken", window)
    backups = [source for path, source in window.sources().items() if path.startswith("ServerStorage")]
    assert backups == ["-- broken"]
    assert window.scripts()["Workspace.Shop.Broken"]["class"] == "LocalScript"


def test_a_repair_finds_its_script_under_another_name(desk):
    bridge = desk.bridge()
    window = desk.paired(bridge)
    bridge.kill()
    until(lambda: window.shows("No bridge"), window)
    window.add("Script", ["ServerScriptService"], "Broken", "-- broken")
    window.execute("game.Selection:Set({ game.ServerScriptService.Broken })")
    window.click("Repair")
    window.execute("game.ServerScriptService.Broken.Parent = workspace workspace.Broken.Name = 'Mended'")
    bridge.start()
    until(lambda: window.sources().get("Workspace.Mended") == "-- \n-- broken", window)
    assert len(window.sources()) == 2  # and the backup


def test_a_request_waits_for_the_bridge_over_a_restart_of_studio(desk):
    bridge, settings = desk.bridge(), {}
    window = desk.paired(bridge, settings, place_id=7)
    bridge.kill()
    until(lambda: window.shows("No bridge"), window)
    window.write(WISH_BOX, "a lamp")
    window.click("Generate")
    until(lambda: window.shows("kept until"), window)
    window.write(WISH_BOX, "a mistake")
    window.click("Generate")
    window.click("Cancel")  # the newest is on top
    until(lambda: window.shows("cancelled"), window)
    window.close()
    bridge.start()
    again = desk.studio(bridge, settings, place_id=7)
    until(lambda: again.shows("done: scores 0.93"), again)
    assert again.sources() == {"ServerScriptService.Wish": "print('a lamp')"}


# Once, and never lost --------------------------------------------------------------------------------


def test_a_restarted_bridge_is_found_again_without_pairing(desk):
    bridge = desk.bridge()
    window = desk.paired(bridge)
    bridge.kill()
    until(lambda: window.shows("No bridge"), window)
    bridge.start()
    until(lambda: window.shows("by stream"), window)
    [inserted] = done(bridge.ask("insert", [script()]), window)
    assert inserted.path == "ServerScriptService.Door"


def test_a_foreign_bridge_on_the_port_leads_to_a_fresh_offer_and_the_old_one_is_known_again(desk):
    bridge = desk.bridge()
    window = desk.paired(bridge)
    bridge.kill()
    foreign = desk.bridge("foreign", bridge.port)
    until(lambda: window.shows("Not paired") and foreign.codes_shown() == 2, window)
    del window.requests[:]
    until(lambda: len(window.requests) >= 2, window)
    assert set(window.requests) == {("GET", "/hello")}  # no token reaches a bridge that it is not from
    pair_now(window, foreign)
    done(foreign.ask("insert", [script()]), window)
    foreign.kill()
    bridge.start()
    until(lambda: window.shows("Connected") and bridge.client().places()[0].state == "connected", window)


def test_a_revoked_token_leads_to_a_fresh_offer(desk):
    bridge = desk.bridge()
    window = desk.paired(bridge)
    bridge.client().forget("Place1")
    pair(window, bridge)
    assert window.shows("by stream")


def test_a_bridge_that_lost_its_tokens_gets_one_attempt_a_token(desk):
    bridge = desk.bridge()
    window = desk.paired(bridge)
    bridge.kill()
    forget_tokens(bridge)
    bridge.start()
    del window.requests[:]
    opened = window.streams_opened
    until(lambda: window.shows("Not paired"), window)
    until(lambda: window.requests.count(("GET", "/hello")) >= 3, window)
    assert window.streams_opened - opened <= 1
    assert window.requests.count(("POST", "/poll")) <= 1
    assert window.requests.count(("POST", "/pair/start")) == 1


def test_a_bridge_killed_during_an_insertion_gets_the_result_later(desk):
    bridge = desk.bridge()
    window = desk.paired(bridge)
    window.editor(held=True)
    future = bridge.ask("insert", [script(source="-- whole")])
    until(lambda: window.sources() == {"ServerScriptService.Door": ""}, window)
    bridge.kill()
    until(lambda: window.shows("No bridge"), window)
    bridge.start()
    until(lambda: window.shows("by stream"), window)
    bridge.kill()  # the command has come a second time while the plugin is at work on it
    window.editor()
    until(lambda: window.sources() == {"ServerScriptService.Door": "-- whole"}, window)
    bridge.start()
    [inserted] = done(future, window)
    assert inserted.path == "ServerScriptService.Door"
    assert window.sources() == {"ServerScriptService.Door": "-- whole"}


def test_what_was_inserted_before_studio_closed_is_not_inserted_again(desk):
    bridge, settings = desk.bridge(), {}
    window = desk.paired(bridge, settings, place_id=7)
    window.editor(held=True)
    future = bridge.ask("insert", [script(source="-- whole")])
    until(window.sources, window)
    bridge.kill()
    window.editor()
    until(lambda: window.shows("ServerScriptService.Door"), window)
    saved = list(window.scripts().values())
    window.close()
    bridge.start()
    window = desk.studio(bridge, settings, place_id=7, scripts=saved)
    [inserted] = done(future, window)
    assert inserted.path == "ServerScriptService.Door"
    assert window.sources() == {"ServerScriptService.Door": "-- whole"}


def test_a_command_delivered_again_is_answered_with_its_old_result(desk):
    bridge, settings = desk.bridge(), {}
    window = desk.paired(bridge, settings, place_id=7)
    window.close()
    client = bridge.client()
    command = {"id": "twice", "command": script().model_dump()}
    for _ in range(2):
        client._ask("POST", "/client/commands", {"place": None, "commands": [command]}, Accepted)
    bridge.kill()
    shutil.copytree(bridge.folder, desk.folder / "before")
    bridge.start()
    window = desk.studio(bridge, settings, place_id=7)
    until(lambda: result_of(bridge, "twice"), window)
    first = result_of(bridge, "twice")
    bridge.kill()
    shutil.rmtree(bridge.folder)
    shutil.copytree(desk.folder / "before", bridge.folder)
    bridge.start()
    assert result_of(bridge, "twice") is None
    until(lambda: result_of(bridge, "twice"), window)
    assert result_of(bridge, "twice") == first
    assert list(window.sources()) == ["ServerScriptService.Door"]

    # The same after a restart of Studio, which opens the saved place.
    saved = list(window.scripts().values())
    window.close()
    bridge.kill()
    shutil.rmtree(bridge.folder)
    shutil.copytree(desk.folder / "before", bridge.folder)
    bridge.start()
    window = desk.studio(bridge, settings, place_id=7, scripts=saved)
    until(lambda: result_of(bridge, "twice"), window)
    assert result_of(bridge, "twice") == first
    assert list(window.sources()) == ["ServerScriptService.Door"]


def test_more_results_than_one_message_takes_are_sent_in_several(desk):
    bridge, settings = desk.bridge(), {}
    desk.paired(bridge, settings, place_id=7).close()
    place = json.loads(settings["LuauRft.all.places"])["7"]
    done_before = [{"result": {"id": f"old-{n}", "ok": True, "value": {}}, "acknowledged": False} for n in range(1001)]
    settings[f"LuauRft.{place}.done"] = json.dumps(done_before)
    window = desk.studio(bridge, settings, place_id=7, old=True)
    until(lambda: window.shows("by long polling"), window)
    assert done(bridge.ask("insert", [script()]), window)
    until(lambda: all(kept["acknowledged"] for kept in json.loads(settings[f"LuauRft.{place}.done"])), window)


def test_commands_wait_for_a_closed_place(desk):
    bridge, settings = desk.bridge(), {}
    desk.paired(bridge, settings, place_id=7).close()
    future = bridge.ask("insert", [script(name=f"Part{n}") for n in range(5)])
    window = desk.studio(bridge, settings, place_id=7)
    inserted = done(future, window)
    assert [each.path for each in inserted] == [f"ServerScriptService.Part{n}" for n in range(5)]


def test_a_bridge_that_hangs_is_not_taken_for_connected(desk):
    bridge = desk.bridge(lost_s=8.0)
    window = desk.paired(bridge)
    bridge.freeze(True)
    until(lambda: not window.shows("Connected"), window)
    bridge.freeze(False)
    until(lambda: window.shows("by stream"), window)
    assert done(bridge.ask("insert", [script()]), window)


# Transports, windows ---------------------------------------------------------------------------------


def test_long_polling_alone_does_it_all(desk):
    bridge = desk.bridge()
    window = desk.paired(bridge, old=True)
    assert window.shows("by long polling")
    futures = [bridge.ask("insert", [script(name=f"Part{n}-{m}") for m in range(20)]) for n in range(3)]
    for future in futures:
        assert len(done(future, window)) == 20
    assert len(window.sources()) == 60
    assert len(window.requests) < 100
    with pytest.raises(CommandFailed) as failure:
        done(bridge.ask("run", seconds=1), window)
    assert failure.value.reason == "unsupported"
    bridge.kill()
    until(lambda: window.shows("No bridge"), window)
    bridge.start()
    until(lambda: window.shows("by long polling"), window)
    assert done(bridge.ask("undo"), window).undone


def test_two_places_are_served_side_by_side(desk, shared):
    bridge, _ = shared
    one = desk.paired(bridge, place_id=1, name="One")
    two = desk.paired(bridge, place_id=2, name="Two")
    first = bridge.ask("insert", [script(name="First")], place="One")
    second = bridge.ask("insert", [script(name="Second")], place="Two")
    done(first, one, two), done(second, one, two)
    assert list(one.sources()) == ["ServerScriptService.First"]
    assert list(two.sources()) == ["ServerScriptService.Second"]


def test_a_second_window_of_a_place_takes_it_until_the_first_is_asked_for(desk, shared):
    (bridge, _), settings = shared, {}
    one = desk.paired(bridge, settings, place_id=3, name="Twice")
    two = desk.studio(bridge, settings, place_id=3, name="Twice")
    until(lambda: two.shows("by stream") and one.shows("Used in another window"), one, two)
    del one.requests[:]
    done(bridge.ask("insert", [script()], place="Twice"), one, two)
    assert (one.sources(), list(two.sources())) == ({}, ["ServerScriptService.Door"])
    assert one.requests == []
    one.click("Use this window")
    until(lambda: one.shows("by stream") and two.shows("Used in another window"), one, two)


def test_play_mode_leaves_the_connection_alone(desk, shared):
    (bridge, _), settings = shared, {}
    window = desk.paired(bridge, settings, place_id=4, name="Played")
    opened = window.streams_opened
    others = [desk.studio(bridge, settings, place_id=4, mode=mode) for mode in ("play-server", "play-client")]
    done(bridge.ask("insert", [script()], place="Played"), window, *others)
    assert [other.requests for other in others] == [[], []]
    assert [other.streams_opened for other in others] == [0, 0]
    assert window.streams_opened == opened
    assert all(other.sources() == {} for other in others)


def test_unloading_ends_the_connection(desk, shared):
    bridge, _ = shared
    window = desk.paired(bridge, place_id=5, name="Closed")
    window.close()
    until(lambda: state_of(bridge, "Closed") == "away", window)
    del window.requests[:]
    for _ in range(100):
        window.pump()
    assert window.requests == []


def test_the_port_is_changed_in_the_widget(desk):
    bridge, other = desk.bridge(), desk.bridge("other")
    window = desk.paired(bridge)
    window.write("port", str(other.port))
    pair(window, other)
    assert [place.state for place in bridge.client().places()] == ["away"]
