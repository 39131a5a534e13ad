"""The benchmark of the sandbox: its program runs, it measures, and its last lines are results."""

import re
import sys

import pytest

from bench import sandbox as bench
from luau_rft.luau.sandbox import Sandbox


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_few_programs_run_and_are_measured():
    rate, growth = bench.running(40)
    assert rate > 1
    assert growth < 64
    assert bench.starting(times=1) > 1 / rate / bench.PROCESSES


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_memory_is_that_of_all_workers():
    with Sandbox(processes=2) as sandbox:
        assert bench.resident(sandbox) == 0
        list(sandbox.run([bench.program(1)]))
        one = bench.resident(sandbox) / len(sandbox.pids)
        assert 10 < one < 500


def test_a_wrong_answer_stops_the_benchmark(monkeypatch):
    monkeypatch.setattr(bench, "SOURCE", "print({number} + 1)")
    with pytest.raises(AssertionError):
        bench.running(10)


def test_the_last_lines_are_results(monkeypatch, capsys):
    monkeypatch.setattr(bench, "starting", lambda: 0.5)
    monkeypatch.setattr(bench, "running", lambda count: (250.0, 1.5))
    monkeypatch.setattr(sys, "argv", ["sandbox", "--quick"])
    bench.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3:] == [
        "RESULT sandbox_programs_per_second 250 >=200",
        "RESULT sandbox_speedup_over_new_workers 125.0 >=10",
        "RESULT sandbox_memory_growth_mib 1.5 <=16",
    ]
    assert re.match(r"2000 programs: 250 a second", lines[0])
