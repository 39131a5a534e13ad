import base64
import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from luau_rft.corpus import npm
from luau_rft.errors import UserError

LIST = Path(npm.__file__).with_name("packages.txt")
CODE = "-- Doubles a number.\nreturn function(x)\n\treturn 2 * x\nend\n"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LUAU_RFT_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "npm"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A package that the real npm client packs from a local folder."""
    folder = tmp_path_factory.mktemp("packed")
    package = folder / "source"
    (package / "src" / "sub").mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"name": "@me/doubler", "version": "1.0.0", "license": "MIT"}))
    (package / "src" / "init.luau").write_text(CODE)
    (package / "src" / "sub" / "old.lua").write_text("return 1\n")
    (package / "src" / "notes.md").write_text("# Notes\n")
    (tarball,) = npm.pack([str(package)], folder)
    return tarball


def integrity(path: Path) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


def listing(folder: Path, *lines: str) -> npm.NpmParams:
    path = folder / "packages.txt"
    path.write_text("# what we use\n\n" + "\n".join(lines) + "\n")
    return npm.NpmParams(packages=str(path))


def test_reads_the_luau_files_of_a_packed_package(tmp_path, cache, packed, monkeypatch):
    shutil.copy(packed, cache / "@me+doubler@1.0.0.tgz")
    monkeypatch.setenv("PATH", "")  # what is in the cache needs no npm
    params = listing(tmp_path, f"@me/doubler@1.0.0 MIT {integrity(packed)}")
    files = list(npm.read(params))
    assert [(file.package, file.path, file.license) for file in files] == [
        ("@me/doubler@1.0.0", "src/init.luau", "MIT"),
        ("@me/doubler@1.0.0", "src/sub/old.lua", "MIT"),
    ]
    assert files[0].code == CODE


def test_a_changed_tarball_is_an_error(tmp_path, cache, packed):
    params = listing(tmp_path, f"@me/doubler@1.0.0 MIT {integrity(packed)}")
    tampered = cache / "@me+doubler@1.0.0.tgz"
    with gzip.open(packed) as original, gzip.open(tampered, "wb") as changed:
        changed.write(original.read().replace(b"2 * x", b"3 * x"))
    with pytest.raises(
        UserError, match=r"@me\+doubler@1\.0\.0\.tgz: is not the @me/doubler@1\.0\.0 that the list pins"
    ):
        list(npm.read(params))


def test_without_npm_the_message_names_the_other_sources(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    params = listing(tmp_path, f"some-package@1.0.0 MIT sha512-{base64.b64encode(bytes(64)).decode()}")
    with pytest.raises(UserError, match=r"npm client is not on PATH; install Node\.js.*hub.*directory"):
        list(npm.read(params))


def test_without_network_the_message_names_the_other_sources(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm-cache"))
    params = listing(tmp_path, f"some-package@1.0.0 MIT sha512-{base64.b64encode(bytes(64)).decode()}")
    with pytest.raises(UserError, match=r"npm failed: .*ECONNREFUSED.*check the network.*hub.*directory"):
        list(npm.read(params))
    assert list(cache.iterdir()) == []


def test_a_real_package_is_downloaded_once_and_its_integrity_checked(tmp_path, cache, monkeypatch):
    (package,) = [p for p in npm.read_list(LIST) if p.name == "@rbxts/signal"]
    params = listing(tmp_path, f"{package.spec} {package.license} {package.integrity}")
    (first,) = npm.read(params)
    assert "Connect" in first.code
    monkeypatch.setenv("PATH", "")
    assert list(npm.read(params)) == [first]


def test_the_projects_list_is_pinned_and_permissive():
    packages = npm.read_list(LIST)
    assert len(packages) >= 40
    assert {package.license for package in packages} <= {"MIT", "ISC", "Apache-2.0"}
    assert len({package.name for package in packages}) == len(packages)


@pytest.mark.parametrize(
    "line",
    ["signal@1.0.0 MIT", "signal MIT sha512-AAAA", "signal@^1.0.0 MIT sha512-AAAA", "signal@1.0.0 MIT sha512-AAAA"],
)
def test_a_line_that_pins_nothing_is_named(tmp_path, line):
    params = listing(tmp_path, line)
    with pytest.raises(UserError, match=r"packages\.txt: line 3: expected"):
        npm.read_list(params.packages)


def tarball(path: Path, *members: tuple[str, bytes, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(content), "/etc/passwd"
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["../outside.lua", "/etc/outside.lua", "package/../../outside.lua"])
def test_a_path_outside_the_package_is_refused(tmp_path, name):
    hostile = tarball(tmp_path / "hostile.tgz", (name, tarfile.REGTYPE, b"return 1"))
    with pytest.raises(UserError, match=r"hostile\.tgz: names a path outside itself"):
        list(npm.luau_files(hostile))


def test_links_and_devices_are_not_followed(tmp_path):
    hostile = tarball(
        tmp_path / "links.tgz",
        ("package/a.lua", tarfile.SYMTYPE, b""),
        ("package/b.lua", tarfile.LNKTYPE, b""),
        ("package/c.lua", tarfile.CHRTYPE, b""),
        ("package/d.lua", tarfile.REGTYPE, b"return 1"),
    )
    assert list(npm.luau_files(hostile)) == [("d.lua", b"return 1")]


def test_a_decompression_bomb_is_refused_early(tmp_path, monkeypatch):
    monkeypatch.setattr(npm, "MAX_UNPACKED_BYTES", 2**20)
    bomb = tarball(tmp_path / "bomb.tgz", ("package/big.lua", tarfile.REGTYPE, bytes(8 * 2**20)))
    assert bomb.stat().st_size < 2**15
    with pytest.raises(UserError, match=r"bomb\.tgz: unpacks to more than 1 MiB"):
        list(npm.luau_files(bomb))


def test_a_sparse_file_that_is_mostly_holes_is_left_out(tmp_path):
    terabyte = "1099511627776"
    info = tarfile.TarInfo("package/big.lua")
    info.pax_headers = {"GNU.sparse.map": f"0,1,{terabyte},0", "GNU.sparse.size": terabyte}
    info.size = 1
    with tarfile.open(tmp_path / "sparse.tgz", "w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(b"x"))
    with tarfile.open(tmp_path / "sparse.tgz") as archive:
        assert archive.next().issparse()
    assert list(npm.luau_files(tmp_path / "sparse.tgz")) == []


@pytest.mark.parametrize("keep", [0, 10, 60])
def test_a_truncated_tarball_is_named(tmp_path, packed, keep):
    broken = tmp_path / "broken.tgz"
    broken.write_bytes(packed.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"broken\.tgz: not a readable package"):
        list(npm.luau_files(broken))


def test_noise_is_no_package(tmp_path):
    noise = tmp_path / "noise.tgz"
    noise.write_bytes(gzip.compress(os.urandom(4096)))
    with pytest.raises(UserError, match=r"noise\.tgz: not a readable package"):
        list(npm.luau_files(noise))
