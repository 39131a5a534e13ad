"""How long the four scorers take, as a multiple of compiling and parsing the same files.

    python -m bench.scorers_speed            all 1,387 files, and the memory over 100,000 scorings (about 10 minutes)
    python -m bench.scorers_speed --quick    every 8th file, and 2,000 scorings

Floor and scorers take turns file by file in one process, and processor time counts, so that a busy machine slows both.
"""

import argparse
import os
import time
from pathlib import Path

import tree_sitter
import tree_sitter_luau

from bench.corpus import npm_files
from luau_rft.luau.compiler import compile_error
from luau_rft.progress import bar
from luau_rft.scorers.composite import score_code

GOAL = 5.0  # times the floor: about what luau-analyze needs for these files
GROWTH_GOAL = 32  # MiB; a leak of one small tree a file would be gigabytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    quick = parser.parse_args().quick
    sources = [file.source for file in npm_files(8 if quick else 1)]
    floor, scored = speed(sources)
    size = sum(map(len, sources)) / 1e6
    print(f"{len(sources)} files, {size:.1f} MB: compile and parse {floor:.2f} s, four scorers {scored:.2f} s")
    print(f"{size / scored:.2f} MB/s, {1000 * scored / len(sources):.2f} ms a file")
    growth = memory(sources, 2_000 if quick else 100_000)
    print(f"RESULT scorers_times_floor {scored / floor:.2f} <={GOAL:g}")
    print(f"RESULT scorers_memory_growth_mib {growth:.1f} <={GROWTH_GOAL}")


def speed(sources: list[str]) -> tuple[float, float]:
    """Seconds of the floor and of the scorers over all files."""
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_luau.language()))
    floor = scored = 0.0
    score_code(sources[0])  # loads the database
    with bar("scoring", len(sources)) as advance:
        for source in sources:
            start = time.process_time()
            compile_error(source)
            parser.parse(source.encode())
            middle = time.process_time()
            score_code(source)
            scored += time.process_time() - middle
            floor += middle - start
            advance(1)
    return floor, scored


def memory(sources: list[str], count: int) -> float:
    """MiB by which the process grows between the first tenth of ``count`` scorings and the last."""
    # Short files, each with a text of its own: the time goes into many files, and none is found in a cache.
    short = [source for source in sources if len(source) < 1500]
    before = 0.0
    with bar("scoring many files", count) as advance:
        for i in range(count):
            score_code(f"{short[i % len(short)]}\n-- {i}")
            if i == count // 10:
                before = resident()
            advance(1)
    return resident() - before


def resident() -> float:
    """MiB of memory that this process holds (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
