import pytest

from luau_rft.luau.tree import parse
from luau_rft.scorers.checks import nils

START = "local c = script.Parent\n"

UNCHECKED = [
    "local x = c:FindFirstChild('A') local ok = x ~= nil and 1 > 2 if not ok then print(1) end x.Name = ''",
    "local x = c:FindFirstChild('A') x:Destroy()",
    "local function f() local x = c:FindFirstChild('A') return function() x:Destroy() end end f()",
    "local x = c:FindFirstChild('A') task.spawn(function() x:Destroy() end)",
    "local x = c:FindFirstChild('A') print(1) print(x) for i = 1, 3 do x.Name = i end",
    "local x = c:FindFirstChild('A') local y = c:FindFirstChild('B') if not (x or y) then return end x.Name = ''",
    "local x = c:FindFirstChild('A') if x then x.Name = '' end x.Name = ''",
    "local x = c:GetAttribute('A') print(x + 1)",
    "local x = c:GetAttribute('A') print('a' .. x)",
    "if c:GetAttribute('A') > 3 then print(1) end",
    "for i = 1, c:GetAttribute('N') do print(i) end",
    "local n = 0 n += c:GetAttribute('N')",
    "local x = c:FindFirstChild('A') assert(x) x = c:FindFirstChild('B') x.Name = ''",
    "c:FindFirstChild('A'):FindFirstChild('B').Name = ''",
    "c:FindFirstChild('A'):Destroy()",
    "local x = c:FindFirstChild('A') local y = x:FindFirstChild('B') y.Name = ''",
    "local x = c:WaitForChild('A', 5) x.Name = ''",
    "local p = game.Players.LocalPlayer p.Character.Humanoid.Health = 0",
    "local p = game:GetService('Players').LocalPlayer local ch = p.Character ch:MoveTo(Vector3.zero)",
    "local function get(p) return p.Character and p.Character:FindFirstChild('H') end local h = get(c) h.Health = 0",
    "local m = game.Players.LocalPlayer:GetMouse() print(m.Target.Name)",
    "local x = if c then c:FindFirstChild('A') else nil x.Name = ''",
    "local x = c:FindFirstChild('A') local y = x and x.Name y:lower()",
    "local x x = c:FindFirstChild('A') x.Name = ''",
    "local x = c:FindFirstChild('A') or c:FindFirstChild('B') x.Name = ''",
    "while true do local x = c:FindFirstChild('A') task.wait() x.Name = '' end",
    "local x = c:FindFirstChildOfClass('Humanoid') if not x then warn('none') end x.Health = 0",
    "local x = (c:FindFirstChild('A') :: Part) x.Name = ''",
    "local x = c:FindFirstChild('A') local function g() x.Name = '' end g()",
    "return function(h) local r = h.RootPart r.CFrame = CFrame.new() end",
    "local t = { c:FindFirstChild('A').Name } return t",
    "local x, y = c:FindFirstChild('A'), 3 print(x.Name, y)",
    "local x = c:FindFirstChild('A') if x or c then x.Name = '' end",
    "local x = c:FindFirstChild('A') if not x then print(x.Name) end",
    "local x = c:FindFirstChild('A') repeat task.wait() until x.Value",
    "workspace:Raycast(Vector3.zero, Vector3.one).Instance:Destroy()",
    "local x = c:FindFirstChild('A') x.B.C = 1",
    "local x = c:FindFirstChild('A') do x.B.C = 1 end",
    "local x = c:FindFirstChild('A') x['B'] = 1",
    "local x = c:FindFirstChild('A') print(#x)",
    "local x = c:FindFirstChild('A') local h = x and x:FindFirstChild('H') "
    "return (h == nil or h.Health > 0) and x:IsDescendantOf(workspace)",
    "local x = c:FindFirstChild('A') local h = x or c return h ~= nil and x:IsDescendantOf(workspace)",
    "local x = c:FindFirstChild('A') local h = not x if h ~= nil then x.Name = '' end",
]

CHECKED = [
    "local x = c:FindFirstChild('A') local ok = x ~= nil and x.Value > 1 if ok then x.Name = '' end",
    "local x = c:FindFirstChild('A') local y = c:FindFirstChild('B') if not (x and y) then return end "
    "x.Name = '' y.Name = ''",
    "local x = c:FindFirstChild('A') local y = x and x:FindFirstChild('B') if y then x.Name = '' y.Name = '' end",
    "local x = c:FindFirstChild('A') local z = x and x.Value and x.Value.Name print(z)",
    "local x = c:FindFirstChild('A') x = x or Instance.new('Part') x.Name = ''",
    "local x = c:FindFirstChild('A') while x do x.Name = '' x = x:FindFirstChild('A') end",
    "local x repeat x = c:FindFirstChild('A') task.wait() until x x.Name = ''",
    "for _, v in c:GetChildren() do local x = v:FindFirstChild('A') if not x then continue end x.Name = '' end",
    "for _, v in c:GetChildren() do local x = v:FindFirstChild('A') if x == nil then break end x.Name = '' end",
    "local x = c:FindFirstChild('A') if x == nil then error('no') end x.Name = ''",
    "local x = c:FindFirstChild('A') print(if x then x.Name else '')",
    "local x = c:FindFirstChild('A') print(if not x then '' else x.Name)",
    "local x = c:FindFirstChild('A') assert(x and x.Parent) x.Name = ''",
    "local x = assert(c:FindFirstChild('A')) x.Name = ''",
    "local x = c:FindFirstChild('A') if not x then return end task.spawn(function() x.Name = '' end)",
    "local x = c:FindFirstChild('A') if x then task.spawn(function() x.Name = '' end) end",
    "local x = c:FindFirstChild('A') local function f() x.Name = '' end if not x then return end f()",
    "print(c:FindFirstChild('A'))",
    "local x = c:FindFirstChild('A') f(x)",
    "print((c:GetAttribute('A') or 0) + 1)",
    "local n = c:GetAttribute('A') if n and n > 3 then print(n + 1) end",
    "local p = game.Players.LocalPlayer local ch = p.Character or p.CharacterAdded:Wait() ch:MoveTo(Vector3.zero)",
    "local p = game.Players.LocalPlayer if not p.Character then p.CharacterAdded:Wait() end "
    "p.Character:MoveTo(Vector3.zero)",
    "local p = game.Players.LocalPlayer local ch = p.Character if not ch then return end "
    "p.Character:MoveTo(Vector3.zero)",
    "local p = game.Players.LocalPlayer if not p.Character then return end local ch = p.Character "
    "ch:MoveTo(Vector3.zero)",
    "local p = game.Players.LocalPlayer p.CharacterAdded:Connect(function() p.Character:MoveTo(Vector3.zero) end)",
    "local x = c:FindFirstChild('A') if not x then x = Instance.new('Folder') x.Parent = c end x.Name = ''",
    "local x = c:FindFirstChild('A') if not x then x = Instance.new('Folder') elseif x then print(1) end x.Name = ''",
    "local m = Instance.new('Model') m.PrimaryPart = Instance.new('Part') m.PrimaryPart.Name = ''",
    "if c:FindFirstChild('A') then c:FindFirstChild('A').Name = '' end",
    "if c:FindFirstChild('A') and c:FindFirstChild('A').Value then print(1) end",
    "local x = c:FindFirstChild('A') if x and x:IsA('Part') then x.Name = '' end",
    "local x = c:FindFirstChild('A') if not x or not x:IsA('Part') then return end x.Name = ''",
    "local x = c:FindFirstChild('A') if typeof(x) == 'Instance' then x.Name = '' end",
    "local x = c:FindFirstChild('A') if isValid(x) then x.Name = '' end",
    "local x = c:FindFirstChild('A') if not x then return else x.Name = '' end",
    "local x = c:FindFirstChild('A') if not x then print(1) elseif x.Name == '' then print(x.Name) else "
    "x.Name = '' end",
    "c:SetAttribute('A', 1) print(c:GetAttribute('A') + 1)",
    "local x = c:FindFirstChild('A') local found = not not x if found then x.Name = '' end",
    "local x = c:FindFirstChild('A') local missing = x == nil if missing then return end x.Name = ''",
    "local Lib = require(c.Lib) local x = Lib:FindFirstChild('A') x.Name = ''",
    "local T = {} function T:GetAttribute(n) return 1 end function T:f() return self:GetAttribute('x') + "
    "1 end return T",
    "while not c:FindFirstChild('A') do task.wait() end c:FindFirstChild('A').Name = ''",
    "local x while not x do x = c:FindFirstChild('A') task.wait() end x.Name = ''",
    "local x = c:FindFirstChild('A') do if not x then return end end x.Name = ''",
    "local x = c:FindFirstChild('A') x = c:WaitForChild('A') x.Name = ''",
    "local y = c:FindFirstChild('A') ~= nil and c:FindFirstChild('A').Name print(y)",
    "local x = c:FindFirstChild('A') return x and x.Name or ''",
    "local x = c:FindFirstChild('A') if (x ~= nil) == true then x.Name = '' end",
    "local ok, x = pcall(c.FindFirstChild, c, 'A') if ok and x then x.Name = '' end",
    "local p = game.Players.LocalPlayer p:LoadCharacter() p.Character:MoveTo(Vector3.zero)",
    "local Config = { Character = { Speed = 1 } } print(Config.Character.Speed)",
    "return function(self) print(self.Character.Name) end",
    "local x = c:FindFirstChild('A') local h = x and x:FindFirstChild('H') "
    "return h ~= nil and h.Health > 0 and x:IsDescendantOf(workspace)",
    "local x = c:FindFirstChild('A') local h = x and x:FindFirstChild('H') if h == nil then return end x.Name = ''",
]


def found(code):
    return [node.text for node, _ in nils.nil_index(parse(code), None)]


@pytest.mark.parametrize("code", UNCHECKED)
def test_a_value_that_may_be_nil_is_used_unchecked(code):
    assert found(START + code)


@pytest.mark.parametrize("code", CHECKED)
def test_a_value_that_was_checked_or_cannot_be_nil_may_be_used(code):
    assert not found(START + code)


def test_only_the_first_use_in_a_function_is_reported():
    code = "local x = c:FindFirstChild('A')\nx.Name = ''\nx.Name = 'b'\n"
    assert len(found(START + code + "c.Changed:Connect(function() x.Name = '' end)")) == 1
    assert found(START + code) == ["x"]


@pytest.mark.parametrize("mode", ["", "--!strict\n"])
def test_the_parent_of_a_parameter_has_to_be_checked_in_strict_scripts(mode):
    code = "script.Parent.Touched:Connect(function(hit: BasePart)\nprint(hit.Parent.Name)\nend)"
    assert found(mode + code) == (["hit.Parent"] if mode else [])


@pytest.mark.parametrize(
    ("body", "is_flagged"),
    [
        ("hit.Parent.Humanoid.Health = 0", True),
        ("local character = hit.Parent character.Humanoid.Health = 0", True),
        ("if hit.Parent:FindFirstChild('Humanoid') then hit.Parent.Humanoid.Health = 0 end", False),
        ("if game.Players:GetPlayerFromCharacter(hit.Parent) then hit.Parent.Humanoid.Health = 0 end", False),
    ],
)
def test_what_touches_a_part_is_not_assumed_to_be_a_character(body, is_flagged):
    for code in (
        f"script.Parent.Touched:Connect(function(hit) {body} end)",
        f"local function touch(hit) {body} end script.Parent.Touched:Connect(touch)",
    ):
        assert bool(list(nils.assumed_child(parse(code), None))) is is_flagged


def test_a_character_that_an_owner_is_known_to_have_is_not_one_that_touched():
    code = "local function heal(part) part.Parent.Humanoid.Health = 100 end heal(script.Parent.Head)"
    assert not list(nils.assumed_child(parse(code), None))


@pytest.mark.parametrize(
    "code",
    [
        "local x = c:FindFirstChild('A')\n" + "x = c:FindFirstChild('A')\nx.Name = ''\n" * 1000,
        "local x = c:FindFirstChild('A')\n" + "print(x)\n" * 90 + "x.Name = ''",
        "c" + ":FindFirstChild('a')" * 200 + ".Name = ''",
        "local x = c:FindFirstChild('A')\n" + "if x then " * 90 + "print(x) " + "end " * 90 + "x.Name = ''",
    ],
)
def test_long_programs_are_followed(code):
    assert found(START + code)


@pytest.mark.parametrize(
    "code", ["local x = c:FindFirstChild(", "if x then x:FindFirstChild('a').", "x.Character.", "("]
)
def test_broken_programs_raise_nothing(code):
    assert isinstance(found(code), list)


GOLD = """
local Players = game:GetService("Players")
local function setUp(new)
    new:SetAttribute("Gold", 0)
end
{setting}
c.Triggered:Connect(function(player)
    player:SetAttribute("Gold", player:GetAttribute("Gold") + 5)
end)
"""
JOINING = "Players.PlayerAdded:Connect(setUp)"
THERE = "for _, player in Players:GetPlayers() do setUp(player) end"


@pytest.mark.parametrize(
    ("setting", "is_there"),
    [
        (f"{JOINING} {THERE}", True),
        (f"{JOINING} for _, player in Players:GetPlayers() do task.spawn(setUp, player) end", True),
        (f"Players.PlayerAdded:Connect(function(one) setUp(one) end) {THERE}", True),
        (JOINING, False),
        (THERE, False),
        (f"Players.PlayerAdded:Connect(function(one) if one.Team then setUp(one) end end) {THERE}", False),
        (f"Players.PlayerRemoving:Connect(setUp) {THERE}", False),
        (f"{JOINING} for _, one in c:GetChildren() do setUp(one) end", False),
    ],
)
def test_an_attribute_that_every_player_gets_is_there(setting, is_there):
    code = START + GOLD.format(setting=setting)
    assert found(code) == ([] if is_there else ['player:GetAttribute("Gold")'])
    assert found(code.replace('new:SetAttribute("Gold", 0)', 'new:SetAttribute("Gold", nil)'))
    assert found(code.replace('new:SetAttribute("Gold", 0)', 'new:SetAttribute("Silver", 0)'))
    assert found(code.replace("new:Set", "if new.Team then new:Set").replace("0)\nend", "0) end\nend"))


def test_attributes_of_parts_are_not_those_of_players():
    setting = f"{JOINING} {THERE} local part = Instance.new('Part') print(part:GetAttribute('Gold') + 1)"
    assert found(START + GOLD.format(setting=setting).replace("'", '"')) == ['part:GetAttribute("Gold")']
