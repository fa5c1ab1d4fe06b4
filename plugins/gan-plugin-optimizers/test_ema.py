from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from gan_plugin_optimizers.ema import EMA
from gancore.testing import check_component, train
from gancore.train.sampling import draw_samples


def network(value=0.0):
    """A layer whose weights are all `value`, then a batch norm with its buffers."""
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    move(net, value)
    return net


def move(net, value):
    with torch.no_grad():
        for weight in net.parameters():
            weight.fill_(value)


def averaged(values, **options):
    """The average after generator updates that set every weight to each of the values."""
    ema, net = EMA(**options), network()
    gan = SimpleNamespace(generator=SimpleNamespace(network=net))
    for step, value in enumerate(values):
        move(net, value)
        ema.after_generator_update(gan, step)
    return ema, net


def only(net):
    """The one number that all weights of a network hold."""
    (value,) = (
        torch.cat([weight.detach().flatten() for weight in net.parameters()]).unique().tolist()
    )
    return value


def average(values, **options):
    ema, net = averaged(values, **options)
    return only(ema.sampling_generator(net))


def test_ema_conforms():
    check_component(EMA)


def test_ema_conforms_where_it_starts_between_the_halves_of_a_run():
    check_component(EMA, start=4, ramp=False)


@pytest.mark.parametrize("ramp", [True, False])
def test_the_average_of_constant_weights_is_those_weights_exactly(ramp):
    assert average([0.1] * 20, decay=0.9, ramp=ramp) == torch.tensor(0.1).item()


def test_decay_zero_gives_the_current_weights_exactly():
    assert average([0.3, -1.7, 0.1], decay=0.0) == torch.tensor(0.1).item()


def test_each_update_keeps_the_share_decay_of_the_old_average():
    # 1, then 0.75·1 + 0.25·2 = 1.25, then 0.75·1.25 + 0.25·4 = 1.9375: exact in binary
    assert average([1.0, 2.0, 4.0], decay=0.75, ramp=False) == 1.9375


def test_the_average_approaches_a_new_constant_geometrically():
    # one copy of 1, then n zeros: decayⁿ, with a rounding of 2⁻²⁴ in each of the 40 products
    assert average([1.0] + [0.0] * 40, decay=0.9, ramp=False) == pytest.approx(
        0.9**40, rel=40 * 2**-24
    )


def test_the_ramp_keeps_one_plus_n_over_ten_plus_n():
    # one copy of 1, then zeros: 2/11 · 3/12 · 4/13
    assert average([1.0, 0.0, 0.0, 0.0], decay=0.999) == pytest.approx(
        2 / 11 * 3 / 12 * 4 / 13, rel=1e-6
    )


def test_the_ramp_never_exceeds_the_decay():
    # (1 + n)/(10 + n) passes 1/4 at n = 2: 2/11 · 1/4 · 1/4
    assert average([1.0, 0.0, 0.0, 0.0], decay=0.25) == pytest.approx(2 / 11 / 16, rel=1e-6)


def test_until_the_start_the_average_is_the_current_weights():
    assert average([1.0, 2.0, 4.0], decay=0.75, start=3) == 4.0


def test_averaging_begins_at_the_start():
    assert average([1.0, 2.0, 4.0], decay=0.75, start=2, ramp=False) == 0.75 * 2 + 0.25 * 4


def test_the_ramp_counts_from_the_start():
    assert average([5.0, 1.0, 0.0], decay=0.999, start=2) == pytest.approx(2 / 11, rel=1e-6)


def test_running_statistics_are_averaged_with_the_weights():
    ema = EMA(decay=0.5, ramp=False)
    net = network()
    gan = SimpleNamespace(generator=SimpleNamespace(network=net))
    for step, mean in enumerate((4.0, 8.0)):
        net[1].running_mean.fill_(mean)
        net[1].running_var.fill_(mean + 1)
        net[1].num_batches_tracked.fill_(step)
        ema.after_generator_update(gan, step)
    ours = ema.sampling_generator(net)[1]
    assert ours.running_mean.unique().tolist() == [6.0]
    assert ours.running_var.unique().tolist() == [7.0]
    assert ours.num_batches_tracked == 1  # counts are the generator's current ones
    assert net[1].running_mean.unique().tolist() == [8.0]


def test_averages_of_weights_and_statistics_draw_what_statistics_computed_anew_draw():
    """Statistics of the current weights do not fit averaged ones, which lag behind."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    gan = SimpleNamespace(generator=SimpleNamespace(network=net))
    ema = EMA(decay=0.99, ramp=False)
    points = torch.randn(256, 2)
    for step in range(500):
        with torch.no_grad():
            net[0].bias.add_(0.01)
        net(points)
        ema.after_generator_update(gan, step)
    ours = ema.sampling_generator(net).eval()
    exact = deepcopy(ours).train()
    current = deepcopy(ours)
    current[1].load_state_dict(net[1].state_dict())
    wanted = exact(points)
    distance = (ours(points) - wanted).square().mean()
    assert distance < 0.1 * (current(points) - wanted).square().mean()


def test_before_the_first_update_the_generator_itself_is_sampled():
    assert EMA().sampling_generator(network()) is None


def test_the_sampling_network_is_another_object_than_the_generator():
    ema, net = averaged([1.0, 2.0], decay=0.5, ramp=False)
    move(ema.sampling_generator(net), 9.0)
    assert (only(net), only(ema.sampling_generator(net))) == (2.0, 1.5)


def test_ema_changes_no_bit_of_training():
    one, other = train(EMA()), train()
    for training in (one, other):
        for _ in range(3):
            training.train_step()
    for role in ("generator", "critic"):
        weights = other.context.gan.player(role).state_dict()
        assert all(
            torch.equal(each, weights[name])
            for name, each in one.context.gan.player(role).state_dict().items()
        )


def test_samples_of_a_run_are_drawn_from_the_average():
    training = train(ema := EMA(decay=0.9, ramp=False))
    for _ in range(3):
        training.train_step()
    plain = train()  # the same game without the component, given the average as its weights
    plain.context.gan.generator.load_state_dict(
        ema.sampling_generator(training.context.gan.generator.network).state_dict()
    )
    assert torch.equal(
        draw_samples(training.context, 4, "test")[0], draw_samples(plain.context, 4, "test")[0]
    )


def test_a_half_life_halves_the_distance_in_so_many_updates():
    # from 0 to 1 and on at 1: what is left of the distance after 8 averaged updates
    left = 1 - average([0.0] + [1.0] * 8, half_life=8.0, ramp=False)
    assert left == pytest.approx(0.5, abs=1e-5)


def test_the_half_life_s_ramp_is_a_share_of_the_updates():
    ema = EMA(half_life=100.0)
    for updates, half_life in ((20, 1), (1000, 50), (2000, 100), (9000, 100)):
        ema.updates = updates
        assert ema.keep() == pytest.approx(0.5 ** (1 / half_life))
