"""The command ``luau-rft agent``: a wish in the terminal, a script on the standard output.

The standard output holds the code alone; all else goes to the standard error. With ``--json`` it holds one event a line
instead, each an object with ``event`` and:

    started    round, model, findings (how many the model was told)
    text       round, text (a piece of the answer)
    checked    round, gained, score, composite, syntax, api, bugs, quality, compiles, kind, ran, cut_off, checks_passed,
               checks_total (null without a task), scripts [{name, kind, path, composite}], findings [{rule, scorer,
               line, column, message, penalty}] from the worst on, notes, output, code
    finished   round (the best), reason (good, no-gain, same-code, rounds, context), score, rounds [score], code
    inserted   path, backup
    error      message; in a conversation, which goes on

Without a wish and a task it is a conversation: each line changes the last script; lines that begin with / are commands.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from luau_rft.agent import Agent, Checked, Delta, Event, Finished, Started
from luau_rft.agent_check import RUNS_HERE, Report, scripts_of
from luau_rft.errors import UserError
from luau_rft.judges.command import find_task
from luau_rft.model.chat import Chat, ServedChat, open_local
from luau_rft.roblox.scripts import Script
from luau_rft.scorers.command import check_kind
from luau_rft.scorers.composite import SCORERS
from luau_rft.scorers.explain import price
from luau_rft.scorers.listing import printable

SHOWN = 10  # findings of a round; the model gets more of them
INTERRUPTED = 130
SUFFIXES = {"server": ".server.luau", "client": ".client.luau", "module": ".luau"}

REASONS = {
    "good": "good enough",
    "no-gain": "the last round brought no gain",
    "same-code": "the model wrote the same code again",
    "rounds": "no rounds left",
    "context": "the code and its findings are too long for the model",
}
HELP = """\
A line asks for a script; the next ones change it.
/new WISH    begin another script
/show        show the script
/save FILE   write it to a file, or each script of it into a folder
/insert      put it into the open place in Roblox Studio
/help        this
/quit        end; so does the end of the input"""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command was asked for; see ``luau-rft agent --help``."""

    task: str | None = None
    model: str | None = None
    url: str | None = None
    rounds: int = 3
    threshold: float = 0.85
    kind: str | None = None
    output: str | None = None
    insert: bool = False
    place: str | None = None
    seed: int = 0
    max_tokens: int | None = None
    context: int | None = None
    run: bool = True
    json: bool = False


def run_agent(wish: str | None, options: Options) -> int:
    """Fulfil one wish, or hold a conversation; returns the exit status. Raises ``UserError`` for what a user can mend.

    A wish that is interrupted gives the best script so far, and the status 130.
    """
    _check(wish, options)
    # Polars puts a handler of its own below Python's, with which a read from the terminal or a server outlasts Ctrl+C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.stderr is not None:
        sys.stderr.reconfigure(errors="backslashreplace")  # a terminal may not know every character
    if sys.stdin is not None:
        sys.stdin.reconfigure(errors="replace")
    task = find_task(options.task) if options.task else None
    agent = Agent(
        open_chat(options), options.threshold, options.rounds, task,
        kind=options.kind, seed=options.seed, run=options.run and RUNS_HERE,
    )  # fmt: skip
    desk = _Desk(agent, options)
    if wish is None and task is None:
        return desk.converse()
    # What is no UTF-8 on the command line arrives as half a surrogate pair, which no model can be told.
    asked = (wish or task.prompt).encode("utf-8", "replace").decode()
    interrupted = not desk.turn(agent.ask(asked))
    if agent.best is not None:
        desk.deliver(agent.best.code, agent.best.report)
    return INTERRUPTED if interrupted else 0


def open_chat(options: Options) -> Chat:
    """The model that the options name. Raises ``UserError``."""
    if options.url is None:
        return open_local(options.model or "rft", options.max_tokens)
    settings = {} if options.max_tokens is None else {"max_tokens": options.max_tokens}
    return ServedChat(options.url, options.model, context=options.context, **settings)


def as_json(event: Event) -> dict[str, object]:
    """An event as ``--json`` prints it."""
    match event:
        case Started():
            return {"event": "started", "round": event.number, "model": event.model, "findings": event.findings}
        case Delta():
            return {"event": "text", "round": event.number, "text": event.text}
        case Checked():
            return {"event": "checked", "round": event.round.number, "gained": event.gained} | _round_as_json(event)
        case Finished():
            best = {"round": event.best.number, "reason": event.reason, "score": event.best.score}
            scores = [done.score for done in event.rounds]
            return {"event": "finished", **best, "rounds": scores, "code": event.best.code}


def _round_as_json(event: Checked) -> dict[str, object]:
    report, scores = event.round.report, event.round.report.scores
    values = {name: getattr(scores, name) for name in ("composite", *SCORERS, "compiles")}
    scripts = [
        {"name": part.script.name, "kind": part.script.kind, "path": part.script.path, "composite": part.composite}
        for part in report.parts
    ]
    return {
        "score": report.score, **values, "kind": report.kind, "ran": report.ran,
        "cut_off": event.round.finish == "length", "checks_passed": report.passed, "checks_total": report.total,
        "scripts": scripts, "findings": [asdict(finding) for finding in report.findings],
        "notes": list(report.notes), "output": list(report.output), "code": event.round.code,
    }  # fmt: skip


def visible(text: str) -> str:
    r"""Text of a model for a terminal: line breaks and tabs as they are, whatever else it would obey as an escape.

    >>> visible("print(1)\n\x1b]0;title\x07")
    'print(1)\n\\x1b]0;title\\x07'
    """
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def write_code(code: str, kind: str, path: Path) -> list[Path]:
    """Write a program to a file, or into a folder each of its scripts where it belongs, under Rojo's names.

    A folder is what is one, or whose name ends with a slash. Returns the files.
    """
    if not path.is_dir():
        _write(path, code)
        return [path]
    files = []
    for script in scripts_of(code, kind)[0]:
        file = path.joinpath(*script.folder, script.name + SUFFIXES[script.kind])
        file.parent.mkdir(parents=True, exist_ok=True)
        _write(file, script.source)
        files.append(file)
    return files


def insert(scripts: list[Script], place: str | None) -> list[tuple[str, str | None]]:
    """Put scripts into the open place; returns the path of each, and of what it replaced. Raises ``UserError``."""
    from luau_rft.studio.client import Bridge

    return [(done.path, done.backup) for done in Bridge.find(place=place).insert(scripts, place=place)]


class _Desk:
    """Shows what the agent does, and hands out what it made."""

    def __init__(self, agent: Agent, options: Options) -> None:
        self._agent, self._options = agent, options
        self._style = _styles(sys.stderr)

    def turn(self, events: Iterator[Event]) -> bool:
        """Show a turn to its end; False where the user interrupted it."""
        try:
            for event in events:
                if self._options.json:
                    _say_json(as_json(event))
                else:
                    self._show(event)
        except KeyboardInterrupt:
            events.close()
            self._tell("\ninterrupted" + ("; the best script so far is kept" if self._agent.best else ""))
            return False
        return True

    def deliver(self, code: str, report: Report) -> None:
        """Put the code where the options say."""
        if self._options.output is not None:
            try:
                self._save(code, report, _path(self._options.output))
            except OSError:
                _print_code(code)  # it may have taken minutes
                raise
        elif not self._options.json:
            _print_code(code)
        if self._options.insert:
            self._insert(report)

    def converse(self) -> int:
        """Take wishes and commands until the end of the input."""
        if sys.stdin is not None and sys.stdin.isatty():
            self._tell(f"{HELP}\n")
        try:
            while (line := self._line()) is not None:
                try:
                    if not self._obey(line.strip()):
                        break
                except UserError as error:
                    if self._options.json:
                        _say_json({"event": "error", "message": str(error)})
                    else:
                        self._tell(self._style(f"error: {visible(str(error))}", "red"))
                except OSError as error:
                    self._tell(self._style(f"error: {error.filename or ''}: {error.strerror or error}", "red"))
        except KeyboardInterrupt:
            self._tell("")
        best = self._agent.best
        # On a terminal it has been read already.
        if best and not self._options.json and not self._options.output and not _is_terminal(sys.stdout):
            _print_code(best.code)
        return 0

    def _line(self) -> str | None:
        prompt = "change> " if self._agent.best else "wish> "
        if _is_terminal(sys.stdin) and _is_terminal(sys.stdout):
            try:
                return input(prompt)
            except EOFError:
                self._tell("")
                return None
        if _is_terminal(sys.stdin):
            print(prompt, end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline() if sys.stdin is not None else ""
        return line or None

    def _obey(self, line: str) -> bool:
        """Do what a line of a conversation says; False to end."""
        command, _, rest = line.partition(" ")
        rest = rest.strip()
        if not line:
            return True
        if command in ("/quit", "/exit"):
            return False
        if not command.startswith("/"):
            self._wish(self._agent.follow_up(line))
        elif command == "/new" and rest:
            self._wish(self._agent.ask(rest))
        elif command in ("/show", "/save", "/insert"):
            self._use(command, rest)
        else:
            self._tell(HELP if command == "/help" else f"{visible(command)} is no command\n{HELP}")
        return True

    def _wish(self, events: Iterator[Event]) -> None:
        self.turn(events)
        best = self._agent.best
        if best and self._options.output:
            self._save(best.code, best.report, _path(self._options.output))
        if best and self._options.insert:
            self._insert(best.report)

    def _use(self, command: str, rest: str) -> None:
        best = self._agent.best
        if best is None:
            self._tell("there is no script yet: type what you wish for")
        elif command == "/show":
            self._tell(visible(best.code))
        elif command == "/insert":
            self._insert(best.report)
        elif rest:
            self._save(best.code, best.report, _path(rest))
        else:
            self._tell("/save FILE: name a file, or a folder")

    def _save(self, code: str, report: Report, path: Path) -> None:
        for file in write_code(code, report.kind, path):
            self._tell(f"written to {printable(str(file))}")

    def _insert(self, report: Report) -> None:
        for path, backup in insert([part.script for part in report.parts], self._options.place):
            if self._options.json:
                _say_json({"event": "inserted", "path": path, "backup": backup})
            else:
                kept = f"; what was there is now {printable(backup)}" if backup else ""
                self._tell(f"inserted into Studio: {printable(path)}{kept}")

    def _show(self, event: Event) -> None:
        match event:
            case Started():
                told = f", told {event.findings} findings" if event.findings else ""
                self._tell(self._style(f"round {event.number}: {visible(event.model)} writes{told}", "bold"))
            case Delta():
                print(visible(event.text), end="", file=sys.stderr, flush=True)
            case Checked():
                self._show_round(event)
            case Finished():
                self._summarise(event)

    def _show_round(self, event: Checked) -> None:
        report, scores = event.round.report, event.round.report.scores
        self._tell("\n")
        if event.round.finish == "length":
            self._tell(self._style("the answer was cut off: it reached --max-tokens", "yellow"))
        for finding in report.findings[:SHOWN]:
            where = f"line {finding.line}: " if finding.line else ""
            cost = f" -{price(finding.penalty)}" if finding.penalty > 0 else ""
            mark = self._style(f" [{finding.scorer}/{finding.rule}]{cost}", "dim")
            self._tell(f"{where}{self._style(visible(finding.message), 'yellow')}{mark}")
        if len(report.findings) > SHOWN:
            self._tell(f"and {len(report.findings) - SHOWN} findings more")
        for note in report.notes[:SHOWN]:
            self._tell(self._style(printable(note), "dim"))
        if len(report.parts) > 1 or report.parts[0].placed:
            for part in report.parts:
                self._tell(f"{part.script.kind} {printable(_home(part.script))}: composite {part.composite:.2f}")
        values = ", ".join(f"{name} {getattr(scores, name):.2f}" for name in SCORERS)
        self._tell(f"round {event.round.number}: {values}: composite {scores.composite:.2f}{_ran(report)}")
        gain = "" if event.gained else ", no gain"
        self._tell(self._style(f"round {event.round.number}: score {report.score:.2f}{gain}", "bold"))

    def _summarise(self, event: Finished) -> None:
        scores = " → ".join(f"{done.score:.2f}" for done in event.rounds)
        best = event.best
        told = f"score {scores}: {REASONS[event.reason]}; kept is round {best.number} with {best.score:.2f}"
        if best.score < self._agent.threshold:
            told += f", below {self._agent.threshold:g}"
        self._tell("\n" * (event.reason == "same-code") + self._style(told, "bold"))

    def _tell(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def _check(wish: str | None, options: Options) -> None:
    check_kind(options.kind)
    if wish is not None and not wish.strip():
        raise UserError("the wish is empty; say what the script shall do, or leave it out for a conversation")
    check_scale(options)
    if options.output is not None and not (folder := Path(options.output).expanduser().absolute().parent).is_dir():
        raise UserError(f"--output {options.output}: there is no folder {folder}; make it first")


def check_scale(options: Options) -> None:
    """Raise ``UserError`` for what cannot be a threshold, a number of rounds or of tokens."""
    if not 0 <= options.threshold <= 1:  # nan is neither
        raise UserError(f"--threshold: {options.threshold} is no score; write a number from 0 to 1")
    if options.rounds < 0:
        raise UserError(f"--rounds: {options.rounds} rounds cannot be; write a number from 0")
    if options.max_tokens is not None and options.max_tokens < 1:
        raise UserError(f"--max-tokens: {options.max_tokens} tokens hold no answer; write a number from 1")
    if options.context is not None and options.url is None:
        raise UserError("--context: tells what a server's model can take; give --url, too, or leave it out")


def _home(script: Script) -> str:
    return ".".join((*script.folder, script.name))


def _ran(report: Report) -> str:
    if report.total is not None:
        return f"; {report.passed} of {report.total} checks passed"
    if not report.ran:
        return "; not run"
    return "; ran without an error" if report.in_order else "; failed when it ran"


def _path(name: str) -> Path:
    path = Path(name).expanduser()
    if name.endswith(("/", os.sep)):
        path.mkdir(parents=True, exist_ok=True)
    return path


def _write(path: Path, code: str) -> None:
    path.write_text(f"{code.rstrip()}\n", encoding="utf-8", newline="\n")


def _print_code(code: str) -> None:
    text = f"{code.rstrip()}\n"
    if _is_terminal(sys.stdout):
        sys.stdout.reconfigure(errors="backslashreplace")
        text = visible(text)
    else:
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # Luau source is UTF-8 wherever it goes
    sys.stdout.write(text)
    sys.stdout.flush()


def _say_json(content: dict[str, object]) -> None:
    print(json.dumps(content), flush=True)


def _is_terminal(stream: IO[str] | None) -> bool:
    return stream is not None and stream.isatty()


def _styles(stream: IO[str] | None) -> Callable[[str, str], str]:
    if not _is_terminal(stream) or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb":
        return lambda text, name: text
    from typer import style

    looks = {"bold": {"bold": True}, "dim": {"dim": True}, "red": {"fg": "red"}, "yellow": {"fg": "yellow"}}
    return lambda text, name: style(text, **looks[name])
