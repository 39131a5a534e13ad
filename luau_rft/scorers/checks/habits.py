"""Habits of good Roblox scripts."""

from collections.abc import Iterator

from luau_rft.luau.scopes import function_of
from luau_rft.luau.substance import statement_of
from luau_rft.luau.tree import LOOPS, Tree, arguments
from luau_rft.scorers.base import Hit


def service_order(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A service is fetched twice, inside a function, or below other code.

    Bad:
        local function announce(text)
            game:GetService("Chat"):Chat(workspace.Board, text)
        end
        announce("Welcome")
    Bad:
        workspace.Gravity = 50
        local Players = game:GetService("Players")
        Players.RespawnTime = 3
    Good:
        local Players = game:GetService("Players")
        workspace.Gravity = 50
        Players.RespawnTime = 3
    """
    top = [node for node in tree.root.children if node.is_statement]
    code = (node.start for node in top if node.type not in ("variable_declaration", "type_definition"))
    first_code = next(code, len(tree.data))
    seen: set[str] = set()
    for call in tree.calls("game:GetService"):
        if not arguments(call) or arguments(call)[0].type != "string":
            continue
        name = arguments(call)[0].text
        if name in seen:
            yield call, f"{name} was fetched before: use the variable"
        elif function_of(call) is not None:
            yield call, f"fetch {name} once, at the top of the script"
        elif call.start > first_code and statement_of(call) in top and statement_of(call).start > first_code:
            yield call, f"move {name} to the top of the script"
        seen.add(name)


def magic_wait(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """The script waits a fixed time at the top before it goes on.

    Bad:
        task.wait(5)
        workspace.Map:Destroy()
    Good:
        workspace:WaitForChild("Map"):Destroy()
    """
    for call in tree.calls("wait", "task.wait"):
        if call.is_statement and arguments(call) and arguments(call)[0].type == "number":
            in_loop = any(above.type in LOOPS for above in call.ancestors())
            if not in_loop and function_of(call) is None:
                yield call, "wait for what is needed (WaitForChild, an event), not for a number of seconds"


_PLAIN_NUMBERS = frozenset({"0", "1", "2", "3", "4", "5", "10", "60", "100", "1000", "0.5", "0.1", "180", "360", "255"})
_NAMED_BY_PLACE = frozenset({"arguments", "field", "variable_declaration", "assignment_statement"})


def magic_number(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A function compares or counts with an uncommon number that has no name.

    Bad:
        local function isFast(part)
            return part.AssemblyLinearVelocity.Magnitude > 37.5
        end
        workspace.Part:SetAttribute("Fast", isFast(workspace.Part))
    Good:
        local FAST = 37.5 -- studs a second
        local function isFast(part)
            return part.AssemblyLinearVelocity.Magnitude > FAST
        end
        workspace.Part:SetAttribute("Fast", isFast(workspace.Part))
    """
    for node in tree.of("number"):
        if node.text in _PLAIN_NUMBERS:
            continue
        for above in node.ancestors():
            if above.type in _NAMED_BY_PLACE:
                break
            if above.is_statement:
                if function_of(above) is not None:
                    yield node, f"name {node.text} in a constant at the top"
                break
