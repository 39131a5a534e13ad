"""The commands ``luau-rft studio …``."""

from pathlib import Path

from luau_rft.errors import UserError
from luau_rft.studio.client import Bridge, answers, described
from luau_rft.studio.folder import all_running, bridges_folder
from luau_rft.studio.install import Machine, install, plugin_status, uninstall
from luau_rft.studio.protocol import DEFAULT_PORT, BridgeState

_PACKAGES = ("starlette", "uvicorn", "websockets")


def serve(
    port: int = DEFAULT_PORT,
    model: str | None = None,
    url: str | None = None,
    max_tokens: int | None = None,
    context: int | None = None,
    threshold: float = 0.85,
    rounds: int = 3,
) -> None:
    """Run a bridge until Ctrl+C; ``model`` and what follows say who answers the plugin, as for ``luau-rft agent``.

    A model that is named must be there; the default may come later, for insertion needs none.
    """
    from luau_rft.agent_command import Options, check_scale, open_chat

    try:
        import websockets  # noqa: F401  (uvicorn imports it by name)

        from luau_rft.studio.agent_handler import agent_handler
        from luau_rft.studio.server import Bridge as Server
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in _PACKAGES:
            raise
        raise UserError(
            f"studio serve: the package {package} is missing; run: pip install -c constraints.txt -e '.[studio]'"
        ) from None
    options = Options(
        model=model, url=url, max_tokens=max_tokens, context=context, threshold=threshold, rounds=rounds
    )  # fmt: skip
    check_scale(options)
    if model is not None or url is not None:
        open_chat(options)
    Server(agent_handler(lambda: open_chat(options), threshold, rounds), port, say=_say).run()


def install_plugin(output: Path | None) -> None:
    print("\n".join(install(Machine(), output)))


def uninstall_plugin(output: Path | None) -> None:
    print("\n".join(uninstall(Machine(), output)))


def status() -> None:
    """Print the plugin's version, the bridges and their places."""
    states = [state for _, running in all_running(bridges_folder()) if (state := answers(running)) is not None]
    print("\n".join([*plugin_status(Machine()), *bridge_lines(states)]))


def bridge_lines(states: list[BridgeState]) -> list[str]:
    """Running bridges with their places and requests."""
    lines = []
    for state in states:
        lines.append(f"bridge: port {state.port}, process {state.pid}, version {state.version}")
        lines += [f"  place: {described(place)}" for place in state.places] or ["  place: none paired"]
        lines += [f"  request: {job.id} {job.state}" for job in state.jobs]
    return lines or ["bridge: none runs; `luau-rft studio serve` starts one"]


def forget(place: str, port: int | None) -> None:
    """Revoke a place's token and drop what waits for it."""
    Bridge.find(port, place).forget(place)
    print(f"{place}: forgotten; it has to pair anew")


def _say(line: str) -> None:
    print(line, flush=True)
