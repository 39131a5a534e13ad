"""Where the plugin goes, and what the commands say about it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from luau_rft.errors import UserError
from luau_rft.studio import build
from luau_rft.studio.client import answers
from luau_rft.studio.command import bridge_lines
from luau_rft.studio.folder import read_running
from luau_rft.studio.install import Machine, install, installed_version, plugin_status, uninstall
from tests.servers.bridge import running


def windows(folder: Path) -> Machine:
    return Machine("win32", folder, {"LOCALAPPDATA": str(folder / "Local")})


def mac(folder: Path) -> Machine:
    return Machine("darwin", folder, {})


@pytest.mark.parametrize(
    ("machine", "where"),
    [(windows, "Local/Roblox/Plugins/LuauRft.rbxmx"), (mac, "Documents/Roblox/Plugins/LuauRft.rbxmx")],
)
def test_install_and_uninstall(tmp_path: Path, machine: type[Machine], where: str) -> None:
    own, file = machine(tmp_path), tmp_path / where  # type: ignore[arg-type]
    assert plugin_status(own)[0].startswith("plugin: not installed;")
    assert uninstall(own) == [f"{file}: is not there"]
    assert install(own)[0] == f"{file}: version {build.version()}"
    assert file.read_text(encoding="utf-8") == build.build()
    assert installed_version(file) == build.version()
    assert plugin_status(own) == [f"plugin: version {build.version()}, {file}"]
    assert install(own) == [f"{file}: is there already, version {build.version()}"]
    assert uninstall(own) == [f"{file}: deleted; restart Studio"]
    assert not file.exists()


def test_windows_without_its_variable(tmp_path: Path) -> None:
    assert Machine("win32", tmp_path, {}).plugins_folder() == tmp_path / "AppData/Local/Roblox/Plugins"


def test_an_older_version_is_replaced(tmp_path: Path) -> None:
    install(mac(tmp_path))
    folder = mac(tmp_path).plugins_folder()
    assert folder is not None
    file = folder / build.FILE_NAME
    file.write_text(build.build().replace(build.version(), "0.0.1+old"), encoding="utf-8")
    assert plugin_status(mac(tmp_path)) == [
        f"plugin: version 0.0.1+old installed, {build.version()} here; `luau-rft studio install` updates it"
    ]
    assert install(mac(tmp_path))[0] == f"{file}: version {build.version()} instead of 0.0.1+old"
    assert installed_version(file) == build.version()


def test_another_file_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "LuauRft.rbxmx"
    file.write_bytes(b"\xff a model of somebody else")
    for act in (install, uninstall):
        with pytest.raises(UserError, match="not this plugin"):
            act(mac(tmp_path), file)
    assert file.read_bytes() == b"\xff a model of somebody else"


def test_elsewhere_it_says_where_to_put_it(tmp_path: Path) -> None:
    linux = Machine("linux", tmp_path, {})
    for act in (install, uninstall):
        with pytest.raises(UserError, match=r"give --output FILE .* Plugins Folder"):
            act(linux)
    assert "Plugins Folder" in install(linux, tmp_path)[-1]
    assert (tmp_path / "LuauRft.rbxmx").read_text(encoding="utf-8") == build.build()
    assert install(linux, tmp_path / "sub" / "Own.rbxmx")[0].startswith(f"{tmp_path}/sub/Own.rbxmx: version")
    assert uninstall(linux, tmp_path / "sub" / "Own.rbxmx")[0].endswith("deleted; restart Studio")
    assert "Plugins Folder" in plugin_status(linux)[0]


def test_status_tells_of_bridges_and_places(tmp_path: Path) -> None:
    with running(tmp_path) as bridge:
        bridge.pair("place-1", "Obby").messages()
        bridge.pair("place-2", "Tycoon")
        bridge.queue("Tycoon", "a", "b")
        written = read_running(tmp_path / str(bridge.port))
        assert written is not None
        state = answers(written)
        assert state is not None
        assert bridge_lines([state]) == [
            f"bridge: port {bridge.port}, process {os.getpid()}, version {state.version}",
            "  place: Obby (place-1): connected",
            "  place: Tycoon (place-2): away, 2 waiting",
        ]
    assert bridge_lines([]) == ["bridge: none runs; `luau-rft studio serve` starts one"]


def test_the_commands(tmp_path: Path) -> None:
    """As a user runs them."""

    def luau_rft(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "luau_rft.cli", "studio", *arguments]
        environment = os.environ | {"LUAU_RFT_CONFIG": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)

    mistakes = {
        ("--threshold", "7"): "--threshold: 7.0 is no score",
        ("--url", "localhost"): "--url localhost: is no address",
        ("--model", "no/such"): "--model no/such: there is no folder",
        ("--context", "4096"): "--context: tells what a server's model can take",
    }
    for arguments, told in mistakes.items():
        assert f"error: {told}" in luau_rft("serve", "--port", "0", *arguments).stderr
    file = str(tmp_path / "Plugin.rbxmx")
    assert f"{file}: version {build.version()}" in luau_rft("install", "--output", file).stdout
    assert luau_rft("uninstall", "--output", file).stdout == f"{file}: deleted; restart Studio\n"
    with running(tmp_path / "studio") as bridge:
        plugin = bridge.pair("place-1", "Obby")
        assert "  place: Obby (place-1): away" in luau_rft("status").stdout
        assert luau_rft("forget", "Obby").stdout == "Obby: forgotten; it has to pair anew\n"
        assert plugin.poll().reason == "revoked-token"
        taken = luau_rft("serve", "--port", str(bridge.port))
    assert taken.returncode == 1
    assert f"--port {bridge.port}: a bridge already runs there (process {os.getpid()})" in taken.stderr
