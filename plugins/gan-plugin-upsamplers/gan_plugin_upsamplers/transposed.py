"""Upsampling by a transposed convolution."""

from torch import nn

from gan_plugin_upsamplers.blur import BLUR, blurred
from gancore import component, hookimpl, option, warns_with


@component(
    source=(
        "Radford, Metz and Chintala, ICLR 2016, arXiv:1511.06434; "
        "arithmetic: Dumoulin and Visin, arXiv:1603.07285"
    ),
    rules=[
        warns_with(
            "data.images",
            "a kernel of odd side overlaps unevenly at stride 2 and causes checkerboard artifacts",
            cite="Odena, Dumoulin and Olah, Distill 2016",
            when=lambda chosen: chosen.kernel % 2 == 1,
            fix="--transposed.kernel 4",
        )
    ],
    known_as={"deconv": "", "conv-transpose": "", "convtranspose": ""},
)
class Transposed:
    """Upsample by a transposed convolution of stride 2, without bias.

    `[N, C, h, w] → [N, C', 2h, 2w]`. A kernel of odd side overlaps unevenly and causes checkerboard
    artifacts (Odena, Dumoulin and Olah, Distill 2016): with a kernel and an input of ones the
    interior is constant only for an even side. Signals and volumes are doubled along their one or
    three axes.
    """

    kernel: int = option(
        4, ge=2, le=9, help="side of the kernel in pixels; even sides avoid checkerboard artifacts"
    )
    blur: bool = option(False, help=BLUR)

    @hookimpl
    def make_upsample(self, channels_in, channels_out, plan):
        padding = (self.kernel - 1) // 2
        make_convolution = getattr(nn, f"ConvTranspose{plan.axes}d")
        convolution = make_convolution(
            channels_in,
            channels_out,
            self.kernel,
            2,
            padding,
            output_padding=self.kernel % 2,
            bias=False,
        )
        return blurred(convolution, self.blur)
