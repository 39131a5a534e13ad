"""The scripts of an answer: one, or several in one text, each under a comment with its file name.

    -- ServerScriptService/Shop.server.luau
    ...
    -- StarterPlayer/StarterPlayerScripts/ShopButton.client.luau
    ...
    -- ReplicatedStorage/Prices.luau
    ...

The names are those of Rojo: ``.server`` is a Script, ``.client`` a LocalScript, neither a ModuleScript; the folders say
where it lives and may be left out.
"""

import re
from dataclasses import dataclass

# Where a script lives when its name does not say.
HOMES = {
    "server": ("ServerScriptService",),
    "client": ("StarterPlayer", "StarterPlayerScripts"),
    "module": ("ReplicatedStorage",),
}
CLASSES = {"server": "Script", "client": "LocalScript", "module": "ModuleScript"}

# Where the platform copies to what lies here before it runs.
_COPIED = {
    ("StarterPlayer", "StarterPlayerScripts"): ("Players", "LocalPlayer", "PlayerScripts"),
    ("StarterGui",): ("Players", "LocalPlayer", "PlayerGui"),
}

_HEADER = re.compile(
    r"^--[ \t]*(?P<folders>(?:\w+/)*)(?P<name>\w+)(?:\.(?P<kind>server|client))?\.luau?[ \t]*$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Script:
    """``line`` is the number of lines of the answer above ``source``; ``folder`` the path of where the script lives."""

    name: str
    kind: str
    folder: tuple[str, ...]
    source: str
    line: int = 0

    @property
    def path(self) -> str:
        """As messages name the script when it runs: ``ServerScriptService.Shop``."""
        running = _COPIED.get(self.folder[:2]) or _COPIED.get(self.folder[:1])
        return ".".join((*(running or self.folder), self.name))


def split(answer: str, kind: str) -> list[Script]:
    """The scripts of ``answer`` in order; without two headers at least, it is one script of ``kind``.

    >>> [script.path for script in split("-- Shop.server.luau\\nprint(1)\\n-- Prices.luau\\nreturn {}", "server")]
    ['ServerScriptService.Shop', 'ReplicatedStorage.Prices']
    """
    headers = list(_HEADER.finditer(answer))
    if len(headers) < 2:
        return [Script(CLASSES[kind], kind, HOMES[kind], answer)]
    # What stands above the first header belongs to the first script.
    starts = [0, *(header.start() for header in headers[1:])]
    scripts = []
    for header, start, end in zip(headers, starts, [*starts[1:], len(answer)], strict=True):
        own = header["kind"] or "module"
        folder = tuple(header["folders"].split("/")[:-1]) or HOMES[own]
        scripts.append(Script(header["name"], own, folder, answer[start:end], answer.count("\n", 0, start)))
    return scripts
