import pytest

from luau_rft.luau.flow import unreachable
from luau_rft.luau.lexer import tokens
from luau_rft.luau.scopes import resolve
from luau_rft.luau.tree import arguments, callee, method, parse, root_name


def test_comments_and_types_are_apart_from_the_nodes():
    tree = parse("--!strict\nlocal function give(coins: number?): Player -- why\n\treturn coins :: any\nend")
    assert [node.text for node in tree.comments] == ["--!strict", "-- why"]
    assert {"Player"} <= tree.type_names
    assert [node.text for node in tree.of("identifier")] == ["give", "coins", "coins"]
    function, parameter = tree.of("function_declaration")[0], tree.of("parameter")[0]
    assert function.typed
    assert parameter.typed


def test_positions_count_characters_from_one():
    (call,) = (node for node in parse('local s = "é"\nprint("ü", s)').of("function_call"))
    assert (call.line, call.column) == (2, 1)
    assert (arguments(call)[1].line, arguments(call)[1].column) == (2, 12)


def test_calls_are_named():
    (call, inner) = parse("game:GetService('Players').PlayerAdded:Connect(f)").of("function_call")
    assert (callee(inner), method(inner)) == ("game:GetService", "GetService")
    assert method(call) == "Connect"
    assert root_name(call).text == "game"


@pytest.mark.parametrize(
    "source",
    [
        "export type A = typeof(setmetatable({} :: { x: number }, {} :: typeof({ __index = {} })))",
        "local function f<T, U...>(callback: (T, U...) -> (), ...: U...): <R>(R) -> R return nil :: any end",
        "type B<T = { [string]: any }, U = nil> = { on: <K>(key: K) -> T, off: typeof(print) & U }",
        "type C =\n\t| 'a'\n\t| 'b'\nlocal t: { [typeof(1)]: C } = {}",
    ],
)
def test_types_that_tree_sitter_does_not_know_leave_no_errors(source):
    tree = parse(f"{source}\nlocal after = 1")
    assert tree.compile_error is None
    assert tree.errors == []
    assert tree.nodes[-1].line == source.count("\n") + 2


def test_hidden_types_still_use_their_names():
    assert (
        "Stack"
        in parse("local Stack = {}\nexport type S = typeof(setmetatable({}, Stack)) & { a: <T>(T) -> T }").type_names
    )


@pytest.mark.parametrize(
    ("source", "low", "high"),
    [
        ("This is a story about a dog, which ran away.", 0.0, 0.1),
        ("local x = 1\nlocal y = = 2\nlocal z = 3", 0.5, 0.8),
        ("local part = script.Parent\npart.Touched:Connect(function(hit)\n\thit:Destroy()\n", 0.2, 0.9),
    ],
)
def test_read_share_of_broken_text(source, low, high):
    assert low <= parse(source).read_share <= high


@pytest.mark.parametrize("text", ["(", "{", "do ", "f(", "function f() ", "if x then ", "'", "a..", "not ", "return "])
def test_deep_nesting_is_survived(text):
    tree = parse(text * (12_000 // len(text)))
    assert len(tree.nodes) >= 1
    assert resolve(tree).variables == []
    assert list(unreachable(tree)) == []


def test_tokens_of_broken_text_cover_it():
    source = "x = 'open\nlocal y = [[never\nclosed"
    assert [token.text for token in tokens(source)] == ["x", "=", "'open", "local", "y", "=", "[[never\nclosed"]


def test_names_belong_to_their_declarations():
    scopes = resolve(
        parse(
            "local x = x\n"  # the x on the right is a global
            "local function f(a, ...) return f(a) end\n"
            "repeat local done = x until done\n"
            "for i, v in pairs(t) do i = v end\n"
            "function t.m:go() return self.x end\n"
            "local u = { x = x, [x] = 1 }"
        )
    )
    reads = {variable.name: [node.line for node in variable.reads] for variable in scopes.variables}
    assert reads["x"] == [3, 6, 6]
    assert (reads["f"], reads["a"], reads["done"], reads["v"], reads["self"]) == ([2], [2], [3], [4], [5])
    assert [node.text for node in scopes.global_reads] == ["x", "pairs", "t", "t"]
    assert [variable.name for variable in scopes.variables if variable.writes] == ["i"]
