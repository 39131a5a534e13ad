"""How many programs a second the sandbox runs, and whether its memory grows.

    python -m bench.sandbox            10,000 programs, about a minute on two cores
    python -m bench.sandbox --quick    2,000 programs

A program is small: it makes a part, sets it up, connects a handler and prints. Its VM is its own and holds the whole
engine. The baseline is what a sandbox without forks would do: start the worker anew for every program.
"""

import argparse
import os
import time
from pathlib import Path

from luau_rft.luau.sandbox import Limits, Program, Sandbox
from luau_rft.progress import bar

GOAL = 200  # programs a second on 2 cores
GROWTH_GOAL = 16  # MiB of all workers together
PROCESSES = 2
SOURCE = """
local part = Instance.new("Part")
part.Name = "Crate {number}"
part.Position = Vector3.new({number}, 2, 3)
part.Parent = workspace
part.Touched:Connect(function(hit)
	hit:Destroy()
end)
print(part:GetFullName(), part.Position.X)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    count = 2_000 if parser.parse_args().quick else 10_000
    fresh = 1 / starting()
    rate, growth = running(count)
    print(f"{count} programs: {rate:.0f} a second with {PROCESSES} workers, {fresh:.1f} with a new worker for each")
    print(f"RESULT sandbox_programs_per_second {rate:.0f} >={GOAL}")
    print(f"RESULT sandbox_speedup_over_new_workers {rate / fresh:.1f} >=10")
    print(f"RESULT sandbox_memory_growth_mib {growth:.1f} <={GROWTH_GOAL}")


def program(number: int) -> Program:
    return Program(SOURCE.replace("{number}", str(number)), limits=Limits(seconds=1))


def starting(times: int = 3) -> float:
    """Seconds that one program takes with a worker that starts for it."""
    start = time.perf_counter()
    for number in range(times):
        with Sandbox(processes=1) as sandbox:
            assert next(sandbox.run([program(number)])).ok
    return (time.perf_counter() - start) / times


def running(count: int) -> tuple[float, float]:
    """Programs a second, and the MiB by which the workers grew after the first tenth."""
    with Sandbox(PROCESSES) as sandbox, bar("running", count) as advance:
        list(sandbox.run(program(number) for number in range(PROCESSES * 2)))  # the workers start
        begin = time.perf_counter()
        before = 0.0
        for number, result in enumerate(sandbox.run(program(number) for number in range(count))):
            assert result.output == [f"Workspace.Crate {number} {number}"], result
            if number == count // 10:
                before = resident(sandbox)
            advance(1)
        return count / (time.perf_counter() - begin), resident(sandbox) - before


def resident(sandbox: Sandbox) -> float:
    """MiB that the workers hold (Linux)."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in sandbox.pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
