import pytest

from luau_rft.luau.compiler import compile_error


@pytest.mark.parametrize(
    "source",
    [
        "",
        "local x: typeof(1) = 1",
        "--!strict\nlocal function f<T...>(...: T...): () end",
        "local total = 0 for _, n in { 1, 2 } do if n == 1 then continue end total += n end",
        "print(`{1 + 1} coins`, 7 // 2)",
    ],
)
def test_valid_luau_compiles(source):
    assert compile_error(source) is None


@pytest.mark.parametrize(
    ("source", "line", "part"),
    [
        ("local x = 1\nlocal y = = 2", 2, "got '='"),
        ("function f()\n", 2, "Expected 'end'"),
        ("x", 1, "Incomplete statement"),
        ("local a = 1\nbreak", 2, "inside a loop"),
        ("(" * 5000, 1, "recursion depth"),
        ("print(1)\n\0 anything", 2, "NUL"),
        ("-- \ud800", 1, "Unicode"),
    ],
)
def test_an_error_names_the_line(source, line, part):
    error = compile_error(source)
    assert error.line == line
    assert part in error.message


def test_ten_megabytes_are_compiled():
    assert compile_error("x = 1 -- one\n" * 770_000) is None
