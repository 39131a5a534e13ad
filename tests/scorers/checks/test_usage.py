"""Usage: values, arguments and sides that are certainly wrong, and those that the platform takes."""

import pytest

from luau_rft.scorers.api import score

PART = 'local part = Instance.new("Part")\n'
PLAYERS = 'local Players = game:GetService("Players")\n'
RUN = 'local RunService = game:GetService("RunService")\n'


def found(source: str, kind: str | None = None) -> list[str]:
    rules = ("read-only-member", "wrong-type", "wrong-argument-count", "wrong-argument-type", "wrong-side")
    return [finding.rule for finding in score(source, kind).findings if finding.rule in rules]


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        (PART + "part.Material = Enum.PartType.Ball", "wrong-type"),
        (PART + 'part.Transparency = "half"', "wrong-type"),
        (PART + "part.Position = { 1, 2, 3 }", "wrong-type"),
        (PART + "part.Size = nil", "wrong-type"),
        (PART + "part.Parent = 5", "wrong-type"),
        (PART + "part:PivotTo(Vector3.zero)", "wrong-argument-type"),
        (PART + "part:SetAttribute({}, 1)", "wrong-argument-type"),
        (PART + "part.Touched:Connect(5)", "wrong-argument-type"),
        ('task.wait("soon")', "wrong-argument-type"),
        ('print(Color3.fromRGB("red", 0, 0))', "wrong-argument-type"),
        (PLAYERS + 'Players:GetPlayerFromCharacter("Bob")', "wrong-argument-type"),
        (PLAYERS + "Players:GetPlayers(1, 2)", "wrong-argument-count"),
    ],
)
def test_what_does_not_fit_is_found(source: str, rule: str) -> None:
    assert found(source) == [rule]


@pytest.mark.parametrize(
    "source",
    [
        PART + 'part.Transparency = "0.5" part.Name = 5 part.Material = "Grass" part.Material = 512 part.Parent = nil',
        PART + "part.CustomPhysicalProperties = nil part.Parent = script.Parent",
        PART + 'part:SetAttribute("a", {}) part:FindFirstChild(5) task.wait("1")',
        PART + "part.Touched:Connect(handlers.touched) part.Touched:Connect(setmetatable({}, Callable))",
        'local gui = Instance.new("TextLabel") gui.Text = 5 gui.Font = Enum.Font.Gotham gui.Parent = script.Parent.Gui',
        "print(CFrame.new(Vector3.zero, Vector3.one), Vector3.new(), math.max(1, 2, 3), UDim2.new(0, 1))",
        PLAYERS + "Players:GetPlayerFromCharacter(script.Parent)",
        'game:GetService("Debris"):AddItem(script.Parent, 5)',
    ],
)
def test_what_the_platform_takes_is_left_alone(source: str) -> None:
    assert found(source) == []


@pytest.mark.parametrize(
    "source",
    [
        RUN + PLAYERS + "if RunService:IsClient() then print(Players.LocalPlayer) end",
        RUN + PLAYERS + "local isClient = RunService:IsClient()\nif isClient then print(Players.LocalPlayer) end",
        RUN + PLAYERS + "if RunService:IsServer() then return end print(Players.LocalPlayer)",
        RUN + PLAYERS + "local me = RunService:IsClient() and Players.LocalPlayer",
    ],
)
def test_a_script_that_asks_on_which_side_it_runs_may_use_both(source: str) -> None:
    assert found(source, "server") == []


def test_to_ask_without_heeding_the_answer_buys_nothing() -> None:
    assert found(RUN + PLAYERS + "RunService:IsServer() print(Players.LocalPlayer)", "server") == ["wrong-side"]


@pytest.mark.parametrize(
    ("source", "rules"),
    [
        ('workspace.Part.Color = "Red"', ["wrong-type"]),
        ("script.Parent.Transparency = true", ["wrong-type"]),
        ("workspace.Part.Color = Color3.new(1, 0, 0) workspace.Beam.Color = ColorSequence.new(Color3.new())", []),
        ("script.Parent.Transparency = 0.5 script.Parent.Value = true script.Parent.Text = 5", []),
        ("local settings = require(script.Settings) settings.Transparency = true", []),
    ],
)
def test_an_unknown_class_has_one_of_the_types(source: str, rules: list[str]) -> None:
    assert found(source) == rules
