import pytest

from luau_rft.luau.substance import living, read_share, substantive, substantive_statements
from luau_rft.luau.tree import parse


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("", 0),
        ("-- a comment\n-- and another", 0),
        ("print('a') warn('b') task.wait(1)", 0),
        ("local a = 1 local b = a local c = b", 0),
        ("pcall(function() end) pcall(function() local x = 1 end)", 0),
        ("local function f() end f() script.Parent.Touched:Connect(f)", 0),
        ("while true do task.wait() end workspace.Name = 'a'", 0),
        ("workspace.Name = 'a' " * 10, 1),
        ("local t = {} t.a = 1 t.b = 2 t.c = 3", 0),
        ("local function f() g() end", 0),  # never called
        ("local part = Instance.new('Part') part.Parent = workspace", 2),
        ("script.Parent.Touched:Connect(function(hit) hit:Destroy() end)", 2),
        ("local M = {} function M.double(x) return 2 * x end return M", 4),
        ("local n = 0 game.Close:Connect(function() n += 1 workspace.Name = n end)", 4),
        ("local l = script.Parent while true do l.Enabled = not l.Enabled task.wait(1) end", 3),
        ("return function(a, b) for k in a do if b[k] == nil then return false end end return true end", 5),
        ("return { open = require(script.Open), close = require(script.Close) }", 3),
        ("local function f(a) if a then error('no a') end end return f", 4),
    ],
)
def test_statements_that_do_something(source, count):
    assert substantive_statements(source) == count


@pytest.mark.parametrize(
    "source",
    [
        # constants, stubs and functions that give back what they are given
        "local M = {} function M.start() end function M.stop() end return M",
        "local M = {} function M.a(x) return x end function M.b() return 1 end return M",
        "local M = {} function M.f() error('not implemented') end return M",
        "local C = {} C.SPEED = 16 C.NAME = 'x' return C",
        "return { SPEED = 16, SIZES = { 1, 2 } }",
        # what never runs
        "if false then workspace.Name = 'a' end while false do workspace:Destroy() end",
        "if 1 == 2 then workspace.Name = 'a' end",
        "local enabled = false if enabled then workspace.Name = 'a' end",
        "local on = false if on and workspace then workspace.Name = 'a' end",
        "for i = 1, 0 do workspace.Name = i end for _ in {} do workspace.Name = 'a' end",
        # what is undone, or never seen
        "local p = Instance.new('Part') p.Name = 'a' p:Destroy()",
        "local p = Instance.new('Part') p.Parent = workspace p:Destroy()",
        "local f = Instance.new('Folder') local p = Instance.new('Part') p.Parent = f",
        "local old = workspace.Name workspace.Name = old",
        "workspace.Gravity *= 1 workspace.Name = workspace.Name",
        "local t = {} table.insert(t, 1) table.sort(t)",
        "_G.ready = true shared.count = 0",
        "local C = {} C.__index = C function C.new() return setmetatable({}, C) end "
        "function C:add(n) self.n = n end local c = C.new() c:add(1)",
        # calls that come to nothing
        "workspace:GetChildren() workspace:FindFirstChild('a') math.abs(1) Instance.new('Part')",
        "(function() end)() coroutine.wrap(function() end)() task.spawn(function() end)",
        "script.Parent.Touched:Connect(print) task.delay(1, print, 'x')",
        "local c = workspace.ChildAdded:Connect(function() end) c:Disconnect()",
        "local Tweens = game:GetService('TweenService') local t = Tweens:Create(workspace.Part, a, b) t:Pause()",
        "local p = Instance.new('Part') Tweens:Create(p, a, b):Play()",
        "local e = Instance.new('BindableEvent') e.Event:Connect(function() end) e:Fire()",
        "local p = Instance.new('Part') p.Parent = Instance.new('Folder') Instance.new('Part'):Destroy()",
        "game:GetService('Debris'):AddItem(Instance.new('Part'), 1)",
        # notes that stay the same
        "workspace:SetAttribute('A', 1) local players = game:GetService('Players') players:SetAttribute('A', true)",
        "local function mark() script.Parent:AddTag('A') script.Parent:RemoveTag('A') end task.spawn(mark)",
        "game:GetService('CollectionService'):AddTag(workspace, 'A')",
    ],
)
def test_what_does_nothing(source):
    assert substantive_statements(source) == 0


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("local t = Tweens:Create(workspace.Part, a, b) t:Play()", 2),
        ("local e = Instance.new('BindableEvent') e.Event:Connect(function() workspace.Name = 'a' end) e:Fire()", 4),
        ("local v = Instance.new('NumberValue') v.Changed:Connect(f) Tweens:Create(v, a, b):Play()", 3),
        ("workspace:SetAttribute('Players', #game.Players:GetPlayers())", 1),
        ("for _, lamp in workspace.Lamps:GetChildren() do lamp:AddTag('Lamp') end", 2),
        ("workspace.Door.Touched:Connect(function() workspace.Door:SetAttribute('Open', true) end)", 2),
    ],
)
def test_what_is_seen_counts(source, count):
    assert substantive_statements(source) == count


@pytest.mark.parametrize(
    "wrapper",
    [
        "do {} end",
        "if true then {} end",
        "for _ = 1, 1 do {} end",
        "repeat {} until true",
        "task.spawn(function() {} end)",
        "(function() {} end)()",
        "local function main() {} end main()",
        "local ok, problem = pcall(function() {} end) if not ok then warn(problem) end",
        "local GRAVITY = 5 {}",
        "{} workspace.Gravity = 6 workspace.Gravity = 7",
    ],
)
def test_wrappers_and_copies_add_nothing(wrapper):
    assert substantive_statements(wrapper.format("workspace.Gravity = 5")) == 1


def test_guards_are_alive_but_add_nothing():
    tree = parse("local p = f() if not p.Parent then return end p:Destroy()")
    assert len(living(tree)) == 4
    assert len(substantive(tree)) == 2


def test_a_destroyed_instance_counts_where_it_was_seen():
    source = "local p = Instance.new('Part') p.Parent = workspace task.wait(1) p:Destroy()"
    assert substantive_statements(source) == 3


def test_a_table_is_followed_under_its_other_names():
    tree = parse("local M = {} do local inner = M inner.f = function(x) return x + 1 end end return { M = M }")
    assert "inner.f" in "".join(node.text for node in substantive(tree))


def test_wrappers_are_alive():
    tree = parse("local function main() workspace.Gravity = 5 end main()")
    assert [node.type for node in tree.root.children if node in living(tree)] == [
        "function_declaration",
        "function_call",
    ]


@pytest.mark.parametrize("filler", ["local a = 1 ", "local function f(a) return a + 1 end ", "type T = number "])
def test_filler_does_not_make_broken_text_more_readable(filler):
    broken = "workspace.Name = 'a'\nif workspace.Name = 'b' then\n\tworkspace:Destroy()\nend\n"
    assert 0 < read_share(parse(filler + broken)) <= read_share(parse(broken)) < 1


def test_mostly_broken_text_has_no_substance():
    python = "def f(self):\n    self.a = []\n    if self.a is None:\n        return\n"
    luau = "workspace.Name = 'a'\nworkspace.Gravity = 5\n"
    assert substantive_statements(luau + "local x = = 1") == 2
    assert substantive_statements(luau + 3 * python) == 0
    assert substantive_statements(f"(function()\n{luau}{3 * python}\nend)()") == 0


@pytest.mark.parametrize("body", ["", "print('spawned', player)"])
def test_a_handler_of_a_stub_does_nothing(body):
    source = f"""
    local Pets = {{}}
    function Pets:spawn(player) {body} end
    game.Players.PlayerAdded:Connect(function(player) Pets:spawn(player) end)
    return Pets
    """
    assert substantive_statements(source) == 0


@pytest.mark.parametrize("more", ["Pets.spawn = require(script.Spawn)", "function Pets:spawn(p) p:Kick() end"])
def test_a_function_that_may_do_something_is_no_stub(more):
    handler = "game.Players.PlayerAdded:Connect(function(player) Pets:spawn(player) end)"
    assert substantive_statements(f"local Pets = {{}} function Pets:spawn(p) end {more} {handler}") >= 1


@pytest.mark.parametrize("target", ["Echo.OnServerInvoke", "game.Echo.OnServerInvoke", "Bindable.OnInvoke"])
def test_a_callback_counts_in_either_form(target):
    start = "local Echo, Bindable = game.Echo, game.Bindable "
    body = "(player, token) player:Kick(token) return #token end"
    assignment = substantive_statements(f"{start}{target} = function{body}")
    assert assignment >= 3
    assert substantive_statements(f"{start}function {target}{body}") == assignment
    assert substantive_statements(f"{start}function {target}(player) end") == 0


def test_a_function_of_an_own_table_does_not_run_by_itself():
    assert substantive_statements("local M = {} function M.f() workspace.Name = 'a' end") == 0


def test_a_broken_declaration_that_holds_its_own_place_is_read():
    source = "local place = workspace\nlocal {gear = place, part = {}} = place:WaitForChild('A')\nprint(place.Name)\n"
    assert substantive_statements(source) <= 3
