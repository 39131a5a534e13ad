"""Names: what is defined nowhere or misspelt, and what is kept where it should not be."""

from collections.abc import Iterator
from functools import cache

from luau_rft.luau.scopes import Variable, resolve
from luau_rft.luau.tree import FUNCTIONS, Node, Tree, arguments, fact
from luau_rft.roblox.api import database
from luau_rft.scorers.base import Hit
from luau_rft.scorers.checks.foreign import foreign_globals
from luau_rft.scorers.checks.spelling import Spellings
from luau_rft.scorers.checks.variables import has_gaps, is_update


def undefined_global(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A name that neither the script nor the platform defines.

    In a test file, which calls ``describe`` or ``it`` with a function, the names that test runners provide are known.

    Bad:
        local coins = 5
        print(conis)
    Bad:
        part.Touched:Connect(print)
    Good:
        local coins = 5
        print(coins)
    Good:
        local part = script.Parent
        part.Touched:Connect(print)
    Like: selene undefined_variable, Luau UnknownGlobal
    """
    if has_gaps(tree):
        return
    scopes = resolve(tree)
    defined = {node.text for node in scopes.global_writes if not is_update(node)}
    defined |= {"self", *(node.text for node in foreign_globals(tree))}  # syntax has rules for these
    unknown: dict[str, Node] = {}
    for node in scopes.global_reads:
        name = node.text
        if name not in unknown and name not in defined and not _is_known(name):
            unknown[name] = node
    if unknown.keys() & _TEST_NAMES and _is_test(tree):
        unknown = {name: node for name, node in unknown.items() if name not in _TEST_NAMES}
    for name, node in unknown.items():
        yield node, f"`{name}` is defined nowhere{_HINTS.get(name) or _suggestion(node)}"


def global_variable(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A global of the script's own: a variable or function declared without ``local``.

    Bad:
        coins = 5
        print(coins)
    Bad:
        function greet()
            print("hello")
        end
        greet()
    Good:
        local coins = 5
        print(coins)
    Like: selene unscoped_variables, Luau GlobalUsedAsLocal
    """
    if has_gaps(tree):
        return
    seen = set()
    for node in resolve(tree).global_writes:
        if node.text not in seen and not is_update(node) and not _is_known(node.text):
            seen.add(node.text)
            yield node, f"`{node.text}` is a global: declare it with `local`{_suggestion(node)}"


def builtin_global_write(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """One of the platform's own names, or a function of its libraries, is replaced.

    Bad:
        print = warn
    Bad:
        function string.trim(text)
            return text:match("^%s*(.-)%s*$")
        end
    Good:
        local function trim(text)
            return text:match("^%s*(.-)%s*$")
        end
    Like: Luau BuiltinGlobalWrite
    """
    scopes = resolve(tree)
    for node in scopes.global_writes:
        if not is_update(node) and _is_known(node.text):
            yield node, f"`{node.text}` is the platform's: give your own variable another name, and `local`"
    for node in scopes.global_reads:
        index = node.parent
        is_set = index.type == "dot_index_expression" and index.parent.type in ("variable_list", "function_declaration")
        if is_set and database().has_statics(node.text):
            yield index, f"`{node.text}` cannot be changed: put the function into a table of your own"


@cache
def _is_known(name: str) -> bool:
    api = database()
    return name in api.globals or api.has_statics(name) or name == "Enum"


_HINTS = {
    "player": ": a server script gets players from Players.PlayerAdded, a LocalScript from Players.LocalPlayer",
}

# Of TestEZ and of Jest.
_TEST_NAMES = frozenset(
    {
        "describe", "it", "test", "expect", "beforeAll", "afterAll", "beforeEach", "afterEach", "describeFOCUS",
        "describeSKIP", "itFOCUS", "itSKIP", "itFIXME", "FOCUS", "SKIP", "FIXME", "fit", "xit", "fdescribe",
        "xdescribe", "jest",
    }
)  # fmt: skip


def _is_test(tree: Tree) -> bool:
    """Whether a program gives a function to ``describe``, ``it`` or ``test``."""
    calls = tree.calls("describe", "it", "test")
    return any(argument.type == "function_definition" for call in calls for argument in arguments(call))


@fact
def _spellings(tree: Tree) -> tuple[Spellings, dict[str, list[Variable]]]:
    """Those of all locals and of what the platform defines, and the locals by name."""
    named: dict[str, list[Variable]] = {}
    for variable in resolve(tree).variables:
        named.setdefault(variable.name, []).append(variable)
    api = database()
    return Spellings([*named, *api.globals, *api.libraries, *api.datatypes]), named


def _suggestion(node: Node) -> str:
    """What may have been meant by the name of a global."""
    spellings, named = _spellings(node.tree)
    for name in spellings.near(node.text):
        if _is_known(name) or any(_reaches(variable, node) for variable in named.get(name, ())[:_COMPARED]):
            return f": did you mean `{name}`?"
    return ""


def _reaches(variable: Variable, node: Node) -> bool:
    """Whether ``node`` is where ``variable`` can be seen."""
    end = next((above.end for above in variable.node.ancestors() if above.type in _SCOPES[variable.kind]), 0)
    return variable.node.end <= node.start < end


_COMPARED = 20  # locals of one name whose scopes are looked at
_BLOCKS = frozenset({"block", "chunk"})
_SCOPES = {"local": _BLOCKS, "function": _BLOCKS, "parameter": FUNCTIONS, "loop": frozenset({"for_statement"})}
