"""The ``luau-rft`` command. Each command imports what it needs when it runs, so that ``score`` starts at once."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from luau_rft import errors

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Reinforcement fine-tuning for Luau.")
api = typer.Typer(no_args_is_help=True, help="The Roblox API database.")
tasks = typer.Typer(no_args_is_help=True, help="The hand-written tasks.")
store = typer.Typer(no_args_is_help=True, help="The store of paid answers; LUAU_RFT_STORE names its file.")
mcp = typer.Typer(help="Luau tools for Claude Code, Claude Desktop, Cursor and other MCP clients.")
studio = typer.Typer(no_args_is_help=True, help="The plugin in Roblox Studio and the bridge to it.")
app.add_typer(api, name="api")
app.add_typer(mcp, name="mcp")
app.add_typer(store, name="store")
app.add_typer(studio, name="studio")
app.add_typer(tasks, name="tasks")


@app.command()
def score(
    paths: Annotated[list[str] | None, typer.Argument(help="Files, folders, or - for stdin.")] = None,
    format: Annotated[str, typer.Option(help="text, json or sarif.")] = "text",
    fail_under: Annotated[float | None, typer.Option(help="Exit with 1 when a file's composite is lower.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="server, client or module; by default what the file's name says.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Processes for many files; by default one a CPU.")] = None,
    explain: Annotated[str | None, typer.Option(metavar="RULE", help="Explain a rule instead.")] = None,
) -> None:
    """Score Luau files: syntax, api, bugs, quality, and every finding with its line."""
    from luau_rft.scorers.command import score_paths
    from luau_rft.scorers.explain import explain_in_text

    if explain is not None:
        print(explain_in_text(explain))
        return
    if not paths:
        raise errors.UserError("score: give files, folders, or - for stdin; or --explain and a rule")
    sys.exit(score_paths(paths, format, fail_under, kind, jobs))


@app.command()
def run(
    file: Annotated[str, typer.Argument(help="A script, several under headers, or - for stdin.")],
    checks: Annotated[str | None, typer.Option(help="A checks.luau to play against it.")] = None,
    seconds: Annotated[float, typer.Option(help="Game time to run for, or that a check may take.")] = 10.0,
    kind: Annotated[
        str | None, typer.Option(help="server, client or module; by default the file's name, or server.")
    ] = None,
    format: Annotated[str, typer.Option(help="text or json.")] = "text",
) -> None:
    """Run a script on the headless engine: output, errors by line, checks."""
    from luau_rft.judges.command import run_file

    sys.exit(run_file(file, checks, seconds, kind, format))


@app.command()
def judge(
    task: Annotated[str, typer.Argument(help="A task's folder or id.")],
    file: Annotated[str, typer.Argument(help="The answer to judge, or - for stdin.")],
    format: Annotated[str, typer.Option(help="text or json.")] = "text",
) -> None:
    """Judge an answer to a task by playing its checks, and tell why."""
    from luau_rft.judges.command import judge_file

    sys.exit(judge_file(task, file, format))


@app.command()
def agent(
    wish: Annotated[str | None, typer.Argument(help="What the script shall do; left out: a conversation.")] = None,
    task: Annotated[str | None, typer.Option(help="A task's folder or id: its checks are played, too.")] = None,
    model: Annotated[
        str | None, typer.Option(help="rft (default), sft, base or a folder; with --url the server's name for it.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="A server with OpenAI's chat API, such as http://127.0.0.1:8000/v1.")
    ] = None,
    threshold: Annotated[float, typer.Option(help="The score from which on nothing is corrected.")] = 0.85,
    rounds: Annotated[int, typer.Option(help="Corrections at most.")] = 3,
    kind: Annotated[str | None, typer.Option(help="server, client or module; by default what it looks like.")] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="File for the code, or folder/ for each script in its place.")
    ] = None,
    insert: Annotated[bool, typer.Option("--insert", help="Put it into the open place in Roblox Studio.")] = False,
    place: Annotated[str | None, typer.Option(help="Which open place, where there are several.")] = None,
    seed: Annotated[int, typer.Option(help="Another one gives other answers.")] = 0,
    max_tokens: Annotated[
        int | None, typer.Option(help="Of an answer; default: generate.sampling of params.yaml, 4096 with --url.")
    ] = None,
    context: Annotated[int | None, typer.Option(help="Tokens that the model behind --url takes in all.")] = None,
    run: Annotated[bool, typer.Option(help="Run the code on the headless engine.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print one event a line, for programs.")] = False,
) -> None:
    """Write a script from a wish: generate, score, run, correct. The code goes to the standard output."""
    from luau_rft.agent_command import Options, run_agent

    options = Options(
        task=task, model=model, url=url, rounds=rounds, threshold=threshold, kind=kind, output=output, insert=insert,
        place=place, seed=seed, max_tokens=max_tokens, context=context, run=run, json=json,
    )  # fmt: skip
    sys.exit(run_agent(wish, options))


@app.command()
def rules(
    write: Annotated[Path | None, typer.Option(metavar="FILE", help="Write them with examples, in Markdown.")] = None,
) -> None:
    """List the scorers' rules."""
    from luau_rft.scorers import document

    if write is not None:
        write.write_text(document.rules_page(), encoding="utf-8")
    else:
        print(document.listing())


@app.command()
def profile(
    name: Annotated[str | None, typer.Argument(help="The preset to write over params.yaml.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Name the presets.")] = False,
) -> None:
    """Write another preset over params.yaml and show what changed."""
    from luau_rft import profile as presets

    if list_ or name is None:
        for preset, description in presets.profiles().items():
            print(f"{preset:12} {description}")
        return
    print(presets.apply(name) or f"params.yaml already is the {name} profile")


@app.command()
def demo() -> None:
    """Run the tiny profile in a temporary copy and print its results."""
    from luau_rft.demo import run

    run()


@app.command()
def serve(
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL", help="base, sft, rft or an adapter's folder; again for more. Default: sft, rft."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    print_: Annotated[bool, typer.Option("--print", help="Print the server's shell command instead.")] = False,
) -> None:
    """Answer OpenAI's chat API with both adapters, through vLLM or transformers."""
    from luau_rft.model import serve as server

    server.serve(model or ["sft", "rft"], host, port, print_)


@app.command()
def merge(
    model: Annotated[str, typer.Argument(help="base, sft, rft or an adapter's folder.")],
    output: Annotated[Path, typer.Option(help="The folder to write; an earlier merged model in it is replaced.")],
    dtype: Annotated[Literal["bfloat16", "float16", "float32"], typer.Option(help="Of the weights.")] = "bfloat16",
) -> None:
    """Write an adapter merged into the base model, for vLLM, llama.cpp and others."""
    from luau_rft.model import merge as merging
    from luau_rft.model.base import read_record

    merging.merge(read_record(), merging.adapter_named(model), output, dtype)
    print(f"{output}: {model}, ready to load\n\n{merging.commands(output)}")


@app.command()
def estimate() -> None:
    """Print what the stages that ask a paid model will cost, as params.yaml stands."""
    from luau_rft.estimate_command import print_estimate

    print_estimate()


_Project = Annotated[Path | None, typer.Option(help="The folder with data/ and models/; default: the current one.")]
_Model = Annotated[str | None, typer.Option(help="What writes code, as for `luau-rft agent`; default: rft.")]
_Url = Annotated[str | None, typer.Option(help="Its server, if one with OpenAI's chat API writes.")]
_MaxTokens = Annotated[int | None, typer.Option(min=1, help="Of its answers.")]
_Context = Annotated[int | None, typer.Option(min=1, help="Tokens that the model behind --url takes in all.")]


@mcp.callback(invoke_without_command=True)
def mcp_server(
    command: typer.Context,
    project: _Project = None,
    model: _Model = None,
    url: _Url = None,
    max_tokens: _MaxTokens = None,
    context: _Context = None,
    http: Annotated[bool, typer.Option("--http", help="Streamable HTTP on 127.0.0.1, not stdin and stdout.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of --http; 0 takes a free one.")] = 34878,
) -> None:
    """Serve Luau tools to an MCP client, over stdin and stdout."""
    if command.invoked_subcommand is None:
        from luau_rft.studio.mcp_command import serve as serve_mcp

        serve_mcp(model, url, max_tokens, context, project, port if http else None)


@mcp.command("install")
def mcp_install(
    client: Annotated[str | None, typer.Argument(help="claude-code, claude-desktop or cursor; else all found.")] = None,
    print_: Annotated[bool, typer.Option("--print", help="Print the settings and where they go instead.")] = False,
    project: _Project = None,
    model: _Model = None,
    url: _Url = None,
    max_tokens: _MaxTokens = None,
    context: _Context = None,
) -> None:
    """Write this server into the settings of MCP clients; what was there stays, in a backup, too."""
    from luau_rft.studio.mcp_install import Machine, install

    options = {"--model": model, "--url": url, "--max-tokens": max_tokens, "--context": context}
    given = [word for name, value in options.items() if value is not None for word in (name, str(value))]
    print("\n".join(install(client, given, project or Path(), print_, Machine())))


@studio.command("serve")
def studio_serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="As the plugin's settings say; 0: a free one.")] = 34877,
    model: _Model = None,
    url: _Url = None,
    max_tokens: _MaxTokens = None,
    context: _Context = None,
    threshold: Annotated[float, typer.Option(help="The score from which on nothing is corrected.")] = 0.85,
    rounds: Annotated[int, typer.Option(min=0, help="Corrections at most.")] = 3,
) -> None:
    """Run the bridge between Studio and this machine until Ctrl+C."""
    from luau_rft.studio import command

    command.serve(port, model, url, max_tokens, context, threshold, rounds)


_Output = Annotated[Path | None, typer.Option(help="The plugin's file, where it is not Studio's Plugins folder.")]


@studio.command("install")
def studio_install(output: _Output = None) -> None:
    """Put the plugin into Studio's Plugins folder."""
    from luau_rft.studio import command

    command.install_plugin(output)


@studio.command("uninstall")
def studio_uninstall(output: _Output = None) -> None:
    """Delete the plugin from Studio's Plugins folder."""
    from luau_rft.studio import command

    command.uninstall_plugin(output)


@studio.command("status")
def studio_status() -> None:
    """Show the plugin's version, running bridges, their places and what waits."""
    from luau_rft.studio import command

    command.status()


@studio.command("forget")
def studio_forget(
    place: Annotated[str, typer.Argument(help="Its name or id.")],
    port: Annotated[int | None, typer.Option(help="Of the bridge, where several run.")] = None,
) -> None:
    """Revoke a place's token and drop what waits for it."""
    from luau_rft.studio import command

    command.forget(place, port)


@app.command()
def results(
    readme: Annotated[bool, typer.Option("--readme", help="Rewrite the table in README.md instead.")] = False,
) -> None:
    """Print the base → SFT → RFT table of the last run."""
    from luau_rft.evaluation.results import print_results, update_readme

    update_readme(Path("README.md")) if readme else print_results()


@store.command()
def stats() -> None:
    """Print answers, tokens, dollars and open batches, by stage and model."""
    from luau_rft import store_command

    sys.exit(store_command.stats())


@store.command()
def forget(batch: Annotated[str, typer.Argument(help="The id of a batch under way.")]) -> None:
    """Give up a batch whose key is lost: its answers are asked and paid anew."""
    from luau_rft import store_command

    sys.exit(store_command.forget(batch))


@store.command()
def verify() -> None:
    """Check the file and every record; exit with 1 and name what is damaged."""
    from luau_rft import store_command

    sys.exit(store_command.verify())


@store.command()
def export(file: Annotated[Path, typer.Argument(help="The file to write: sorted lines of JSON.")]) -> None:
    """Write all sound records to a file, for others or as a backup."""
    from luau_rft import store_command

    sys.exit(store_command.export(file))


@store.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A file that `luau-rft store export` wrote.")],
    moved: Annotated[
        bool, typer.Option("--moved", help="It is your own store: its dollars count as spent here, its batches go on.")
    ] = False,
) -> None:
    """Add the records of an export; what is there stays."""
    from luau_rft import store_command

    sys.exit(store_command.import_(file, moved))


@api.command()
def update(version: Annotated[str | None, typer.Option(help="Version of @rbxts/types.")] = None) -> None:
    """Regenerate the API database from @rbxts/types and the supplement."""
    from luau_rft.roblox import generate

    generate.update(version) if version else generate.update()


@tasks.command()
def check(folder: Annotated[Path, typer.Argument(help="data/tasks, or one split of it.")]) -> None:
    """Validate a folder of tasks: format, references against their own checks, scores."""
    from luau_rft.judges.check_tasks import check_tasks

    problems = check_tasks(folder)
    print("\n".join(problems) or f"{folder}: every task is in order")
    sys.exit(bool(problems))


def main() -> None:
    """Entry point of ``luau-rft``."""
    errors.run(app)


if __name__ == "__main__":
    main()
