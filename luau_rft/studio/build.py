"""Builds the Studio plugin: every module of ``plugin/`` in one XML model, as Studio's Plugins folder takes it.

    python -m luau_rft.studio.build LuauRft.rbxmx

The root is the Script ``LuauRft`` (``Main.server.luau``), its children are the ModuleScripts and a StringValue with the
version. Equal sources give an equal file.
"""

import hashlib
import os
import re
import sys
from importlib.metadata import version as package_version
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

PLUGIN = Path(__file__).with_name("plugin")
NAME = "LuauRft"
FILE_NAME = f"{NAME}.rbxmx"
_MAIN = "Main.server"

# What XML 1.0 cannot hold, however it is written.
_FORBIDDEN = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def sources() -> dict[str, str]:
    """The sources of the plugin by the name of their module, in order; the script itself is ``LuauRft``."""
    paths = sorted(PLUGIN.glob("*.luau"))
    return {NAME if path.stem == _MAIN else path.stem: path.read_text(encoding="utf-8") for path in paths}


def version(modules: dict[str, str] | None = None) -> str:
    """The package's version and a digest of the sources, like ``0.1.0+1a2b3c4d``: what differs is another plugin."""
    modules = sources() if modules is None else modules
    digest = hashlib.sha256("\0".join(f"{name}\0{source}" for name, source in sorted(modules.items())).encode())
    return f"{package_version('luau_rft')}+{digest.hexdigest()[:8]}"


def build(modules: dict[str, str] | None = None) -> str:
    """The model's text, of ``sources()`` unless others are given; a character that XML cannot hold is a ValueError.

    >>> "<string name=\\"Name\\">LuauRft</string>" in build()
    True
    """
    modules = sources() if modules is None else modules
    children = [_item("ModuleScript", name, _source(name, text)) for name, text in modules.items() if name != NAME]
    children.append(_item("StringValue", "Version", f'<string name="Value">{escape(version(modules))}</string>'))
    root = _item("Script", NAME, _source(NAME, modules[NAME]), children)
    return f'<?xml version="1.0" encoding="utf-8"?>\n<roblox version="4">\n{root}</roblox>\n'


def write(path: Path) -> None:
    """Write the model to ``path``, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(build(), encoding="utf-8", newline="\n")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _item(class_name: str, name: str, properties: str, children: list[str] | None = None) -> str:
    label = f'<string name="Name">{escape(name)}</string>'
    inner = f"<Properties>\n{label}\n{properties}\n</Properties>\n{''.join(children or [])}"
    return f'<Item class="{class_name}" referent={quoteattr(_referent(name))}>\n{inner}</Item>\n'


def _referent(name: str) -> str:
    return "RBX" + hashlib.sha256(name.encode()).hexdigest()[:32].upper()


def _source(name: str, text: str) -> str:
    found = _FORBIDDEN.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        raise ValueError(f"{name}, line {line}: XML cannot hold the character {found[0]!r}")
    # Readers differ in how they join split CDATA sections; all of them know entities.
    body = escape(text) if "]]>" in text else f"<![CDATA[{text}]]>"
    return f'<ProtectedString name="Source">{body}</ProtectedString>'


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else FILE_NAME))
