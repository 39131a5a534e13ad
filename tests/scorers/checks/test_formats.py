import pytest

from luau_rft.luau.sandbox import Program, Sandbox
from luau_rft.luau.tree import parse
from luau_rft.scorers.checks.formats import format_string

# Each raises an error in the virtual machine.
WRONG = [
    "string.format('%d')",
    "string.format('%d%')",
    "string.format('100%')",
    "string.format('%y', 1)",
    "string.format('%100d', 1)",
    "string.format('%d', 'many')",
    "string.format('%s', nil)",
    "string.format('%s', {})",
    "string.format('%d', true)",
    "('%s %s'):format('a')",
    "string.find('a.b', '[a.')",
    "string.match('a', '(a')",
    "string.match('a', 'a)')",
    "string.match('a', '%')",
    "string.match('a', 'a%bx')",
    "string.match('a', 'a%f')",
    "string.match('a', 'a%1')",
    "string.match('a', '[]')",
    "('a'):gsub('a', '%')",
    "('a'):gsub('a', '%2')",
    "('a'):gsub('a', '%z')",
    "os.date('%Q')",
    "string.pack('v', 1)",
    "string.pack('c', 'a')",
    "string.pack('i17', 1)",
]
RIGHT = [
    "string.format('%d%%', 5)",
    "string.format('%5.2f %s %q %x', 1, 'a', 'b', 255)",
    "string.format('%d', '12')",
    "string.format('%*', nil)",
    "string.format('%d %d', math.modf(1.5))",
    "string.format([[%s]], 'a')",
    "string.format('\\37s', 'a')",
    "string.find('a[', '[', 1, true)",
    "string.find('a)', ')')",
    "string.match('a]', '[]]')",
    "string.match('a-b', '[a%-z]')",
    "string.match('aa', '(a)%1')",
    "string.match('f(x)', '%b()')",
    "string.match('THE', '%f[%a]%a+')",
    "string.gsub('a', 'a', '%0%1')",
    "string.gsub('a', '(a)(b*)', '%2%%')",
    "os.date('!%Y-%m-%dT%H:%M:%SZ')",
    "os.date('*t')",
    "string.pack('<i4 !8 s1 z c3', 1, 'a', 'b', 'abc')",
]


def hits(code):
    return list(format_string(parse(code), None))


@pytest.mark.parametrize("call", WRONG)
def test_what_raises_an_error_is_found(call):
    assert hits(f"local x = {call}")


@pytest.mark.parametrize("call", RIGHT)
def test_what_works_is_not(call):
    assert not hits(f"local x = {call}")


def test_the_virtual_machine_agrees():
    with Sandbox(processes=1) as sandbox:
        results = sandbox.run([Program(f"local x = {call}") for call in WRONG + RIGHT])
        wrong = [call for call, result in zip(WRONG + RIGHT, results, strict=True) if result.errors]
    assert wrong == WRONG


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("local FORMAT = '%d'\nlocal x = FORMAT:format()", 1),
        ("local format = '%d'\nformat = g()\nlocal x = format:format()", 0),
        ("local x = string.format(`{a}%`, 1)", 0),
        ("local x = string.format('%s', 1, 2)", 1),
        ("local x = string.match(a, '%y')", 1),
        ("local x = string.match(a, '[z-a]')", 1),
        ("local string = {}\nlocal x = string.format('%d')", 0),
        ("local x = logger:format('%d')", 0),
    ],
)
def test_findings(code, count):
    assert len(hits(code)) == count
