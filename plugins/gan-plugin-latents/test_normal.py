import torch

from gan_plugin_latents.normal import Normal
from gancore.testing import check_component, train


def draw(n, dim=4, seed=0):
    return Normal(dim=dim).draw_latent(n, torch.Generator().manual_seed(seed))


def test_normal_conforms():
    check_component(Normal)


def test_the_mean_is_zero_within_four_standard_errors():
    n = 50_000
    assert draw(n).mean(0).abs().max() < 4 / n**0.5


def test_the_variance_is_one_within_four_standard_errors():
    n = 50_000  # a squared normal has variance 2
    assert (draw(n).square().mean(0) - 1).abs().max() < 4 * (2 / n) ** 0.5


def test_the_columns_are_uncorrelated():
    n = 50_000
    correlation = torch.corrcoef(draw(n).T) - torch.eye(4)
    assert correlation.abs().max() < 4 / n**0.5


def test_the_same_seed_gives_the_same_latents():
    assert torch.equal(draw(9, seed=3), draw(9, seed=3))
    assert not torch.equal(draw(9, seed=3), draw(9, seed=4))


def test_latent_width_is_the_option_dim():
    plan = train(Normal(dim=7)).context.plan
    columns = plan.latent_slices["normal"]
    assert columns.stop - columns.start == 7
