"""The MCP server: what this project can do, as tools of Claude Code, Claude Desktop, Cursor and other MCP clients."""

import dataclasses
import json
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, redirect_stdout
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError, UnexpectedToolError
from mcp_types import CallToolResult, InputRequiredResult, ToolAnnotations
from pydantic import Field, ValidationError

from luau_rft.agent import Agent
from luau_rft.agent_check import kind_of_code, scripts_of
from luau_rft.agent_command import Options, open_chat
from luau_rft.errors import UserError
from luau_rft.judges.command import GRACE_S, TASKS
from luau_rft.luau.sandbox import Limits, Program
from luau_rft.scorers import document
from luau_rft.scorers.composite import MAX_CHARACTERS
from luau_rft.scorers.explain import explain_in_text
from luau_rft.studio import mcp_answers as answers
from luau_rft.studio.mcp_jobs import Job, in_thread
from luau_rft.studio.protocol import Selection
from luau_rft.tasks import Task, load_task, task_folders

NAME = "luau-rft"
MAX_SECONDS = 600.0  # of game time
MAX_WISH = 20_000  # characters
PROGRAMS = 2  # that run at once
ANSWERS_SERVED = 4  # asked of a server at once; a local model writes one at a time
INSTRUCTIONS = (
    "Luau for Roblox: score_luau finds what is wrong with a script, run_luau plays it on a headless engine, "
    "generate_luau and fix_luau have a model of this project write and correct one, insert_into_studio and "
    "read_studio_selection reach the places open in Roblox Studio. luau-rft://rules explains every finding."
)

Code = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_CHARACTERS,
        description="Luau. Several scripts in one text stand each under a comment with its file name, such as "
        "`-- ServerScriptService/Shop.server.luau`.",
    ),
]
Kind = Annotated[
    Literal["server", "client", "module"],
    Field(description="What the code is where it does not say: a Script, LocalScript or ModuleScript."),
]
TaskId = Annotated[str, Field(max_length=100, description="A task of luau-rft://tasks; its checks are played.")]
Wish = Annotated[str, Field(max_length=MAX_WISH, description="What the script is to do; else what the task asks.")]
Problem = Annotated[
    str, Field(max_length=MAX_WISH, description="What is wrong; without it, what the scorers and a run find.")
]
Checks = Annotated[str, Field(max_length=MAX_CHARACTERS, description="Checks of your own: a checks.luau.")]
Seconds = Annotated[
    float,
    Field(
        gt=0, le=MAX_SECONDS, allow_inf_nan=False, description="Game time of a run, or of each of your checks at most."
    ),
]
Place = Annotated[str, Field(max_length=100, description="Name or id of the place, where several are connected.")]
Name = Annotated[str, Field(min_length=1, max_length=100, description="Of a single script without a header.")]
Replace = Annotated[bool, Field(description="A script of that name gets the code; a backup of it is kept.")]
Rounds = Annotated[int, Field(ge=0, le=10, description="Corrections at most, while they bring something.")]
Seed = Annotated[int, Field(ge=0, lt=2**31, description="Another number gives another answer.")]

READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)


class Server(MCPServer[None]):
    """An MCP server that names arguments it does not know, and says in a line what is wrong with others."""

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context | None = None
    ) -> CallToolResult | InputRequiredResult:
        known = {tool.name: tool.input_schema["properties"] for tool in await self.list_tools()}.get(name)
        if known is not None and (strange := sorted(arguments.keys() - known.keys())):
            raise ToolError(f"{name}: no argument {', '.join(strange)}; there are {', '.join(known)}")
        try:
            return await super().call_tool(name, arguments, context)
        except UnexpectedToolError:
            raise
        except ToolError as error:
            cause = error.__cause__
            if isinstance(cause, ValidationError):
                told = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in cause.errors(include_input=False)]
                raise ToolError(f"{name}: {'; '.join(told)}") from cause
            raise ToolError(f"{name}: {cause or error}") from cause


@asynccontextmanager
async def _quiet(_: MCPServer[None]) -> AsyncIterator[None]:
    """Whatever a library prints goes to stderr: it would break the protocol."""
    with redirect_stdout(sys.stderr):
        yield None


def build(options: Options) -> Server:
    """The server with all its tools and resources, for any transport.

    Of ``options`` those of the model count, which is opened when it is first needed.
    """
    server = Server(
        NAME, title="luau_rft", instructions=INSTRUCTIONS, version=version("luau_rft"), log_level="WARNING",
        lifespan=_quiet,
    )  # fmt: skip
    _add_code_tools(server)
    _add_model_tools(server, options)
    _add_studio_tools(server)
    _add_resources(server)
    return server


def _add_code_tools(server: Server) -> None:
    running = threading.BoundedSemaphore(PROGRAMS)

    @server.tool(annotations=READS)
    async def score_luau(code: Code, context: Context, kind: Kind | None = None) -> answers.Score:
        """Score Luau without running it: syntax, use of Roblox's API, bugs and quality, with every finding by line."""
        return await in_thread(context, "scoring", lambda job: answers.score(code, kind))

    @server.tool(annotations=READS)
    async def run_luau(
        code: Code,
        context: Context,
        kind: Kind = "server",
        seconds: Seconds = 10.0,
        task: TaskId | None = None,
        checks: Checks | None = None,
    ) -> answers.Run:
        """Run Luau on a headless Roblox, in a sandbox: its output, errors by line, and which checks it passes."""
        if task is not None and checks is not None:
            raise ToolError("task, checks: give one of the two")
        asked = None if task is None else _told(ToolError, find_task, task)
        if asked is not None:
            program = Program(code, asked.kind, asked.checks)
        else:
            program = Program(code, kind, checks, Limits(seconds=seconds, wall_s=seconds + GRACE_S))

        def work(job: Job) -> answers.Run:
            with job.turn(running):
                return answers.run(program, asked, job)

        return await in_thread(context, "running", work)


def _add_model_tools(server: Server, options: Options) -> None:
    writing = threading.BoundedSemaphore(ANSWERS_SERVED if options.url else 1)
    chat = cache(partial(open_chat, options))
    makes = ToolAnnotations(read_only_hint=True, open_world_hint=options.url is not None)

    @server.tool(annotations=makes)
    async def generate_luau(
        context: Context,
        wish: Wish = "",
        kind: Kind | None = None,
        task: TaskId | None = None,
        rounds: Rounds = options.rounds,
        seed: Seed = 0,
    ) -> answers.Written:
        """Have the model write Luau for a wish; it is scored, run headless and corrected until it is good enough."""
        asked = None if task is None else _told(ToolError, find_task, task)
        wanted = wish.strip() or (asked.prompt if asked else "")
        if not wanted:
            raise ToolError("wish: say what the script is to do, or name a task")

        def work(job: Job) -> answers.Written:
            with job.turn(writing):
                agent = Agent(chat(), options.threshold, rounds, asked, kind=kind, seed=seed)
                return answers.written(agent, agent.ask(wanted), job)

        return await in_thread(context, "starting", work)

    @server.tool(annotations=makes)
    async def fix_luau(
        code: Code,
        context: Context,
        problem: Problem = "",
        kind: Kind | None = None,
        rounds: Rounds = options.rounds,
        seed: Seed = 0,
    ) -> answers.Written:
        """Have the model correct Luau: a problem that you describe, or else all that the scorers and a run find."""

        def work(job: Job) -> answers.Written:
            with job.turn(writing):
                agent = Agent(chat(), options.threshold, rounds, kind=kind, seed=seed)
                events = agent.change(code, problem) if problem.strip() else agent.repair(code)
                return answers.written(agent, events, job)

        return await in_thread(context, "starting", work)


def _add_studio_tools(server: Server) -> None:
    @server.tool(annotations=ToolAnnotations(destructive_hint=False, open_world_hint=False))
    async def insert_into_studio(
        code: Code,
        context: Context,
        place: Place | None = None,
        name: Name | None = None,
        kind: Kind | None = None,
        replace: Replace = False,
    ) -> answers.Insertions:
        """Put Luau into a place that is open in Roblox Studio, where its user can undo it.

        Each of several scripts goes where its header says. What Studio cannot do at once waits there until it can.
        """

        def work(job: Job) -> answers.Insertions:
            scripts, placed = scripts_of(code, kind or kind_of_code(code))
            if name is not None:
                if placed:
                    raise UserError("name: the code has headers that name its scripts; leave it out")
                scripts = [dataclasses.replace(scripts[0], name=name)]
            job.check()
            return answers.insert(scripts, place, replace)

        return await in_thread(context, "waiting for Studio", work)

    @server.tool(annotations=READS)
    async def read_studio_selection(context: Context, place: Place | None = None) -> Selection:
        """What is selected in a place that is open in Roblox Studio, with the sources of scripts."""
        return await in_thread(context, "waiting for Studio", lambda job: answers.read_selection(place))


def _add_resources(server: Server) -> None:
    @server.resource("luau-rft://rules", mime_type="text/markdown")
    def rules() -> str:
        """Every rule of the scorers: penalty, reason and examples."""
        return document.rules_page()

    @server.resource("luau-rft://rules/{rule}")
    def rule(rule: str) -> str:
        """One rule, named as in a finding."""
        return _told(ResourceNotFoundError, explain_in_text, rule)

    @server.resource("luau-rft://tasks", mime_type="application/json")
    def tasks() -> str:
        """The hand-written tasks that run_luau can judge by."""
        shown = {"id", "title", "category", "difficulty", "kind"}
        loaded = [(split, _told(ResourceError, load_task, path)) for split, path in _told(ResourceError, _task_folders)]
        return json.dumps([{"split": split} | task.model_dump(include=shown) for split, task in loaded], indent=2)

    @server.resource("luau-rft://tasks/{id}", mime_type="application/json")
    def task(id: str) -> str:
        """One task: what is asked, and what a solution is seen to use."""
        found = _told(ResourceNotFoundError, find_task, id)
        return json.dumps(found.model_dump(exclude={"reference", "checks"}), indent=2)

    @server.resource("luau-rft://report", mime_type="text/markdown")
    def report() -> str:
        """The results of the last run of the pipeline: base, SFT and RFT on the held-out tasks."""
        from luau_rft.evaluation.results import results_markdown

        return _told(ResourceError, results_markdown)


def find_task(id: str) -> Task:
    """The task of that id. Raises ``UserError`` where there is none."""
    folders = {path.name: path for _, path in _task_folders()}
    if id not in folders:
        raise UserError(f"{id}: no such task; luau-rft://tasks lists them")
    return load_task(folders[id])


def _task_folders() -> list[tuple[str, Path]]:
    return [(split, path) for split in ("train", "eval") for path in task_folders(TASKS / split)]


def _told(error: type[Exception], function: Callable[..., Any], *arguments: Any) -> Any:
    """What ``function`` returns; a ``UserError`` of it becomes an ``error`` that the client is told."""
    try:
        return function(*arguments)
    except UserError as problem:
        raise error(str(problem)) from None
