"""The ``luau-rft`` command. Each command imports what it needs when it runs, so that ``score`` starts at once."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from luau_rft import errors

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Reinforcement fine-tuning for Luau.")
api = typer.Typer(no_args_is_help=True, help="The Roblox API database.")
tasks = typer.Typer(no_args_is_help=True, help="The hand-written tasks.")
app.add_typer(api, name="api")
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
def results(
    readme: Annotated[bool, typer.Option("--readme", help="Rewrite the table in README.md instead.")] = False,
) -> None:
    """Print the base → SFT → RFT table of the last run."""
    from luau_rft.evaluation.results import print_results, update_readme

    update_readme(Path("README.md")) if readme else print_results()


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
