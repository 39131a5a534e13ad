"""Do the checks of the tasks notice faults? References with one fault each, judged like any candidate.

    python -m bench.task_mutants                  10 mutants a task, about 4 minutes on two cores
    python -m bench.task_mutants --quick          every 8th task
    python -m bench.task_mutants --show-missed    also lists the mutants that lost nothing

A mutant drops a statement, negates a condition or swaps a constant. It counts if what the engine saw it do during the
checks differs from what the reference did: other mutants are the same program. Noticed is one whose value is lower.
"""

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, islice, zip_longest

from luau_rft.judges.execution import weigh
from luau_rft.luau.compiler import compile_error
from luau_rft.luau.flow import branches
from luau_rft.luau.sandbox import Program, Sandbox
from luau_rft.luau.tree import Node, Tree
from luau_rft.progress import bar
from luau_rft.roblox.scripts import split
from luau_rft.tasks import Task, load_tasks

GOAL = 0.80
PER_TASK = 10
TRACE = 5_000  # effects a check
SEED = 1
_DROPPED = ("function_call", "assignment_statement", "update_statement", "return_statement", "if_statement")


@dataclass(frozen=True, slots=True)
class Mutant:
    """``source`` is the whole answer with the fault in it; ``what`` says what was done and on which line."""

    task: Task
    kind: str
    what: str
    source: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--show-missed", action="store_true", help="list the mutants that lost nothing")
    options = parser.parse_args()
    tasks = [task for name in ("train", "eval") for task in load_tasks(f"data/tasks/{name}")][
        :: 8 if options.quick else 1
    ]
    outcomes = judged(tasks)
    if options.show_missed:
        for mutant, noticed in outcomes:
            if noticed is False:
                print(f"{mutant.task.id}: {mutant.what}")
    print(f"{len(tasks)} tasks, {len(outcomes)} mutants")
    for kind, group in groupby(sorted(outcomes, key=lambda outcome: outcome[0].kind), lambda outcome: outcome[0].kind):
        verdicts = [noticed for _, noticed in group]
        print(
            f"{kind}: {verdicts.count(None)} do the same, {verdicts.count(True)} noticed, {verdicts.count(False)} not"
        )
    differing = [noticed for _, noticed in outcomes if noticed is not None]
    print(f"RESULT mutants_noticed {sum(differing) / max(len(differing), 1):.3f} >={GOAL}")


def judged(tasks: list[Task]) -> list[tuple[Mutant, bool | None]]:
    """Each mutant with whether it lost value, None where it did the same as the reference."""
    made = [(task, list(mutants(task))) for task in tasks]
    programs = [
        Program(source, task.kind, task.checks, trace=TRACE)
        for task, found in made
        for source in (task.reference, *(mutant.source for mutant in found))
    ]
    outcomes: list[tuple[Mutant, bool | None]] = []
    with Sandbox(processes=2) as sandbox, bar("judging", len(programs)) as advance:
        results = sandbox.run(programs)
        for task, found in made:
            reference = next(results)
            best = weigh(task, reference).value
            advance(1)
            for mutant in found:
                result = next(results)
                value = weigh(task, result).value
                same = result.trace == reference.trace
                outcomes.append((mutant, None if same else value is None or value < best))
                advance(1)
    return outcomes


def mutants(task: Task) -> Iterator[Mutant]:
    """Up to ``PER_TASK`` mutants that compile, of the three kinds in turn."""
    edits: dict[str, list[Mutant]] = {"drop": [], "negate": [], "constant": []}
    above = 0
    for script in split(task.reference, task.kind):
        for kind, node, text in _edits(Tree(script.source)):
            start, end = (above + len(script.source.encode()[:offset].decode()) for offset in (node.start, node.end))
            what = f"{kind}, line {node.line + script.line}: {' '.join(node.text[:60].split())}"
            edits[kind].append(Mutant(task, kind, what, task.reference[:start] + text + task.reference[end:]))
        above += len(script.source)
    random_ = random.Random(f"{SEED} {task.id}")
    for found in edits.values():
        random_.shuffle(found)
    in_turn = (mutant for round_ in zip_longest(*edits.values()) for mutant in round_ if mutant is not None)
    yield from islice(filter(_compiles, in_turn), PER_TASK)


def _compiles(mutant: Mutant) -> bool:
    return not any(compile_error(script.source) for script in split(mutant.source, mutant.task.kind))


def _edits(tree: Tree) -> Iterator[tuple[str, Node, str]]:
    """Kind, place and new text of every fault that fits somewhere."""
    for node in tree.of(*_DROPPED):
        if node.is_statement:
            yield "drop", node, ""
    for statement in tree.of("if_statement"):
        for condition, _ in branches(statement):
            if condition is not None:
                yield "negate", condition, f"not ({condition.text})"
    for node in tree.of("number", "true", "false", "string"):
        if node.parent is not None and node.parent.type == "arguments" and "GetService" in node.parent.parent.text[:40]:
            continue
        yield "constant", node, _other(node)


def _other(node: Node) -> str:
    if node.type == "number":
        return f"({node.text} * 2)" if node.text.strip("0_.") else "1"
    if node.type == "string":
        return f"{node.text[:-1]}x{node.text[-1]}"
    return "false" if node.type == "true" else "true"


if __name__ == "__main__":
    main()
