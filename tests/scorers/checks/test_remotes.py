import pytest

from luau_rft.luau.tree import parse
from luau_rft.scorers.checks.remotes import negative_amount, untrusted_argument

EVENT = "local remote = script.Remote\nremote.OnServerEvent:Connect(function(player, x)\n{}\nend)"
COINS = "player.leaderstats.Coins.Value"


@pytest.mark.parametrize(
    "body",
    [
        f"{COINS} += x",
        f"{COINS} = {COINS} + x",
        f"{COINS} -= x.price",
        f"{COINS} += tonumber(x)",
        f"local amount = x {COINS} += amount",
        "player.Character.Humanoid:TakeDamage(x)",
        "player.Character.Humanoid.Health = x",
        "player.Character:PivotTo(x)",
        "x:Destroy()",
        "x.Parent = nil",
        "x.Humanoid.Health = 0",
        "x.Humanoid:TakeDamage(10)",
        "x:FindFirstChild('Humanoid').Health = 0",
        "workspace[x]:Destroy()",
        "require(x)",
        "loadstring(x)()",
        "remote:FireClient(x, 'hello')",
        "for i = 1, x do print(i) end",
        "store:SetAsync(player.UserId, x)",
        f"{COINS} += x if x > 5 then print(x) end",
    ],
)
def test_what_is_not_checked(body):
    assert [node.line for node, _ in untrusted_argument(parse(EVENT.format(body)), None)] == [3]


@pytest.mark.parametrize(
    "body",
    [
        f"if type(x) == 'number' then {COINS} += x end",
        f"if typeof(x) ~= 'number' then return end {COINS} += x",
        f"assert(type(x) == 'number') {COINS} += x",
        f"x = math.clamp(x, 0, 10) {COINS} += x",
        f"{COINS} += math.clamp(x, 0, 10)",
        f"if x > 5 then return end {COINS} += x",
        f"if not isValid(x) then return end {COINS} += x",
        f"local ok = isValid(x) if ok then {COINS} += x end",
        f"{COINS} += PRICES[x]",
        "if x:IsA('Part') and x:IsDescendantOf(player.Character) then x:Destroy() end",
        "if x then x:Destroy() end",
        "chosen[player] = x",
        "remote:FireAllClients(player, x)",
        "remote:FireClient(player, x)",
        "print(x)",
        "other(x)",
        f"{COINS} += 1",
        "player.Parent = nil",
        f"local amount = PRICES[x] {COINS} += amount",
    ],
)
def test_what_is_checked_or_harmless(body):
    assert not list(untrusted_argument(parse(EVENT.format(body)), None))


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("local function give(player, x)\nplayer.Coins.Value += x end\nremote.OnServerEvent:Connect(give)", [2]),
        ("remote.OnServerInvoke = function(player, x)\nplayer.Coins.Value += x end", [2]),
        ("function remote.OnServerInvoke(player, x)\nplayer.Coins.Value += x end", [2]),
        ("local function add(n)\ncoins.Value += n end\nremote.OnServerEvent:Connect(function(_, n) add(n) end)", [2]),
        (
            "local function add(p, n)\nif n > 5 then return end p.Coins.Value += n end\n"
            "remote.OnServerEvent:Connect(function(p, n) add(p, n) end)",
            [],
        ),
        ("remote.OnClientEvent:Connect(function(player, x) player.Coins.Value += x end)", []),
        ("remote.Event:Connect(function(player, x) player.Coins.Value += x end)", []),
        ("remote.OnServerEvent:Connect(", []),
    ],
)
def test_handlers(code, lines):
    assert [node.line for node, _ in untrusted_argument(parse(code), None)] == lines


BALANCE = "player.Coins.Value"


@pytest.mark.parametrize(
    ("body", "is_found"),
    [
        (f"if {BALANCE} >= x then {BALANCE} -= x end", True),
        (f"if x > {BALANCE} then return end {BALANCE} = {BALANCE} - x", True),
        (f"if type(x) == 'number' and {BALANCE} >= x then {BALANCE} -= x end", True),
        (f"local n = math.floor(x) if {BALANCE} >= n then {BALANCE} -= n end", True),
        (f"local cost = x * 10 if {BALANCE} >= cost then {BALANCE} -= cost end", True),
        ("local n = player:GetAttribute('Coins') if n >= x then player:SetAttribute('Coins', n - x) end", True),
        (f"local n = {BALANCE} if n >= x then {BALANCE} = n - x end", True),
        (f"if x > 0 and {BALANCE} >= x then {BALANCE} -= x end", False),
        (f"if x < 1 then return end local cost = x * 10 if {BALANCE} >= cost then {BALANCE} -= cost end", False),
        (f"local cost = x * 10 if cost > 0 and {BALANCE} >= cost then {BALANCE} -= cost end", False),
        (f"x = math.abs(x) if {BALANCE} >= x then {BALANCE} -= x end", False),
        (f"if not isValid(x) then return end if {BALANCE} >= x then {BALANCE} -= x end", False),
        (f"if x ~= PRICE then return end if {BALANCE} >= x then {BALANCE} -= x end", False),
        (f"local cost = PRICES[x] if {BALANCE} >= cost then {BALANCE} -= cost end", False),
        (f"if {BALANCE} >= x then {BALANCE} += x end", False),
        (f"if {BALANCE} - x > 5 then print(x) end", False),
    ],
)
def test_negative_amounts(body, is_found):
    assert [node.line for node, _ in negative_amount(parse(EVENT.format(body)), None)] == ([3] if is_found else [])


def test_a_negative_amount_in_another_function():
    code = "local function pay(p, n)\nif p.Coins.Value >= n then p.Coins.Value -= n end end\n"
    code += "remote.OnServerEvent:Connect(function(player, n) pay(player, n) end)"
    assert [node.line for node, _ in negative_amount(parse(code), None)] == [2]
