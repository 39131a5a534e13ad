"""Are the scorers right? On real code, on code broken on purpose, and on code padded to please them.

    python -m bench.scorers_truth                 about 2 minutes on two cores
    python -m bench.scorers_truth --quick         every 12th file, fewer mutants: under a minute on one core
    python -m bench.scorers_truth --show-missed   also lists mutants that no scorer saw and the worst foolings

1. False alarms. The Luau files of 128 npm packages are valid and at work, so ``syntax`` has to be 1.0 for each, and
   what the rules ``undefined-global``, ``unknown-service``, ``unknown-class`` and ``unknown-member`` find there may be
   wrong. A sample of the findings, fixed by a seed, has been read by hand (``alarms.yaml``). The rate of false
   alarms is that of all findings times the share of false ones in the sample; what nobody has read counts as false.
2. Mutants (``mutants.py``). The same files with one fault each; caught is a mutant for which the score in charge of
   such faults falls. Where that score is 0 from the start, nothing can fall: such mutants are counted apart («at 0»).
   As libraries have few places for some kinds, the hand-written scripts are a second source.
3. Fooling (``fooling.py``). Changes without a function must not raise the composite of weak programs (``weak/``).
"""

import argparse
import hashlib
import math
import multiprocessing
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import yaml

from bench.corpus import File, npm_files, weak_programs, written_files
from bench.fooling import TRANSFORMS, Transform
from bench.mutants import KINDS, Edit, mutants, spread
from luau_rft.scorers import api, bugs, syntax
from luau_rft.scorers.composite import score_code

ALARMS = Path(__file__).with_name("alarms.yaml")
ALARM_RULES = ("undefined-global", "unknown-class", "unknown-member", "unknown-service")
SCORERS = {"syntax": syntax.score, "api": api.score, "bugs": bugs.score}
SEED = "1"
SAMPLE = 40  # findings to read
PER_FILE = 5  # mutants of a kind taken from one file at most

Input = TypeVar("Input")
Output = TypeVar("Output")
Run = Callable[[Callable[[Input], Output], list[Input]], list[Output]]  # maps a function over inputs, in order
Key = tuple[str, int, str]  # path, line and rule of a finding


@dataclass(frozen=True, slots=True)
class Alarm:
    """A finding of one of ``ALARM_RULES`` in a file that is at work."""

    path: str
    line: int
    rule: str
    message: str

    @property
    def key(self) -> Key:
        return self.path, self.line, self.rule


@dataclass(frozen=True, slots=True)
class Mutant:
    """A program and the fault that is put into it."""

    file: File
    kind: str
    edit: Edit

    def __str__(self) -> str:
        data = self.file.source.encode()
        line = data.count(b"\n", 0, self.edit.start) + 1
        old = data[self.edit.start : self.edit.end].decode()
        return f"{self.file.path}:{line}: {' '.join(old.split())[:80]!r} -> {' '.join(self.edit.text.split())[:80]!r}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``is_caught`` if the matching score fell, which it cannot if ``was_zero``; ``rules`` have new findings."""

    mutant: Mutant
    was_zero: bool
    is_caught: bool
    rules: list[str]


@dataclass(frozen=True, slots=True)
class Places:
    """What one file offers: for each kind the number of places and a few edits."""

    counts: dict[str, int]
    chosen: list[Mutant]


def alarms(file: File) -> tuple[float, list[Alarm]]:
    """The syntax score of a file and the findings of ``ALARM_RULES``."""
    findings = (*bugs.score(file.source).findings, *api.score(file.source).findings)
    found = [Alarm(file.path, f.line, f.rule, f.message) for f in findings if f.rule in ALARM_RULES]
    return syntax.score(file.source).value, found


def places(file: File) -> Places:
    """Where faults fit into a file."""
    found = {kind: mutants(file.source, kind, f"{SEED}:{file.path}", PER_FILE) for kind in KINDS}
    chosen = [Mutant(file, kind, edit) for kind, (_, edits) in found.items() for edit in edits]
    return Places({kind: count for kind, (count, _) in found.items()}, chosen)


def judge(mutant: Mutant) -> Verdict:
    """Whether the matching score falls."""
    scorer = SCORERS[KINDS[mutant.kind].scorer]
    before, after = scorer(mutant.file.source), scorer(mutant.edit.apply(mutant.file.source))
    new = Counter(f.rule for f in after.findings) - Counter(f.rule for f in before.findings)
    return Verdict(mutant, before.value == 0, after.value < before.value, sorted(new))


def sample_of(found: Iterable[Alarm], size: int = SAMPLE) -> list[Alarm]:
    """The findings to read. Each has its place in the draw, so that a mended rule does not change the others'."""
    draw = {alarm.key: alarm for alarm in found}
    return sorted(draw.values(), key=lambda alarm: hashlib.sha256(f"{SEED}:{alarm.key}".encode()).digest())[:size]


def wilson(hits: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share.

    >>> [round(bound, 3) for bound in wilson(9, 10)]
    [0.596, 0.982]
    """
    if total == 0:
        return 0.0, 1.0
    z, share = 1.96, hits / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return max(0.0, middle - half), min(1.0, middle + half)


def measure_alarms(files: list[File], verdicts: dict[Key, bool], run: Run) -> list[str]:
    """Print the first part; ``verdicts`` tells which findings are real."""
    values, found = zip(*run(alarms, files), strict=True)
    found = [alarm for part in found for alarm in part]
    lines = sum(file.lines for file in files)
    below = sum(value < 1 for value in values)
    print(f"\n1. {len(files)} files of npm packages, {lines} lines; {below} with syntax below 1.0")
    for rule, count in sorted(Counter(alarm.rule for alarm in found).items()):
        print(f"   {rule:17} {count:4} findings, {1000 * count / lines:.3f} per 1,000 lines")
    sample = sample_of(found)
    unread = [alarm for alarm in sample if alarm.key not in verdicts]
    false = sum(not verdicts.get(alarm.key, False) for alarm in sample)
    for alarm in unread:
        print(f"   unread: {alarm.path}:{alarm.line}: {alarm.rule}: {alarm.message}")
    rate = 1000 * len(found) / lines * false / max(1, len(sample))
    print(f"   sample of {len(sample)}: {len(sample) - false} real, {false} false, {len(unread)} of these unread")
    return [f"syntax_below_one {below / len(files):.4f} <=0", f"false_alarms_per_1000_lines {rate:.3f} <0.2"]


def read_verdicts(path: Path = ALARMS) -> dict[Key, bool]:
    """Which findings are real, from the file of those that were read by hand."""
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {(entry["path"], entry["line"], entry["rule"]): entry["verdict"] == "real" for entry in entries}


def measure_mutants(source: str, files: list[File], most: int, run: Run, show_missed: bool) -> list[str]:
    """Print the second part for up to ``most`` mutants of each kind."""
    found = run(places, files)
    print(f"\n2. Mutants of the {source} files")
    print("   kind             places  files  at 0  used  caught  95 % interval   by")
    results = []
    for kind, about in KINDS.items():
        offered = [mutant for part in found for mutant in part.chosen if mutant.kind == kind]
        random.Random(f"{SEED}:{kind}").shuffle(offered)
        drawn = spread(spread(offered, lambda mutant: mutant.file.path), lambda mutant: mutant.edit.form)[:most]
        drawn.sort(key=lambda mutant: mutant.file.path)  # so that a file's own score is worked out once
        verdicts = run(judge, drawn)
        used = [verdict for verdict in verdicts if not verdict.was_zero]
        caught = [verdict for verdict in used if verdict.is_caught]
        low, high = wilson(len(caught), len(used))
        share = len(caught) / len(used) if used else math.nan
        by = Counter(rule for verdict in caught for rule in verdict.rules).most_common(3)
        total, in_files = sum(part.counts[kind] for part in found), sum(part.counts[kind] > 0 for part in found)
        print(
            f"   {kind:15} {total:7} {in_files:6} {len(drawn) - len(used):5} {len(used):5}  {share:6.3f}  "
            f"{low:.3f} to {high:.3f}  {', '.join(f'{rule} {count}' for rule, count in by)}"
        )
        if show_missed:
            missed = [verdict.mutant for verdict in used if not verdict.is_caught]
            for mutant in spread(missed, lambda mutant: mutant.edit.form)[:5]:
                print(f"      missed: {mutant}")
        if used:
            results.append(f"{source}_caught_{kind} {share:.3f} >={about.goal:.2f}")
    return results


def measure_fooling(weak: list[File], transforms: Sequence[Transform], run: Run, show_missed: bool) -> list[str]:
    """Print the third part."""
    own = run(composite, [program.source for program in weak])
    pairs = [(program, value, transform) for program, value in zip(weak, own, strict=True) for transform in transforms]
    fooled = run(composite, [transform.apply(program.source) for program, _, transform in pairs])
    rises = sorted(
        (
            (after - before, transform.name, program.path, before, after)
            for (program, before, transform), after in zip(pairs, fooled, strict=True)
        ),
        reverse=True,
    )
    worst = sorted({rise[1]: rise for rise in reversed(rises)}.values(), reverse=True)  # one of each change
    too_much = sum(rise[0] > 0.02 for rise in worst)
    print(f"\n3. {len(transforms)} changes without a function, on {len(weak)} weak programs: {too_much} raise too much")
    for rise, name, path, before, after in worst[: max(1, too_much) if show_missed else 1]:
        print(f"   {rise:+.4f} {name}, {path}: {before:.3f} -> {after:.3f}")
    trivial = {program.path: value for program, value in zip(weak, own, strict=True) if program.path in TRIVIAL}
    print("   " + ", ".join(f"{path} {value:.2f}" for path, value in trivial.items()))
    return [f"fooling_max_rise {rises[0][0]:.4f} <=0.02", f"trivial_max_composite {max(trivial.values()):.4f} <=0.2"]


TRIVIAL = ("comments-only.luau", "empty.luau", "one-line.luau", "prints-only.luau")


def composite(source: str) -> float:
    return score_code(source).composite


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="every 12th file, at most 40 mutants a kind, one process")
    parser.add_argument("--show-missed", action="store_true", help="list missed mutants, 5 a kind, and all foolings")
    options = parser.parse_args()
    files = npm_files(12 if options.quick else 1)
    unique = list({file.source: file for file in files}.values())
    most = 40 if options.quick else 300
    with multiprocessing.Pool(1 if options.quick else 2) as pool:

        def run(function: Callable[[Input], Output], inputs: list[Input]) -> list[Output]:
            return pool.map(function, inputs, chunksize=16)

        results = [
            *measure_alarms(files, read_verdicts(), run),
            *measure_mutants("npm", unique, most, run, options.show_missed),
            *measure_mutants("written", written_files(), most, run, options.show_missed),
            *measure_fooling(weak_programs(), TRANSFORMS, run, options.show_missed),
        ]
    print()
    for result in results:
        print("RESULT", result)


if __name__ == "__main__":
    main()
