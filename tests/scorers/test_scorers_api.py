"""The API scorer: each rule on code that breaks it, and no finding on code that uses the platform as it is."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from luau_rft.roblox.scripts import split
from luau_rft.scorers.api import RULES, score

TASKS = sorted(Path(__file__).parents[2].glob("data/tasks/*/*/task.yaml"))

PLAYER_JOINS = """
local Players = game:GetService("Players")
Players.PlayerAdded:Connect(function(player)
    {}
end)
"""
PART = 'local part = Instance.new("Part")\npart.Parent = workspace\n{}\n'


def found(source: str, kind: str | None = None) -> list[tuple[str, int, str]]:
    return [(finding.rule, finding.line, finding.message) for finding in score(source, kind).findings]


@pytest.mark.parametrize(
    ("source", "rule", "message"),
    [
        ('game:GetService("PlayerService")', "unknown-service", "there is no service PlayerService"),
        ('local g = game g:GetService("Part")', "unknown-service", "there is no service Part"),
        ('Instance.new("Brick")', "unknown-class", "Instance.new: class Brick does not exist"),
        ('Instance.new("BasePart")', "unknown-class", "Instance.new: class BasePart cannot be created"),
        ("print(Enum.Materials.Grass)", "unknown-enum-item", "there is no Enum.Materials"),
        ("print(Enum.Material.Gras)", "unknown-enum-item", "Enum.Material has no item Gras"),
        (PART.format('part.Material = "Gras"'), "unknown-enum-item", "Material takes an item of Enum.Material, which"),
        (PART.format("part:SetColor()"), "unknown-member", "Part has no method SetColor"),
        (PART.format("part.Colour = 1"), "unknown-member", "Part has no property Colour"),
        (PART.format("part.OnTouch:Connect(print)"), "unknown-member", "Part has no event OnTouch"),
        (PART.format("print(part.Position.Lenght)"), "unknown-member", "Vector3 has no property Lenght"),
        (PART.format("print(part.Name:trim())"), "unknown-member", "string has no method trim"),
        ("workspace.Door.Handle:Unlatch()", "unknown-member", "Instance has no method Unlatch"),
        ("print(Vector3.zeros)", "unknown-member", "Vector3 has no zeros"),
        ("table.push({}, 1)", "unknown-member", "table has no push"),
        (PLAYER_JOINS.format("player:GetCharacter()"), "unknown-member", "Player has no method GetCharacter"),
        (
            PLAYER_JOINS.format('player.Character:FindFirstChild("Humanoid"):Damage(1)'),
            "unknown-member",
            "Humanoid has no method Damage",
        ),
        (PLAYER_JOINS.format("player.UserId = 1"), "read-only-member", "Player.UserId cannot be set by a script"),
        (PART.format("part.Touched = print"), "read-only-member", "BasePart.Touched is an event: connect to it"),
        (PART.format('part.Anchored = "true"'), "wrong-type", 'Anchored takes boolean, not the string "true"'),
        (PART.format("part.Color = BrickColor.new(21)"), "wrong-type", "Color takes Color3, not BrickColor"),
        (PART.format("part.Position = CFrame.new()"), "wrong-type", "Position takes Vector3, not CFrame"),
        (PART.format("part:FindFirstChild()"), "wrong-argument-count", "FindFirstChild takes 1 to 2 arguments, not 0"),
        ("print(CFrame.new(1, 2, 3, 4))", "wrong-argument-count", "CFrame.new takes 0 or 1 or 2 or 3 or 7 or 12"),
        ("wait(1)", "deprecated", "wait is deprecated; use task.wait"),
        (PART.format("part.Touched:connect(print)"), "deprecated", "connect is deprecated; use Connect"),
        (PART.format("part:remove()"), "deprecated", "remove is deprecated; use Destroy"),
        ('Instance.new("BodyVelocity")', "deprecated", "BodyVelocity is deprecated; use LinearVelocity"),
        (PLAYER_JOINS.format("player:LoadCharacter()"), "renamed", "LoadCharacter is now called LoadCharacterAsync"),
        ("print(game.Players.Name)", "service-by-index", 'use game:GetService("Players") instead of game.Players'),
        ('Instance.new("Part", workspace)', "parent-argument", "set Parent last"),
    ],
)
def test_each_rule_finds_what_it_is_for(source: str, rule: str, message: str) -> None:
    findings = found(source)
    assert [name for name, _, _ in findings] == [rule]
    assert findings[0][2].startswith(message)


@pytest.mark.parametrize(
    ("source", "wrong_on"),
    [
        ('print(game:GetService("UserInputService").TouchEnabled)', "server"),
        ('print(game:GetService("Players").LocalPlayer)', "server"),
        ('game:GetService("RunService").RenderStepped:Connect(print)', "server"),
        ('game:GetService("ReplicatedStorage"):WaitForChild("Buy"):FireServer()', "server"),
        ('game:GetService("DataStoreService"):GetDataStore("a")', "client"),
        ('game:GetService("ReplicatedStorage").Buy.OnServerEvent:Connect(print)', "client"),
    ],
)
def test_sides(source: str, wrong_on: str) -> None:
    kinds = ("server", "client", "module", None)
    wrong = {kind for kind in kinds if any(rule == "wrong-side" for rule, _, _ in found(source, kind))}
    assert wrong == {wrong_on}
    asking = f'if game:GetService("RunService"):IsServer() then\n{source}\nend'
    assert not [rule for rule, _, _ in found(asking, wrong_on) if rule == "wrong-side"]


@pytest.mark.parametrize("source", ['game:GetService("Selection"):Get()', 'print(game:GetObjects("rbxassetid://1"))'])
def test_what_only_plugins_may_use(source: str) -> None:
    assert "wrong-side" in [rule for rule, _, _ in found(source, "server")]
    assert "wrong-side" in [rule for rule, _, _ in found(source, "client")]
    assert found(source) == []


CLEAN = """
--!strict
local CollectionService = game:GetService("CollectionService")
local DataStoreService = game:GetService("DataStoreService")
local Players = game:GetService("Players")
local ReplicatedStorage = game:GetService("ReplicatedStorage")
local RunService = game:GetService("RunService")
local TweenService = game:GetService("TweenService")

type Part = { weight: number }
local store = DataStoreService:GetDataStore("coins")
local Module = require(ReplicatedStorage:WaitForChild("Module"))
local remote = ReplicatedStorage:WaitForChild("Buy")
local custom = { Touched = Module.new(), Players = {} }

local function weigh(part: Part): number
    return part.weight -- the script's own type, not the class
end

local function onTouched(hit)
    local model = hit:FindFirstAncestorOfClass("Model")
    local humanoid = model and model:FindFirstChildOfClass("Humanoid")
    local player = Players:GetPlayerFromCharacter(hit.Parent)
    if humanoid and player then
        humanoid:TakeDamage(10)
        humanoid.WalkSpeed = humanoid.WalkSpeed * 2
        player.leaderstats.Coins.Value += 1
        player.PlayerGui.Hud.Frame.Visible = true
    end
end

local door = workspace.Door
door.Touched:Connect(onTouched)
door.PrimaryPart.CFrame *= CFrame.Angles(0, math.rad(90), 0)
workspace.Doors.Handle.Custom.Value = "open"
custom.Touched:connect(weigh)
custom.Players:Foo()
string.format("%s", tostring(custom)):upper():gsub("a", "b")

Players.PlayerAdded:Connect(function(player: Player)
    local leaderstats = Instance.new("Folder")
    leaderstats.Name = "leaderstats"
    local coins = Instance.new("IntValue")
    coins.Name, coins.Parent = "Coins", leaderstats
    leaderstats.Parent = player
    local ok, saved = pcall(function()
        return store:GetAsync("coins_" .. player.UserId)
    end)
    coins.Value = if ok and saved then saved else 0
    player.CharacterAdded:Connect(function(character)
        local humanoid = character:WaitForChild("Humanoid") :: Humanoid
        humanoid.Died:Once(function()
            task.wait(Players.RespawnTime)
            print(humanoid:GetState() == Enum.HumanoidStateType.Dead, humanoid.FloorMaterial.Name)
        end)
        local root = character:FindFirstChild("HumanoidRootPart")
        root:ApplyImpulse(Vector3.yAxis * root.AssemblyMass * 10)
    end)
end)

local lamp = Instance.new("PointLight")
lamp.Color = Color3.fromRGB(255, 0, 0):Lerp(Color3.new(), 0.5)
lamp.Parent = workspace:FindFirstChild("Lamp", true)
local tween = TweenService:Create(lamp, TweenInfo.new(1, Enum.EasingStyle.Quad), { Range = 10 })
tween.Completed:Wait()
tween:Play()

local parameters = RaycastParams.new()
parameters.FilterType = Enum.RaycastFilterType.Exclude
parameters.FilterDescendantsInstances = { door }
local result = workspace:Raycast(Vector3.zero, Vector3.new(0, -10, 0), parameters)
if result then
    print(result.Instance.Name, (result.Position - door.Position).Magnitude, result.Material)
end
for _, tagged in CollectionService:GetTagged("Lava") do
    if tagged:IsA("BasePart") then
        tagged.Touched:Connect(onTouched)
        tagged.Color = Color3.new(1, 0, 0)
    end
end
for index, child in ipairs(workspace:GetChildren()) do
    child:Destroy()
    child:SetAttribute("Index", index)
end
local label = Instance.new("TextLabel")
label.Text = 5
label.Font = Enum.Font.GothamBold
label.Size = UDim2.new(1, 0, 0, 50) + UDim2.fromScale(0, 0.1)
label.TextXAlignment = "Left"
remote.OnServerEvent:Connect(function(player, item, ...)
    remote:FireClient(player, item:Anything(), ...)
    player:Kick("bye")
end)
remote.OnServerInvoke = function(player)
    return player.UserId
end
RunService.Heartbeat:Connect(function(step)
    door:PivotTo(door:GetPivot() * CFrame.new(0, step, 0))
end)
game:BindToClose(function()
    for _, player in Players:GetPlayers() do
        store:UpdateAsync(tostring(player.UserId), function(old)
            return old
        end)
    end
end)
"""


def test_real_use_of_the_platform_has_no_finding() -> None:
    assert found(CLEAN, "server") == []
    assert score(CLEAN, "server").value == 1.0


@pytest.mark.parametrize("path", TASKS, ids=lambda path: path.parent.name)
def test_references_of_the_tasks_have_no_finding(path: Path) -> None:
    kind = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))["kind"]
    scripts = split((path.parent / "reference.luau").read_text(encoding="utf-8"), kind)
    assert [finding for script in scripts for finding in found(script.source, script.kind)] == []


MODULE = """
local Stack = {}
Stack.__index = Stack
function Stack.new()
    return setmetatable({ items = {} }, Stack)
end
function Stack:push(item)
    table.insert(self.items, item)
    return #self.items
end
return Stack
"""


def test_a_module_without_the_platform_has_nothing_wrong() -> None:
    assert score(MODULE, "module").value == 1.0


def test_more_names_of_the_platform_earn_nothing() -> None:
    wrong = PART.format("part.Colour = 1\npart.Anchored = true\nprint(part.Size)")
    stuffed = "-- Players RemoteEvent Vector3.new\n" + wrong + 'local a, b = "TweenService", game:GetService("Teams")\n'
    assert 0 < score(stuffed).value <= score(wrong).value < 1


def test_locals_hide_globals_of_the_platform() -> None:
    source = "local table, Enum, game, Instance = {}, {}, {}, {}\n"
    assert found(source + 'table.push(1) print(Enum.A.B) game:GetService("X") Instance.new("Y")') == []


def test_a_variable_that_changes_its_type_has_none() -> None:
    assert found('local thing = Instance.new("Part")\nthing = load()\nthing:Explode()') == []


def test_place_and_limit_of_findings() -> None:
    lines = "\n".join("part:NoSuchMethod()" for _ in range(10))
    result = score(PART.format(lines))
    assert [(f.line, f.column) for f in result.findings[:2]] == [(3, 6), (4, 6)]
    rule = RULES.rules["unknown-member"]
    assert sum(f.penalty for f in result.findings) == pytest.approx(rule.limit)
    assert result.value == pytest.approx(1 - rule.limit)


@pytest.mark.parametrize(
    "source", ["", "}{ not Luau at all", "local x = ", "a" + ".b" * 2000 + ":c()", "x = " + "(" * 200]
)
def test_anything_gets_a_score(source: str) -> None:
    assert 0.0 <= score(source).value <= 1.0
    assert score(source) == score(source)
