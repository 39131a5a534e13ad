"""What the plugin asks of the agent, done by the agent."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing

from luau_rft.agent import Agent, Checked, Delta, Event, Started
from luau_rft.agent_check import scripts_of
from luau_rft.errors import UserError
from luau_rft.model.chat import Chat
from luau_rft.studio.client import as_insert
from luau_rft.studio.jobs import Answer, Handler, Talk
from luau_rft.studio.protocol import AgentRequest

KINDS = {"Script": "server", "LocalScript": "client", "ModuleScript": "module"}
_SHOWN_EVERY = 40  # pieces of an answer


def agent_handler(open_chat: Callable[[], Chat], threshold: float, rounds: int) -> Handler:
    """A handler that opens the model with the first request and keeps it."""
    lock = threading.Lock()
    opened: list[Chat] = []

    def handle(request: AgentRequest, talk: Talk) -> Answer:
        with lock:  # an earlier request that was given up may still be at its last token
            if not opened:
                opened.append(open_chat())
            kind = KINDS[request.class_] if request.class_ else None
            agent = Agent(opened[0], threshold, rounds, kind=kind)
            if request.kind == "generate":
                events = agent.ask(request.wish)
            elif request.wish.strip():
                events = agent.change(request.source or "", request.wish)
            else:
                events = agent.repair(request.source or "")
            _follow(events, talk)
        best = agent.best
        if best is None:
            raise UserError("the model wrote no code; say the wish in other words")
        if request.kind == "repair" and best.code == request.source:
            return Answer([], f"nothing better was found; the script scores {best.score:.2f}", best.score)
        scripts = scripts_of(best.code, best.report.kind)[0]
        return Answer([as_insert(script, len(scripts), False) for script in scripts], _summary(agent), best.score)

    return handle


def _follow(events: Iterator[Event], talk: Talk) -> None:
    """Tell how it goes; a request that is given up stops the model between two pieces."""
    written = 0
    with closing(events):
        for event in events:
            talk.check()
            if isinstance(event, Delta):
                written += 1
                if written % _SHOWN_EVERY:
                    continue
            if line := _line(event, written):
                talk.say(line)


def _line(event: Event, written: int) -> str:
    match event:
        case Started():
            told = f", told {event.findings} findings" if event.findings else ""
            return f"round {event.number}: {event.model} writes{told}"
        case Delta():
            return f"round {event.number}: {written} pieces written"
        case Checked():
            return f"round {event.round.number}: score {event.round.score:.2f}"
    return ""


def _summary(agent: Agent) -> str:
    assert agent.best is not None
    findings = agent.best.report.findings
    left = f"; {len(findings)} findings left, the worst: {findings[0].message}" if findings else ""
    return f"score {agent.best.score:.2f}{left}"
