"""What a stage's script really imports and reads from the package: its code dependencies in ``dvc.yaml``."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]


def closure(script: Path) -> set[str]:
    """Paths, relative to the root, of the project's modules that ``script`` imports, also inside functions and
    through others, of the files beside them that they read, and of the script itself.

    ``__init__.py`` files are left out: they hold no code (a test asserts it).
    """
    found: set[Path] = set()
    pending = [script]
    while pending:
        path = pending.pop()
        if path in found:
            continue
        found.add(path)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for module in _imported(tree):
            candidate = ROOT.joinpath(*module.split(".")).with_suffix(".py")
            if candidate.is_file():
                pending.append(candidate)
        found |= _files_read(tree, path.parent)
    return {path.relative_to(ROOT).as_posix() for path in found}


def _imported(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # `from luau_rft.roblox import api` may name a module or something inside one.
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.split(".")[0] in ("luau_rft", "stages")]


def _files_read(tree: ast.AST, folder: Path) -> set[Path]:
    """Files and folders that statements with ``__file__`` name, as ``Path(__file__).parent / "api.json"`` does."""
    files = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr | ast.Return):
            continue
        inside = list(ast.walk(node))
        if any(isinstance(part, ast.Name) and part.id == "__file__" for part in inside):
            names = [part.value for part in inside if isinstance(part, ast.Constant) and isinstance(part.value, str)]
            files |= {folder / name for name in names if name and (folder / name).exists()}
    return files
