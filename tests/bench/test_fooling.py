"""The changes without a function keep programs as they are, as far as the compiler and the sandbox can tell."""

import pytest

from bench.corpus import weak_programs
from bench.fooling import TRANSFORMS, Transform
from luau_rft.luau.compiler import compile_error
from luau_rft.luau.sandbox import Program, Sandbox

PROGRAM = """--!strict
-- Sums what is in a list.
local Sums = {}

local function add(total, value)
	return total + value
end

function Sums.sum(list)
	local total = 0
	for _, value in ipairs(list) do
		total = add(total, value)
	end
	return total
end

function Sums.nothing() end

return Sums
"""
CHECKS = """return {
	checks = {
		{
			name = "sums",
			use = "normal",
			run = function(place)
				place:equal(place.module.sum({ 1, 2, 3 }), 6, "the sum")
			end,
		},
	},
}
"""


def test_a_module_goes_on_working() -> None:
    with Sandbox(processes=1) as sandbox:
        programs = [Program(transform.apply(PROGRAM), "module", CHECKS) for transform in TRANSFORMS]
        results = list(sandbox.run(programs))
    passed = [[check.passed for check in result.checks] for result in results]
    assert dict(zip([transform.name for transform in TRANSFORMS], passed, strict=True)) == {
        transform.name: [True] for transform in TRANSFORMS
    }


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda transform: transform.name)
def test_compiling_programs_go_on_compiling(transform: Transform) -> None:
    for program in weak_programs():
        if compile_error(program.source) is None:
            assert compile_error(transform.apply(program.source)) is None, program.path
    assert transform.what.endswith(".")


def test_names_are_unique_and_many() -> None:
    assert len({transform.name for transform in TRANSFORMS}) == len(TRANSFORMS) >= 30
    assert len(weak_programs()) >= 12


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda transform: transform.name)
def test_each_changes_some_program(transform: Transform) -> None:
    sources = [PROGRAM, *(program.source for program in weak_programs())]
    assert any(transform.apply(source) != source for source in sources)
