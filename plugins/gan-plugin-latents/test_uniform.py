import torch

from gan_plugin_latents.uniform import Uniform, to_open_interval
from gancore.testing import check_component, train


def draw(n, dim=4, seed=0):
    return Uniform(dim=dim).draw_latent(n, torch.Generator().manual_seed(seed))


def test_uniform_conforms():
    check_component(Uniform)


def test_both_ends_of_the_interval_are_left_out():
    least, most = (
        0.0,
        1 - 2.0**-24,
    )  # the least and the greatest number that torch.rand draws in float32
    assert to_open_interval(torch.tensor([least, most])).tolist() == [-most, most]


def test_every_latent_lies_strictly_inside_the_interval():
    z = draw(100_000)
    assert z.min() > -1
    assert z.max() < 1


def test_the_mean_is_zero_within_four_standard_errors():
    n = 50_000  # variance 1/3 a draw
    assert draw(n).mean(0).abs().max() < 4 * (1 / 3 / n) ** 0.5


def test_the_variance_is_a_third_within_four_standard_errors():
    n = 50_000  # the fourth moment is 1/5, so a squared draw varies by 1/5 - 1/9 = 4/45
    assert (draw(n).square().mean(0) - 1 / 3).abs().max() < 4 * (4 / 45 / n) ** 0.5


def test_the_columns_are_uncorrelated():
    n = 50_000
    correlation = torch.corrcoef(draw(n).T) - torch.eye(4)
    assert correlation.abs().max() < 4 / n**0.5


def test_the_same_seed_gives_the_same_latents():
    assert torch.equal(draw(9, seed=3), draw(9, seed=3))
    assert not torch.equal(draw(9, seed=3), draw(9, seed=4))


def test_latent_width_is_the_option_dim():
    plan = train(Uniform(dim=7)).context.plan
    columns = plan.latent_slices["uniform"]
    assert columns.stop - columns.start == 7
