"""Every message between the plugin, the bridge and local clients, as ``docs/studio.md`` describes them."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

PRODUCT = "luau-rft"
PROTOCOL = 1
DEFAULT_PORT = 34877

MAX_BODY_BYTES = 4 * 2**20  # of a request, and of a WebSocket message
MAX_SOURCE = 199_999  # characters that Studio takes for one script
MAX_BATCH = 50  # commands in one answer to a poll
MAX_BATCH_CHARACTERS = 400_000  # of all their sources together, unless it is a single one
POLL_S = 25.0  # the longest that the bridge holds a request
PING_S = 5.0  # between two pings on a stream
LOST_S = 12.0  # without a sign of life after which a place counts as lost


def printable(text: str) -> str:
    """``text`` without what a terminal would obey.

    >>> printable("Ob\\x1b[2Jby")
    'Ob�[2Jby'
    """
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:{}-]{1,100}$")]
Name = Annotated[str, Field(min_length=1, max_length=100)]
PlaceName = Annotated[Name, AfterValidator(printable)]
Source = Annotated[str, Field(max_length=MAX_SOURCE)]
ScriptClass = Literal["Script", "LocalScript", "ModuleScript"]
Wait = Annotated[float, Field(ge=0, le=POLL_S, allow_inf_nan=False)]
# Luau's JSONEncode writes an empty table as [].
Table = Annotated[dict[str, Any], BeforeValidator(lambda value: {} if value == [] else value)]


class Message(BaseModel):
    """A part of the protocol: an unknown field is an error that names it."""

    model_config = ConfigDict(extra="forbid", strict=True)


# Commands to the plugin.


class Insert(Message):
    """Put a script into the place. ``parent``: names from the DataModel down; null lets the plugin choose.

    ``request`` names the plugin's own request that this answers: a repair replaces the script it was asked about.
    """

    type: Literal["insert"] = "insert"
    name: Name
    class_: ScriptClass = Field(alias="class")
    source: Source
    parent: Annotated[list[Name], Field(min_length=1, max_length=50)] | None = None
    replace: bool = False
    request: Identifier | None = None

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)


class ReadSelection(Message):
    """Tell what is selected, with the sources of scripts."""

    type: Literal["read_selection"] = "read_selection"


class Run(Message):
    """Run the place for ``seconds`` and return its output."""

    type: Literal["run"] = "run"
    seconds: float = Field(default=5.0, gt=0, le=600, allow_inf_nan=False)


class Undo(Message):
    """Undo what the command ``of`` inserted; null: the last insertion."""

    type: Literal["undo"] = "undo"
    of: Identifier | None = None


class JobDone(Message):
    """The end of a request that the plugin made; ``commands`` are the insertions that follow from it."""

    type: Literal["job_done"] = "job_done"
    job: Identifier
    state: Literal["done", "failed", "cancelled"]
    message: str = ""
    score: float | None = None  # composite in [0, 1]
    commands: list[Identifier] = []


Command = Annotated[Insert | ReadSelection | Run | Undo | JobDone, Field(discriminator="type")]
ClientCommand = Annotated[Insert | ReadSelection | Run | Undo, Field(discriminator="type")]


# From the bridge to the plugin: frames of the stream, or ``messages`` of the answer to a poll.


class Welcome(Message):
    """The connection is the place's. ``waiting``: commands that follow."""

    type: Literal["welcome"] = "welcome"
    server: str
    protocol: int = PROTOCOL
    waiting: int
    ping_s: float = PING_S
    lost_s: float = LOST_S


class Deliver(Message):
    """A command; it comes again on the next connection until its result has arrived."""

    type: Literal["command"] = "command"
    id: Identifier
    seq: int
    command: Command


class Acknowledge(Message):
    """These results are kept; the plugin need not send them again."""

    type: Literal["ack"] = "ack"
    ids: list[Identifier]


class Progress(Message):
    """How a request of the plugin goes on; may be lost with the connection."""

    type: Literal["progress"] = "progress"
    job: Identifier
    state: Literal["queued", "running"]
    message: str = ""


class Ping(Message):
    type: Literal["ping"] = "ping"
    n: int


class Refusal(Message):
    """Why a request was refused (its body), or why the stream closes (its last frame)."""

    type: Literal["error"] = "error"
    reason: str
    message: str
    retry_after: float | None = None  # seconds
    places: "list[PlaceState] | None" = None


# From the plugin to the bridge.


class PairStart(Message):
    """Ask the bridge to show a pairing code on its terminal."""

    place: Identifier
    name: PlaceName


class Pair(PairStart):
    code: Annotated[str, Field(pattern=r"^[0-9]{6}$")]


class Paired(Message):
    token: str
    server: str


class Failure(Message):
    reason: Annotated[str, Field(max_length=100)]
    message: Annotated[str, Field(max_length=10_000)]


class Result(Message):
    """What became of a command: ``value`` where ``ok``, else ``error``."""

    type: Literal["result"] = "result"
    id: Identifier
    ok: bool
    value: Table = {}
    error: Failure | None = None


class Hello(Message):
    """Who connects. ``session`` is random for each start of the plugin, ``after`` the highest ``seq`` it has taken."""

    type: Literal["hello"] = "hello"
    protocol: int
    place: Identifier
    name: PlaceName
    session: Identifier
    mode: Literal["edit", "play-server", "play-client"] = "edit"
    after: int = Field(default=0, ge=0, le=2**53)
    takeover: bool = False
    plugin: Annotated[str, Field(max_length=50)] = ""


class Poll(Hello):
    wait_s: Wait = POLL_S
    results: Annotated[list[Result], Field(max_length=1000)] = []


class PollAnswer(Message):
    messages: list[Welcome | Deliver | Acknowledge | Progress]


class Results(Message):
    results: Annotated[list[Result], Field(min_length=1, max_length=1000)]


class Pong(Message):
    type: Literal["pong"] = "pong"
    n: int = Field(ge=0, le=2**53)


PluginFrame = Annotated[Hello | Result | Pong, Field(discriminator="type")]


class AgentRequest(Message):
    """Ask the agent: ``generate`` by ``wish``, or ``repair`` the script given."""

    id: Identifier
    kind: Literal["generate", "repair"]
    wish: Annotated[str, Field(max_length=20_000)] = ""
    name: Name | None = None
    class_: ScriptClass | None = Field(default=None, alias="class")
    parent: Annotated[list[Name], Field(min_length=1, max_length=50)] | None = None
    source: Source | None = None

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)


class JobState(Message):
    id: Identifier
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    message: str = ""


class Cancel(Message):
    ids: Annotated[list[Identifier], Field(min_length=1, max_length=1000)]


# From local clients to the bridge.


class PlaceState(Message):
    """A paired place. ``state``: ``connected``; ``lost``, a connection that does not answer; or ``away``."""

    place: Identifier
    name: str
    state: Literal["connected", "lost", "away"]
    transport: Literal["stream", "poll"] | None = None
    waiting: int  # commands without a result
    seen_s: float | None = None  # since its last sign of life


class BridgeState(Message):
    server: str
    protocol: int = PROTOCOL
    version: str
    pid: int
    port: int
    places: list[PlaceState]
    jobs: list[JobState] = []


class NewCommand(Message):
    id: Identifier
    command: ClientCommand


class NewCommands(Message):
    """``place``: an id or a name; null: the only one. ``valid_s``: seconds after which a command without a result is
    withdrawn; null: it waits until it is done."""

    place: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    commands: Annotated[list[NewCommand], Field(min_length=1, max_length=1000)]
    valid_s: float | None = Field(default=None, gt=0, le=86_400, allow_inf_nan=False)


class Accepted(Message):
    place: PlaceState
    ids: list[Identifier]


class AskResults(Message):
    ids: Annotated[list[Identifier], Field(min_length=1, max_length=1000)]
    wait_s: Wait = 0.0


class ResultsState(Message):
    """``waiting``: what has no result yet. ``withdrawn``: cancelled, expired or unknown."""

    results: dict[str, Result]
    waiting: dict[str, Literal["queued", "delivered"]] = {}
    withdrawn: list[Identifier] = []
    place: PlaceState | None = None


class Forget(Message):
    place: Annotated[str, Field(min_length=1, max_length=100)]


class Nothing(Message):
    """The answer where there is nothing to say."""


# What the results of commands hold. A plugin may tell more than is known here.


class Value(BaseModel):
    model_config = ConfigDict(extra="ignore")


class Inserted(Value):
    """Full names: of the script, and of the backup of what it replaced."""

    path: str
    backup: str | None = None


class Selected(Value):
    """Something selected; ``source`` where it is a script."""

    path: str
    class_: str = Field(alias="class")
    name: str
    source: str | None = None

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)


class Selection(Value):
    selection: list[Selected] = []
    truncated: bool = False


class Line(Value):
    kind: Literal["print", "info", "warn", "error"]
    message: str


class Output(Value):
    """What a run printed. ``seconds`` that it took."""

    output: list[Line] = []
    seconds: float | None = None
    truncated: bool = False


class Undone(Value):
    """The id of the insertion that was undone, if there was one."""

    undone: str | None = None
