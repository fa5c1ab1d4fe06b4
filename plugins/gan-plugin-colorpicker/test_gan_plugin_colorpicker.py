import pytest
import torch
from PIL import Image
from support.tables import every_row
from torch import nn

from gan_plugin_colorpicker import (
    ColorPicker,
    PaletteStrip,
    Stage,
    mix,
    palette_usage,
    shuffle_conv,
)
from gancore import CompositionError, Layers, Progress, component, hookimpl
from gancore.testing import StandIn, StandInLoss, check_component, some_data, train

SIZES = [(28, 28), (48, 32), (30, 50), (64, 64), (100, 100), (256, 256)]
SOURCE = {
    "smallest": 2, "project": 7, "kernel": 5, "widths": (512, 256, 128, 64, 64, 32), "skip": "concat", "shuffle": True,
}  # fmt: skip


@component(source="a test")
class BatchNorms:
    """Batch norm for maps and flat layers alike."""

    @hookimpl
    def make_norm(self, channels):
        return nn.SyncBatchNorm(channels)  # takes [N, C, …]; only its weights are looked at


def build(shape=(3, 16, 16), latent=8, beside=(), **options):
    """A generator for this shape, and its latents and labels for 4 samples."""
    stand_ins = [StandIn(dim=latent), StandInLoss()]
    training = train(
        ColorPicker(**options), *beside, data=some_data(shape, (), 4), batch=4, stand_ins=stand_ins
    )
    z = torch.randn(4, latent, generator=torch.Generator().manual_seed(0))
    return training.context.gan.generator.network, z, torch.empty(4, 0, dtype=torch.int64)


def some_mixture(colors=16):
    """Maps `[2, K, 5, 7]` and palettes `[2, 3, K]`."""
    rng = torch.Generator().manual_seed(0)
    return torch.randn(2, colors, 5, 7, generator=rng).softmax(1), torch.randn(
        2, 3, colors, generator=rng
    ).tanh()


def colours_of(image):
    """Count the distinct colours of an image `[C, H, W]`."""
    return len(image.flatten(1).T.unique(dim=0))


@pytest.mark.parametrize(
    "options", [{}, {"skip": "concat"}, {"skip": "none", "hard": True}], ids=str
)
def test_color_picker_conforms(options):
    check_component(ColorPicker, width=4, **options)


@pytest.mark.parametrize(("latent", "weights"), [(60, 2_355_724), (16, 999_600)])
def test_the_options_of_the_source_give_its_number_of_weights(latent, weights):
    net, *_ = build((3, 64, 64), latent, [BatchNorms()], **SOURCE)
    assert sum(weight.numel() for weight in net.parameters()) == weights


@every_row("size", SIZES)
def test_make_generator_gives_every_size_exactly(size):
    net, z, labels = build((3, *size), width=2, project=1)
    assert net(z[:1], labels[:1]).shape == (1, 3, *size)


@pytest.mark.parametrize("size", [(28, 28), (30, 50)])
def test_the_source_gives_every_size_exactly(size):
    net, z, labels = build((3, *size), smallest=2, project=1, skip="concat", shuffle=True, width=4)
    assert net(z, labels).shape == (4, 3, *size)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_each_channel_has_a_palette_and_all_share_the_map(channels):
    net, z, labels = build((channels, 16, 16), colors=5)
    assert net.palettes(z, labels).shape == (4, channels, 5)
    assert net.maps(z, labels).shape == (4, 5, 16, 16)


def test_the_shares_of_a_pixel_are_not_negative_and_sum_to_one():
    net, z, labels = build()
    shares = net.maps(z, labels)
    assert shares.min() >= 0
    assert (shares.sum(1) - 1).abs().max() < 1e-6  # 16 float32 numbers, 2⁻²⁴ each


def test_the_image_is_the_mixture_of_the_palettes_by_the_map():
    net, z, labels = build()
    assert torch.equal(net(z, labels), mix(net.maps(z, labels), net.palettes(z, labels)))


def test_every_pixel_lies_between_the_least_and_the_greatest_colour_of_its_palette():
    net, z, labels = build()
    images, palettes = net(z, labels).flatten(2), net.palettes(z, labels)
    assert (
        images >= palettes.amin(2, keepdim=True) - 1e-6
    ).all()  # the shares sum to 1 within 1e-6
    assert (images <= palettes.amax(2, keepdim=True) + 1e-6).all()


def test_maps_of_zeros_and_ones_give_the_colours_of_the_palette():
    maps, palettes = some_mixture()
    chosen = maps.argmax(1)
    images = mix(torch.zeros_like(maps).scatter(1, chosen[:, None], 1.0), palettes)
    assert torch.equal(images[0, :, 2, 3], palettes[0, :, chosen[0, 2, 3]])
    assert max(colours_of(image) for image in images) <= 16


def test_permuting_the_colours_in_map_and_palettes_together_changes_nothing():
    maps, palettes = some_mixture()
    order = torch.randperm(16)
    assert torch.allclose(mix(maps[:, order], palettes[..., order]), mix(maps, palettes), atol=1e-6)


def test_hard_samples_have_at_most_sixteen_colours():
    net, z, labels = build((3, 32, 32), hard=True)
    assert max(colours_of(image) for image in net.eval()(z, labels)) <= 16


def test_soft_samples_have_many_more_colours():
    net, z, labels = build((3, 32, 32))
    assert min(colours_of(image) for image in net.eval()(z, labels)) > 100


def test_training_stays_soft_under_hard():
    net, z, labels = build(hard=True)
    soft, *_ = build()
    assert torch.equal(net(z, labels), soft(z, labels))


def test_temperature_divides_the_logits():
    net, z, labels = build()
    warm, *_ = build(temperature=2.0)
    root = net.maps(z, labels).sqrt()  # softmax(l/2) = √softmax(l), normalised
    assert torch.allclose(warm.maps(z, labels), root / root.sum(1, keepdim=True), atol=1e-6)


def test_palette_usage_is_the_number_of_colours_when_all_are_used_alike():
    assert palette_usage(torch.full((2, 16, 3, 3), 1 / 16)).item() == pytest.approx(16, rel=1e-5)


def test_palette_usage_is_one_when_a_single_colour_is_used():
    maps = torch.zeros(2, 16, 3, 3)
    maps[:, 5] = 1
    assert palette_usage(maps) == 1


def test_palette_usage_lies_between_one_and_the_number_of_colours():
    assert 1 <= palette_usage(some_mixture()[0]) <= 16


def test_measure_gives_the_palette_usage_of_the_last_update():
    training = train(picker := ColorPicker(width=4))
    training.train_step()
    assert 1 <= picker.measure(Progress(training.context, 1, 0.0))["palette-usage"] <= 16.001


def test_doublings_are_those_of_the_chosen_upsampler():
    class Doubling(nn.Upsample):
        pass

    @component(source="a test")
    class Counted:
        @hookimpl
        def make_upsample(self, channels_in, channels_out):
            return nn.Sequential(Doubling(scale_factor=2), nn.Conv2d(channels_in, channels_out, 1))

    net, *_ = build((3, 32, 32), beside=[Counted()])
    assert sum(isinstance(module, Doubling) for module in net.modules()) == 3  # 4 → 8 → 16 → 32


def test_away_from_the_border_adding_a_linear_image_of_h_is_concatenating_h():
    def up(channels):
        return nn.Sequential(
            nn.Upsample(scale_factor=2), nn.Conv2d(channels, 6, 3, padding=1, bias=False)
        )

    concat = Stage(up(5 + 7), (12, 12), Layers(), "concat", None)
    add = Stage(up(5), (12, 12), Layers(), "add", nn.Linear(7, 6, bias=False))
    of_maps, of_h = concat.up[1].weight.split([5, 7], 1)
    add.load_state_dict({"up.1.weight": of_maps, "tell.weight": of_h.sum((2, 3))})
    given = torch.randn(2, 5, 6, 6), torch.randn(2, 7), torch.empty(2, 0), torch.randn(2, 3)
    assert torch.allclose(add(*given)[..., 1:-1, 1:-1], concat(*given)[..., 1:-1, 1:-1], atol=1e-5)


@pytest.mark.parametrize("skip", ["add", "concat", "none"])
def test_every_way_of_skipping_uses_every_weight(skip):
    net, z, labels = build((3, 32, 32), skip=skip)
    net(z, labels).square().sum().backward()
    assert all(weight.grad is not None for weight in net.parameters())


def test_the_pixel_shuffle_only_moves_numbers():
    shuffle = shuffle_conv(8, 3, 3)[0]
    maps = torch.randn(2, 8, 5, 7)
    assert torch.equal(shuffle(maps).flatten(1).sort(1).values, maps.flatten(1).sort(1).values)


def test_one_sample_alone_can_be_drawn_in_evaluation_mode():
    net, z, labels = build()
    assert net.eval()(z[:1], labels[:1]).shape == (1, 3, 16, 16)


def test_points_are_refused():
    with pytest.raises(CompositionError, match="makes images"):
        build((2,))


def test_channels_that_no_pixel_shuffle_can_take_are_refused():
    with pytest.raises(CompositionError, match="a multiple of 4 channels"):
        build((3, 32, 32), 3, shuffle=True, skip="concat", project=1)  # 64 + 2·3 channels


def test_a_wrong_number_of_widths_is_refused():
    with pytest.raises(CompositionError, match="2 numbers, but this size has 3 maps"):
        build((3, 16, 16), widths=(8, 4))


# ── palette-strip ─────────────────────────────────────────────────────────────────────────────────


def strip_of(folder, images=3, colors=5, **options):
    """Draw a palette strip of 8×8 samples; return its picture as bytes `[rows, columns, 3, 8, 8]`
    and its progress.
    """
    training = train(
        ColorPicker(width=4, colors=colors, **options),
        strip := PaletteStrip(images=images),
        data=TINY,
    )
    strip.draw(progress := Progress(training.context, 7, 0.0), folder)
    wide, high = (10 * each + 2 for each in (colors + 1, images))
    with Image.open(folder / "palette-strip" / "step-000000007.png") as enlarged:
        assert enlarged.size == (wide * (factor := 1024 // max(wide, high)), high * factor)
        picture = enlarged.resize((wide, high), Image.Resampling.NEAREST)
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(high, wide, 3)
    return pixels[2:, 2:].unfold(0, 8, 10).unfold(1, 8, 10), progress


TINY = some_data((3, 8, 8))


def bytes_of(numbers):
    return numbers.add(1).mul(127.5).round().to(torch.uint8)


def test_palette_strip_conforms():
    check_component(PaletteStrip, beside=[ColorPicker(width=4)], data=TINY)


def test_a_row_of_the_strip_is_a_sample_and_its_colours_by_falling_weight(tmp_path):
    sheet, progress = strip_of(tmp_path)
    made = progress.make(progress.latents(3), progress.reals(3)[1])
    assert torch.equal(sheet[:, 0], bytes_of(made.images))
    for row, palette, weights in zip(
        sheet[:, 1:], made.extras["palettes"], made.extras["weights"], strict=True
    ):
        wanted = palette[:, weights.argsort(descending=True)].T  # [K, 3]
        assert torch.equal(row, bytes_of(wanted)[..., None, None].expand(-1, -1, 8, 8))


def test_a_hard_sample_holds_no_colour_that_its_row_does_not_show(tmp_path):
    sheet, _ = strip_of(tmp_path, hard=True)
    for row in sheet:
        shown = {tuple(colour) for colour in row[1:, :, 0, 0].tolist()}
        assert {tuple(colour) for colour in row[0].flatten(1).T.tolist()} <= shown


def test_the_same_progress_gives_the_same_strip(tmp_path):
    files = [tmp_path / name / "palette-strip" / "step-000000007.png" for name in "ab"]
    for name in "ab":
        strip_of(tmp_path / name)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_extras_are_the_palettes_and_the_mean_shares():
    net, z, labels = build(beside=[PaletteStrip()])
    made = net.eval()(z, labels)
    assert torch.equal(made.extras["palettes"], net.palettes(z, labels))
    assert torch.equal(made.extras["weights"], net.maps(z, labels).mean((2, 3)))
    assert (made.extras["weights"].sum(1) - 1).abs().max() < 1e-6


def test_without_the_strip_and_in_training_the_generator_gives_images_alone():
    alone, z, labels = build()
    beside, *_ = build(beside=[PaletteStrip()])
    assert torch.equal(alone(z, labels), beside(z, labels))
    assert isinstance(alone.eval()(z, labels), torch.Tensor)


def test_the_strip_changes_no_bit_of_training(tmp_path):
    one = train(ColorPicker(width=4), strip := PaletteStrip(), data=TINY)
    other = train(ColorPicker(width=4), data=TINY)
    for step in range(3):
        strip.draw(Progress(one.context, step, 0.0), tmp_path)
        one.train_step()
        other.train_step()
    for role in ("generator", "critic"):
        weights = other.context.gan.player(role).state_dict()
        assert all(
            torch.equal(each, weights[name])
            for name, each in one.context.gan.player(role).state_dict().items()
        )


def test_a_generator_without_palettes_is_refused_before_training():
    with pytest.raises(CompositionError, match="this generator has no palettes"):
        train(PaletteStrip(), data=TINY)


def test_the_strip_finds_the_palettes_of_a_wrapped_generator(tmp_path):
    class Wrapped(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, z, labels):
            return self.net(z, labels)

    @component(source="a test")
    class Wrapper:
        @hookimpl
        def adapt_generator(self, net):
            return Wrapped(net)

    training = train(ColorPicker(width=4), Wrapper(), strip := PaletteStrip(), data=TINY)
    strip.draw(Progress(training.context, 1, 0.0), tmp_path)
    assert (tmp_path / "palette-strip" / "step-000000001.png").exists()
