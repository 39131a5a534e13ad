"""Whatever the text, the scorers give an answer, the same each time, and soon. ``make fuzz`` tries 10,000 texts."""

import os
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luau_rft.scorers.composite import SCORERS, score_code

CASES = int(os.environ.get("FUZZ_CASES", "120"))
SECONDS = 5.0  # for a text of some thousand characters; it takes a few milliseconds
SAMPLE = Path(__file__).parents[2] / "data" / "sample"
SOURCES = [path.read_text(encoding="utf-8") for path in sorted(SAMPLE.glob("*.luau"))]
TOKENS = """
and break continue do else elseif end false for function if in local nil not or repeat return then true type until while
+ - * / // % ^ # == ~= <= >= < > = += -= *= /= //= %= ^= ..= ( ) { } [ ] :: ; : , . .. ... -> ? | & @
x self game workspace script task.wait pcall require Instance.new("Part") game:GetService("Players") :Connect( :Wait()
1 0 0x1F 1e309 0b11 1_000 .5 "text" 'text' `a{x}b` `{ [[long]] [==[ ]==] --[[ ]] -- --!strict @native "\\u{1F600}
!= && || ! ++ ** => === ?? ?. def import None null True elif this. let const class try: // /* # ``` f"{x}" x[1:2] $x
export typeof Enum.Material.Neon Vector3.new( _G setmetatable({}, {}) function() end, if x then y else z \\ \\0 \\r
""".split()  # noqa: SIM905
STRANGE = [
    "\0", "\ud800", "\U0010ffff", "\u202e", "\u2028", "\x0c", "\r", "\r\n", "\ufeff", "é", "日本", "e\u0301", "\x1b[2J",
]  # fmt: skip
OPENINGS = [
    "(", "{", "[", "f(", "x[", "{{", "not ", "-", "#", "if x then ", "do ", "function() ", "x.", "x:y()", "while x do ",
    "repeat ", "`{", "a .. ", "return function() ", "if x then y elseif z then ", "--[[",
]  # fmt: skip

texts = st.text(max_size=300) | st.text(st.sampled_from([chr(code) for code in range(128)]), max_size=300)
programs = st.lists(
    st.tuples(st.sampled_from(TOKENS + STRANGE), st.sampled_from([" ", "", "\n", "\t"])).map("".join), max_size=120
).map("".join)
nestings = st.builds(
    lambda opening, inside, closing, depth, missing: opening * depth + inside + closing * max(0, depth - missing),
    st.sampled_from(OPENINGS),
    st.sampled_from(["", "x", "1", "x = 1", "return", "break"]),
    st.sampled_from(["", ")", "}", "]", " end", " until x", "}`", " else z end"]),
    st.sampled_from([1, 5, 50, 190, 250, 600, 3000]),
    st.sampled_from([0, 0, 0, 1, 2]),
)


@st.composite
def mutations(draw):
    """A real script after a few edits."""
    text = draw(st.sampled_from(SOURCES))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 0, 1, 3, 10, 100, 10_000])))
        other = draw(st.sampled_from(SOURCES))
        position = draw(st.integers(0, len(other)))
        piece = other[position : position + draw(st.sampled_from([0, 1, 10, 200]))]
        new = draw(st.sampled_from(["", piece]) | st.sampled_from(TOKENS + STRANGE))
        text = text[:start] + new * draw(st.sampled_from([1, 1, 1, 2, 50])) + text[end:]
    return text


@settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize="FUZZ_CASES" not in os.environ,
)
@given(texts | programs | nestings | mutations(), st.sampled_from([None, "server", "client", "module"]))
def test_any_text_is_scored(source, kind):
    start = time.process_time()
    scores = score_code(source, kind)
    assert time.process_time() - start < SECONDS

    assert all(0.0 <= getattr(scores, name) <= 1.0 for name in (*SCORERS, "composite"))
    if not scores.compiles:
        assert scores.syntax <= 0.5
    lines = source.split("\n")
    for finding in scores.findings:
        assert 1 <= finding.line <= len(lines)
        assert 1 <= finding.column <= len(lines[finding.line - 1]) + 1
        assert 0.0 <= finding.penalty <= 1.0
        assert finding.message
    assert score_code(source, kind) == scores
