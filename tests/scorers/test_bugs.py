import pytest

from luau_rft.scorers.bugs import RULES, score

STORE = "local store = game:GetService('DataStoreService'):GetDataStore('Coins')\n"

# rule: (code that breaks it, code that does not)
CASES = {
    "unprotected-call": [
        (
            STORE + "workspace.Name = store:GetAsync('a')",
            STORE + "local success, name = pcall(function() return store:GetAsync('a') end)\n"
            "if success then workspace.Name = name end",
        ),
        (
            "local http = game:GetService('HttpService')\nworkspace.Name = http:GetAsync('http://x.y')",
            "local cache = {} function cache:GetAsync(key) return self[key] end\nworkspace.Name = cache:GetAsync('a')",
        ),
        (
            STORE + "local function load() return store:GetAsync('a') end\nworkspace.Name = load()",
            STORE + "local function load() return store:GetAsync('a') end\n"
            "local success, name = pcall(load) if success then workspace.Name = name end",
        ),
    ],
    "ignored-pcall": [
        (
            STORE + "pcall(function() store:SetAsync('a', workspace.Name) end)",
            STORE + "local ok, problem = pcall(store.SetAsync, store, 'a', 1) if not ok then warn(problem) end",
        ),
        (
            STORE + "local ok, data = pcall(function() return store:GetAsync('a') end)\nworkspace.Name = data",
            "pcall(function() workspace.Terrain:Destroy() end)",
        ),
    ],
    "empty-pcall": [("pcall(function() end)", "pcall(function() workspace:Destroy() end)")],
    "nil-index": [
        ("script.Parent:FindFirstChild('Door').Name = ''", "script.Parent:WaitForChild('Door').Name = ''"),
        (
            "local door = script:FindFirstChild('Door')\ndoor.Name = ''",
            "local door = script:FindFirstChild('Door')\nif not door then return end\ndoor.Name = ''",
        ),
        (
            "local door = script:FindFirstChild('Door')\nif not door then warn('no door') end\ndoor.Name = ''",
            "local door = script:FindFirstChild('Door')\nif door and door.Name ~= '' then door.Name = '' end",
        ),
        (
            "return function(player) player.Character.Name = '' end",
            "return function(player) local c = player.Character or player.CharacterAdded:Wait() c.Name = '' end",
        ),
        (
            "local hit = workspace:Raycast(Vector3.zero, Vector3.yAxis)\nprint(hit.Position)",
            "local hit = workspace:Raycast(Vector3.zero, Vector3.yAxis)\nprint(if hit then hit.Position else nil)",
        ),
        (
            "local door = script:FindFirstChild('Door')\nif door == nil then return end\n"
            "door = script:FindFirstChild('Gate')\ndoor.Name = ''",
            "local door = script:FindFirstChild('Door')\nassert(door, 'no door')\ndoor.Name = ''",
        ),
        (
            "local door = script:FindFirstChild('Door') if not door then door = script:FindFirstChild('Gate') end\n"
            "door.Name = ''",
            "local door = script:FindFirstChild('Door') if not door then door = Instance.new('Part') end\n"
            "door.Name = ''",
        ),
    ],
    "unreachable-code": [
        (
            "while true do task.wait() end workspace.Name = 'a'",
            "while true do if x then break end end workspace.Name = 'a'",
        ),
        ("error('no') workspace.Name = 'a'", "if x then error('no') end workspace.Name = 'a'"),
        ("if false then workspace.Name = 'a' end", "if workspace.Name == 'a' then workspace.Name = 'b' end"),
        (
            "local function f(x) if x then return 1 else return 2 end print(x) end f()",
            "local function f(x) if x then return 1 end return 2 end f()",
        ),
    ],
}


def rules_of(source):
    return [finding.rule for finding in score(source).findings]


@pytest.mark.parametrize(("rule", "bad", "good"), [(rule, *case) for rule, cases in CASES.items() for case in cases])
def test_rule(rule, bad, good):
    assert rule in rules_of(bad)
    assert rule not in rules_of(good)


def test_penalties_lower_the_value_up_to_the_rules_limit():
    rule = RULES.rules["unprotected-call"]
    doing = "workspace.Gravity = 5\nscript.Parent:Destroy()\nworkspace.Door.Touched:Connect(print)\n"
    calls = [f"workspace.Name = store:GetAsync('{i}')\n" for i in range(5)]
    for n in range(1, 6):
        result = score(STORE + doing + "".join(calls[:n]))
        lost = min(n * rule.penalty, rule.limit)
        assert result.value == pytest.approx(1 - lost)
        assert [finding.line for finding in result.findings] == list(range(5, 5 + n))
        assert sum(finding.penalty for finding in result.findings) == pytest.approx(lost)


def test_code_that_does_little_has_little_credit():
    assert score("").value == 0.0
    assert score("-- nothing\nlocal x = 1 print(x)").value == 0.0
    assert score("workspace.Name = 'a'").value == pytest.approx(1 / 3, abs=1e-3)


def test_names_are_not_judged_where_the_text_is_broken():
    assert rules_of("local x = = 1\nworkspace.Name = coins\n") == []
