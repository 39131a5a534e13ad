"""What does self-correction gain? Composite and checks passed after each round, over the held-out tasks.

    python -m bench.agent                       the adapter models/rft, all tasks, half an hour on a CPU
    python -m bench.agent --model sft --tasks 10 --control
    python -m bench.agent --url http://127.0.0.1:8000/v1 --model NAME
    python -m bench.agent --quick               3 tasks, 64 tokens an answer, under a minute

Each task is one wish of the agent, with its checks. A round's figures are those of the best answer up to it, so that a
task which ended early counts in the later rounds with what it ended with, as it does for the user. The best answer is
the one with the higher score (``luau_rft/agent_check.py``), so the score cannot fall; its composite can.

Keeping the best of several answers gains without any correction. ``--control`` asks as many times again without the
findings, with other seeds, and says what that gives: what correction gains beyond it is what the findings are worth.
"""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from luau_rft.agent import Agent, Checked, Finished, Round
from luau_rft.agent_command import Options, open_chat
from luau_rft.model.chat import Chat
from luau_rft.progress import bar
from luau_rft.tasks import Task, load_tasks

ROOT = Path(__file__).parents[1]
QUICK_TASKS, QUICK_TOKENS = 3, 64
CONTROL_SEED = 1_000_000


@dataclass(frozen=True)
class Course:
    """How a task went: the best answer after each round, and how many answers the model gave."""

    best: tuple[Round, ...]
    answers: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--model", help="rft (default), sft, base or a folder; with --url the server's name for it")
    parser.add_argument("--url", help="a server with OpenAI's chat API")
    parser.add_argument("--tasks", type=int, help="so many of them, at even distances")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-tokens", type=int)
    parser.add_argument("--control", action="store_true", help="ask as often without findings, too")
    options = parser.parse_args()
    tokens = QUICK_TOKENS if options.quick and options.url is None else options.max_tokens
    chat = open_chat(Options(model=options.model, url=options.url, max_tokens=tokens))
    tasks = spread(load_tasks(ROOT / "data/tasks/eval"), QUICK_TASKS if options.quick else options.tasks)
    corrected, controlled = [], []
    with bar(f"{chat.name}: {len(tasks)} tasks", len(tasks)) as advance:
        for task in tasks:
            corrected.append(correct(chat, task, options.rounds, options.seed))
            if options.control:
                controlled.append(ask_again(chat, task, corrected[-1], options.rounds, options.seed))
            advance(1)
    print(f"{chat.name}: {len(tasks)} held-out tasks, answers of up to {chat.max_tokens} tokens")
    report("agent", corrected)
    if options.control:
        report("fresh", controlled)


def spread(tasks: Sequence[Task], count: int | None) -> Sequence[Task]:
    """``count`` of the tasks at even distances; None means all.

    >>> spread("abcdefgh", 4)
    ['a', 'c', 'e', 'g']
    """
    if count is None or count >= len(tasks):
        return tasks
    return [tasks[len(tasks) * place // count] for place in range(count)]


def correct(chat: Chat, task: Task, rounds: int, seed: int) -> Course:
    """The agent's own course."""
    best: list[Round] = []
    answers = 0
    for event in Agent(chat, rounds=rounds, task=task, seed=seed).ask(task.prompt):
        if isinstance(event, Checked):
            best.append(event.round if event.gained else best[-1])
        elif isinstance(event, Finished):
            # An answer that was the same code again is not checked, but was given.
            answers = len(event.rounds) + (event.reason == "same-code")
    return Course(filled(best, rounds), answers)


def ask_again(chat: Chat, task: Task, course: Course, rounds: int, seed: int) -> Course:
    """The best of as many answers to the wish alone; the first is the same."""
    best = [course.best[0]]
    for number in range(1, course.answers):
        agent = Agent(chat, rounds=0, task=task, seed=seed + CONTROL_SEED + number)
        for _ in agent.ask(task.prompt):
            pass
        best.append(agent.best if agent.best.score > best[-1].score else best[-1])
    return Course(filled(best, rounds), course.answers)


def filled(best: list[Round], rounds: int) -> tuple[Round, ...]:
    return (*best, *[best[-1]] * (rounds + 1 - len(best)))


def report(name: str, courses: list[Course]) -> None:
    """Print the means after each round, and what the last has above the first."""
    title = "corrected" if name == "agent" else "asked again without findings"
    print(f"\n{title}, {sum(course.answers for course in courses)} answers")
    print("round  composite  checks passed  compiles  score")
    table = []
    for number in range(len(courses[0].best)):
        rounds = [course.best[number].report for course in courses]
        composite = mean(r.scores.composite for r in rounds)
        passed = mean(r.passed / r.total for r in rounds)
        compiles = mean(r.scores.compiles for r in rounds)
        print(
            f"{number:5}  {composite:9.3f}  {passed:13.3f}  {compiles:8.2f}  {mean(r.score for r in rounds):5.3f}",
            flush=True,
        )
        table.append((composite, passed))
    print()
    for number, (composite, passed) in enumerate(table):
        print(f"RESULT {name}_composite_round_{number} {composite:.3f}")
        print(f"RESULT {name}_checks_round_{number} {passed:.3f}")
    goal = " >0" if name == "agent" else ""
    print(f"RESULT {name}_composite_gain {table[-1][0] - table[0][0]:+.3f}{goal}")
    print(f"RESULT {name}_checks_gain {table[-1][1] - table[0][1]:+.3f}{goal}")


def mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


if __name__ == "__main__":
    main()
