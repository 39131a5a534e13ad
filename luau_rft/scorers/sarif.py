"""Results in SARIF 2.1.0, which code scanning services read."""

import os
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from luau_rft.scorers.base import Finding, Rule
from luau_rft.scorers.explain import all_rules, explain, markdown

if TYPE_CHECKING:
    from luau_rft.scorers.command import Result

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
ROOT = "%SRCROOT%"  # the folder that the service knows as the project's root


def log(results: "Iterable[Result]", problems: list[str]) -> dict[str, Any]:
    """The log of one run; ``problems``, filled while the results are read, names what could not be scored."""
    rules = all_rules()
    descriptors = [_descriptor(scorer, rule) for scorer, rule in rules.values()]
    index = {id: i for i, id in enumerate(rules)}
    found = [entry for result in results for entry in _entries(result, index)]
    notes = [{"level": "error", "message": {"text": problem}} for problem in problems]
    driver = {"name": "luau-rft", "version": version("luau_rft"), "rules": descriptors}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": not problems, "toolExecutionNotifications": notes}],
        "results": found,
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def level(penalty: float) -> str:
    """How grave a finding is.

    >>> level(0.2), level(0.05), level(0.01)
    ('error', 'warning', 'note')
    """
    return "error" if penalty >= 0.15 else "warning" if penalty >= 0.05 else "note"


def _descriptor(scorer: str, rule: Rule) -> dict[str, Any]:
    told = explain(rule)
    text = "\n\n".join([told.what, rule.why, *(f"Instead write:\n\n{code}" for code in told.good[:1])])
    return {
        "id": rule.id,
        "name": "".join(word.capitalize() for word in rule.id.split("-")),
        "shortDescription": {"text": told.what},
        "fullDescription": {"text": rule.why},
        "help": {"text": text, "markdown": markdown(rule)},
        "defaultConfiguration": {"level": level(rule.penalty)},
        "properties": {"tags": [scorer], "penalty": rule.penalty, "limit": rule.limit},
    }


def _entries(result: "Result", index: dict[str, int]) -> list[dict[str, Any]]:
    lines, seen = result.source.split("\n"), Counter()
    location = _location(result.path)
    rules = all_rules()
    found = []
    for finding in result.scores.findings:
        # Where the file grows or shrinks, the same line is still the same finding.
        line = lines[finding.line - 1].strip() if finding.line <= len(lines) else ""
        fingerprint = sha256(f"{finding.rule}\0{line}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
        seen[fingerprint] += 1
        entry = {
            "ruleId": finding.rule,
            "level": level(rules[finding.rule][1].penalty if finding.rule in rules else finding.penalty),
            "message": {"text": finding.message},
            "locations": [{"physicalLocation": {"artifactLocation": location, "region": _region(finding)}}],
            "partialFingerprints": {"primaryLocationLineHash": f"{fingerprint}:{seen[fingerprint]}"},
            "properties": {"penalty": finding.penalty},
        }
        found.append(entry | ({"ruleIndex": index[finding.rule]} if finding.rule in index else {}))
    return found


def _region(finding: Finding) -> dict[str, int]:
    return {"startLine": finding.line, "startColumn": finding.column}


def _location(path: str) -> dict[str, str]:
    """A path below the working folder stays relative to it, whatever the machine."""
    if path == "-":
        return {"uri": "stdin"}
    absolute = Path(os.path.abspath(path))
    try:
        relative = absolute.relative_to(os.getcwd()).as_posix()
    except ValueError:
        return {"uri": absolute.as_uri()}
    return {"uri": quote(os.fsencode(relative)), "uriBaseId": ROOT}
