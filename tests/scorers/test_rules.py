"""Every rule of every scorer: explained, flagged where its docstring says so, and not where it says not."""

import pytest

from luau_rft.scorers import api, bugs, quality, syntax
from luau_rft.scorers.explain import explain

RULES = {rule.id: rule for scorer in (syntax, api, bugs, quality) for rule in scorer.RULES.rules.values()}


def findings(code, rule, kind=None):
    hits = [finding for s in (syntax, api, bugs, quality) for finding in s.score(code, kind).findings]
    return [finding for finding in hits if finding.rule == rule]


def test_ids_are_unique_among_the_scorers():
    assert len(RULES) == sum(len(scorer.RULES.rules) for scorer in (syntax, api, bugs, quality))


@pytest.mark.parametrize("id", RULES)
def test_the_examples_hold(id):
    told = explain(RULES[id])
    assert told.what.endswith(".")
    assert told.bad
    assert told.good
    for code in told.bad:
        assert findings(code, id, told.kind), f"not flagged:\n{code}"
    for code in told.good:
        assert not findings(code, id, told.kind), f"flagged:\n{code}"


@pytest.mark.parametrize("id", RULES)
def test_a_penalty_is_within_its_limit_and_has_a_reason(id):
    rule = RULES[id]
    assert 0 < rule.penalty <= rule.limit <= 1
    assert rule.why.endswith(".")
