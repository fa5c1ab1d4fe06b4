"""Sheets of chosen latents: one class per row, interpolations, and neighbourhoods."""

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from gan_plugin_pictures.sheet import IMAGES, make_rows, save_sheet
from gancore import CompositionError, component, hookimpl, option, requires


def linear(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Interpolate linearly from a to b `[R, Z]` at each t `[K]` in [0, 1]; `[R, K, Z]`."""
    return (1 - t)[:, None] * a[:, None] + t[:, None] * b[:, None]


def spherical(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Interpolate along the arc from a to b `[R, Z]` at each t `[K]` in [0, 1]; `[R, K, Z]`.

    (sin((1 - t)Ω)·a + sin(tΩ)·b)/sin Ω, where Ω is the angle between a and b. It keeps the norm if
    both have the same. For collinear a and b, which define no arc, it interpolates linearly.
    """
    angle = cosine_similarity(a, b).clamp(-1, 1).acos()[:, None]  # [R, 1]
    arc = angle.sin() > 1e-6

    def weight(t: Tensor) -> Tensor:
        return torch.where(arc, (t * angle).sin() / angle.sin(), t)[..., None]  # [R, K, 1]

    return weight(1 - t) * a[:, None] + weight(t) * b[:, None]


def evenly_spaced(count: int, most: int) -> Tensor:
    """Return at most `most` of the integers 0 … count - 1, evenly spaced, both ends included.

    >>> evenly_spaced(10, 4).tolist()
    [0, 3, 6, 9]
    """
    if count <= most:
        return torch.arange(count)
    return torch.arange(most) * (count - 1) // (most - 1)


PATHS = {"spherical": spherical, "linear": linear}


@component(
    source="Mirza and Osindero 2014, arXiv:1411.1784, figure 2",
    rules=[
        IMAGES,
        requires(
            "data.labels",
            "data without labels has no classes to sort by",
            fix="leave class-sheet out",
        ),
    ],
)
class ClassSheet:
    """Draw one row of samples per class, with the same latents in every row.

    Of more than `most` classes, `most` evenly spaced ones are drawn. Differences within a column
    are due to the class alone: all other labels are those of one real. An unconditional generator
    gives equal rows. Pictures are written to `samples/class-sheet/`. Raises CompositionError before
    training for a label set that does not exist.
    """

    labels: str = option("", help="label set whose classes are the rows; empty: the first")
    columns: int = option(8, ge=1, help="images of each class")
    most: int = option(100, ge=2, help="maximum number of rows")

    def column(self, plan):
        """Return the column of `labels [N, L]` that holds the class."""
        try:
            return plan.column(self.labels)
        except KeyError as error:
            fix = "--class-sheet.labels NAME"
            raise CompositionError(error.args[0], where="class-sheet.labels", fix=fix) from None

    @hookimpl
    def adapt_generator(self, plan):
        self.column(plan)  # a wrong name is an error before training, not at the first drawing

    @hookimpl
    def draw(self, progress, folder):
        column = self.column(progress.plan)
        classes = evenly_spaced(len(progress.plan.label_sets[column]), self.most)
        z = progress.latents(self.columns).expand(len(classes), -1, -1)
        labels = progress.reals(self.columns)[1].repeat(len(classes), 1, 1)  # [rows, columns, L]
        labels[..., column] = classes[:, None]
        save_sheet(make_rows(progress, z, labels), progress, folder, "class-sheet")


@component(
    source="Radford, Metz and Chintala, ICLR 2016, arXiv:1511.06434, section 6.1; on the arc: "
    "White 2016, "
    "arXiv:1609.04468",
    rules=[IMAGES],
)
class Interpolation:
    """Draw samples along the path between two latents, one pair of latents per row.

    A row holds the samples of x(t) for `columns` equal steps of t from 0 to 1, all with the labels
    of one real. `spherical` is (sin((1 - t)Ω)·a + sin(tΩ)·b)/sin Ω with the angle Ω between a and
    b: normal latents lie near a sphere, and the midpoint of a straight line lies far inside it.
    `linear`, (1 - t)·a + t·b, suits uniform latents. The first and last images are the samples of a
    and b themselves. Pictures are written to `samples/interpolation/`.
    """

    rows: int = option(8, ge=1, help="pairs of latents")
    columns: int = option(8, ge=2, help="images in a row, including both ends")
    path: str = option(
        "spherical", choices=tuple(PATHS), help="interpolate along the arc (slerp) or linearly"
    )

    @hookimpl
    def draw(self, progress, folder):
        a, b = progress.latents(2 * self.rows).double().split(self.rows)
        z = PATHS[self.path](a, b, torch.linspace(0, 1, self.columns, dtype=torch.float64)).float()
        labels = progress.reals(self.rows)[1][:, None].expand(-1, self.columns, -1)
        save_sheet(make_rows(progress, z, labels), progress, folder, "interpolation")


@component(
    source="Leguay, GAN_IconClass, github.com/BenoitLeguay/GAN_IconClass: z + n/2", rules=[IMAGES]
)
class Neighbourhood:
    """Draw one sample, and samples of latents near its own.

    The first image is the sample of z, the others are those of z + scale·n, with n from the
    distribution of latents; all have the labels of one real. Pictures are written to
    `samples/neighbourhood/`.
    """

    side: int = option(4, ge=2, help="number of rows, and of images in each")
    scale: float = option(0.5, ge=0, help="factor of the offset n; 0 repeats the first image")

    @hookimpl
    def draw(self, progress, folder):
        centre, offsets = progress.latents(self.side**2).split([1, self.side**2 - 1])
        z = torch.cat([centre, centre + self.scale * offsets]).unflatten(0, (self.side, self.side))
        labels = progress.reals(1)[1].expand(self.side, self.side, -1)
        save_sheet(make_rows(progress, z, labels), progress, folder, "neighbourhood")
