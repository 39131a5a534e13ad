"""Generate → score → correct: a wish becomes a script that scores well and runs.

    agent = Agent(open_local("rft"))
    for event in agent.ask("Make a part that gives coins"):
        ...                                  # Started, Delta ..., Checked, and at the end Finished
    print(agent.best.code)

The model never sees more than four messages: the system prompt, the first wish, the best script so far, and what is
asked about it: its findings, the worst first, or the change that the user wants. What was said before them is left out,
so that a conversation does not grow. Where even these are too long for the model, the mildest findings are left out.
"""

import hashlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Literal

from luau_rft.agent_check import RUNS_HERE, Report, check_code, lines
from luau_rft.errors import UserError
from luau_rft.model.chat import Chat, Finish, messages
from luau_rft.model.clean import clean
from luau_rft.model.prompt import Messages
from luau_rft.tasks import Task

THRESHOLD = 0.85
ROUNDS = 3
MOST_FINDINGS = 20  # told of one round

# For models that do not know the format from training.
SEVERAL = (
    "If this takes more than one script, put them all into one answer, each below a comment line with its place and "
    "name, such as `-- ServerScriptService/Shop.server.luau`, `-- StarterPlayer/StarterPlayerScripts/Shop.client.luau` "
    "or `-- ReplicatedStorage/Prices.luau`."
)
REPAIR_WISH = "Write a Roblox Luau script."
CORRECT = (
    "A check of this code found, the worst first:\n\n{findings}\n\n"
    "Write all of the code again with these put right, and keep everything else that was asked for. Output only code."
)
CHANGE = "Change the code: {change}\n\nKeep the rest as it is. Write all of the code again. Output only code."
CHANGED = "The code must also do this: {change}\n\n"
CUT_OFF = "- it ends in the middle, after {tokens} tokens, the longest that an answer can be: write a shorter one"
HARDLY = "- it does hardly anything: write the whole program, no stub"

# Why a turn ended: good enough; a round without gain; the same code again; no rounds left; or the code with its
# findings does not fit into the model's context.
Reason = Literal["good", "no-gain", "same-code", "rounds", "context"]


@dataclass(frozen=True, slots=True)
class Round:
    """What the model answered in a round; ``finish`` is "length" where the answer was cut off."""

    number: int
    code: str
    finish: Finish
    report: Report

    @property
    def score(self) -> float:
        return self.report.score


@dataclass(frozen=True, slots=True)
class Started:
    """The model begins to write; ``findings`` is how many it was told."""

    number: int
    model: str
    findings: int


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of the answer, as the model wrote it."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A round's code is scored and was run; ``gained``: it is the best so far."""

    round: Round
    gained: bool


@dataclass(frozen=True, slots=True)
class Finished:
    best: Round
    rounds: tuple[Round, ...]
    reason: Reason


Event = Started | Delta | Checked | Finished


class Agent:
    """Has ``chat`` write a script, and write it again with its findings while they are worth it.

    A round is good enough when its score reaches ``threshold`` and nothing went wrong when it ran. Until then, at most
    ``rounds`` more are asked for, each about the best one so far, and none after one that brought no gain. With a
    ``task`` its checks are played. ``kind`` is server, client or module, by default what the code looks like. The same
    seed and questions give the same answers as far as the model does.
    """

    def __init__(
        self,
        chat: Chat,
        threshold: float = THRESHOLD,
        rounds: int = ROUNDS,
        task: Task | None = None,
        *,
        kind: str | None = None,
        seed: int = 0,
        run: bool = RUNS_HERE,
    ) -> None:
        self.chat, self.threshold, self.rounds, self.task = chat, threshold, rounds, task
        self.kind, self.seed, self.run = kind, seed, run
        self.wish: str | None = None
        self.best: Round | None = None  # of the last turn that brought code
        self._answers = 0

    def ask(self, wish: str) -> Iterator[Event]:
        """Write a new script. Raises ``UserError`` where the model cannot be asked."""
        self.wish, self.best = wish, None
        if self.task is None and not self.chat.verbatim:
            self.wish = f"{wish}\n\n{SEVERAL}"
        yield from self._turn(messages(self.wish))

    def follow_up(self, change: str) -> Iterator[Event]:
        """Change the best script of the last turn; without one, write a new script."""
        if self.best is None or self.wish is None:
            yield from self.ask(change)
            return
        yield from self._turn(messages(self.wish, self.best.code, CHANGE.format(change=change)), change=change)

    def repair(self, code: str, wish: str = REPAIR_WISH) -> Iterator[Event]:
        """Correct a script that is there: it is the round 0. ``wish`` is what it is for."""
        self.wish, self.best = wish, None
        yield from self._turn(given=code)

    def change(self, code: str, change: str) -> Iterator[Event]:
        """Change a script that is there, even where nothing is found to correct."""
        self.wish, self.best = REPAIR_WISH, Round(0, code, "stop", check_code(code, self.kind, self.task, self.run))
        yield from self.follow_up(change)

    def good(self, round: Round) -> bool:
        """Whether there is nothing to correct."""
        return round.score >= self.threshold and round.report.in_order

    def _turn(self, asked: Messages = (), given: str | None = None, change: str | None = None) -> Iterator[Event]:
        if given is None and not self.chat.fits(asked):
            raise UserError(
                f"the wish and the script are too long for {self.chat.name} with answers of {self.chat.max_tokens} "
                "tokens; say it in fewer words, lower --max-tokens or take another model"
            )
        done: list[Round] = []
        best: Round | None = None
        reason: Reason = "rounds"
        for number in range(self.rounds + 1):
            if number == 0 and given is not None:
                code, finish = given, "stop"
            else:
                findings = 0
                if best is not None:
                    asked, findings = self._correction(best, change)
                if not asked:
                    reason = "context"
                    break
                yield Started(number, self.chat.name, findings)
                text, finish = yield from self._written(number, asked)
                code = clean(text)[0]
            if best is not None and code == best.code:
                reason = "same-code"
                break
            latest = Round(number, code, finish, check_code(code, self.kind, self.task, self.run))
            done.append(latest)
            gained = best is None or latest.score > best.score
            if gained:
                best = self.best = latest
            yield Checked(latest, gained)
            if self.good(best):
                reason = "good"
                break
            if not gained:
                reason = "no-gain"
                break
        yield Finished(best, tuple(done), reason)

    def _written(self, number: int, asked: Messages) -> Generator[Event, None, tuple[str, Finish]]:
        """The whole answer and why it ended."""
        self._answers += 1
        pieces: list[str] = []
        stream = self.chat.stream(asked, self._seed())
        try:
            while True:
                piece = next(stream)
                if piece:
                    pieces.append(piece)
                    yield Delta(number, piece)
        except StopIteration as end:
            return "".join(pieces), end.value or "stop"
        finally:
            stream.close()  # stops the model where the caller has stopped listening

    def _correction(self, best: Round, change: str | None) -> tuple[Messages, int]:
        """The question about the best round, with as many findings as fit, and how many; none where not one fits."""
        found = lines(best.report.findings, MOST_FINDINGS)
        if not best.report.scores.has_substance or not found:
            found.insert(0, HARDLY)
        if best.finish == "length":
            found.insert(0, CUT_OFF.format(tokens=self.chat.max_tokens))
        before = CHANGED.format(change=change) if change else ""
        for count in range(len(found), 0, -1):
            request = before + CORRECT.format(findings="\n".join(found[:count]))
            asked = messages(self.wish, best.code, request)
            if self.chat.fits(asked):
                return asked, count
        return [], 0

    def _seed(self) -> int:
        """Another one for each answer."""
        return int(hashlib.sha256(f"{self.seed}:{self._answers}".encode()).hexdigest()[:7], 16)
