"""The engine against Roblox's documented behaviour, told as small scripts that assert what Studio would show."""

import pytest

from luau_rft.luau.sandbox import Limits, Program, Sandbox
from luau_rft.roblox.api import database


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(processes=2) as pool:
        yield pool


LIMITS = Limits(seconds=60)

HELPERS = """
local function fails(expected, callback, ...)
    local ok, message = pcall(callback, ...)
    assert(not ok, "no error: " .. expected)
    assert(string.find(message, expected, 1, true), message)
end
local function equal(actual, expected)
    if actual ~= expected then error(`expected {tostring(expected)}, got {tostring(actual)}`, 2) end
end
""".replace("\n", " ")

BEHAVIOUR = {
    # What scripts must not get at
    "a table of the script's is no engine object": """
        equal(getmetatable(workspace), "The metatable is locked")
        local forged = setmetatable({ "CFrame" }, { __metatable = getmetatable(workspace) })
        equal(typeof(forged), "table")
        local part = Instance.new("Part")
        fails("CFrame expected, got table", function() part.CFrame = forged end)""",
    "engine objects are closed to the table library": """
        fails("table expected, got EnumItem", table.move, { "x" }, 1, 1, 1, Enum.Material.Plastic)
        fails("table expected, got Instance", unpack, workspace)
        equal(table.move({ 1, 2 }, 1, 2, 1, {})[2], 2)
        equal(Enum.Material.Plastic.Name, "Plastic")""",
    "the old spellings of globals": """
        equal(Wait, wait) equal(Delay, delay) equal(Spawn, spawn) equal(ElapsedTime(), elapsedTime())
        equal(stats(), game:GetService("Stats")) equal(Version(), version()) equal(ypcall(error), false)""",
    "what is not modelled may be asked for": """
        equal(type(SharedTable), "table") equal(type(Vector3int16.new), "function") equal(Content.other, nil)
        equal(plugin, nil)""",
    "dates do not depend on the host": """equal(os.date("%H", 0), "00")""",
    # Members and their errors
    "an unknown member": """
        local part = Instance.new("Part", workspace) part.Name = "Y"
        fails('Foo is not a valid member of Part "Workspace.Y"', function() return part.Foo end)
        fails('Foo is not a valid member of Part "Workspace.Y"', function() part.Foo = 1 end)
        fails('ServerScriptService.Script:', function() return part.Foo end)""",
    "a wrong type": """
        local part = Instance.new("Part")
        fails("Unable to assign property Transparency. number expected, got table",
            function() part.Transparency = {} end)
        fails("Unable to assign property Anchored. bool expected, got nil", function() part.Anchored = nil end)
        fails("Unable to assign property Position. Vector3 expected, got number",
            function() part.Position = 5 end)
        fails("Unable to assign property Parent. Instance expected, got string", function() part.Parent = "x" end)
        part.Transparency = "0.5" equal(part.Transparency, 0.5)
        part.Name = 5 equal(part.Name, "5")""",
    "a read-only property": """
        fails("Property is read only", function() workspace.ClassName = "x" end)
        fails("cannot be assigned to", function() workspace.ChildAdded = nil end)""",
    "Instance.new of what cannot be created": """
        fails('Unable to create an Instance of type "Nonsense"', Instance.new, "Nonsense")
        fails('Unable to create an Instance of type "Players"', Instance.new, "Players")
        fails('Unable to create an Instance of type "BasePart"', Instance.new, "BasePart")
        fails("string expected", Instance.new, nil)""",
    "a dot instead of a colon": """
        fails("Expected ':' not '.' calling member function GetChildren", function() workspace.GetChildren() end)""",
    "arguments of methods": """
        local part, Debris = Instance.new("Part"), game:GetService("Debris")
        fails("Argument 1 missing or nil", Debris.AddItem, Debris)
        fails("invalid argument #1 to 'AddItem' (Instance expected, got string)", Debris.AddItem, Debris, "x")
        fails("invalid argument #2 to 'AddItem' (number expected, got table)", Debris.AddItem, Debris, part, {})
        fails("Argument 1 missing or nil", part.IsDescendantOf, part, nil)
        fails("invalid argument #1 to 'FindFirstChild' (string expected, got Instance)",
            part.FindFirstChild, part, workspace)
        equal(game.Players:GetPlayerFromCharacter(nil), nil)""",
    "instances are userdata": """
        equal(type(workspace), "userdata") equal(typeof(workspace), "Instance")
        equal(typeof(workspace.ChildAdded), "RBXScriptSignal")
        equal(typeof(workspace.ChildAdded:Connect(print)), "RBXScriptConnection")
        equal(tostring(workspace), "Workspace")
        fails("attempt to concatenate string with Instance", function() return "a" .. workspace end)
        fails("table expected, got Instance", function() for _ in pairs(workspace) do end end)
        fails("attempt to iterate over a Instance value", function() for _ in workspace do end end)
        fails("attempt to get length of a Instance value", function() return #workspace end)
        fails("table expected, got Instance", table.insert, workspace, 1)""",
    "enum properties": """
        local part = Instance.new("Part")
        part.Material = "Neon" equal(part.Material, Enum.Material.Neon)
        part.Material = Enum.Material.Wood equal(part.Material.Name, "Wood")
        fails("Unable to assign property Material", function() part.Material = Enum.NormalId.Top end)
        fails("Unable to assign property Material", function() part.Material = "Nope" end)""",
    "not modelled members raise": """
        fails("not modelled: BasePart:SubtractAsync", function()
            Instance.new("Part"):SubtractAsync({}) end)""",
    # The tree
    "finding": """
        local model = Instance.new("Model", workspace) model.Name = "Car"
        local part = Instance.new("Part", model) part.Name = "Wheel"
        equal(workspace.Car.Wheel, part)
        equal(workspace:FindFirstChild("Wheel"), nil) equal(workspace:FindFirstChild("Wheel", true), part)
        equal(model:FindFirstChildOfClass("Part"), part) equal(model:FindFirstChildOfClass("BasePart"), nil)
        equal(model:FindFirstChildWhichIsA("BasePart"), part)
        equal(part:FindFirstAncestor("Car"), model) equal(part:FindFirstAncestorOfClass("Workspace"), workspace)
        equal(part:GetFullName(), "Workspace.Car.Wheel")
        equal(part:IsDescendantOf(workspace), true) equal(workspace:IsAncestorOf(part), true)
        equal(#model:GetChildren(), 1) equal(model:GetDescendants()[1], part)
        equal(part:IsA("BasePart"), true) equal(part:IsA("Model"), false)""",
    "destroying": """
        local model = Instance.new("Model", workspace)
        local part = Instance.new("Part", model)
        local count = 0
        part.Changed:Connect(function() count += 100 end)
        model.Destroying:Connect(function() count += 1 end)
        model:Destroy()
        equal(model.Parent, nil) equal(part.Parent, nil) equal(#workspace:GetChildren(), 2)
        local before = count part.Name = "x" equal(count, before)
        fails("The Parent property of Model is locked, current parent: NULL, new parent Workspace",
            function() model.Parent = workspace end)
        model:Destroy()""",
    "circular parents": """
        local a, b = Instance.new("Folder"), Instance.new("Folder") b.Parent = a
        fails("would result in circular reference", function() a.Parent = b end)
        fails("as its own parent", function() a.Parent = a end)
        fails("The Parent property of Workspace is locked", function() workspace.Parent = nil end)""",
    "cloning": """
        local model = Instance.new("Model") local part = Instance.new("Part", model)
        model.PrimaryPart = part part.Transparency = 0.5 part:SetAttribute("A", 1) part:AddTag("T")
        local hidden = Instance.new("Part", model) hidden.Archivable = false
        local copy = model:Clone()
        equal(copy.Parent, nil) equal(#copy:GetChildren(), 1)
        local twin = copy:FindFirstChildOfClass("Part")
        assert(twin ~= part) equal(copy.PrimaryPart, twin) equal(twin.Transparency, 0.5)
        equal(twin:GetAttribute("A"), 1) equal(twin:HasTag("T"), true)
        equal(hidden:Clone(), nil)""",
    "tree events": """
        local log = {}
        local folder = Instance.new("Folder")
        workspace.DescendantAdded:Connect(function(x) table.insert(log, "d+" .. x.Name) end)
        workspace.DescendantRemoving:Connect(function(x) table.insert(log, "d-" .. x.Name) end)
        workspace.ChildAdded:Connect(function(x) table.insert(log, "c+" .. x.Name) end)
        workspace.ChildRemoved:Connect(function(x) table.insert(log, "c-" .. x.Name) end)
        local part = Instance.new("Part", folder)
        part.AncestryChanged:Connect(function(x, parent) table.insert(log, "a" .. x.Name .. tostring(parent)) end)
        folder.Parent = workspace folder.Parent = nil
        equal(table.concat(log, " "),
            "c+Folder d+Folder d+Part aFolderWorkspace d-Folder d-Part c-Folder aFoldernil")""",
    "WaitForChild": """
        task.delay(2, function() local part = Instance.new("Part") part.Name = "Late" part.Parent = workspace end)
        local found = workspace:WaitForChild("Late") equal(found.Name, "Late") assert(time() >= 2 and time() < 2.1)
        equal(workspace:WaitForChild("Never", 3), nil) assert(time() >= 5 and time() < 5.2)""",
    "children by renaming": """
        local part = Instance.new("Part", workspace)
        task.delay(1, function() part.Name = "Named" end)
        equal(workspace:WaitForChild("Named"), part)""",
    "clearing": """
        local folder = Instance.new("Folder") Instance.new("Part", folder) Instance.new("Part", folder)
        folder:ClearAllChildren() equal(#folder:GetChildren(), 0)""",
    # Changes, attributes, tags
    "property signals": """
        local part, log = Instance.new("Part"), {}
        part:GetPropertyChangedSignal("Transparency"):Connect(function()
            table.insert(log, "t" .. part.Transparency)
        end)
        part.Changed:Connect(function(name) table.insert(log, name) end)
        part.Transparency = 0.5 part.Transparency = 0.5 part.Anchored = true
        equal(table.concat(log, " "), "t0.5 Transparency Anchored")
        fails("Foo is not a valid property name", part.GetPropertyChangedSignal, part, "Foo")""",
    "value objects": """
        local value, seen = Instance.new("IntValue"), {}
        value.Changed:Connect(function(new) table.insert(seen, new) end)
        value.Value = 3 value.Value = 3 value.Name = "Coins" value.Value += 1
        equal(table.concat(seen, " "), "3 4")
        local text = Instance.new("StringValue") text.Value = "x"
        local object = Instance.new("ObjectValue") object.Value = text equal(object.Value, text)""",
    "attributes": """
        local part, count = Instance.new("Part"), 0
        part:GetAttributeChangedSignal("Level"):Connect(function() count += 1 end)
        part.AttributeChanged:Connect(function(name) equal(name, "Level") count += 10 end)
        part:SetAttribute("Level", 3) part:SetAttribute("Level", 3)
        equal(count, 11) equal(part:GetAttribute("Level"), 3) equal(part:GetAttributes().Level, 3)
        part:SetAttribute("Level", nil) equal(part:GetAttribute("Level"), nil)
        fails("Instance is not a supported attribute type", part.SetAttribute, part, "X", part)
        fails("table is not a supported attribute type", part.SetAttribute, part, "X", {})""",
    "tags": """
        local CollectionService = game:GetService("CollectionService")
        local part, log = Instance.new("Part"), {}
        CollectionService:GetInstanceAddedSignal("Coin"):Connect(function(x) table.insert(log, "+" .. x.Name) end)
        CollectionService:GetInstanceRemovedSignal("Coin"):Connect(function(x) table.insert(log, "-" .. x.Name) end)
        part:AddTag("Coin") equal(#CollectionService:GetTagged("Coin"), 0)
        part.Parent = workspace equal(CollectionService:GetTagged("Coin")[1], part)
        CollectionService:RemoveTag(part, "Coin") CollectionService:AddTag(part, "Coin") part:Destroy()
        equal(table.concat(log, " "), "+Part -Part +Part -Part")""",
    # Signals and threads
    "connections": """
        local event, log = Instance.new("BindableEvent"), {}
        local first = event.Event:Connect(function(x) table.insert(log, "a" .. x) end)
        event.Event:Once(function(x) table.insert(log, "b" .. x) end)
        event:Fire(1) event:Fire(2) first:Disconnect() event:Fire(3)
        equal(table.concat(log, " "), "a1 b1 a2") equal(first.Connected, false)
        fails("Passed value is not a function", event.Event.Connect, event.Event, nil)""",
    "waiting for a signal": """
        local event = Instance.new("BindableEvent")
        task.delay(1, function() event:Fire("x", 2) end)
        local a, b = event.Event:Wait() equal(a, "x") equal(b, 2)""",
    "an error in a handler stops nobody else": """
        local event, count = Instance.new("BindableEvent"), 0
        event.Event:Connect(function() count += 1 end)
        event.Event:Connect(function() count += 1 coroutine.yield() end)
        event.Event:Connect(function() count += 1 end)
        event:Fire() equal(count, 3)""",
    "task": """
        local log = {}
        task.defer(function() table.insert(log, "defer") end)
        task.spawn(function(x) table.insert(log, x) task.wait(1) table.insert(log, "late") end, "spawn")
        task.delay(0.5, function(x) table.insert(log, x) end, "delay")
        local cancelled = task.delay(0.2, function() table.insert(log, "never") end)
        task.cancel(cancelled)
        table.insert(log, "main")
        local waited = task.wait(2)
        equal(table.concat(log, " "), "spawn main defer delay late") assert(waited >= 2 and waited < 2.02)
        assert(task.wait() > 0)
        fails("function or thread expected", task.spawn, 5)""",
    "coroutines across waits": """
        local thread = coroutine.create(function() task.wait(1) return 5 end)
        coroutine.resume(thread) equal(coroutine.status(thread), "suspended")
        task.wait(1.1) equal(coroutine.status(thread), "dead")
        local main = coroutine.running()
        task.delay(1, function() task.spawn(main, "resumed") end)
        equal(coroutine.yield(), "resumed")""",
    "clocks": """
        local clock, now, stamp = os.clock(), time(), tick()
        task.wait(1)
        assert(math.abs(os.clock() - clock - 1) < 0.05) assert(math.abs(time() - now - 1) < 0.05)
        assert(math.abs(tick() - stamp - 1) < 0.05) equal(type(os.time()), "number")
        local start = os.clock() while os.clock() - start < 0.01 do end""",
    "wait in pcall": """
        local ok, waited = pcall(task.wait, 1) assert(ok and waited >= 1)
        local ok2, message = pcall(function() task.wait(0.5) error("late") end)
        assert(not ok2 and string.find(message, "late"))""",
    # Services
    "services": """
        equal(game:GetService("Players"), game.Players) equal(workspace, game.Workspace)
        equal(game:GetService("TweenService").ClassName, "TweenService")
        fails("'Nope' is not a valid Service name", game.GetService, game, "Nope")
        fails("'Part' is not a valid Service name", game.GetService, game, "Part")""",
    "RunService": """
        local RunService = game:GetService("RunService")
        equal(RunService:IsServer(), true) equal(RunService:IsClient(), false)
        local frames, total = 0, 0
        local connection = RunService.Heartbeat:Connect(function(dt) frames += 1 total += dt end)
        task.wait(1) connection:Disconnect()
        assert(frames >= 59 and frames <= 61 and math.abs(total - 1) < 0.05)
        local dt = RunService.Heartbeat:Wait() assert(dt > 0)""",
    "tweens": """
        local TweenService = game:GetService("TweenService")
        local part = Instance.new("Part", workspace) part.Position = Vector3.zero
        local tween = TweenService:Create(part, TweenInfo.new(2, Enum.EasingStyle.Linear),
            { Position = Vector3.new(10, 0, 0), Transparency = 1 })
        local state tween.Completed:Connect(function(s) state = s end)
        equal(part.Position.X, 0) tween:Play() task.wait(1)
        assert(math.abs(part.Position.X - 5) < 0.3, part.Position.X) assert(math.abs(part.Transparency - 0.5) < 0.03)
        equal(tween.PlaybackState, Enum.PlaybackState.Playing)
        task.wait(1.1) equal(part.Position.X, 10) equal(state, Enum.PlaybackState.Completed)
        fails("no property named 'Foo'", TweenService.Create, TweenService, part, TweenInfo.new(1), { Foo = 1 })
        local back = TweenService:Create(part, TweenInfo.new(1), { Transparency = 0 }) back:Play() task.wait(0.5)
        back:Cancel() local now = part.Transparency task.wait(1) equal(part.Transparency, now)""",
    "Debris": """
        local part = Instance.new("Part", workspace)
        game:GetService("Debris"):AddItem(part, 2)
        task.wait(1.9) equal(part.Parent, workspace) task.wait(0.2) equal(part.Parent, nil)""",
    "HttpService": """
        local HttpService = game:GetService("HttpService")
        equal(HttpService:JSONEncode({ a = { 1, 2, "x" }, b = true }), '{"a":[1,2,"x"],"b":true}')
        local value = HttpService:JSONDecode('{"a": [1, 2.5, null], "b": "\\\\u00e4\\\\n", "c": {}}')
        equal(value.a[2], 2.5) equal(value.b, "ä\\n") equal(type(value.c), "table")
        fails("Can't parse JSON", HttpService.JSONDecode, HttpService, "{")
        equal(#HttpService:GenerateGUID(false), 36)
        fails("Http requests are not enabled", HttpService.GetAsync, HttpService, "http://x")""",
    "data stores": """
        local store = game:GetService("DataStoreService"):GetDataStore("Coins")
        equal(store:GetAsync("a"), nil)
        local data = { coins = 5, items = { "x" } } store:SetAsync("a", data) data.coins = 6
        equal(store:GetAsync("a").coins, 5) equal(store:GetAsync("a").items[1], "x")
        equal(store:UpdateAsync("a", function(old) old.coins += 1 return old end).coins, 6)
        equal(store:UpdateAsync("a", function() return nil end), nil) equal(store:GetAsync("a").coins, 6)
        equal(store:IncrementAsync("n", 2), 2) equal(store:IncrementAsync("n"), 3)
        equal(store:RemoveAsync("n"), 3) equal(store:GetAsync("n"), nil)
        equal(game:GetService("DataStoreService"):GetDataStore("Coins"), store)
        equal(game:GetService("DataStoreService"):GetDataStore("Other"):GetAsync("a"), nil)
        fails("Cannot store", store.SetAsync, store, "x", { print = print })
        fails("Cannot store", store.SetAsync, store, "x", Vector3.zero)
        fails("Key name can't be empty", store.GetAsync, store, "")""",
    "ordered data stores": """
        local store = game:GetService("DataStoreService"):GetOrderedDataStore("Top")
        store:SetAsync("ada", 3) store:SetAsync("ben", 9) store:SetAsync("cy", 5)
        local pages = store:GetSortedAsync(false, 2) local page = pages:GetCurrentPage()
        equal(page[1].key, "ben") equal(page[2].value, 5) equal(pages.IsFinished, false)
        pages:AdvanceToNextPageAsync() equal(pages:GetCurrentPage()[1].key, "ada") equal(pages.IsFinished, true)""",
    "bindable functions": """
        local f = Instance.new("BindableFunction")
        f.OnInvoke = function(a, b) task.wait(0.1) return a + b end
        equal(f:Invoke(1, 2), 3)
        fails("callback member", function() return f.OnInvoke end)""",
    # Space
    "positions": """
        local part = Instance.new("Part") part.CFrame = CFrame.new(1, 2, 3)
        equal(part.Position, Vector3.new(1, 2, 3))
        part.Orientation = Vector3.new(0, 90, 0) equal(part.Position, Vector3.new(1, 2, 3))
        assert(part.CFrame.LookVector:FuzzyEq(Vector3.new(-1, 0, 0), 1e-4))
        part.Position = Vector3.new(5, 5, 5)
        assert(part.CFrame.LookVector:FuzzyEq(Vector3.new(-1, 0, 0), 1e-4))""",
    "models": """
        local model = Instance.new("Model", workspace)
        local a, b = Instance.new("Part", model), Instance.new("Part", model)
        a.Position = Vector3.zero b.Position = Vector3.new(0, 10, 0) model.PrimaryPart = a
        model:PivotTo(CFrame.new(5, 0, 0))
        equal(b.Position, Vector3.new(5, 10, 0)) equal(model:GetPivot().Position, Vector3.new(5, 0, 0))
        model:MoveTo(Vector3.new(0, 1, 0)) equal(a.Position, Vector3.new(0, 1, 0))
        assert(model:GetExtentsSize():FuzzyEq(Vector3.new(4, 11.2, 2), 1e-4))""",
    "raycasts": """
        local part = Instance.new("Part", workspace)
        part.Size = Vector3.new(2, 2, 2) part.Position = Vector3.new(0, 0, -10)
        local hit = workspace:Raycast(Vector3.zero, Vector3.new(0, 0, -50))
        equal(hit.Instance, part) equal(hit.Position.Z, -9) equal(hit.Normal, Vector3.zAxis) equal(hit.Distance, 9)
        equal(workspace:Raycast(Vector3.zero, Vector3.new(0, 0, -5)), nil)
        local params = RaycastParams.new() params.FilterDescendantsInstances = { part }
        params.FilterType = Enum.RaycastFilterType.Exclude
        equal(workspace:Raycast(Vector3.zero, Vector3.new(0, 0, -50), params), nil)
        equal(#workspace:GetPartBoundsInRadius(Vector3.zero, 9.5), 1)
        equal(#workspace:GetPartBoundsInBox(CFrame.new(), Vector3.new(4, 4, 4)), 0)""",
    "walking": """
        local rig = Instance.new("Model", workspace) local root = Instance.new("Part", rig)
        root.Name = "HumanoidRootPart" root.Position = Vector3.zero
        local humanoid = Instance.new("Humanoid", rig)
        humanoid:MoveTo(Vector3.new(32, 0, 0)) local reached = humanoid.MoveToFinished:Wait()
        equal(reached, true) assert(math.abs(time() - 2) < 0.1, time()) assert(math.abs(root.Position.X - 32) < 0.1)
        humanoid:MoveTo(Vector3.new(1000, 0, 0)) equal(humanoid.MoveToFinished:Wait(), false)""",
    "humanoids": """
        local rig = Instance.new("Model", workspace) local humanoid = Instance.new("Humanoid", rig)
        local health, died = {}, 0
        humanoid.HealthChanged:Connect(function(h) table.insert(health, h) end)
        humanoid.Died:Connect(function() died += 1 end)
        humanoid:TakeDamage(30) humanoid.Health = 500 humanoid:TakeDamage(200) humanoid.Health = 50
        equal(table.concat(health, " "), "70 100 0") equal(died, 1) equal(humanoid.Health, 0)
        equal(humanoid:GetState(), Enum.HumanoidStateType.Dead)""",
    "force fields": """
        local rig = Instance.new("Model", workspace) local humanoid = Instance.new("Humanoid", rig)
        Instance.new("ForceField", rig) humanoid:TakeDamage(30) equal(humanoid.Health, 100)""",
    # The language keeps its meaning under the engine's globals
    "tables": """
        local t = { 3, 1, 2 } table.sort(t) equal(table.concat(t, ","), "1,2,3")
        equal(table.find(t, 2), 2) table.insert(t, 1, 0) equal(#t, 4) equal(select("#", table.unpack(t)), 4)
        local keys = 0 for _ in pairs({ a = 1, b = 2, 5 }) do keys += 1 end equal(keys, 3)
        equal(next({}), nil) equal(rawget(setmetatable({}, { __index = function() return 1 end }), "x"), nil)
        local class = setmetatable({}, { __tostring = function() return "me" end }) equal(tostring(class), "me")
        equal(typeof(class), "table") equal(type(nil), "nil") equal(typeof(Vector3.zero), "Vector3")
        equal(type(Vector3.zero), "vector") equal(typeof(Enum.Material.Wood), "EnumItem")
        equal(type(CFrame.new()), "userdata")""",
    "errors of the library functions that the engine wraps": """
        local prefix = "ServerScriptService.Script:"
        local function line(expected, callback) fails(prefix, callback) fails(expected, callback) end
        line("table expected, got nil", function() for _ in pairs(nil) do end end)
        line("table expected, got nil", function() for _ in ipairs(nil) do end end)
        line("table expected, got number", function() table.insert(5, 1) end)
        line("invalid value (table) at index 1 in table for 'concat'", function() table.concat({ {} }) end)
        line("attempt to compare", function() table.sort({ 1, "x" }) end)
        line("from the callback", function() table.sort({ 2, 1 }, function() error("from the callback") end) end)
        line("readonly", function() table.insert(table.freeze({}), 1) end)
        line("protected metatable", function()
            setmetatable(setmetatable({}, { __metatable = 1 }), {}) end)
        line("'__tostring' must return a string", function()
            return tostring(setmetatable({}, { __tostring = function() return {} end })) end)
        line("missing in date table", function() return os.time({}) end)
        line("function expected", function() return xpcall(print) end)
        line("missing argument #1", function() return rawset() end)
        local ok, value = pcall(table.sort, { 2, 1 }, function() error({ code = 1 }) end)
        equal(ok, false) equal(value.code, 1)""",
    "errors": """
        local ok, err = pcall(error, { code = 5 }) equal(err.code, 5)
        local ok2, err2 = pcall(function() error("x", 0) end) equal(err2, "x")
        equal(select(2, xpcall(function() error("y", 0) end, function(m) return m .. "!" end)), "y!")
        fails("attempt to perform arithmetic (add) on nil and number", function() return nil + 1 end)
        fails("attempt to call a nil value", function() local f f() end)""",
    "globals of a script": """
        x = 5 equal(x, 5) equal(script.Name, "Script") equal(script.Parent.Name, "ServerScriptService")
        _G.shared1 = 1 equal(_G.shared1, 1) equal(game.ClassName, "DataModel") equal(_VERSION, "Luau")""",
}


@pytest.mark.parametrize("name", BEHAVIOUR)
def test_behaviour(sandbox, name):
    [result] = sandbox.run([Program(HELPERS + BEHAVIOUR[name], limits=LIMITS)])
    assert result.error is None, result.error["message"]
    assert result.limit is None
    assert [entry for entry in result.not_modelled if entry.startswith("engine fault")] == []


def play(sandbox, source, checks, kind="server"):
    body = "\n".join(
        f'{{ name = "{i}", use = "normal", run = function(place) {check} end }},' for i, check in enumerate(checks)
    )
    [result] = sandbox.run([Program(source, kind, "return { checks = {" + body + "} }", LIMITS)])
    return result


def messages(result):
    return [check.message for check in result.checks if check.passed is not True]


def test_players_join_spawn_die_respawn_and_leave(sandbox):
    source = """
        local Players = game:GetService("Players")
        _G.log = {}
        Players.PlayerAdded:Connect(function(player)
            table.insert(_G.log, "joined " .. player.Name)
            player.CharacterAdded:Connect(function(character)
                table.insert(_G.log, "spawned " .. character.Name)
                character:WaitForChild("Humanoid").Died:Connect(function() table.insert(_G.log, "died") end)
            end)
            player.CharacterRemoving:Connect(function() table.insert(_G.log, "removing") end)
        end)
        Players.PlayerRemoving:Connect(function(player) table.insert(_G.log, "left " .. player.Name) end)
    """
    check = """
        local player = place:join("Ada")
        place:equal(player.Parent, game.Players) place:equal(game.Players:GetPlayers(), { player })
        place:equal(game.Players:GetPlayerFromCharacter(player.Character), player)
        place:expect(player.Character.HumanoidRootPart:IsA("BasePart"))
        place:expect(player:FindFirstChild("PlayerGui") and player:FindFirstChild("Backpack"))
        player.Character.Humanoid.Health = 0
        place:advance(4.9) place:equal(#_G.log, 3) place:advance(0.3)
        place:leave(player)
        place:equal(_G.log, { "joined Ada", "spawned Ada", "died", "removing", "spawned Ada", "left Ada", "removing" })
        place:equal(#game.Players:GetPlayers(), 0)
    """
    assert messages(play(sandbox, source, [check])) == []


def test_remotes_carry_copies_and_remember_what_was_sent(sandbox):
    source = """
        local remote = Instance.new("RemoteEvent") remote.Name = "Remote" remote.Parent = game.ReplicatedStorage
        local ask = Instance.new("RemoteFunction") ask.Name = "Ask" ask.Parent = game.ReplicatedStorage
        remote.OnServerEvent:Connect(function(player, data)
            data.seen = true
            remote:FireClient(player, "hello", data)
            remote:FireAllClients("all")
        end)
        ask.OnServerInvoke = function(player, x) task.wait(0.5) return x * 2, player.Name end
    """
    check = """
        local ada, ben = place:join("Ada"), place:join("Ben")
        local remote = game.ReplicatedStorage.Remote
        local data = { n = 1, f = print, at = Vector3.one }
        place:fireServer(remote, ada, data)
        place:equal(data.seen, nil)
        place:equal(#place:received(remote), 3) place:equal(#place:received(remote, ben), 1)
        local first = place:received(remote, ada)[1]
        place:equal(first.args[1], "hello") place:equal(first.args[2], { n = 1, at = Vector3.one, seen = true })
        place:equal({ place:invokeServer(game.ReplicatedStorage.Ask, ben, 21) }, { 42, "Ben" })
    """
    assert messages(play(sandbox, source, [check])) == []


def test_a_client_script_sees_its_player_gui_keys_and_remotes(sandbox):
    source = """
        local player = game:GetService("Players").LocalPlayer
        local gui = Instance.new("ScreenGui", player:WaitForChild("PlayerGui"))
        local button = Instance.new("TextButton", gui)
        local remote = game.ReplicatedStorage:WaitForChild("Remote")
        button.Activated:Connect(function() remote:FireServer("pressed") end)
        remote.OnClientEvent:Connect(function(text) button.Text = text end)
        game:GetService("UserInputService").InputBegan:Connect(function(input, processed)
            if input.KeyCode == Enum.KeyCode.E and not processed then remote:FireServer("key") end
        end)
        print(game:GetService("RunService"):IsClient())
    """
    checks = """
        return {
            setup = function(place)
                local remote = Instance.new("RemoteEvent") remote.Name = "Remote"
                remote.Parent = game.ReplicatedStorage
            end,
            checks = { { name = "a", use = "normal", run = function(place)
                local remote = game.ReplicatedStorage.Remote
                local button = place.player.PlayerGui.ScreenGui.TextButton
                place:press(button) place:key(Enum.KeyCode.E) place:key(Enum.KeyCode.F)
                place:equal(place:sent(remote), { { "pressed" }, { "key" } })
                place:fireClient(remote, "new text") place:equal(button.Text, "new text")
                button.Visible = false place:press(button) place:equal(#place:sent(remote), 2)
                place:equal(game.Players.LocalPlayer, nil)
            end } },
        }
    """
    [result] = sandbox.run([Program(source, "client", checks, LIMITS)])
    assert messages(result) == []
    assert result.output[0] == "true"


def test_contacts_clicks_and_prompts(sandbox):
    source = """
        local part = Instance.new("Part", workspace) part.Name = "Pad"
        local detector = Instance.new("ClickDetector", part)
        local prompt = Instance.new("ProximityPrompt", part)
        part.Touched:Connect(function(hit) part:SetAttribute("Touched", hit.Name) end)
        part.TouchEnded:Connect(function() part:SetAttribute("Touched", nil) end)
        detector.MouseClick:Connect(function(player) part:SetAttribute("Clicked", player.Name) end)
        prompt.Triggered:Connect(function(player) part:SetAttribute("Triggered", player.Name) end)
    """
    check = """
        local player = place:join("Ada")
        local pad, root = workspace.Pad, player.Character.HumanoidRootPart
        place:touch(pad, root) place:equal(pad:GetAttribute("Touched"), "HumanoidRootPart")
        place:equal(pad:GetTouchingParts(), { root })
        place:untouch(pad, root) place:equal(pad:GetAttribute("Touched"), nil)
        place:click(pad.ClickDetector, player) place:equal(pad:GetAttribute("Clicked"), "Ada")
        place:trigger(pad.ProximityPrompt, player) place:equal(pad:GetAttribute("Triggered"), "Ada")
        pad:SetAttribute("Triggered", nil) pad.Position = Vector3.new(0, 0, 100)
        place:trigger(pad.ProximityPrompt, player) place:equal(pad:GetAttribute("Triggered"), nil)
    """
    assert messages(play(sandbox, source, [check])) == []


def test_failing_data_stores_raise_until_they_are_back(sandbox):
    source = """
        local store = game:GetService("DataStoreService"):GetDataStore("X")
        function _G.try() return (pcall(store.SetAsync, store, "k", 1)) end
    """
    check = """
        place:equal(_G.try(), true) place:failDataStores(true) place:equal(_G.try(), false)
        place:failDataStores(false) place:equal(_G.try(), true)
    """
    assert messages(play(sandbox, source, [check])) == []


def test_a_module_is_what_it_returned_and_may_wait(sandbox):
    source = "local M = {} function M.later(x) task.wait(1) return x end return M"
    checks = ["place:equal(place.module.later(5), 5)", "place.module.missing()"]
    result = play(sandbox, source, checks, "module")
    assert [check.passed for check in result.checks] == [True, False]
    failing = play(sandbox, "error('no')", ["place:expect(true)"], "module")
    assert [check.passed for check in failing.checks] == [False]
    assert failing.error["message"] == "ReplicatedStorage.ModuleScript:1: no"


def test_a_module_that_waits_for_nothing_fails_at_once(sandbox):
    result = play(sandbox, "return function() coroutine.yield() end", ["place.module()"], "module")
    assert messages(result) == ["it waits for something that never happens"]
    assert result.virtual_seconds == 0


def test_events_that_come_before_their_listener_wait_for_it(sandbox):
    source = """
        local remote = Instance.new("RemoteEvent", game.ReplicatedStorage)
        task.wait(1)
        remote.OnServerEvent:Connect(function(player, text) remote:SetAttribute("Got", text) end)
    """
    check = """
        local remote = game.ReplicatedStorage.RemoteEvent
        place:fireServer(remote, place:join("Ada"), "early") place:equal(remote:GetAttribute("Got"), nil)
        place:advance(2) place:equal(remote:GetAttribute("Got"), "early")
    """
    assert messages(play(sandbox, source, [check])) == []


def test_closing_runs_what_was_bound_and_waits_for_it(sandbox):
    source = """
        game.Players.PlayerRemoving:Connect(function() workspace:SetAttribute("Left", true) end)
        game:BindToClose(function() task.wait(2) workspace:SetAttribute("Closed", true) end)
    """
    check = """
        place:join("Ada") place:close()
        place:equal(workspace:GetAttribute("Left"), true) place:equal(workspace:GetAttribute("Closed"), true)
    """
    assert messages(play(sandbox, source, [check])) == []


def test_expectations_compare_by_value_whatever_the_candidate_says(sandbox):
    source = (
        "return { cheat = setmetatable({}, { __eq = function() return true end, __lt = function() return true end }) }"
    )
    checks = [
        "place:equal(place.module.cheat, { 1 })",
        "place:near(place.module.cheat, 5, 1)",
        "place:equal(1, 2)",
        "place:near(1, 1.5, 0.1)",
        "place:expect(false, 'why')",
        "place:equal({ a = { 1 } }, { a = { 1 } })",
        "place:near(Vector3.zero, Vector3.new(0, 0.05, 0), 0.1)",
        "place:equal(0 / 0, 0 / 0)",
    ]
    result = play(sandbox, source, checks, "module")
    assert [check.passed for check in result.checks] == [False] * 5 + [True] * 3
    assert result.checks[4].message == "why"


def test_only_the_candidates_effects_are_observed(sandbox):
    source = """
        local part = Instance.new("Part")
        part.Touched:Connect(function() part:Destroy() end)
        part.Name = "Trap" part.Parent = workspace
        local unused = part.Clone
    """
    check = """
        game:GetService("Lighting") Instance.new("Model") workspace.ChildAdded:Connect(print) workspace:GetChildren()
        place:touch(workspace.Trap, Instance.new("Part")) place:equal(workspace:FindFirstChild("Trap"), nil)
    """
    result = play(sandbox, source, [check])
    assert messages(result) == []
    assert result.observed == {
        "services": [], "instances": ["Part"], "events": ["Part.Touched"], "methods": ["Part:Destroy"],
    }  # fmt: skip


def test_what_the_engine_calls_by_itself_is_not_observed(sandbox):
    source = """
        Instance.new("RemoteEvent"):FireAllClients()
        local part = Instance.new("Part")
        pcall(part.Destroy, part)
    """
    assert play(sandbox, source, ["place:expect(true)"]).observed["methods"] == [
        "Part:Destroy", "RemoteEvent:FireAllClients",
    ]  # fmt: skip


def test_what_is_not_modelled_makes_a_check_unknown_even_inside_pcall(sandbox):
    source = "pcall(function() Instance.new('Part'):SubtractAsync({}) end)"
    result = play(sandbox, source, ["place:expect(true)"])
    assert [check.passed for check in result.checks] == [None]
    assert result.not_modelled == ["BasePart:SubtractAsync"]


NOT_MODELLED = {
    "CatalogSearchParams.new", "Content.fromObject", "Content.fromUri", "Content.none", "DockWidgetPluginGuiInfo.new",
    "FloatCurveKey.new", "Instance.fromExisting", "InstanceHandle.new", "LoadLibrary", "Path2DControlPoint.new",
    "Region3int16.new", "RotationCurveKey.new", "SecurityCapabilities.fromCurrent", "SecurityCapabilities.new",
    "SharedTable.clear", "SharedTable.clone", "SharedTable.cloneAndFreeze", "SharedTable.increment",
    "SharedTable.isFrozen", "SharedTable.new", "SharedTable.size", "SharedTable.update", "User.fromId",
    "User.fromString", "UserSettings", "ValueCurveKey.new", "Vector2int16.new", "Vector3int16.new", "debug.dumpheap",
    "debug.getmemorycategory", "debug.loadmodule", "getfenv", "setfenv", "settings",
}  # fmt: skip


def test_all_libraries_and_globals_are_there_or_reported_as_not_modelled(sandbox):
    data = database()
    entries = {name: entry for name, entry in data.globals.items() if name != "plugin"}  # nil but in plugins
    for library, entry in data.libraries.items():
        entries |= {f"{library}.{name}": member for name, member in entry["members"].items()}
    for datatype, entry in data.datatypes.items():
        entries |= {f"{datatype}.{name}": member for name, member in entry.get("statics", {}).items()}
    assert entries.keys() >= NOT_MODELLED
    there, source = entries.keys() - NOT_MODELLED, []
    for name in sorted(there):
        source.append(f'assert({name} ~= nil, "{name} is missing")')
        if entries[name]["kind"] != "property":
            source.append(f'assert(type({name}) == "function", "{name} is no function")')
    source += [f"pcall(function() return ({name}) end)" for name in sorted(there)]
    [result] = sandbox.run([Program("\n".join(source), limits=LIMITS)])
    assert result.errors == []
    assert result.not_modelled == []

    used = []
    for name in sorted(NOT_MODELLED):
        use = f"return {name}" if entries[name]["kind"] == "property" else f"{name}()"
        used.append(f"pcall(function() {use} end)")
    [result] = sandbox.run([Program("\n".join([*used, "pcall(utf8.nfcnormalize, 'é')"]), limits=LIMITS)])
    assert set(result.not_modelled) == NOT_MODELLED | {"utf8.nfcnormalize of more than ASCII"}


def test_an_invocation_waits_for_its_callback_without_polling(sandbox):
    check = """
        local ask = workspace:FindFirstChild("Ask") or Instance.new("RemoteFunction", workspace)
        place:equal(place:invokeServer(ask, place:join("Ada"), 20), 21)
    """
    empty = play(sandbox, "", [check])
    assert messages(empty) == ["it waits for something that never happens"]
    assert empty.limit is None
    late = """
        local ask = Instance.new("RemoteFunction") ask.Name = "Ask" ask.Parent = workspace
        task.wait(500)
        ask.OnServerInvoke = function(_, x) return x + 1 end
    """
    limits = Limits(seconds=600, steps=50_000)
    run = f'return {{ checks = {{ {{ name = "a", use = "normal", run = function(place) {check} end }} }} }}'
    [result] = sandbox.run([Program(late, checks=run, limits=limits)])
    assert messages(result) == []
    assert 500 <= result.virtual_seconds < 501


def test_errors_of_handlers_are_collected_with_their_lines(sandbox):
    source = (
        "game.Players.PlayerAdded:Connect(function(player)\n\tprint(player.Foo)\nend)\ntask.wait(1)\nprint(nil + 1)"
    )
    check = """
        place:join("Ada") place:advance(2)
        place:equal(place:errors(), {
            'ServerScriptService.Script:2: Foo is not a valid member of Player "Players.Ada"',
            "ServerScriptService.Script:5: attempt to perform arithmetic (add) on nil and number",
        })
    """
    result = play(sandbox, source, [check])
    assert messages(result) == []
    assert [error["line"] for error in result.errors] == [2, 5]


def test_a_trace_lists_the_candidates_effects_in_order(sandbox):
    source = 'local part = Instance.new("Part")\npart.Name = "A"\ntask.wait(1)\npart:Destroy()\nprint(part)'
    [result] = sandbox.run([Program(source, limits=LIMITS, trace=100)])
    assert result.trace == [
        "0.000 new Part", "0.000 set Part.Name = A", "1.000 call Part:Destroy", "1.000 print A",
    ]  # fmt: skip


WRONG = """
for _, class in CLASSES do
    for i = 2, #class do
        for _, args in { {}, { "x" }, { Instance.new("Folder"), "x", {} }, { Vector3.one, print }, { {}, 0 / 0 } } do
            task.spawn(function()
                local object = if SERVICES then game:GetService(class[1]) else Instance.new(class[1])
                pcall(function() return object[class[i]](object, table.unpack(args)) end)
            end)
            task.spawn(pcall, function()
                local object = if SERVICES then game:GetService(class[1]) else Instance.new(class[1])
                object[class[i]] = args[1]
            end)
        end
    end
end
"""


@pytest.mark.parametrize("flag", ["creatable", "service"])
def test_wrong_arguments_and_values_are_the_scripts_errors_not_the_engines(sandbox, flag):
    rows = []
    for name in sorted(name for name, entry in database().classes.items() if entry.get(flag)):
        own = [database().classes[ancestor]["members"] for ancestor in database().ancestry(name)]
        members = sorted({m for each in own for m, e in each.items() if e["kind"] in ("method", "property")})
        rows.append(f'{{ "{name}", {", ".join(map(repr, members))} }},')
    limits = Limits(seconds=1, steps=20_000_000, wall_s=60)
    head = f"local SERVICES = {str(flag == 'service').lower()}"
    programs = [
        Program(f"{head} local CLASSES = {{ {' '.join(rows[i::8])} }} {WRONG}", limits=limits) for i in range(8)
    ]
    for result in sandbox.run(programs):
        assert result.limit is None
        assert [entry for entry in result.not_modelled if entry.startswith("engine fault")] == []
        assert [error["message"] for error in result.errors] == []


def test_every_creatable_class_is_made_read_cloned_and_destroyed_without_a_fault(sandbox):
    """A property is read or «not modelled»; none hits a mistake of the engine or of the database's defaults."""
    classes = sorted(name for name, entry in database().classes.items() if entry.get("creatable"))
    lines = []
    for name in classes:
        properties = sorted(
            member
            for ancestor in database().ancestry(name)
            for member, entry in database().classes[ancestor]["members"].items()
            if entry["kind"] == "property"
        )
        lines.append(f'{{ "{name}", {", ".join(map(repr, properties))} }},')
    source = (
        "for _, class in {"
        + "\n".join(lines)
        + """} do
            local instance = Instance.new(class[1])
            for i = 2, #class do
                local ok, message = pcall(function() return instance[class[i]] end)
                assert(ok or string.find(message, "not modelled", 1, true), message)
            end
            local clone = instance:Clone()
            assert(clone.ClassName == class[1])
            instance:Destroy()
        end"""
    )
    [result] = sandbox.run([Program(source, limits=LIMITS)])
    assert result.error is None, result.error["message"]
    assert [entry for entry in result.not_modelled if entry.startswith("engine fault")] == []
