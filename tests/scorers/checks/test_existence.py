"""Existence: what is found through inferred types, and what may exist although the database does not have it."""

import pytest

from luau_rft.scorers.api import score

RULES = ("unknown-service", "unknown-class", "unknown-enum-item", "unknown-member")


def found(source: str) -> list[str]:
    return [finding.message for finding in score(source).findings if finding.rule in RULES]


@pytest.mark.parametrize(
    "source",
    [
        "local function f(p: Player) p:Damge(1) end",
        "local p = load() :: Frame p.Visble = true",
        "local function f(m: Model?) m:PivtoTo(CFrame.new()) end",
        "local a: BasePart = x a.Anchord = true",
        'for _, p in game:GetService("Players"):GetPlayers() do p:Kik() end',
        'for _, p in ipairs(game:GetService("Players"):GetPlayers()) do p:Kik() end',
        'for _, t in game:GetService("CollectionService"):GetTagged("a") do t:Destory() end',
        'game:GetService("Players").PlayerAdded:Connect(function(p) p:Kik() end)',
        'local p = game:GetService("Players").LocalPlayer p.CharacterAdded:Connect(function(c) c:Moveto() end)',
        'game:GetService("CollectionService"):GetInstanceAddedSignal("a"):Connect(function(t) t:Destory() end)',
        'local p = if a then Instance.new("Part") else Instance.new("Part") p.Anchord = true',
        'local p = a and Instance.new("Part") or Instance.new("WedgePart") p.Anchord = true',
        'local p = Instance.new("Part"):Clone() p.Anchord = true',
        'local p p = Instance.new("Part") p.Anchord = true',
        'local function make() local p = Instance.new("Part") return p end make().Anchord = true',
        'local function paint(p) p.Anchord = true end paint(Instance.new("Part"))',
        'local function paint(p) p.Anchord = true end task.spawn(paint, Instance.new("Part"))',
        'local T = {} function T.new() local self = {} self.part = Instance.new("Part") return self end\n'
        "function T:go() self.part.Anchord = true end",
        'local h = x:FindFirstChildOfClass("Humanoid") h:TakeDamge(5)',
        'local h = x:WaitForChild("Humanoid") :: Humanoid h:TakeDamge(5)',
        "local c = workspace.CurrentCamera c.CameraTpye = 1",
        'local function f(x) if x:IsA("BasePart") then x.Anchord = true end end',
        'local function f(x) if not x:IsA("BasePart") then return end x.Anchord = true end',
        'local function f(x) return x:IsA("BasePart") and x.Positon end',
        'local function f(x) if typeof(x) == "Vector3" then print(x.Lenght) end end',
        "local _, size = workspace.Model:GetBoundingBox() print(workspace:GetServerTimeNow().x, size.Lenght)",
        "local new = Vector3.new print(new(1, 2, 3).Lenght)",
        "local keys = Enum.KeyCode print(keys.Spacebar)",
        'local CLASS = "Prat" Instance.new(CLASS)',
        'print(game:GetService("Players").LocalPlyer)',
        'print(game:GetService("Players").LocalPlyer.Character)',
        'local http = game:GetService("HttpService") pcall(http.JSONDecod, http, "")',
        'local p: any = Instance.new("Part") p:Explode()',
        'local p = Instance.new("Part") :: any p:Explode()',
        "local function make(name) local p = Instance.new(name) p:Desroy() end",
        'game:GetService("SoundService").ClockTime = 14',
        'print(game:GetService("HttpService").LocalPlayer)',
        'print(game:GetService("ReplicatedStorage").LocalPlayer:WaitForChild("PlayerGui"))',
        'local Http = game:GetService("MarketplaceService") pcall(Http.JSONEncode, Http, {})',
        'local Http: HttpService = game:GetService("TweenService") print(Http:GenerateGUID())',
        'local p = Instance.new("Part") game:GetService("TweenService"):Create(p, TweenInfo.new(1), { Postion = 1 })',
        'local h = Instance.new("Humanoid") h:GetPropertyChangedSignal("Helth"):Connect(print)',
    ],
)
def test_what_is_misspelt_is_found(source: str) -> None:
    assert len(found(source)) >= 1


@pytest.mark.parametrize(
    "source",
    [
        "print(workspace.Postions, workspace.Gravityy.Value)",
        'print(game:GetService("ReplicatedStorage").ClockTime.Value, workspace.PlayerAdded)',
        'game:GetService("ReplicatedStorage").PlayerAdded:FireServer()',
        'print(game:GetService("SoundService").Heartbeat)',
        "local function make(name) local p = Instance.new(name) p.Size = 1 p:Play() end",
        'local p = Instance.new("Part") local a = x:Clone() a.Name = "Colour" a.Parent = p print(p.Colour)',
        'local p = Instance.new("Part") p = load() p:Explode()',
        'local p = Instance.new("Part") if x then p = load() end p:Explode()',
        "local p = load() :: Frame p.Enabled = true p.Visible = false",
        "type Part = { go: () -> () } local function f(p: Part) p:go() end",
        "local function f(x: Instance) if x:IsA('GuiObject') then x.Visible = true end x.Value = 1 end",
        "local function f(x: Part | Model) x:Explode() end",
        'local function f(x) if x:IsA("BasePart") then x.Anchored = true end x.Anchord = true x:Go() end',
        'local function f(x) if x:IsA("BasePart") or x:IsA("Model") then x.Anchord = true end end',
        'local function f(x) if typeof(x) == "Instance" then x.Value = 1 else x:Go() end end',
        'local T = {} function T:a() self.part = Instance.new("Part") self.part = load() self.part:Go() end',
        'local T = { part = load() } function T:a() self.part = Instance.new("Part") self.part:Go() end',
        'local function paint(p) p:Go() end paint(Instance.new("Part")) paint(load())',
        'local function paint(p) p:Go() end paint(Instance.new("Part")) return { paint = paint }',
        'local function make() if x then return load() end return Instance.new("Part") end make():Go()',
        'local m = require(script.Module) m.Postion:Go() m.new("Prat")',
        'game:DefineFastFlag("A", false)',
        "print(Enum.KeyCode.Unknown, Enum.Material.Aluminum, Enum.KeyCode.E.Name, Enum.KeyCode:GetEnumItems())",
        'local p = x.Parent p.Size, p.Name = 1, "a"',
        'print(script.Parent:IsA("CoreThing"))',
        "local change = require(script.Markers.Change) print(script.Names, script.Parent.Part2)",
    ],
)
def test_what_may_exist_is_left_alone(source: str) -> None:
    assert found(source) == []
