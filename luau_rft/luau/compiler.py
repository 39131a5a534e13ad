"""Asks the real Luau compiler whether source is valid."""

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from luau_rft.luau.native import native


@dataclass(frozen=True, slots=True)
class CompileError:
    """Where the compiler stopped (1-based line) and why."""

    line: int
    message: str


@lru_cache(maxsize=8)
def compile_error(source: str) -> CompileError | None:
    """The first error of the Luau compiler, or None when ``source`` compiles.

    >>> compile_error("local x = 1")
    >>> compile_error("local x == 1")
    CompileError(line=1, message="Expected identifier when parsing expression, got '=='")
    """
    if "\0" in source:  # the compiler takes it for the end of the text
        return CompileError(source.count("\n", 0, source.index("\0")) + 1, "the text holds a NUL character")
    try:
        _compiler().compile(source)
    except RuntimeError as error:
        found = re.match(r"syntax error: (\d+): (.*)", str(error), re.DOTALL)
        return CompileError(int(found[1]), found[2]) if found else CompileError(1, str(error))
    except UnicodeEncodeError as error:
        line = source.count("\n", 0, error.start) + 1
        return CompileError(line, "the text holds a character that is not valid Unicode")
    return None


@cache
def _compiler() -> Any:
    return native().Compiler(optimization_level=1, debug_level=1, type_info_level=0, coverage_level=0)
