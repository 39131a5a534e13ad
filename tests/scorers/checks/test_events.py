import pytest

from luau_rft.luau.tree import parse
from luau_rft.scorers.checks import events

SERVICES = (
    "local Players, RunService = game:GetService('Players'), game:GetService('RunService')\n"
    "local part = workspace:WaitForChild('Part')\nlocal function listen() print('x') end\n"
)
ROUND = "while true do for _, p in Players:GetPlayers() do\n{} end task.wait(5) end"
ADDED = SERVICES + "Players.PlayerAdded:Connect(function(player)\n"


@pytest.mark.parametrize(
    ("check", "code", "lines"),
    [
        ("connection_in_loop", "while true do\npart.Touched:Connect(listen)\ntask.wait() end", [5]),
        ("connection_in_loop", "for i = 1, 10 do\npart.Touched:Connect(listen)\nend", [5]),
        ("connection_in_loop", "for _, p in parts do p.Touched:Connect(listen) end", []),
        ("connection_in_loop", "for i = 1, 10 do parts[i].Touched:Connect(listen) end", []),
        ("connection_in_loop", "for _, p in parts do part.Touched:Connect(function() p:Destroy() end) end", []),
        ("connection_in_loop", "while true do local p = part:Clone() p.Touched:Connect(listen) task.wait() end", []),
        ("connection_in_loop", "while true do part.Touched:Once(listen) task.wait() end", []),
        ("connection_in_loop", "while true do local c = part.Touched:Connect(listen) c:Disconnect() end", []),
        ("connection_in_loop", "while true do\nlocal c = part.Touched:Connect(listen) task.wait() end", [5]),
        ("connection_in_loop", "while true do if part.Parent then part.Touched:Connect(listen) break end end", []),
        ("connection_in_loop", ROUND.format("p.Chatted:Connect(listen)"), [5]),
        ("connection_in_loop", ROUND.format("if f(p) then p.Chatted:Connect(listen) end"), []),
        ("connection_in_loop", ROUND.format("p.Character.Humanoid.Died:Connect(listen)"), []),
        ("connection_in_loop", "for _, p in Players:GetPlayers() do\np.Chatted:Connect(listen) end", []),
        ("connection_in_loop", "while true do task.spawn(function() part.Touched:Connect(listen) end) end", []),
    ],
)
def test_connections_in_loops(check, code, lines):
    assert [node.line for node, _ in getattr(events, check)(parse(SERVICES + code), None)] == lines


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        (ADDED + "RunService.Heartbeat:Connect(listen)\nend)", [5]),
        (ADDED + "part.Touched:Connect(listen)\nend)", [5]),
        (ADDED + "workspace.ChildAdded:Connect(listen)\nend)", [5]),
        (ADDED + "player.CharacterAdded:Connect(listen)\nend)", []),
        (ADDED + "player.CharacterAdded:Connect(function()\nRunService.Heartbeat:Connect(listen) end)\nend)", [6]),
        (ADDED + "local humanoid = player.Character.Humanoid humanoid.Died:Connect(listen)\nend)", []),
        (
            ADDED + "local c = part.Touched:Connect(listen)\nremote.Event:Once(function() c:Disconnect() end)\nend)",
            [],
        ),
        (ADDED + "maid:GiveTask(RunService.Heartbeat:Connect(listen))\nend)", []),
        (ADDED + "RunService.Heartbeat:Once(listen)\nend)", []),
        (ADDED + "if player.Name == 'x' then\nRunService.Heartbeat:Connect(listen) end\nend)", [6]),
        ("local on = false\n" + ADDED + "if on then return end on = true\npart.Touched:Connect(listen)\nend)", []),
        ("local on = false\n" + ADDED + "if not on then on = true part.Touched:Connect(listen) end\nend)", []),
        (
            SERVICES + "local function set(player)\npart.Touched:Connect(listen) end\nPlayers.PlayerAdded:Connect(set)",
            [5],
        ),
        (ADDED + "setup(player)\nend)\nfunction setup()\npart.Touched:Connect(listen) end", [8]),
        (SERVICES + "game.Loaded:Connect(function() part.Touched:Connect(listen) end)", []),
        (SERVICES + "local function start() part.Touched:Connect(listen) end start()", []),
    ],
)
def test_connections_that_leak(code, lines):
    assert [node.line for node, _ in events.connection_leak(parse(code), None)] == lines


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("part.Touched:Connect(listen())", [4]),
        ("part.Touched:Once(listen())", [4]),
        ("task.spawn(listen())", [4]),
        ("task.delay(1, listen())", [4]),
        ("pcall(print('x'))", [4]),
        ("part.Touched:Connect(listen)", []),
        ("local function make() return listen end part.Touched:Connect(make())", []),
        ("part.Touched:Connect(require(script.Make)())", []),
        ("part:Connect()", []),
    ],
)
def test_called_handlers(code, lines):
    assert [node.line for node, _ in events.called_handler(parse(SERVICES + code), None)] == lines
