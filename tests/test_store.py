"""The store of paid answers: what was put stays, whatever happens to the process, the file or its neighbours."""

import multiprocessing
import os
import random
import resource
import select
import signal
import sqlite3
import stat
import tempfile
import threading
import time
from pathlib import Path

import polars as pl
import pytest

from luau_rft import store_file
from luau_rft.errors import UserError
from luau_rft.llm.base import Answer, Usage
from luau_rft.store import Store, default_path

FORK = multiprocessing.get_context("fork")
MODEL = "claude-sonnet-5-5"


def answer(key, text="a text", cost_usd=0.25, status="answered"):
    return Answer(key, status, text, MODEL, Usage(input=900, cache_write=7, cache_read=1200, output=40), cost_usd)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "answers.sqlite"


@pytest.fixture
def store(path):
    with Store(path) as opened:
        yield opened


def spoil(path, statement):
    """Change the file behind the store's back."""
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def refusal(path, **options):
    with pytest.raises(UserError) as caught:
        Store(path, **options)
    message = str(caught.value)
    assert str(path) in message
    return message


@pytest.mark.parametrize(
    "text",
    ["", "plain", "ä 漢 🚪", "a\x00b\x1b[2J", "half a pair \ud83d", "back to front \udeaa\ud83d", "x" * 2_000_000],
    ids=["empty", "plain", "unicode", "control", "surrogate", "surrogates", "long"],
)
def test_an_answer_comes_back_as_it_was(path, text):
    kept = answer("k", text, cost_usd=0.1 + 0.2)
    with Store(path) as store:
        store.put(kept, "judge")
    with Store(path) as store:
        assert store.get(["k", "other"]) == {"k": kept}
        assert store.get([]) == {}


def test_every_status_comes_back(store):
    kept = {status: answer(status, status=status) for status in ("answered", "refused", "truncated")}
    for one in kept.values():
        store.put(one, "gold")
    assert store.get(kept) == kept


def test_of_two_answers_the_first_stays_and_the_second_is_charged(store):
    store.put(answer("k", "first", 0.25), "label")
    store.put(answer("k", "second", 0.5), "label")
    assert store.get(["k"])["k"].text == "first"
    assert store.spent() == 0.75


def test_the_same_answer_again_costs_nothing(store):
    for _ in range(3):
        store.put(answer("k"), "label")
    assert store.spent() == 0.25


def test_what_was_of_no_use_is_spent_and_a_named_charge_only_once(store):
    for _ in range(2):
        store.charge("judge", MODEL, Usage(input=10), 0.5, "not JSON")
        store.charge("judge", MODEL, Usage(input=10), 0.125, "not JSON", charge_id="batch1 question7")
    assert store.spent() == 1.125
    assert store.get(["k"]) == {}


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), -1.0])
def test_a_cost_that_is_none_is_refused(store, cost):
    with pytest.raises(ValueError, match="no amount"):
        store.put(answer("k", cost_usd=cost), "judge")
    with pytest.raises(ValueError, match="no amount"):
        store.charge("judge", MODEL, Usage(), cost, "why")
    assert store.spent() == 0


def test_more_keys_than_sqlite_takes_in_one_query(store):
    keys = [f"key{number}" for number in range(40_000)]
    there = keys[::20]
    with store.transaction():
        for key in there:
            store.put(answer(key, f"text of {key}"), "judge")
    store.fill("judgment", ({"key": key, "of": key} for key in there))
    assert {key: one.text for key, one in store.get(keys + keys).items()} == {key: f"text of {key}" for key in there}
    assert store.rows("judgment", keys + keys) == {key: {"key": key, "of": key} for key in there}
    assert store.spent() == 500


def test_rows_are_kept_by_kind_and_key(store):
    row = {"key": "k", "task": "a \ud83d door", "cost_usd": 0.1, "none": None, "ok": True, "spread": [0.5, 1]}
    store.put_row("label", "k", row)
    store.put_row("label", "k", {"task": "another"})
    assert store.rows("label", ["k", "l"]) == {"k": row}
    assert store.rows("gold", ["k"]) == {}


def test_a_pulled_table_fills_the_store_and_costs_nothing(store):
    store.put_row("label", "b", {"key": "b", "cost_usd": 1.0, "task": "ours"})
    rows = [{"key": key, "cost_usd": 1.0, "task": "theirs"} for key in "abca"]
    assert store.fill("label", rows) == 2
    assert store.fill("label", rows) == 0
    assert {key: row["task"] for key, row in store.rows("label", "abc").items()} == {
        "a": "theirs", "b": "ours", "c": "theirs",
    }  # fmt: skip
    assert store.spent() == 0


def test_a_table_with_a_row_that_does_not_fit_fills_nothing(store):
    with pytest.raises(KeyError):
        store.fill("label", [{"key": "a"}, {"task": "no key"}])
    with pytest.raises(ValueError, match="JSON"):
        store.fill("label", [{"key": "a"}, {"key": "b", "cost_usd": float("nan")}])
    assert store.rows("label", "ab") == {}


def test_a_batch_is_known_from_its_intent_to_its_end(path):
    with Store(path) as store:
        first = store.intend(MODEL, {"custom-1": "k1", "custom-2": "k2"})
        second = store.intend(MODEL, {"custom-3": "k3"})
        assert first != second
        store.submitted(first, "msgbatch_1")
    with Store(path) as store:
        [one, other] = store.open_batches()
        assert (one.intent, one.model, one.batch_id) == (first, MODEL, "msgbatch_1")
        assert one.custom_ids == {"custom-1": "k1", "custom-2": "k2"}
        assert (other.intent, other.batch_id) == (second, None)
        assert one.created <= other.created
        assert one.created.tzinfo is not None
        store.closed(first)
        assert [batch.intent for batch in store.open_batches()] == [second]
        with pytest.raises(ValueError, match="no batch"):
            store.submitted("unknown", "msgbatch_2")


def test_a_failed_transaction_leaves_nothing(store):
    def two_writes():
        with store.transaction():
            store.put_row("judgment", "k", {"key": "k"})
            store.put(answer("k", cost_usd=-1.0), "judge")

    with pytest.raises(ValueError, match="no amount"):
        two_writes()
    assert store.rows("judgment", ["k"]) == {}
    assert store.get(["k"]) == {}
    store.put(answer("k"), "judge")
    assert store.spent() == 0.25


def test_only_the_user_may_read_it(path):
    before = os.umask(0)
    try:
        with Store(path) as store:
            store.put(answer("k"), "judge")
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert len(modes) == 3
    assert set(modes.values()) == {0o600}


def test_where_the_store_is(monkeypatch, tmp_path):
    monkeypatch.setenv("LUAU_RFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LUAU_RFT_STORE", raising=False)
    assert default_path() == tmp_path / "cache" / "answers.sqlite"
    monkeypatch.setenv("LUAU_RFT_STORE", str(tmp_path / "mine"))
    with Store() as store:
        assert store.path == tmp_path / "mine"
    assert (tmp_path / "mine").is_file()


def _write_many(path, writer, start):
    start.wait()
    with Store(path) as store:
        for number in range(60):
            store.put(answer(f"shared{number}", f"of {writer}", 1.0), "judge")
            store.put(answer(f"{writer}-{number}", f"of {writer}", 1.0), "judge")
            assert store.get([f"{writer}-{number}"])
            assert store.get([f"shared{number}"])


def test_several_processes_make_it_and_write_at_once(path):
    start = FORK.Barrier(5)
    writers = [FORK.Process(target=_write_many, args=(path, writer, start)) for writer in range(5)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * 5
    with Store(path) as store:
        own = store.get(f"{writer}-{number}" for writer in range(5) for number in range(60))
        assert {key: one.text for key, one in own.items()} == {key: f"of {key[0]}" for key in own}
        assert len(own) == 300
        assert len(store.get(f"shared{number}" for number in range(60))) == 60
        assert store.spent() == 600  # what was paid twice is spent twice


def test_threads_share_a_store(store):
    def write(writer):
        for number in range(40):
            store.put(answer(f"{writer}-{number}", cost_usd=1.0), "judge")
            store.put(answer(f"shared{number}", f"of {writer}", cost_usd=1.0), "judge")

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert store.spent() == 480
    assert len(store.get(f"shared{number}" for number in range(40))) == 40


def _write_for_ever(path, told, life):
    with Store(path) as store, os.fdopen(told, "w", buffering=1) as out:
        number = 0
        while True:
            key = f"{life}-{number}"
            store.put(answer(key, key * 300, 1.0), "judge")
            out.write(f"answer {key}\n")
            store.put_row("judgment", key, {"key": key, "reason": key * 100})
            out.write(f"row {key}\n")
            intent = store.intend(MODEL, {"custom": key})
            out.write(f"batch {intent}\n")
            number += 1


def test_what_was_put_survives_any_kill(path):
    random_moments = random.Random(0)
    told = {"answer": [], "row": [], "batch": []}
    for life in range(50):
        read, write = os.pipe()
        process = FORK.Process(target=_write_for_ever, args=(path, write, life))
        process.start()
        os.close(write)
        if life % 2:  # the others may be killed while they open the store
            select.select([read], [], [], 60)
        time.sleep(random_moments.uniform(0.005, 0.1))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL
        with os.fdopen(read) as lines:
            for line in lines.read().splitlines():
                what, key = line.split()
                told[what].append(key)
    assert len(told["answer"]) >= 25
    with Store(path) as store:
        assert {key: one.text for key, one in store.get(told["answer"]).items()} == {
            key: key * 300 for key in told["answer"]
        }
        assert set(store.rows("judgment", told["row"])) == set(told["row"])
        assert set(told["batch"]) <= {batch.intent for batch in store.open_batches()}
        assert len(told["answer"]) <= store.spent() <= len(told["answer"]) + 50
        with store.transaction() as connection:
            assert [tuple(row) for row in connection.execute("PRAGMA integrity_check")] == [("ok",)]


def _fill_the_disk(path):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    with Store(path) as store:
        for put in range(255):
            try:
                store.put(answer(f"k{put}", str(put) * 5000), "judge")
            except UserError:
                break
        os._exit(put if len(store.get(f"k{number}" for number in range(put))) == put else 255)


def test_a_full_disk_stops_and_keeps_what_was_put(path):
    process = FORK.Process(target=_fill_the_disk, args=(path,))
    process.start()
    process.join(60)
    put = process.exitcode
    assert 0 < put < 255
    with Store(path) as store:
        assert len(store.get(f"k{number}" for number in range(put))) == put


def test_a_folder(tmp_path):
    assert "not a file" in refusal(tmp_path)


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot be made" in refusal(tmp_path / "file" / "answers.sqlite")


@pytest.mark.parametrize(
    "content", [b"some notes of mine\n" * 100, b"x", b"y" * 511, b"z" * 512, b"SQLite format 3\x00" + b"\xff" * 4000]
)
def test_a_file_that_is_no_store_is_left_as_it_is(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    assert "not a store" in refusal(path)
    assert path.read_bytes() == content


def test_a_parquet_file(tmp_path):
    path = tmp_path / "labeled.parquet"
    pl.DataFrame({"a": [1]}).write_parquet(path)
    assert "not a store" in refusal(path)


def test_an_empty_file_becomes_a_store(path):
    path.parent.mkdir()
    path.touch()
    with Store(path) as store:
        store.put(answer("k"), "judge")
        assert store.spent() == 0.25


@pytest.mark.parametrize("statement", ["CREATE TABLE answers (key)", "PRAGMA user_version = 1"])
def test_another_programs_database_is_left_as_it_is(path, statement):
    path.parent.mkdir()
    spoil(path, "CREATE TABLE theirs (key)")
    spoil(path, statement)
    before = path.read_bytes()
    assert "another program's database" in refusal(path)
    assert path.read_bytes() == before


def test_a_store_of_a_newer_version_is_left_as_it_is(path):
    Store(path).close()
    spoil(path, f"PRAGMA user_version = {store_file.VERSION + 1}")
    before = path.read_bytes()
    message = refusal(path)
    assert f"version {store_file.VERSION + 1}" in message
    assert "update luau_rft" in message
    assert path.read_bytes() == before


def test_a_store_that_another_program_locks(path):
    with Store(path, busy_s=0.1) as store:
        store.put(answer("k"), "judge")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UserError, match="locked"):
            store.put(answer("l"), "judge")
        assert "locked" in refusal(path, busy_s=0.1)
        other.execute("ROLLBACK")
        other.close()
        store.put(answer("l"), "judge")
        assert len(store.get(["k", "l"])) == 2


def _open_as_somebody_else(path, told):
    if os.getuid() == 0:  # whom permissions do not bind
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    try:
        Store(path)
    except UserError as error:
        told.send(str(error))


def test_a_store_that_may_not_be_written():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answers.sqlite"
        with Store(path) as store:
            store.put(answer("k"), "judge")
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        for target in (path, Path(folder) / "new.sqlite"):
            read, write = FORK.Pipe(duplex=False)
            process = FORK.Process(target=_open_as_somebody_else, args=(target, write))
            process.start()
            process.join(60)
            assert read.poll(), "it was opened"
            message = read.recv()
            assert str(target) in message
            assert "LUAU_RFT_STORE" in message
        Path(folder).chmod(0o755)
        with Store(path) as store:
            assert store.spent() == 0.25


def test_a_damaged_page_is_told_and_left(path):
    with Store(path) as store:
        for number in range(200):
            store.put(answer(f"k{number}", f"{number} " * 200), "judge")
    content = bytearray(path.read_bytes())
    for start in range(8 * 4096, len(content), 4096):
        content[start : start + 64] = b"\xa5" * 64
    path.write_bytes(content)
    with Store(path) as store, pytest.raises(UserError, match="luau-rft store export"):
        store.get(f"k{number}" for number in range(200))
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "change", ["text = 'b text'", "text = x'ff'", "cost_usd = 9e999", "cost_usd = 'x'", "status = 0"]
)
def test_a_damaged_answer_is_not_used_and_a_new_one_takes_its_place(path, change):
    with Store(path) as store:
        store.put(answer("good"), "judge")
        store.put(answer("bad"), "judge")
    spoil(path, f"UPDATE answers SET {change} WHERE key = 'bad'")
    with Store(path) as store:
        assert list(store.get(["good"])) == ["good"]
        with pytest.raises(UserError, match="answers: bad is damaged"):
            store.get(["good", "bad"])
        store.put(answer("bad", "anew"), "judge")
        assert store.get(["bad"])["bad"].text == "anew"
