"""Source ``directory``: any folder of ``.lua`` and ``.luau`` files."""

from collections.abc import Iterator
from pathlib import Path

from luau_rft.config import Params
from luau_rft.corpus.source import LUAU_SUFFIXES, SourceFile, decode
from luau_rft.errors import UserError


class DirectoryParams(Params):
    """Section ``collect.directory``."""

    path: str
    license: str  # of all its files


def read(params: DirectoryParams) -> Iterator[SourceFile]:
    """The folder's Luau files in order of their path; links are not followed.

    Raises ``UserError`` when the folder is missing or holds none.
    """
    folder = Path(params.path)
    if not folder.is_dir():
        raise UserError(
            f"params.yaml: collect.directory.path: {folder} is no folder; name one with .lua or .luau files"
        )
    paths = sorted(
        path for path in folder.rglob("*") if path.suffix in LUAU_SUFFIXES and path.is_file() and not path.is_symlink()
    )
    if not paths:
        raise UserError(f"params.yaml: collect.directory.path: {folder} holds no .lua or .luau file")
    for path in paths:
        inside = path.relative_to(folder).as_posix()
        yield SourceFile("directory", folder.name, inside, params.license, decode(path.read_bytes()))
