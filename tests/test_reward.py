"""The reward: weights, combination, and the function that TRL calls."""

import pytest

from luau_rft.config import load
from luau_rft.errors import UserError
from luau_rft.reward import Weights, reward, trl_reward


@pytest.mark.parametrize(
    ("composite", "judge", "expected"),
    [(1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.4), (0.0, 1.0, 0.6), (0.85, 0.6, 0.7), (0.9, None, None)],
)
def test_forty_percent_scorers_sixty_percent_judge(composite, judge, expected):
    assert reward(composite, judge) == expected


def test_rewards_on_the_threshold_reach_it():
    # Every pair of hundredths whose reward is 0.70 by hand.
    pairs = [(c, j) for c in range(101) for j in range(101) if 40 * c + 60 * j == 7000]
    assert len(pairs) > 20
    assert all(reward(c / 100, j / 100) >= 0.70 for c, j in pairs)


def test_weights_that_do_not_add_up_name_the_field(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("select:\n  weights: {deterministic: 0.5, judge: 0.6}\n")
    with pytest.raises(UserError, match=r"select\.weights: .*add up to 1"):
        load("select.weights", Weights, path)


def test_trl_calls_it_with_text_messages_and_columns():
    seen = []

    def judge(code, row):
        seen.append((code, row))
        return None if row["task_id"] == "b" else 0.5

    rewards = trl_reward(composite=lambda code, kind: 1.0 if kind == "server" else 0.0, judge=judge)
    columns = {"task_id": ["a", "b", "c"], "kind": ["server", "server", "client"], "trainer_state": object()}
    texts = ["print(1)\n", "print(2)", "print(3)"]
    messages = [[{"role": "assistant", "content": text}] for text in texts]

    assert rewards(completions=texts, prompts=["p"] * 3, **columns) == [0.7, None, 0.3]
    assert rewards(completions=messages, prompts=["p"] * 3, **columns) == [0.7, None, 0.3]
    assert seen[0] == ("print(1)", {"task_id": "a", "kind": "server", "prompts": "p"})
    assert rewards(completions=[]) == []


def test_trl_reward_of_the_real_scorers():
    from luau_rft.scorers.composite import score_code

    good = (
        'local Players = game:GetService("Players")\n'
        "Players.PlayerAdded:Connect(function(player)\n\tprint(player.Name)\nend)\n"
    )
    rewards = trl_reward(lambda code, kind: score_code(code, kind).composite, judge=lambda code, row: 0.0)
    better, worse = rewards(completions=[good, "this is not ( Luau"], kind=["server", "server"])
    assert better > worse
    assert worse <= 0.2
