import pytest

from luau_rft.luau.tree import parse
from luau_rft.scorers.checks import failing

STORE = "local store = game:GetService('DataStoreService'):GetDataStore('C')\n"

BAD = {
    "unprotected_call": [
        "local x = store:GetAsync('a')",
        "game:GetService('MarketplaceService'):UserOwnsGamePassAsync(1,2)",
        "game:GetService('TeleportService'):Teleport(1, game.Players.LocalPlayer)",
        "game:GetService('BadgeService'):AwardBadge(1,2)",
        "game:GetService('MessagingService'):PublishAsync('a','b')",
        "game:GetService('InsertService'):LoadAsset(3)",
        "local http = game:GetService('HttpService') http:RequestAsync({})",
        "task.spawn(function() store:SetAsync('a', 1) end)",
        "game:BindToClose(function() store:SetAsync('a', 1) end)",
        "local ok, v = true, store:GetAsync('a')",
        "return function(store) return store:GetAsync('a') end",
        "local function run(f) f() end run(function() store:GetAsync('a') end)",
        "local M = {} function M:save() self.store:SetAsync('a', 1) end return M",
        "local function f() store:GetAsync('a') end pcall(print) f()",
        "game.Players.PlayerAdded:Connect(function(p) local d = store:GetAsync(p.UserId) print(d) end)",
        "game:GetService('Players'):GetUserThumbnailAsync(1, Enum.ThumbnailType.HeadShot, "
        "Enum.ThumbnailSize.Size48x48)",
        "return function(player) return player:GetRankInGroup(1) end",
    ],
    "ignored_pcall": [
        "pcall(function() store:SetAsync('a', 1) end)",
        "pcall(store.SetAsync, store, 'a', 1)",
        "local ok, v = pcall(function() return store:GetAsync('a') end) print(v)",
        "local function save() store:SetAsync('a', 1) end pcall(save)",
        "local function save() store:SetAsync('a', 1) end pcall(function() save() end)",
        "xpcall(function() store:SetAsync('a',1) end, debug.traceback)",
        "print(select(2, pcall(store.GetAsync, store, 'a')))",
        "xpcall(function() store:SetAsync('a',1) end, function() end)",
        "local ok ok = pcall(function() store:SetAsync('a',1) end)",
        "task.spawn(function() pcall(function() store:SetAsync('a',1) end) end)",
    ],
    "unchecked_result": [
        "local ok, v = pcall(store.GetAsync, store, 'a') print(v + 1) if not ok then warn('x') end",
        "local ok, v = pcall(store.GetAsync, store, 'a') if not ok then warn('x') end cache.x = v.Coins",
        "local function f() local ok, v = pcall(store.GetAsync, store, 'a') if not ok then warn('x') end "
        "return v end f()",
        "local ok, v = pcall(store.GetAsync, store, 'a') if v then print(v.Coins) end print(ok)",
    ],
    "wait_in_loop": [
        "for i = 1, 3 do print(workspace:WaitForChild('P' .. i)) end",
        "while true do workspace:WaitForChild('A').Name = '' task.wait() end",
        "repeat task.wait() until workspace:WaitForChild('A').Name == ''",
    ],
}

GOOD = {
    "unprotected_call": [
        "local function retry(cb) return pcall(cb) end retry(function() return store:GetAsync('a') end)",
        "local function retry(n, cb) for i = 1, n do local ok, v = pcall(cb, i) if ok then return v end end "
        "return nil end print(retry(3, function() return store:GetAsync('a') end))",
        "local M = {} function M.retry(cb) local ok, v = pcall(function() return cb() end) return ok and v "
        "end M.retry(function() return store:GetAsync('a') end) return M",
        "local function inner(f) return pcall(f) end local function outer(g) return inner(g) end "
        "outer(function() store:SetAsync('a', 1) end)",
        "local ok, e = pcall(store.GetAsync, store, 'a') print(ok, e)",
        "local ok, e = xpcall(function() return store:GetAsync('a') end, warn) print(ok, e)",
        "local Promise = require(script.Promise) Promise.new(function(r) r(store:GetAsync('a')) end)",
        "local Promise = require(script.Promise) p():andThen(function() return store:GetAsync('a') end)",
        "local retry = require(script.retry) retry(function() return store:GetAsync('a') end)",
        "local Utils = require(script.Utils) Utils.try(function() return store:GetAsync('a') end)",
        "local Store = require(script.Store) Store:GetAsync('a')",
        "local Store = require(script.Store) local s = Store.new() s:GetAsync('a')",
        "local c = {} function c:GetAsync(k) return self[k] end local x = c x:GetAsync('a')",
        "local C = {} C.__index = C function C:SetAsync() end function C:f() self:SetAsync() end return C",
        "task.spawn(pcall, function() store:SetAsync('a', 1) end)",
        "local f f = function() store:SetAsync('a', 1) end local ok = pcall(f) print(ok)",
        "local function a() store:SetAsync('a', 1) end local function b() a() end local ok = pcall(b) print(ok)",
        "local ok, r = pcall(function() local function get() return store:GetAsync('a') end return get() "
        "end) print(ok, r)",
    ],
    "ignored_pcall": [
        "local ok, v = pcall(store.GetAsync, store, 'a') if ok then print(v) end",
        "if pcall(store.GetAsync, store, 'a') then print(1) end",
        "return pcall(store.GetAsync, store, 'a')",
        "xpcall(function() store:SetAsync('a',1) end, function(e) warn(e) end)",
        "xpcall(function() store:SetAsync('a',1) end, warn)",
        "pcall(function() workspace.A:Destroy() end)",
        "assert(pcall(store.GetAsync, store, 'a'))",
        "local r = { pcall(store.GetAsync, store, 'a') } if r[1] then print(r[2]) end",
        "local ok = false repeat ok = pcall(store.GetAsync, store, 'a') until ok",
    ],
    "unchecked_result": [
        "local ok, v = pcall(store.GetAsync, store, 'a') if not ok then warn(v) return end print(v + 1)",
        "local ok, v = pcall(store.GetAsync, store, 'a') if ok and v then print(v + 1) end",
        "local ok, v = pcall(store.GetAsync, store, 'a') return ok, v",
        "local ok, v = pcall(store.GetAsync, store, 'a') return ok and v or nil",
        "local ok, v = pcall(store.GetAsync, store, 'a') assert(ok, v) print(v + 1)",
        "local ok, v = pcall(store.GetAsync, store, 'a') if ok then task.spawn(function() print(v + 1) end) end",
        "local ok, v = pcall(store.GetAsync, store, 'a') local good = ok and type(v) == 'table' if good then "
        "print(v.a) end",
        "local ok, v = pcall(store.GetAsync, store, 'a') if not ok then v = {} end print(v.a)",
        "local ok, v = pcall(store.GetAsync, store, 'a') while not ok do task.wait(1) ok, v = "
        "pcall(store.GetAsync, store, 'a') end print(v.a)",
        "for i = 1, 3 do local ok, v = pcall(store.GetAsync, store, 'a') if ok then return v end warn(v) end",
        "for i = 1, 3 do local ok, v = pcall(store.GetAsync, store, 'a') if not ok then warn(v) continue end "
        "print(v.a) end",
        "local ok, v = pcall(store.SetAsync, store, 'a', 1) if not ok then warn(v) end",
        "local ok, v = pcall(store.SetAsync, store, 'a', 1) print(if ok then 'saved' else v)",
        "local ok, v = pcall(store.SetAsync, store, 'a', 1) print(`saved: {ok} {v}`)",
    ],
    "wait_in_loop": [
        "for _, v in workspace:WaitForChild('A'):GetChildren() do print(v) end",
        "for i = 1, 3 do print(workspace:WaitForChild('P', 1)) end",
        "while true do local map = workspace.Map:Clone() map:WaitForChild('A').Name = '' task.wait() end",
        "local map while true do map = workspace.Map:Clone() map:WaitForChild('A').Name = '' task.wait() end",
        "for i = 1, 3 do task.spawn(function() print(workspace:WaitForChild('P')) end) end",
    ],
}


def found(rule, code):
    return list(getattr(failing, rule)(parse(STORE + code), None))


@pytest.mark.parametrize(("rule", "code"), [(rule, code) for rule, codes in BAD.items() for code in codes])
def test_flagged(rule, code):
    assert found(rule, code)


@pytest.mark.parametrize(("rule", "code"), [(rule, code) for rule, codes in GOOD.items() for code in codes])
def test_not_flagged(rule, code):
    assert not found(rule, code)


@pytest.mark.parametrize("name", ["try", "run", "withRetries"])
def test_a_module_may_protect_what_it_is_given_unless_it_runs_it_later(name):
    code = f"local Tool = require(script.Tool)\nTool.{name}(function() return store:GetAsync('a') end)"
    assert not found("unprotected_call", code)
    for later in ("spawn", "delay", "onJoin"):
        assert found("unprotected_call", code.replace(f"Tool.{name}", f"Tool.{later}"))


@pytest.mark.parametrize(
    "rule", ["unprotected_call", "ignored_pcall", "unchecked_result", "empty_pcall", "wait_in_loop"]
)
@pytest.mark.parametrize(
    "code", ["pcall(", "local ok, v = pcall(function( ", "store:GetAsync(", "for x in y:WaitForChild('a"]
)
def test_broken_programs_raise_nothing(rule, code):
    assert isinstance(found(rule, code), list)
