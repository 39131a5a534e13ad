"""What the rules on conditions find and, above all, what they leave alone."""

import pytest

from luau_rft.luau.tree import Tree
from luau_rft.scorers.checks import conditions

FOUND = {
    "unreachable_code": [
        "if false then f() end",
        "if nil then f() end",
        "if not true then f() end",
        "if 1 == 2 then f() end",
        "if 'a' ~= 'a' then f() end",
        "if 2 < 1 or false then f() end",
        "while false do f() end",
        "while not 1 do f() end",
        "if true then f() else g() end",
        "if a then f() elseif true then g() else h() end",
        "assert(false, 'no') f()",
        "assert(nil) assert(false) f()",
        "local function f() error('no') return g() end f()",
        "local function f() return 1 end local function g() do return f() end f() end g()",
    ],
    "constant_condition": [
        "if true then f() end",
        "local on = false if on then f() end",
        "local on = false if not on then f() end",
        "local mode = 'a' if mode == 'b' then f() end",
        "local on = false local x = if on then 1 else 2",
        "local on = true local x = on and a or b",
        "local on = false if on and a then f() end",
        "if a.Size > a.Size then f() end",
        "if workspace.Name == workspace.Name then f() end",
        "if workspace.Name ~= (workspace --[[ same ]].Name) then f() end",
    ],
    "if_same_then_else": [
        "if a then f(1) else f(1) end",
        "if a then f(1) else f( --[[ one ]] 1) end",
        "if a then b() elseif c then f(1) g() elseif d then f(1) g() end",
        "x = if a then b.c else b.c",
        "x = if a then 1 elseif b then 2 else 2",
    ],
    "ifs_same_cond": [
        "if a == 1 then f() elseif b then g() elseif (a == 1) then h() end",
        "if x:IsA('Part') then f() elseif x:IsA('Part') then g() end",
        "x = if a then 1 elseif a then 2 else 3",
        "f(a or b or a)",
        "if a.b and c and a.b then f() end",
    ],
    "misleading_and_or": ["x = a and false or b", "x = (a == 1 and nil) or b", "x = a and b and false or c"],
    "comparison_precedence": ["x = not a == b", "x = not a ~= b", "x = a < b < c", "x = not a < b", "x = 1 == 2 == c"],
    "type_check_inside_call": ["x = type(y == 'string')", "if typeof((y ~= 'Part')) then f() end"],
    "wrong_type_comparison": [
        "if #t == '3' then f() end",
        "if typeof(x) == 'vector3' then f() end",
        "if typeof(x) == 'Part' then f() end",
        "if type(x) == 'Vector3' then f() end",
        "if 'bool' ~= type(x) then f() end",
        "local kind = typeof(x) if kind == 'array' then f() end",
        "if typeof(x) == nil then f() end",
        "if tostring(x) == 5 then f() end",
        "if os.time() == '12' then f() end",
        "if os.clock() > '12' then f() end",
        "local p = Instance.new('Part') if p.Transparency == '1' then f() end",
        "local p = Instance.new('Part') if p.Anchored == 'true' then f() end",
        "local p = Instance.new('Part') if p.Position < Vector3.new() then f() end",
        "local p = Instance.new('Part') if p.Material == 'Wood' then f() end",
        "local p = Instance.new('Part') if p.Parent == 'Workspace' then f() end",
        "local p = Instance.new('Part') if p.Name == workspace then f() end",
        "local p = Instance.new('Part') if p.Name == nil then f() end",
        "local p = Instance.new('Humanoid') if p.Health <= nil then f() end",
        "local p = Instance.new('Part') if p.BrickColor == 'Bright red' then f() end",
        "local p = Instance.new('Part') if p.Material == Enum.PartType.Ball then f() end",
        "game.Players.PlayerAdded:Connect(function(player) if player.Name == 5 then f() end end)",
    ],
}
FINE = {
    "unreachable_code": [
        "if a then f() end",
        "if true then f() end g()",
        "while true do f() task.wait() end",
        "assert(a, 'no') f()",
        "assert(false)",
        "local function f() error('no') return nil :: any end f()",
        "local on = false on = g() if on then f() end",
    ],
    "constant_condition": [
        "while true do task.wait(1) end",
        "repeat f() until false",
        "repeat if a then break end f() until true",
        "local running = true while running do task.wait(1) end",
        "local DEBUG = false if DEBUG then print('a') end",
        "local Config = { debug = false } if Config.debug then print('a') end",
        "local on = false local function set() on = true end if on then f() end set()",
        "local count = 0 count += 1 if count == 0 then f() end",
        "if x ~= x then f() end",
        "if x == x then f() end",
        "if a.b() == a.b() then f() end",
        "if game then f() end",
        "if false then f() end",  # unreachable-code tells
    ],
    "if_same_then_else": [
        "if a then f(1) else f(2) end",
        "if a then t[b] = 1 else t.b = 1 end",
        "if a then x = {[b] = 1} else x = {b = 1} end",
        "if a then x = 'a' else x = 'b' end",
        "if a then x += 1 else x -= 1 end",
        "if a then elseif b then else end",
        "if a then return 1 elseif b then return 1 else return 2 end",
        "if a then f(1) elseif b then g() else f(1) end",
        "x = if a then b else c",
    ],
    "ifs_same_cond": [
        "if f() then g() elseif f() then h() end",
        "x = a:Read() or a:Read()",
        "x = math.random() or math.random()",
        "f(a and b or a)",
        "x = a == 1 or a == 2",
        "x = t[1] or t[2]",
    ],
    "misleading_and_or": ["x = a and b or false", "x = a and 'false' or b", "x = a and not b or c"],
    "comparison_precedence": [
        "x = not (a == b)",
        "x = (not a) == b",
        "x = not a == not b",
        "x = (a < b) == c",
        "x = a == not b",
        "x = a + b < c",
    ],
    "type_check_inside_call": ["x = type(y) == 'string'", "x = type(a and b)", "x = print(y == 'string')"],
    "wrong_type_comparison": [
        "if typeof(x) == 'EnumItem' or typeof(x) == 'RBXScriptSignal' then f() end",
        "if type(x) == 'userdata' or type(x) == 'vector' then f() end",
        "local function typeof(x) return 'Mine' end if typeof(1) == 'Mine' then f() end",
        "local kind = typeof(x) kind = 'Mine' if kind == 'Mine' then f() end",
        "if tonumber(x) == nil then f() end",
        "if workspace:FindFirstChild('a') == nil then f() end",
        "if workspace.Parent == nil then f() end",
        "if workspace:GetAttribute('a') == 'b' then f() end",
        "local p = Instance.new('Part') if p.Material == Enum.Material.Wood then f() end",
        "local p = Instance.new('Part') if p.Material.Name == 'Wood' then f() end",
        "local p = Instance.new('Part') if p.Parent == workspace then f() end",
        "local p = Instance.new('Decal') if p.Texture == '' then f() end",
        "local function f(x) if x == 1 or x == '1' then g() end end f()",
        "local best: number? = nil if best == nil then f() end",
        "local last = 0 if last == nil then f() end",
        "if os.time() > 12 then f() end",
    ],
}


def hits(rule, source):
    return list(getattr(conditions, rule)(Tree(source), None))


@pytest.mark.parametrize(("rule", "source"), [(rule, source) for rule in FOUND for source in FOUND[rule]])
def test_found(rule, source):
    assert len(hits(rule, source)) == 1


@pytest.mark.parametrize(("rule", "source"), [(rule, source) for rule in FINE for source in FINE[rule]])
def test_fine(rule, source):
    assert hits(rule, source) == []


@pytest.mark.parametrize("rule", FOUND)
@pytest.mark.parametrize(
    "source", ["if if a == then end", "x = not == 3 'a", "if a then elseif", "x = a and", "f(typeof("]
)
def test_broken_code_raises_nothing(rule, source):
    assert isinstance(hits(rule, source), list)


def test_a_dead_branch_is_told_once():
    source = "if 1 == 2 then f() else g() end"
    rules = ("unreachable_code", "constant_condition")
    assert [rule for rule in rules if hits(rule, source)] == ["unreachable_code"]
