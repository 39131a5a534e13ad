import pytest

from luau_rft.teacher.label import LabelParams, embedded, functions, label, module_name, script_kind

PARAMS = LabelParams(teacher="embedded", model="claude-sonnet-5-5", max_tokens=500)


def row(code, path="src/Door.luau"):
    return {"id": "1", "source": "npm", "package": "p@1", "path": path, "license": "MIT", "code": code}


@pytest.mark.parametrize(
    ("comment", "request_"),
    [
        ("Opens the door slowly.", "Write a ModuleScript that opens the door slowly."),
        ("Open the door slowly", "Write a ModuleScript to open the door slowly."),
        ("Applies friction to a part.", "Write a ModuleScript that applies friction to a part."),
        ("This module caches the last value.", None),
        ("This module stores the last value.", "Write a ModuleScript that stores the last value."),
        (
            "A queue of functions that run later.",
            "Write a ModuleScript that provides a queue of functions that run later.",
        ),
        (
            "Utilities for working with colours.",
            "Write a ModuleScript that provides utilities for working with colours.",
        ),
        ("The value is an opaque marker.", None),
        ("Symbols have the type userdata.", None),
    ],
)
def test_a_comment_becomes_a_request(comment, request_):
    assert embedded(f"-- {comment}\nreturn 1\n", "src/Door.luau") == (request_ or "")


@pytest.mark.parametrize(
    ("code", "path", "expected"),
    [
        (
            "local Door = {}\nfunction Door.open(angle: number, opts: { [string]: any }?): boolean\nend\n"
            "function Door:close()\nend\nfunction Door._hidden()\nend\nlocal function helper()\nend\nreturn Door\n",
            "src/Door/init.luau",
            "Write a ModuleScript named Door with the functions open(angle, opts) and close().",
        ),
        ("local function twice<T>(f: (T) -> T, ...)\nend\nreturn twice\n", "twice.lua",
         "Write a ModuleScript that returns the function twice(f, ...)."),
        ("return function(map: Map<string, number>, key)\nend\n", "lookup.lua",
         "Write a ModuleScript that returns the function lookup(map, key)."),
        ("-- Opens the door.\nlocal Door = {}\nfunction Door.open(self, angle)\nend\nreturn Door\n", "Door.lua",
         "Write a ModuleScript that opens the door. It has the function open(angle)."),
        ("-- Opens the door, with open(x).\nlocal Door = {}\nfunction Door.open(x)\nend\nreturn Door\n", "Door.lua",
         "Write a ModuleScript that opens the door, with open(x)."),
        ("return { red = 1 }\n", "Colors.lua", ""),
        ("print(1)\n", "Door.server.lua", ""),
    ],
)  # fmt: skip
def test_functions_tell_what_a_comment_does_not(code, path, expected):
    assert embedded(code, path) == expected


def test_licences_and_authors_are_no_part_of_a_request():
    code = "-- Copyright 2020 Somebody. MIT License\n\n-- By Somebody\n\n-- Opens the door.\nworkspace.Door:Destroy()\n"
    assert embedded(code, "x.server.lua") == "Write a Script that opens the door."


@pytest.mark.parametrize(
    ("code", "path", "kind"),
    [
        ("print(1)", "a.server.luau", "server"),
        ("print(1)", "a.client.lua", "client"),
        ("return 1", "a.lua", "module"),
        ("local p = game.Players.LocalPlayer\n", "a.lua", "client"),
        ("local function f()\n\treturn 1\nend\nf()\n", "a.lua", "server"),
    ],
)
def test_the_kind_of_script(code, path, kind):
    assert script_kind(code, path) == kind


def test_names_that_say_nothing_are_left_out():
    assert module_name("src/init.lua") == ""
    assert module_name("init.lua") == ""
    assert (
        embedded("local A = {}\nfunction A.b()\nend\nreturn A\n", "src/init.lua")
        == "Write a ModuleScript with the function b()."
    )


def test_malformed_code_does_not_stop_the_labelling():
    for code in ("function", "function A.", "return function", "local function f(", "return", "--", ""):
        assert isinstance(embedded(code, "a.lua"), str)
        assert functions(code, "a") == [] or functions(code, "a")[0][1].endswith("()")


@pytest.mark.parametrize("name", ["odd[", "a**b", "init (1"])
def test_a_file_may_have_any_name(name):
    request = f"Write a ModuleScript that returns the function {name}(x)."
    assert embedded("return function(x)\nend\n", f"src/{name}.lua") == request


def test_rows_keep_the_corpus_and_name_the_labeler():
    (labeled,) = label([row("-- Opens the door.\nreturn 1\n")], PARAMS, {})
    assert labeled.items() >= row("-- Opens the door.\nreturn 1\n").items()
    assert (labeled["labeler"], labeled["cost_usd"]) == ("embedded", 0.0)


def test_a_known_label_is_used_again_by_its_key_alone():
    (first,) = label([row("-- Opens the door.\nreturn 1\n")], PARAMS, {})
    bought = first | {"task": "Something that a person wrote.", "cost_usd": 0.5}
    (again,) = label([row("-- Opens the door.\nreturn 1\n")], PARAMS, {first["key"]: bought})
    assert (again["task"], again["cost_usd"]) == ("Something that a person wrote.", 0.5)
    (other,) = label([row("-- Closes the door.\nreturn 1\n")], PARAMS, {first["key"]: bought})
    assert other["key"] != first["key"]
    assert other["task"] == "Write a ModuleScript that closes the door."
