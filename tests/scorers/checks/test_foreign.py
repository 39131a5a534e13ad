import time

import pytest

from luau_rft.luau.lexer import tokens
from luau_rft.scorers import quality
from luau_rft.scorers.syntax import score

BROKEN = "\nlocal = 1"  # keeps the line before it from compiling, and is no habit


def rules(source):
    return {finding.rule for finding in score(source).findings} - {"compile-error"}


@pytest.mark.parametrize(
    ("rule", "line", "word"),
    [
        ("foreign-comment", "x = 1 // set the value", "--"),
        ("foreign-comment", "x = 1 # set the value", "--"),
        ("foreign-comment", "/* gives coins */", "--"),
        ("foreign-comment", '"""Gives coins."""', "--"),
        ("foreign-operator", "if a !== b then end", "~="),
        ("foreign-operator", "if a === b then end", "=="),
        ("foreign-operator", "x = a ** 2", "^"),
        ("foreign-operator", "f(hit => print(hit))", "function"),
        ("foreign-operator", 'x = a ? "b" : c', "if a then b else c"),
        ("foreign-operator", "x = a?.b", "a and a.b"),
        ("foreign-operator", "x = a ?? b", "if a == nil"),
        ("foreign-operator", "if x in list then end", "table.find"),
        ("foreign-operator", "$x = 1", "$"),
        ("foreign-keyword", "for (let i = 0; i < 3; i++) {", "for i = first"),
        ("foreign-keyword", "switch (x) {", "elseif"),
        ("foreign-keyword", "case 1:", "elseif"),
        ("foreign-keyword", "try {", "pcall"),
        ("foreign-keyword", "} catch (e) {", "pcall"),
        ("foreign-keyword", "except ValueError as e:", "pcall"),
        ("foreign-keyword", "raise ValueError(x)", "error"),
        ("foreign-keyword", "throw new Error(x)", "error"),
        ("foreign-keyword", "class Door:", "table"),
        ("foreign-keyword", "class Door extends Part {", "table"),
        ("foreign-keyword", "public void open() {", "local"),
        ("foreign-keyword", "int coins = 5;", "local"),
        ("foreign-keyword", "door = new Door()", "Class.new"),
        ("foreign-keyword", "x = await load()", "leave await out"),
        ("foreign-keyword", "x = lambda a: a + 1", "function"),
        ("foreign-keyword", "} else if (a) {", "elseif"),
        ("foreign-keyword", "    pass", "leave pass out"),
        ("foreign-keyword", "print x", "parentheses"),
        ("foreign-keyword", "if x is not None:", "~="),
        ("foreign-name", "x = True )", "true"),
        ("foreign-name", "x = False )", "false"),
        ("foreign-name", "x = undefined )", "nil"),
        ("foreign-name", "this.open = 1 )", "self"),
        ("foreign-name", "console.log(x", "print"),
        ("foreign-name", "x = len(list", "#value"),
        ("foreign-name", "if x == None:", "nil"),
        ("foreign-string", 'print(f"{x} coins"', "backticks"),
        ("foreign-string", "x = text[1:2]", "string.sub"),
        ("foreign-string", "x = list[1:]", "table.move"),
        ("braces", "if (a) {", "end"),
        ("braces", "} else {", "end"),
        ("braces", "f(function(x) {", "end"),
        ("braces", "const f = (x) => {", "end"),
        ("colon-block", "if x == 1:", "`then`"),
        ("colon-block", "else:", "else"),
        ("colon-block", "while x < 3: # wait", "`do`"),
        ("assigned-condition", "if x = 5 then end", "=="),
        ("assigned-condition", "if a and b = 5 then end", "=="),
        ("added-string", 'print "Hello" + name', ".."),
        ("missing-then", "if x == 5 print(x) end", "`then`"),
        ("missing-then", "while x < 5 x += 1 end", "`do`"),
        ("prose", "This script gives coins to players.", "--"),
        ("prose", "Here's the script:", "--"),
        ("prose", "1. First, the players are fetched.", "--"),
        ("prose", "**Note:** put this into ServerScriptService.", "--"),
        ("markdown", "~~~", "fence"),
    ],
)
def test_a_habit_is_told_the_luau_way(rule, line, word):
    found = [finding for finding in score(line + BROKEN).findings if finding.rule == rule]
    assert {finding.line for finding in found} == {1}
    assert any(word in finding.message for finding in found)


@pytest.mark.parametrize(
    "code",
    [
        "local x: Part? = nil",
        "local function f(a: string?, b: number?): Part? return nil end",
        "local a = if b then c else d",
        "for _, x in list do print(x) end",
        "local n = a // b",
        "local n = #list + #other",
        "return #list",
        "print(#list, -- the number\n#other)",
        "local t = {\n\t#list,\n}",
        "-- This is a sentence, said in a comment.",
        "--[[\nThis is a sentence, said in a comment.\n```lua\nif x != None:\n]]",
        "local s = [[\nThis is a sentence, said in a text.\n```lua\n# title of it\n]]",
        "local s = `a{b}c != None`",
        "object.new(x)\nobject.try(y)\nobject:switch(z)",
        "type A = { try: number, null: string, finally: (number) -> () }",
        "local fiber: Array<Fiber | null>",
        "New 'Frame' {\n}",
        "Hydrate(gui) {\n}",
        "local e = if a then b else {\n}",
        "local function f(p: {\n\tx: number,\n}) end",
        "local function try(f) return f() end\ntry(print)",
        "local None = 1\nprint(None)",
        "local function range(n) return n end\nprint(range(5))",
        "while x do local y = 5 break end",
        "if f(function() x = 1 end) then end",
        "repeat x = 1 until y",
        "Foo.bar = 1\nFoo.baz()",
        "local t = f{ a = 1 }",
        'print "text"',
        'local a = t["b"] + 1',
    ],
)
def test_luau_beside_an_error_is_no_habit(code):
    assert score(code).value == 1.0, "the case itself must compile"
    assert rules(code + BROKEN) == set()


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("local function f()\n\tif x then\n\t\ty()\nend\n", 2),
        ("local function f()\n\tfor i = 1, 3 do\n\t\ty()\nend\n", 2),
        ("local function f()\n\ty()\n", 1),
        ("game.Loaded:Connect(function()\n\ty()\n)\n", 1),
        ("game.Loaded:Connect(function()\n\tlocal a = if b then 1 else 2\n\tif a then\n\t\ty()\nend)\n", 1),
        ("local t = {\n\tf = function()\n\t\ty()\n}\n", 2),
        ("if a then\n\ty()\nelse if b then\n\tz()\nend\n", 3),
    ],
)
def test_a_missing_end_is_told_where_its_block_starts(code, line):
    found = [finding for finding in score(code).findings if finding.rule == "missing-end"]
    assert [finding.line for finding in found] == [line]


@pytest.mark.parametrize("code", ["local function f()\n\treturn 1\n\tprint(2)\nend\n", "local a = {1, 2\n", "f(1, 2\n"])
def test_another_mistake_is_no_missing_end(code):
    assert "missing-end" not in rules(code)


@pytest.mark.parametrize(
    ("code", "column"),
    [
        ('local s = "a" + b', 15),
        ("local s = a + 'b'", 13),
        ('local s = "a" + b + "c" + d', 15),
        ('s += "x"', 3),
        ("local s = `{n} coins` + b", 23),
        ("local s = [[a]] + b", 17),
        ('return "a" + b', 12),
    ],
)
def test_a_text_that_is_added_is_found_although_it_compiles(code, column):
    (finding,) = score(code).findings
    assert (finding.rule, finding.column) == ("added-string", column)


@pytest.mark.parametrize(
    "code",
    [
        'local n = "5" + 1', "local n = ' 0x1F ' + 1", "local n = `{a}` + 1", 'local n = #"abc" + 1',
        'local n = f "x" + 1', 'local n = t["a"] + 1', 'local n = t.x"y" + 1',
        's ..= "x"', '-- "a" + b', "local s = [[ 'a' + b ]]",
    ],
)  # fmt: skip
def test_what_may_be_a_number_can_be_added(code):
    assert score(code).findings == ()


@pytest.mark.parametrize(
    "code",
    [
        "local t = {}\nt.push(1)",
        "local t = { 1, 2 }\nt:append(3)\nprint(#t)",
        "local t = {}\nfor _, x in t do print(x) end\ntable.insert(t, 1)\nprint(t.length)",
        "local t = { 1 }\nt[1] = 2\nt.forEach(print)",
        'local s = "text"\nprint(s.length)',
        'local s = "text"\nprint(s:trim())',
    ],
)
def test_a_method_that_cannot_be_there_is_found(code):
    assert rules(code) == {"foreign-method"}


@pytest.mark.parametrize(
    "code",
    [
        "local t = { push = print }\nt.push(1)",
        "local t = {}\nt.push = print\nt.push(1)",
        "local t = {}\nfunction t.push(x) end\nt.push(1)",
        "local t = {}\nfunction t:push(x) end\nt:push(1)",
        "local t = {}\nt[name] = print\nt.push(1)",
        "local t = setmetatable({}, List)\nt:push(1)",
        "local t = {}\nsetmetatable(t, List)\nt:push(1)",
        "local t = {}\nextend(t)\nt.push(1)",
        "local t = {}\nlocal u = t\nu.push = print\nt.push(1)",
        "local t = {}\nt = other\nt.push(1)",
        "local t = require(x)\nt.push(1)",
        "local t = {}\nt.length = 0\nprint(t.length)",
        'local s = "text"\nprint(s:upper(), s:split(","))',
        "local function f(t)\n\tt.push(1)\n\tprint(t.length)\nend",
    ],
)
def test_a_method_that_may_be_there_is_fine(code):
    assert rules(code) == set()


def test_self_is_told_once_a_function():
    code = "local A = {}\nfunction A.open()\n\tself.x = 1\n\tself.y = 2\nend\nfunction A.shut()\n\tself:open()\nend\n"
    found = score(code).findings
    assert [(finding.rule, finding.line) for finding in found] == [("self-without-colon", 3), ("self-without-colon", 7)]
    assert "A:open" in found[0].message


@pytest.mark.parametrize(
    "code",
    [
        "local A = {}\nfunction A:open() self.x = 1 end",
        "local A = {}\nfunction A.open(self) self.x = 1 end",
        "local A = {}\nfunction A:open() task.spawn(function() self.x = 1 end) end",
        "local A = {}\nfunction A.new() local self = {} self.x = 1 return self end",
        "self = {}\nself.x = 1",
        "local A = { open = function(self) self.x = 1 end }",
        "print(self)",
    ],
)
def test_self_that_is_there_is_fine(code):
    assert score(code).findings == ()


@pytest.mark.parametrize(
    "text",
    [
        "!" * 200_000, "if " * 60_000, "```\n" * 50_000, "# a b c\n" * 25_000, "a ? b : c\n" * 20_000, "None " * 40_000,
        "x = 1 // a b\n" * 15_000, '"a" + ' * 30_000, "The cat sat on. " * 12_000, "if (" * 50_000, "`{" * 60_000,
        "local t = {}\n" + "t.push(1)\n" * 15_000, "if " + "a " * 90_000, "self.x = " * 20_000,
    ],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_long_texts_take_no_time(text):
    start = time.process_time()
    found = score(text).findings
    assert time.process_time() - start < 4
    assert len(found) < 500


def test_texts_in_backticks_end_with_their_line():
    assert [token.text for token in tokens("```lua\nx = 1\n```")] == ["``", "`lua", "x", "=", "1", "``", "`"]
    assert [token.text for token in tokens("`a{ {1, `b`} [1] }c` .. `d\\\ne`")] == [
        "`a{ {1, `b`} [1] }c`",
        "..",
        "`d\\\ne`",
    ]
    assert [token.text for token in tokens("`a{\n1}b` c")] == ["`a{\n1}b`", "c"]


def test_a_sentence_is_told_once():
    code = 'Sure! Here is the script you asked for:\nprint("hi")\n'
    assert rules(code) == {"prose"}
    assert "crammed-line" not in [finding.rule for finding in quality.score(code).findings]
    code = "def on_touch(part):\n    part:Destroy()\n"
    assert "crammed-line" not in [finding.rule for finding in quality.score(code).findings]


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('print(f"{script.Name} joined")', {"foreign-string"}),
        ("print(r'a+')", {"foreign-string"}),
        ('local function f(text) return text end print(f"joined")', set()),
        ('function f(text) return text end print(f"joined")', set()),
        ('print(f("joined"))', set()),
        ("local list = { 1, 2 } list:insert(4)", {"foreign-method"}),
        ("local list = { 1, 2 } setmetatable(list, { __index = table }) list:insert(4)", set()),
    ],
)
def test_what_compiles_and_fails_is_told(code, found):
    assert rules(code) == found
