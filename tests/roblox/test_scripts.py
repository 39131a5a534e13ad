"""Answers of several scripts: split by their headers, run together, scored one by one."""

import pytest

from luau_rft.luau.sandbox import Limits, Program, Sandbox
from luau_rft.roblox.scripts import split
from luau_rft.scorers.composite import score_code

ANSWER = """-- ServerScriptService/Shop.server.luau
local ReplicatedStorage = game:GetService("ReplicatedStorage")
local prices = require(ReplicatedStorage:WaitForChild("Prices"))
local buy = Instance.new("RemoteEvent")
buy.Name = "Buy"
buy.Parent = ReplicatedStorage
buy.OnServerEvent:Connect(function(player, item)
	print(player.Name, item, prices[item])
	prices[item] = 0
	buy:FireClient(player, "sold")
end)

-- StarterPlayer/StarterPlayerScripts/ShopButton.client.luau
local ReplicatedStorage = game:GetService("ReplicatedStorage")
local prices = require(ReplicatedStorage:WaitForChild("Prices"))
local buy = ReplicatedStorage:WaitForChild("Buy")
buy.OnClientEvent:Connect(function(answer)
	print(answer, prices.Sword)
	error("no more")
end)
buy:FireServer("Sword")

-- ReplicatedStorage/Prices.luau
return { Sword = 10 }
"""


@pytest.fixture(scope="module")
def result():
    with Sandbox(processes=1) as sandbox:
        return next(sandbox.run([Program(ANSWER, limits=Limits(seconds=5))]))


def test_headers_say_what_each_script_is():
    scripts = split(ANSWER, "server")
    assert [(script.kind, script.path, script.line) for script in scripts] == [
        ("server", "ServerScriptService.Shop", 0),
        ("client", "Players.LocalPlayer.PlayerScripts.ShopButton", 12),
        ("module", "ReplicatedStorage.Prices", 22),
    ]
    assert "".join(script.source for script in scripts) == ANSWER


@pytest.mark.parametrize(
    "answer", ["", "print(1)", "-- Shop.server.luau\nprint(1)", "x = 1 -- a.luau\ny = 2 -- b.luau"]
)
def test_one_script_stays_whole(answer):
    [script] = split(answer, "client")
    assert (script.kind, script.source, script.line) == ("client", answer, 0)


def test_what_stands_above_the_first_header_belongs_to_it():
    scripts = split("--!strict\n-- A.server.lua\nprint(1)\n-- B.client.lua\nprint(2)\n", "server")
    assert [script.source for script in scripts] == [
        "--!strict\n-- A.server.lua\nprint(1)\n",
        "-- B.client.lua\nprint(2)\n",
    ]


def test_server_and_client_meet_and_a_module_runs_on_each_side(result):
    assert result.output[:2] == ["LocalPlayer Sword 10", "sold 10"]


def test_an_error_has_the_line_of_the_answer(result):
    line = ANSWER.splitlines().index('\terror("no more")') + 1
    assert result.error["message"] == f"Players.LocalPlayer.PlayerScripts.ShopButton:{line}: no more"
    assert result.error["line"] == line


def test_a_script_that_does_not_compile_is_told():
    with Sandbox(processes=1) as sandbox:
        [broken] = sandbox.run([Program("-- A.server.luau\nprint(1)\n-- B.client.luau\nprint(\n")])
    assert broken.error["message"].startswith("Players.LocalPlayer.PlayerScripts.B:")
    assert not broken.ok


def test_scripts_are_scored_one_by_one():
    whole = score_code(ANSWER)
    assert whole.compiles  # as one script the `return` in the middle would not
    assert {finding.line for finding in whole.findings} <= set(range(1, ANSWER.count("\n") + 2))
    assert not score_code(ANSWER.replace("Sword = 10 }", "Sword = 10")).compiles
