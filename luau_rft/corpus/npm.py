"""Source ``npm``: a pinned list of packages that ship Luau, fetched once by the npm client, read from tarballs."""

import base64
import binascii
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from luau_rft.config import Params
from luau_rft.corpus.source import LUAU_SUFFIXES, SourceFile, decode
from luau_rft.errors import UserError
from luau_rft.model.base import cache_folder
from luau_rft.progress import bar

BATCH = 16  # packages an npm process fetches
# A tarball comes from strangers: a small one may unpack to anything. The largest of the default list unpacks to 2 MB.
MAX_UNPACKED_BYTES = 64 * 2**20

_ALTERNATIVES = "or use another of collect.sources: hub for a dataset, directory for a folder of .lua or .luau files"


class NpmParams(Params):
    """Section ``collect.npm``."""

    packages: str  # file of lines `name@version license integrity`


@dataclass(frozen=True, slots=True)
class Package:
    """One line of the list; ``integrity`` is the registry's: ``sha512-`` and the digest in base64."""

    name: str
    version: str
    license: str
    integrity: str

    @property
    def spec(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def filename(self) -> str:
        return f"{self.spec.replace('/', '+')}.tgz"


def read(params: NpmParams) -> Iterator[SourceFile]:
    """The Luau files of every listed package, in order of the list and of their path.

    Raises ``UserError`` when npm or the network is missing, or a tarball is not the one that the list pins.
    """
    packages = read_list(params.packages)
    folder = cache_folder() / "npm"
    fetch(packages, folder)
    for package in packages:
        for path, content in luau_files(folder / package.filename):
            yield SourceFile("npm", package.spec, path, package.license, decode(content))


def read_list(path: str | Path) -> list[Package]:
    """Read the list of packages. Raises ``UserError`` naming the file and the line."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"params.yaml: collect.npm.packages: {path} cannot be read ({error})") from None
    packages = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"((?:@[a-z0-9._-]+/)?[a-z0-9._-]+)@([0-9][\w.+-]*) +(\S+) +(sha512-\S+)", line.strip())
        if match is None or _digest(match[4]) is None:
            raise UserError(f"{path}: line {number}: expected `name@version license sha512-digest`, got {line!r}")
        packages.append(Package(*match.groups()))
    if not packages:
        raise UserError(f"{path}: no packages; expected lines `name@version license sha512-digest`")
    return packages


def fetch(packages: Sequence[Package], folder: Path) -> None:
    """Download into ``folder`` what is not there yet, then check every tarball's integrity.

    Raises ``UserError`` when npm or the network is missing or a tarball differs from what the list pins.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [package for package in packages if not (folder / package.filename).exists()]
    if missing:
        with bar("fetching packages", len(missing)) as advance:
            for start in range(0, len(missing), BATCH):
                batch = missing[start : start + BATCH]
                _download(batch, folder)
                advance(len(batch))
    for package in packages:
        _check(folder / package.filename, package)


def pack(specs: Sequence[str], folder: Path) -> list[Path]:
    """Have the npm client write the tarballs of ``specs`` (packages or local folders) into ``folder``.

    Raises ``UserError`` when npm is missing or fails.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(f"collect: the npm client is not on PATH; install Node.js with npm, {_ALTERNATIVES}")
    # --ignore-scripts: nothing of a package runs. npm's own defaults retry for minutes without a network.
    options = [
        "--json",
        "--ignore-scripts",
        "--fetch-retries=2",
        "--fetch-retry-mintimeout=1000",
        "--fetch-retry-factor=3",
    ]
    command = [npm, "pack", *options, "--pack-destination", str(folder), *specs]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        told = [line.removeprefix("npm error ") for line in done.stderr.splitlines() if line.startswith("npm error ")]
        raise UserError(f"collect: npm failed: {' '.join(told)[:300]}; check the network and the list, {_ALTERNATIVES}")
    return [folder / entry["filename"] for entry in json.loads(done.stdout)]


def luau_files(tarball: Path) -> Iterator[tuple[str, bytes]]:
    """Paths inside the package and contents of a tarball's Luau files, ordered; nothing is written to the disk.

    Raises ``UserError`` when it is damaged, unpacks to more than ``MAX_UNPACKED_BYTES`` or names a path outside itself.
    """
    files: dict[str, bytes] = {}
    try:
        with gzip.open(tarball) as stream:
            content = stream.read(MAX_UNPACKED_BYTES + 1)
        if len(content) > MAX_UNPACKED_BYTES:
            raise UserError(f"{tarball}: unpacks to more than {MAX_UNPACKED_BYTES >> 20} MiB; take it off the list")
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for member in archive:
                path = PurePosixPath(member.name)
                if path.is_absolute() or ".." in path.parts:
                    raise UserError(f"{tarball}: names a path outside itself, {member.name!r}; take it off the list")
                # A sparse file's holes take no room in the tarball and any amount in memory; npm packs none.
                if member.isreg() and not member.issparse() and path.suffix in LUAU_SUFFIXES:
                    # npm puts everything below one folder, most often `package`.
                    files["/".join(path.parts[1:] or path.parts)] = archive.extractfile(member).read()
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise UserError(f"{tarball}: not a readable package ({error}); delete it and run `dvc repro`") from None
    yield from sorted(files.items())


def _download(packages: Sequence[Package], folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as temporary:
        tarballs = pack([package.spec for package in packages], Path(temporary))
        for tarball, package in zip(tarballs, packages, strict=True):
            _check(tarball, package)
            os.replace(tarball, folder / package.filename)


def _check(tarball: Path, package: Package) -> None:
    with tarball.open("rb") as file:
        found = hashlib.file_digest(file, "sha512").digest()
    if found != _digest(package.integrity):
        raise UserError(
            f"{tarball}: is not the {package.spec} that the list pins (its integrity is sha512-"
            f"{base64.b64encode(found).decode()}); delete the file, or correct the list if the change is meant"
        )


def _digest(integrity: str) -> bytes | None:
    try:
        digest = base64.b64decode(integrity.removeprefix("sha512-"), validate=True)
    except binascii.Error:
        return None
    return digest if len(digest) == hashlib.sha512().digest_size else None
