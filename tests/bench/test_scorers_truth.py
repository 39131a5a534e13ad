"""The benchmark of the scorers, on small inputs."""

import pytest
import yaml

from bench.corpus import File
from bench.fooling import TRANSFORMS, Transform
from bench.scorers_truth import (
    ALARM_RULES,
    ALARMS,
    Alarm,
    judge,
    measure_alarms,
    measure_fooling,
    measure_mutants,
    places,
    sample_of,
    wilson,
)

DOOR = """local Players = game:GetService("Players")
local door = workspace:WaitForChild("Door")

door.Touched:Connect(function(hit)
	local player = Players:GetPlayerFromCharacter(hit.Parent)
	if player then
		player:SetAttribute("HasTouched", true)
		door.Transparency = 0.5
		door.CanCollide = false
	end
end)
"""
WRONG = """local part = Instance.new("Part")
part.Anchored = true
part.Parent = workspace
part:Explode()
"""


def run(function, inputs):
    return [function(item) for item in inputs]


def values(results: list[str]) -> dict[str, float]:
    return {name: float(value) for name, value, _ in (result.split() for result in results)}


@pytest.mark.parametrize(("verdicts", "rate"), [({}, 250), ({("b", 4, "unknown-member"): False}, 250)])
def test_false_alarms_count_by_the_line(verdicts: dict, rate: float) -> None:
    results = measure_alarms([File("b", WRONG)], verdicts, run)
    assert values(results) == {"syntax_below_one": 0.0, "false_alarms_per_1000_lines": rate}


def test_real_findings_are_no_false_alarms(capsys: pytest.CaptureFixture[str]) -> None:
    results = measure_alarms([File("b", WRONG)], {("b", 4, "unknown-member"): True}, run)
    assert values(results)["false_alarms_per_1000_lines"] == 0
    assert "unread" not in capsys.readouterr().out.replace("0 of these unread", "")


def test_files_that_do_not_compile_lower_the_share() -> None:
    results = measure_alarms([File("a", DOOR), File("b", "local x = = 1")], {}, run)
    assert values(results)["syntax_below_one"] == 0.5


def test_mutants_are_counted_by_kind(capsys: pytest.CaptureFixture[str]) -> None:
    results = values(measure_mutants("some", [File("door", DOOR)], 3, run, show_missed=True))
    assert results["some_caught_dropped_end"] == results["some_caught_misspelt_local"] == 1
    assert "some_caught_loop_yield" not in results
    assert "nil_check             1      1     0     1" in capsys.readouterr().out


def test_a_score_of_nothing_cannot_fall() -> None:
    chosen = places(File("x", "-- nothing\nlocal abc = 1\nprint(abc)")).chosen
    [verdict] = [judge(mutant) for mutant in chosen if mutant.kind == "misspelt_local"]
    assert (verdict.was_zero, verdict.is_caught) == (True, False)


def test_fooling_prints_the_largest_rise(capsys: pytest.CaptureFixture[str]) -> None:
    better = Transform("better", "It gets better.", lambda _: DOOR)
    weak = [File("empty.luau", ""), File("wrong.luau", WRONG)]
    results = values(measure_fooling(weak, [better, TRANSFORMS[0]], run, show_missed=True))
    assert results["fooling_max_rise"] > 0.5
    assert results["trivial_max_composite"] <= 0.2
    assert "better, empty.luau" in capsys.readouterr().out


def test_the_sample_keeps_its_findings_when_others_go() -> None:
    found = [Alarm(f"{i}.luau", i, ALARM_RULES[0], "") for i in range(50)]
    sample = sample_of(found, 10)
    left = [alarm for alarm in found if alarm in sample[:5] or alarm not in sample]
    assert sample_of(left, 10)[:5] == sample[:5]


def test_the_interval_holds_the_share() -> None:
    low, high = wilson(49, 50)
    assert 0.89 < low < 0.98 < high < 1
    assert wilson(0, 0) == (0, 1)


def test_every_verdict_says_why() -> None:
    entries = yaml.safe_load(ALARMS.read_text(encoding="utf-8"))
    for entry in entries:
        assert entry.keys() == {"path", "line", "rule", "verdict", "reason"}
        assert entry["verdict"] in ("real", "false")
        assert entry["reason"]
