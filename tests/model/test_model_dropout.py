import pytest

from luau_rft.model.dropout import drop_mask, replace_dropout


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_each_element_is_dropped_with_its_share_whatever_its_neighbours(share):
    import torch

    torch.manual_seed(0)
    mask = drop_mask(torch.Size([1001, 333]), share)
    assert mask.shape == (1001, 333)
    count = mask.numel()
    five_sigma = 5 * (share * (1 - share) / count) ** 0.5
    assert mask.float().mean().item() == pytest.approx(share, abs=five_sigma)
    flat = mask.flatten().float()
    for distance in (1, 2, 3, 4, 333):  # four elements come from one number
        both = (flat[:-distance] * flat[distance:]).mean().item()
        assert both == pytest.approx(share**2, abs=5 * share / count**0.5)


def test_masks_follow_the_seed():
    import torch

    def masks():
        torch.manual_seed(3)
        return [drop_mask(torch.Size([50, 7]), 0.5) for _ in range(2)]

    first, second = masks()
    assert not torch.equal(first, second)
    assert all(torch.equal(*pair) for pair in zip(masks(), (first, second), strict=True))


def test_dropout_keeps_the_mean_and_its_gradient_the_mask():
    import torch

    model = torch.nn.ModuleDict({"dropout": torch.nn.Dropout(0.25), "other": torch.nn.Identity()})
    replace_dropout(model)
    states = torch.ones(64, 1024, requires_grad=True)
    torch.manual_seed(0)
    dropped = model["dropout"](states)
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)
    dropped.sum().backward()
    assert torch.equal(states.grad, dropped)
    assert model.eval()["dropout"](states) is states
