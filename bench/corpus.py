"""The programs that the benchmarks read: the Luau of 128 npm packages, and the scripts written for this project."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from luau_rft.corpus.npm import fetch, luau_files, read_list
from luau_rft.corpus.source import decode
from luau_rft.model.base import cache_folder
from luau_rft.roblox.scripts import split

ROOT = Path(__file__).parents[1]
PACKAGES = Path(__file__).with_name("packages.txt")


@dataclass(frozen=True, slots=True)
class File:
    """``path`` is that in the package, after the package's name and version, or that in this repository."""

    path: str
    source: str

    @property
    def lines(self) -> int:
        return len(self.source.splitlines())


def npm_files(one_in: int = 1) -> list[File]:
    """Every ``one_in``-th Luau file of the packages, in order; what is not cached yet is fetched by npm."""
    packages = read_list(PACKAGES)
    folder = cache_folder() / "npm"
    fetch(packages, folder)
    found = [
        File(f"{package.spec}/{path}", decode(content))
        for package in packages
        for path, content in luau_files(folder / package.filename)
    ]
    return found[::one_in]


def written_files() -> list[File]:
    """The hand-written scripts: the sample corpus and the references of the training tasks, not those of evaluation.

    A reference of several scripts is a file for each, its path followed by the script's name.
    """
    files = []
    for path in _written():
        name, source = str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        scripts = split(source, "server")
        files += [File(f"{name}/{script.name}" if scripts[1:] else name, script.source) for script in scripts]
    return files


def weak_programs() -> list[File]:
    """The weak programs of ``bench/weak``: what a model writes that has not learnt enough."""
    return [File(path.name, path.read_text(encoding="utf-8")) for path in sorted((ROOT / "bench/weak").glob("*.luau"))]


def _written() -> Iterator[Path]:
    yield from sorted((ROOT / "data/sample").glob("*.luau"))
    yield from sorted((ROOT / "data/tasks/train").glob("*/reference.luau"))
