import torch
from support.plans import plan_of
from support.tables import every_row
from torch import nn
from torch.nn.functional import conv2d

from gan_plugin_upsamplers.transposed import Transposed
from gancore import compose
from gancore.testing import check_component

KERNELS = range(2, 10)


def upsampler(kernel, channels_in=2, channels_out=3, axes=2):
    torch.manual_seed(0)
    return Transposed(kernel=kernel).make_upsample(channels_in, channels_out, plan_of(axes))


def of_ones(kernel):
    """The interior of an image of ones that went through a kernel of ones; a border of one kernel
    is cut off.
    """
    layer = upsampler(kernel, 1, 1)
    nn.init.ones_(layer.weight)
    return layer(torch.ones(1, 1, 16, 16)).detach()[..., kernel:-kernel, kernel:-kernel]


def test_transposed_conforms():
    check_component(Transposed)


@every_row("kernel", KERNELS)
def test_make_upsample_doubles_height_and_width_of_a_non_square_map(kernel):
    assert upsampler(kernel)(torch.zeros(2, 2, 5, 7)).shape == (2, 3, 10, 14)


@every_row("kernel", [2, 4, 6, 8])
def test_ones_through_an_even_kernel_of_ones_stay_constant(kernel):
    interior = of_ones(kernel)
    assert interior.unique().tolist() == [(kernel / 2) ** 2]  # k²/4 products of 1·1 in each pixel


@every_row("kernel", [3, 5, 7, 9])
def test_ones_through_an_odd_kernel_of_ones_become_a_checkerboard(kernel):
    few, many = (
        (kernel - 1) / 2,
        (kernel + 1) / 2,
    )  # rows of the kernel that an even or an odd pixel meets
    assert of_ones(kernel).unique().tolist() == [few * few, few * many, many * many]


@every_row("kernel", KERNELS)
def test_transposed_is_the_adjoint_of_the_strided_convolution(kernel):
    layer = upsampler(kernel).double()
    large, small = torch.randn(2, 3, 10, 14).double(), torch.randn(2, 2, 5, 7).double()
    halved = conv2d(large, layer.weight, stride=2, padding=(kernel - 1) // 2)
    assert torch.allclose((halved * small).sum(), (large * layer(small)).sum())


@every_row("kernel", KERNELS)
@every_row("size", [(5,), (3, 5, 2)])
def test_signals_and_volumes_are_doubled_along_each_axis(kernel, size):
    made = upsampler(kernel, axes=len(size))(torch.zeros(2, 2, *size))
    assert made.shape == (2, 3, *(2 * side for side in size))


def test_there_is_no_bias():
    assert upsampler(4).bias is None


@every_row("kernel", KERNELS)
def test_a_kernel_not_divisible_by_the_stride_is_noted(kernel):
    notes = compose(upsample="transposed", options={"transposed.kernel": kernel}).check(
        {"data.images"}
    )
    assert any("checkerboard" in note for note in notes) == (kernel % 2 == 1)
