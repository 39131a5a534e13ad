"""``luau-rft store`` as people use it: statistics, checks, the way to another machine, saving a damaged store."""

import io
import json
import os
import random
import re
import sqlite3
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import polars as pl
import pytest

from luau_rft import cli, store_command
from luau_rft.errors import UserError
from luau_rft.llm.base import Answer, Usage
from luau_rft.store import Store
from luau_rft.store_file import checksum

COMMAND = str(Path(sys.executable).parent / "luau-rft")
SONNET = "claude-sonnet-5-5"


def answer(key, text="a text", cost_usd=0.25):
    return Answer(key, "answered", text, SONNET, Usage(1000, 20, 3000, 400), cost_usd)


class Desk:
    """A folder with a user's store and the command that works on it."""

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / "answers.sqlite"

    def run(self, *arguments, store=None):
        """In this process: to start another one takes longer than all else."""
        command = ["luau-rft", "store", *map(str, arguments)]
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setenv("LUAU_RFT_STORE", str(store or self.path))
            patch.setenv("COLUMNS", "200")
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", command)
            with pytest.raises(SystemExit) as end:
                cli.main()
        told = (stream.buffer.getvalue().decode() for stream in (out, err))
        return subprocess.CompletedProcess(command, end.value.code or 0, *told)

    def started(self, *arguments):
        """As people start it."""
        environment = os.environ | {"LUAU_RFT_STORE": str(self.path)}
        return subprocess.run(
            [COMMAND, "store", *map(str, arguments)],
            cwd=self.folder, env=environment, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    def good(self, *arguments, store=None):
        done = self.run(*arguments, store=store)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def error(self, *arguments, store=None):
        done = self.run(*arguments, store=store)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        return done.stderr

    def spoil(self, statement):
        connection = sqlite3.connect(self.path)
        connection.execute(statement)
        connection.commit()
        connection.close()


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


@pytest.fixture
def filled(desk):
    """A store that holds one of everything."""
    with Store(desk.path) as store:
        for number in range(30):
            store.put(answer(f"judge{number}", f"äö \ud83d {number}"), "judge")
        store.put(answer("label1", cost_usd=1.5), "label")
        store.charge("judge", SONNET, Usage(10), 0.125, "not JSON")
        store.charge("gold", "claude-opus-5", Usage(10), 2.0, "a time-out")
        store.fill("label", [{"key": "label1", "task": "a door", "cost_usd": 1.5}])
        store.submitted(store.intend(SONNET, {"c1": "k1", "c2": "k2"}), "msgbatch_1")
        store.intend(SONNET, {"c3": "k3"})
        done = store.intend(SONNET, {"c4": "k4"})
        store.submitted(done, "msgbatch_done")
        store.closed(done)
    return desk


def damage_pages(path, pages):
    content = bytearray(path.read_bytes())
    for page in pages:
        content[page * 4096 : page * 4096 + 64] = b"\xa5" * 64
    path.write_bytes(content)


def pages_of(path, name):
    """The pages, counted from 0, of a table or an index."""
    connection = sqlite3.connect(path)
    [root] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", [name]).fetchone()
    connection.close()
    content = path.read_bytes()
    start = (root - 1) * 4096
    assert content[start] in (2, 5), "the root has children, as interior pages of SQLite's format do"
    cells = int.from_bytes(content[start + 3 : start + 5], "big")
    children = [int.from_bytes(content[start + 8 : start + 12], "big")]
    for cell in range(cells):
        place = int.from_bytes(content[start + 12 + 2 * cell : start + 14 + 2 * cell], "big")
        children.append(int.from_bytes(content[start + place : start + place + 4], "big"))
    return [child - 1 for child in children]


def test_the_installed_command_is_the_one_of_these_tests(filled):
    for command in (["stats"], ["verify"], ["export", "."]):
        started, done = filled.started(*command), filled.run(*command)
        assert (started.returncode, started.stdout, started.stderr) == (done.returncode, done.stdout, done.stderr)


def test_every_command_has_its_help(desk):
    told = desk.good("--help")
    for command, part in [
        ("stats", "dollars"), ("verify", "exit with 1"), ("export", "sorted lines of JSON"), ("import", "--moved"),
    ]:  # fmt: skip
        assert command in told
        assert part in desk.good(command, "--help")


def test_statistics(filled):
    told = filled.good("stats")
    lines = [re.split(r"  +", line) for line in told.splitlines()]
    assert ["judge", SONNET, "here", "30", "30,000", "600", "90,000", "12,000", "7.5000", "1", "0.1250"] in lines
    assert ["label", SONNET, "here", "1", "1,000", "20", "3,000", "400", "1.5000", "0", "0.0000"] in lines
    assert ["gold", "claude-opus-5", "here", "0", "0", "0", "0", "0", "0.0000", "1", "2.0000"] in lines
    assert "spent here: 11.1250 USD" in told
    assert "table rows: label 1" in told
    assert f"open batch: msgbatch_1, {SONNET}, 2 questions, since 20" in told
    assert f"open batch: submission unknown, {SONNET}, 1 questions" in told
    assert "msgbatch_done" not in told
    assert re.match(rf"{re.escape(str(filled.path))}: 0\.\d MB\n", told)


def test_statistics_of_a_store_without_answers(desk):
    Store(desk.path).close()
    assert "no answers yet\nspent here: 0.0000 USD" in desk.good("stats")


def test_a_sound_store(filled):
    assert "31 answers, 3 batches, 2 charges, 1 rows: in order" in filled.good("verify")


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("UPDATE answers SET text = 'b text' WHERE key = 'label1'", "answers: label1"),
        ("UPDATE answers SET text = x'c3' WHERE key = 'label1'", "answers: label1"),
        ("UPDATE answers SET cost_usd = 9e999 WHERE key = 'judge7'", "answers: judge7"),
        ("UPDATE answers SET key = 'other' || char(27) WHERE key = 'judge7'", r"answers: other\x1b"),
        ("UPDATE rows SET row = '{'", "rows: label label1"),
        ("UPDATE rows SET key = 'label2'", "rows: label label2"),
        ("UPDATE charges SET cost_usd = 0 WHERE stage = 'gold'", "charges: "),
        ("UPDATE batches SET batch_id = 'msgbatch_2' WHERE batch_id = 'msgbatch_1'", "batches: "),
    ],
)
def test_a_record_that_differs_from_what_was_written_is_named(filled, statement, name):
    filled.spoil(statement)
    done = filled.run("verify")
    assert done.returncode == 1
    first, second, advice = done.stdout.splitlines()
    assert f"{name}" in first
    assert "differs from what was written" in first
    assert "1 problems" in second
    assert "store export" in advice


def test_a_flipped_bit_in_the_file_is_found(filled):
    content = filled.path.read_bytes()
    assert content.count(b"a door") == 1
    filled.path.write_bytes(content.replace(b"a door", b"a doop"))
    done = filled.run("verify")
    assert done.returncode == 1
    assert "rows: label label1: differs" in done.stdout


def test_a_row_that_is_not_json_is_named(filled):
    record = {"kind": "label", "key": "label1", "row": "{"}
    filled.spoil(f"UPDATE rows SET row = '{{', checksum = '{checksum(record)}'")
    done = filled.run("verify")
    assert done.returncode == 1
    assert "rows: label label1: its row is not JSON" in done.stdout


def test_an_index_that_lost_an_answer_is_found(filled):
    connection = sqlite3.connect(filled.path)
    connection.execute("PRAGMA writable_schema = 1")
    connection.execute(
        "UPDATE sqlite_master SET sql = replace(sql, 'WHERE here', 'WHERE NOT here') WHERE type = 'index'"
    )
    connection.commit()
    connection.close()
    done = filled.run("verify")
    assert done.returncode == 1
    assert "answers_paid" in done.stdout


def test_an_export_comes_back_to_the_byte(filled):
    filled.good("export", "one.jsonl")
    one = (filled.folder / "one.jsonl").read_bytes()
    filled.good("export", "one.jsonl")
    assert (filled.folder / "one.jsonl").read_bytes() == one

    header, *lines = one.splitlines(keepends=True)
    random.Random(0).shuffle(lines)
    (filled.folder / "shuffled.jsonl").write_bytes(b"".join([header, *lines, header, *lines[:3]]))
    other = filled.folder / "other.sqlite"
    told = filled.good("import", "shuffled.jsonl", store=other)
    assert "31 answers, 3 batches, 2 charges, 1 rows new, 3 already there" in told
    filled.good("export", "two.jsonl", store=other)
    assert (filled.folder / "two.jsonl").read_bytes() == one
    assert "in order" in filled.good("verify", store=other)
    with Store(filled.path) as mine, Store(other) as theirs:
        keys = [f"judge{number}" for number in range(30)]
        assert mine.get(keys) == theirs.get(keys) != {}
    assert sorted(path.name for path in filled.folder.iterdir()) == [
        "answers.sqlite", "one.jsonl", "other.sqlite", "shuffled.jsonl", "two.jsonl",
    ]  # fmt: skip


def test_what_others_paid_is_not_spent_here_unless_the_store_moved(filled):
    filled.good("export", "one.jsonl")
    other = filled.folder / "other.sqlite"
    filled.good("import", "one.jsonl", store=other)
    with Store(other) as store:
        assert (store.spent(), store.open_batches()) == (0, [])
        assert store.get(["label1"]) != {}
    told = filled.good("stats", store=other)
    assert "elsewhere" in told
    assert "spent here: 0.0000 USD" in told
    assert "37 already there" in filled.good("import", "one.jsonl", "--moved", store=other)
    with Store(other) as store:
        assert store.spent() == 11.125
        assert [batch.batch_id for batch in store.open_batches()] == ["msgbatch_1", None]


def test_what_is_there_stays(filled):
    filled.good("export", "one.jsonl")
    other = filled.folder / "other.sqlite"
    with Store(other) as store:
        store.put(answer("label1", "ours", 0.5), "label")
    assert "30 answers, 3 batches, 2 charges, 1 rows new, 1 already there" in filled.good(
        "import", "one.jsonl", store=other
    )
    with Store(other) as store:
        assert store.get(["label1"])["label1"].text == "ours"
        assert store.spent() == 0.5


def test_an_import_mends_what_is_damaged(filled):
    filled.good("export", "one.jsonl")
    filled.spoil("UPDATE answers SET text = 'b text' WHERE key = 'label1'")
    assert "36 already there, 1 mended" in filled.good("import", "one.jsonl")
    assert "in order" in filled.good("verify")
    with Store(filled.path) as store:
        assert store.spent() == 11.125


def test_a_damaged_record_is_left_out_of_the_export_and_named(filled):
    filled.spoil("UPDATE answers SET text = 'b text' WHERE key = 'label1'")
    done = filled.run("export", "one.jsonl")
    assert done.returncode == 1
    assert "answers: label1: differs from what was written, left out" in done.stderr
    assert "30 answers, 3 batches, 2 charges, 1 rows" in done.stdout
    filled.good("import", "one.jsonl", store=filled.folder / "other.sqlite")


@pytest.mark.parametrize("broken", ["answers", "sqlite_autoindex_answers_1", "both"])
def test_the_rest_of_a_damaged_file_is_saved(desk, broken):
    texts = {f"k{number:04}": f"{number} " * 200 for number in range(1000)}
    with Store(desk.path) as store, store.transaction():
        for key, text in texts.items():
            store.put(answer(key, text, 1.0), "judge")
    tables = [broken] if broken != "both" else ["answers", "sqlite_autoindex_answers_1"]
    damage_pages(desk.path, [page for name in tables for page in pages_of(desk.path, name)[3:6]])
    before = desk.path.read_bytes()

    if broken == "answers":
        assert "luau-rft store export" in desk.error("stats")
    done = desk.run("verify")
    assert done.returncode == 1
    assert "problems" in done.stdout
    done = desk.run("export", "rest.jsonl")
    assert done.returncode == 1
    assert desk.path.read_bytes() == before

    new = desk.folder / "new.sqlite"
    desk.good("import", "rest.jsonl", "--moved", store=new)
    assert "in order" in desk.good("verify", store=new)
    with Store(new) as store:
        found = store.get(texts)
        assert {key: one.text for key, one in found.items()} == {key: texts[key] for key in found}
        assert store.spent() == len(found)
    lost = texts.keys() - found.keys()
    if broken == "answers":
        assert lost == set(re.findall(r"answers: (k\d{4}): cannot be read", done.stderr))
    if broken == "sqlite_autoindex_answers_1":
        assert lost == set()
    else:
        assert 0 < len(lost) < 50


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    desk = Desk(tmp_path_factory.mktemp("exported"))
    with Store(desk.path) as store:
        for number in range(3):
            store.put(answer(f"k{number}"), "judge")
    desk.good("export", "one.jsonl")
    return (desk.folder / "one.jsonl").read_text()


@pytest.mark.parametrize(
    ("number", "edit"),
    [
        (3, lambda old: old[:50]),
        (3, lambda old: old.replace("a text", "b text")),
        (3, lambda old: old.replace('"cost_usd":0.25', '"cost_usd":NaN')),
        (3, lambda old: old.replace('"cost_usd":0.25', '"cost_usd":"0.25"')),
        (3, lambda old: old.replace('"cost_usd":0.25,', "")),
        (3, lambda old: old.replace('"table":"answers"', '"table":"secrets"')),
        (3, lambda old: old.replace('"table":"answers"', '"table":["answers"]')),
        (4, lambda old: "\n"),
        (4, lambda old: "[1, 2]\n"),
        (4, lambda old: "null\n"),
        (4, lambda old: '{"table": "answers", "record": 7, "checksum": ""}\n'),
        (4, lambda old: "[" * 100_000 + "\n"),
        (4, lambda old: "9" * 10_000 + "\n"),
        (4, lambda old: "\x00\x01\n"),
    ],
)
def test_a_malformed_line_is_named_and_nothing_imported(desk, exported, monkeypatch, number, edit):
    lines = exported.splitlines(keepends=True)
    changed = edit(lines[number - 1])
    assert changed != lines[number - 1]
    lines[number - 1] = changed
    (desk.folder / "one.jsonl").write_text("".join(lines))
    with Store(desk.path) as store:
        store.put(answer("mine"), "judge")
    monkeypatch.setenv("LUAU_RFT_STORE", str(desk.path))
    with pytest.raises(UserError, match=rf"one\.jsonl: line {number}: .* nothing was imported"):
        store_command.import_(desk.folder / "one.jsonl")
    with Store(desk.path) as store:
        assert list(store.get(["mine", "k0", "k1", "k2"])) == ["mine"]


def test_an_export_of_another_version(desk, exported):
    newer = json.dumps({"store": "luau_rft", "version": 99}) + "\n"
    (desk.folder / "one.jsonl").write_text(exported + newer)
    assert "line 5: an export of version 99" in desk.error("import", "one.jsonl")
    with Store(desk.path) as store:
        assert store.get(["k0"]) == {}


def test_files_that_cannot_be_imported(filled):
    pl.DataFrame({"a": [1]}).write_parquet(filled.folder / "table.parquet")
    (filled.folder / "empty.jsonl").touch()
    (filled.folder / "notes.txt").write_text("notes\n")
    for name, part in [
        ("absent.jsonl", "no such file"),
        (".", "no such file"),
        ("table.parquet", "line 1: not an export"),
        ("notes.txt", "line 1: not an export"),
        ("empty.jsonl", "empty"),
        ("answers.sqlite", "the store itself"),
    ]:
        assert part in filled.error("import", name)
    assert "31 answers, 3 batches, 2 charges, 1 rows: in order" in filled.good("verify")


def test_places_that_cannot_be_exported_to(filled):
    (filled.folder / "notes.txt").write_text("my notes\n")
    (filled.folder / "empty.txt").touch()
    before = filled.path.read_bytes()
    for name, part in [
        (".", "a folder"),
        ("absent/one.jsonl", "no folder"),
        ("notes.txt", "there already"),
        ("empty.txt", "there already"),
        ("answers.sqlite", "there already"),
    ]:
        assert part in filled.error("export", name)
    assert filled.path.read_bytes() == before
    assert (filled.folder / "notes.txt").read_text() == "my notes\n"


@pytest.mark.parametrize("command", [["stats"], ["verify"], ["export", "one.jsonl"]])
def test_a_place_without_a_store(desk, command):
    assert "no store yet" in desk.error(*command)
    (desk.folder / "table.sqlite").write_bytes(b"PAR1" * 500)
    assert "not a store" in desk.error(*command, store=desk.folder / "table.sqlite")
    assert "not a file" in desk.error(*command, store=desk.folder)
    assert [path.name for path in desk.folder.iterdir()] == ["table.sqlite"]
