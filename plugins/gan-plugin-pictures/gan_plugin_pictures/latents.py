"""Sheets of chosen latents: one class a row, between two latents, and around one."""

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from gan_plugin_pictures.sheet import IMAGES, make_rows, save_sheet
from gancore import CompositionError, component, hookimpl, option, requires


def linear(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Go straight from a to b `[R, Z]`: (1 - t)·a + t·b at each t `[K]` in [0, 1]; `[R, K, Z]`."""
    return (1 - t)[:, None] * a[:, None] + t[:, None] * b[:, None]


def spherical(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Go along the arc from a to b `[R, Z]`: (sin((1 - t)Ω)·a + sin(tΩ)·b)/sin Ω at each t `[K]`; `[R, K, Z]`.

    Ω is the angle between a and b, so the norm stays where both have the same. On one line, where no arc is given, it
    goes straight.
    """
    angle = cosine_similarity(a, b).clamp(-1, 1).acos()[:, None]  # [R, 1]
    arc = angle.sin() > 1e-6

    def share(t: Tensor) -> Tensor:
        return torch.where(arc, (t * angle).sin() / angle.sin(), t)[..., None]  # [R, K, 1]

    return share(1 - t) * a[:, None] + share(t) * b[:, None]


def spread(count: int, most: int) -> Tensor:
    """Return at most `most` of the numbers 0 … count - 1, evenly spread, both ends included.

    >>> spread(10, 4).tolist()
    [0, 3, 6, 9]
    """
    return torch.arange(count) if count <= most else torch.arange(most) * (count - 1) // (most - 1)


PATHS = {"spherical": spherical, "linear": linear}


@component(
    source="Mirza and Osindero 2014, arXiv:1411.1784, figure 2",
    rules=[
        IMAGES,
        requires("data.labels", "there is no class to sort by in data without labels", fix="leave class-sheet out"),
    ],
)
class ClassSheet:
    """Draw one row of samples for each class, with the same latents down every column.

    Of more than `most` classes so many have a row, evenly spread from the first to the last. What differs down a column
    is due to the class alone: its other labels are those of one real. Where the generator hears no labels, all rows are
    alike. Pictures go to `samples/class-sheet/`. Raises CompositionError, before training, for a label set that is not
    there.
    """

    labels: str = option("", help="label set whose classes make the rows; empty takes the first")
    columns: int = option(8, ge=1, help="images of each class")
    most: int = option(100, ge=2, help="most classes that have a row")

    def column(self, plan):
        """Return the column of `labels [N, L]` that holds the class."""
        try:
            return plan.column(self.labels)
        except KeyError as error:
            fix = "--class-sheet.labels NAME"
            raise CompositionError(error.args[0], where="class-sheet.labels", fix=fix) from None

    @hookimpl
    def adapt_generator(self, plan):
        self.column(plan)  # a wrong name shows now, not at the first drawing

    @hookimpl
    def draw(self, progress, folder):
        column = self.column(progress.plan)
        classes = spread(len(progress.plan.label_sets[column]), self.most)
        z = progress.latents(self.columns).expand(len(classes), -1, -1)
        labels = progress.reals(self.columns)[1].repeat(len(classes), 1, 1)  # [rows, columns, L]
        labels[..., column] = classes[:, None]
        save_sheet(make_rows(progress, z, labels), progress, folder, "class-sheet")


@component(
    source="Radford, Metz and Chintala, ICLR 2016, arXiv:1511.06434, section 6.1; on the arc: White 2016, "
    "arXiv:1609.04468",
    rules=[IMAGES],
)
class Interpolation:
    """Draw the way from one latent to another, one pair of latents a row.

    A row holds the samples of x(t) for `columns` equal steps of t from 0 to 1, with the same labels, those of a real,
    all along. `spherical` is (sin((1 - t)Ω)·a + sin(tΩ)·b)/sin Ω with the angle Ω between a and b: normal latents lie
    near a sphere, and the middle of a straight line is far inside it. `linear`, (1 - t)·a + t·b, suits uniform
    latents. The first and last images are the samples of a and b themselves. Pictures go to `samples/interpolation/`.
    """

    rows: int = option(8, ge=1, help="pairs of latents")
    columns: int = option(8, ge=2, help="images from the first latent to the second, both included")
    path: str = option("spherical", choices=tuple(PATHS), help="along the arc or straight")

    @hookimpl
    def draw(self, progress, folder):
        a, b = progress.latents(2 * self.rows).double().split(self.rows)
        z = PATHS[self.path](a, b, torch.linspace(0, 1, self.columns, dtype=torch.float64)).float()
        labels = progress.reals(self.rows)[1][:, None].expand(-1, self.columns, -1)
        save_sheet(make_rows(progress, z, labels), progress, folder, "interpolation")


@component(source="Leguay, GAN_IconClass, github.com/BenoitLeguay/GAN_IconClass: z + n/2", rules=[IMAGES])
class Neighbourhood:
    """Draw one sample and the samples of latents close to its own.

    The first image is that of z, the others are those of z + scale·n with n drawn as latents are, all with the labels
    of one real. Pictures go to `samples/neighbourhood/`.
    """

    side: int = option(4, ge=2, help="images in each row, and rows")
    scale: float = option(0.5, ge=0, help="how far away, in units of another latent; 0 repeats the first image")

    @hookimpl
    def draw(self, progress, folder):
        centre, offsets = progress.latents(self.side**2).split([1, self.side**2 - 1])
        z = torch.cat([centre, centre + self.scale * offsets]).unflatten(0, (self.side, self.side))
        labels = progress.reals(1)[1].expand(self.side, self.side, -1)
        save_sheet(make_rows(progress, z, labels), progress, folder, "neighbourhood")
