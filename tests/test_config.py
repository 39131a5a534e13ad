"""Numbers in ``params.yaml`` that no section takes, whatever its bounds."""

import pytest

from luau_rft.config import load
from luau_rft.errors import UserError
from luau_rft.model.train import RecipeParams


@pytest.mark.parametrize("rate", [".inf", ".nan", "0", "'2e-4'", "true"])
def test_a_learning_rate_is_a_positive_finite_number(tmp_path, rate):
    path = tmp_path / "params.yaml"
    path.write_text(f"train:\n  sft: {{epochs: 3, learning_rate: {rate}}}\n")
    with pytest.raises(UserError, match=r"params\.yaml: train\.sft\.learning_rate: Input should be"):
        load("train.sft", RecipeParams, path)
