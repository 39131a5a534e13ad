import json

import polars as pl
import pytest

from luau_rft.corpus import directory, hub
from luau_rft.errors import UserError

ROWS = [
    {"content": "return 1", "path": "a.luau", "license": "mit"},
    {"content": "return 2", "path": None, "license": None},
    {"content": "return 3", "path": "c.luau", "license": "gpl-3.0"},
]


def params(dataset, columns=None, streaming_limit=100, **changes):
    columns = columns or {"code": "content", "path": "path", "license": "license"}
    return hub.HubParams(
        dataset=str(dataset), columns=hub.HubColumns(**columns), streaming_limit=streaming_limit, **changes
    )


@pytest.fixture(params=["parquet", "jsonl"])
def dataset(request, tmp_path):
    """A dataset repository in a local folder."""
    (tmp_path / "set" / "data").mkdir(parents=True)
    (tmp_path / "set" / "README.md").write_text("---\nlicense: mit\n---\n# A set\n")
    if request.param == "parquet":
        pl.DataFrame(ROWS).write_parquet(tmp_path / "set" / "data" / "train-00000.parquet")
    else:
        lines = "".join(json.dumps(row) + "\n" for row in ROWS)
        (tmp_path / "set" / "data" / "train.jsonl").write_text(lines)
    return tmp_path / "set"


def test_hub_streams_a_dataset_repository(dataset):
    files = list(hub.read(params(dataset)))
    assert [(file.code, file.path, file.license) for file in files] == [
        ("return 1", "a.luau", "mit"),
        ("return 2", "1", ""),
        ("return 3", "c.luau", "gpl-3.0"),
    ]
    assert {(file.source, file.package) for file in files} == {("hub", str(dataset))}


def test_hub_stops_at_the_limit(dataset):
    assert len(list(hub.read(params(dataset, streaming_limit=2)))) == 2


def test_hub_names_a_missing_column_and_those_there_are(dataset):
    with pytest.raises(
        UserError, match=r"collect\.hub\.columns\.code: .* no column 'code'; it has content, license, path"
    ):
        list(hub.read(params(dataset, {"code": "code", "path": None, "license": "license"})))


def test_hub_wants_a_licence_from_somewhere(dataset):
    with pytest.raises(UserError, match=r"collect\.hub\.license: missing"):
        list(hub.read(params(dataset, {"code": "content"})))
    files = list(hub.read(params(dataset, {"code": "content"}, license="Apache-2.0")))
    assert {file.license for file in files} == {"Apache-2.0"}


def test_hub_joins_the_licences_of_a_list(tmp_path):
    (tmp_path / "train.jsonl").write_text(json.dumps({"content": "return 1", "licenses": ["MIT", "ISC"]}) + "\n")
    (file,) = hub.read(params(tmp_path, {"code": "content", "license": "licenses"}))
    assert file.license == "MIT AND ISC"


def test_hub_says_what_to_do_when_the_dataset_cannot_be_read(tmp_path, dataset):
    with pytest.raises(UserError, match=r"collect\.hub\.dataset: .*no-such.* could not be read .*npm, directory"):
        list(hub.read(params(tmp_path / "no-such")))
    with pytest.raises(UserError, match=r"collect\.hub\.dataset: .* could not be read .*check its name, split"):
        list(hub.read(params(dataset, split="validation")))


def test_directory_reads_luau_files_in_order_and_follows_no_link(tmp_path):
    folder = tmp_path / "game"
    (folder / "client").mkdir(parents=True)
    (folder / "b.lua").write_bytes(b"\xef\xbb\xbfreturn 'b'")  # with a byte order mark
    (folder / "client" / "a.luau").write_text("return 'a'")
    (folder / "readme.md").write_text("not code")
    (tmp_path / "secret.lua").write_text("return 'secret'")
    (folder / "link.lua").symlink_to(tmp_path / "secret.lua")
    files = list(directory.read(directory.DirectoryParams(path=str(folder), license="MIT")))
    assert [(file.package, file.path, file.code) for file in files] == [
        ("game", "b.lua", "return 'b'"),
        ("game", "client/a.luau", "return 'a'"),
    ]


@pytest.mark.parametrize(("name", "message"), [("none", "is no folder"), (".", "holds no .lua or .luau file")])
def test_directory_without_code_is_named(tmp_path, name, message):
    with pytest.raises(UserError, match=message):
        list(directory.read(directory.DirectoryParams(path=str(tmp_path / name), license="MIT")))
