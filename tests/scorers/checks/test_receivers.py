"""Receivers: dots for colons, colons for dots, events that are called and instances that are looped over."""

import pytest

from luau_rft.scorers.api import score

PLAYERS = 'local Players = game:GetService("Players")\n'
RULES = ("method-with-dot", "called-event", "function-with-colon", "iterated-instance")


def found(source: str) -> list[str]:
    return [finding.rule for finding in score(source).findings if finding.rule in RULES]


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ('local door = workspace.FindFirstChild("Door")', "method-with-dot"),
        ("script.Parent.Destroy()", "method-with-dot"),
        ("local door = script.Parent\ndoor.Touched.Connect(print)", "method-with-dot"),
        (PLAYERS + "print(Players.GetPlayerFromCharacter(script.Parent))", "method-with-dot"),
        (PLAYERS + 'Players.LocalPlayer.SetAttribute("Coins", 5)', "method-with-dot"),
        ('local part = Instance.new("Part")\npart.PivotTo(CFrame.new())', "method-with-dot"),
        ('local function f(hit) return hit.Parent.FindFirstChild("Humanoid") end', "method-with-dot"),
        ("print(Vector3.zero.Dot(Vector3.one))", "method-with-dot"),
        ("workspace.Door.Touched(function(hit) hit:Destroy() end)", "called-event"),
        (PLAYERS + "Players.PlayerAdded(print)", "called-event"),
        ("task:wait(1)", "function-with-colon"),
        ("print(math:floor(2.5), Vector3)", "function-with-colon"),
        ("for _, child in workspace.Map do child:Destroy() end", "iterated-instance"),
        ("for _, child in ipairs(script.Parent) do child:Destroy() end", "iterated-instance"),
    ],
)
def test_what_raises_an_error_is_found(source: str, rule: str) -> None:
    assert found(source) == [rule]


@pytest.mark.parametrize(
    "source",
    [
        "local part = script.Parent\npart.Destroy(part)",
        "pcall(workspace.Destroy, workspace)",
        "local function clear(part) return workspace.ClearAllChildren(part) end",
        "local Store = {}\nfunction Store.GetService(name) return name end\nStore.GetService('Players')",
        "local Tree = require(script.Tree)\nTree.FindFirstChild('Door')\nTree.Touched.Connect(print)\nTree.Touched(1)",
        "local function f(self) self.FindFirstChild('Door') end",
        "workspace.Remotes.Died.OnServerEvent:Connect(print)",
        "print(os:clock(), ('a'):upper(), Vector3.zero:Dot(Vector3.one))",
        "local task = { wait = print }\ntask:wait(1)",
        "for _, child in workspace:GetChildren() do child:Destroy() end",
        "for key, value in workspace:GetAttributes() do print(key, value) end",
        "for _, item in require(script.Items) do print(item) end",
    ],
)
def test_what_can_work_is_left_alone(source: str) -> None:
    assert found(source) == []
