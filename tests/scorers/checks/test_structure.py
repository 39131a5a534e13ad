import pytest

from luau_rft.luau.tree import parse
from luau_rft.scorers.checks import structure

HANDLER = """workspace.{0}.Touched:Connect(function({1})
	local {1}Player = Players:GetPlayerFromCharacter({1}.Parent)
	if {1}Player then
		{1}Player.leaderstats.Coins.Value += {2}
		workspace.{0}.Transparency = 0.{2}
	end
end)
"""


def lines(check, source):
    return [hit if isinstance(hit, int) else hit.line for hit, _ in check(parse(source), None)]


def test_handlers_with_other_names_and_numbers_are_copies():
    copies = "".join(HANDLER.format(f"Door{i}", "abcd"[i], i + 1) for i in range(4))
    assert lines(structure.repeated_block, copies) == [15, 22]


def test_two_alike_are_no_copies_yet():
    assert lines(structure.repeated_block, HANDLER.format("Red", "hit", 1) + HANDLER.format("Blue", "part", 2)) == []


def test_setting_different_properties_is_no_repetition():
    source = "".join(f"label.{name} = {i}\n" for i, name in enumerate("ABCDEFGHIJKLM"))
    assert lines(structure.repeated_block, source) == []


@pytest.mark.parametrize("wrapper", ["pcall(function()\n{}end)\n", "(function()\n{}end)()\n", "{}"])
def test_a_long_function_stays_long_in_wrappers(wrapper):
    body = wrapper.format("\n" * 70 + "workspace.Name = 'a'\n")
    assert lines(structure.long_function, f"local function f()\n{body}end\nf()") == [1]


def test_each_level_of_nesting_counts():
    source = "if a then\n" * 8 + "b()\n" + "end\n" * 8
    assert len(lines(structure.deep_nesting, source)) == 3
