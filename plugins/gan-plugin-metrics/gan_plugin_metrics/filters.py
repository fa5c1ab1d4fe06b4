"""Further features of images `[N, C, H, W]` in [-1, 1] that need no training and no download."""

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from gan_plugin_metrics.features import layers, random_weights
from gancore import CompositionError

GRID_WIDTHS = (16, 32, 64)
COVARYING = 16  # channels of each layer whose covariances are taken
SCALES = 3  # octaves of the wavelets
ANGLES = 4


def randconv_grid(images: Tensor, seed: int = 0) -> Tensor:
    """Return means over 2×2 areas, and deviations, after three random convolutions, `[N, 560]`.

    Means over the whole image do not change when its parts change places; these do.
    """
    expect_images(images, "randconv-grid")
    found = []
    for maps in layers(images, random_weights(images.shape[1], 2, seed, GRID_WIDTHS)):
        found.append(functional.adaptive_avg_pool2d(maps.double(), 2).flatten(1))
        found.append(maps.double().flatten(2).std(2, correction=0))
    return torch.cat(found, 1)


def randconv_covariance(images: Tensor, seed: int = 0) -> Tensor:
    """Return means and covariances of 16 channels after each of three convolutions, `[N, 456]`.

    Which channels respond together describes textures (Gatys, Ecker and Bethge, NeurIPS 2015,
    arXiv:1505.07376, whose Gram matrices these are, centred).
    """
    expect_images(images, "randconv-covariance")
    rows, columns = torch.triu_indices(COVARYING, COVARYING)
    found = []
    for each in layers(images, random_weights(images.shape[1], 2, seed)):
        maps = each[:, :COVARYING].double().flatten(2)  # [N, 16, h·w]
        means = maps.mean(2)
        centred = maps - means[..., None]
        covariances = centred @ centred.mT / maps.shape[2]
        found += [means, covariances[:, rows, columns]]
    return torch.cat(found, 1)


@cache
def wavelets(height: int, width: int) -> Tensor:
    """Return Morlet wavelets in the frequency domain, complex `[3, 4, H, W]`: octaves, angles.

    Their centre frequency is 3π/4 / 2ʲ, the width of the envelope 0.8·2ʲ pixels. A constant image
    has no response.
    """
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float64) - height // 2,
        torch.arange(width, dtype=torch.float64) - width // 2,
        indexing="ij",
    )
    found = []
    for octave in range(SCALES):
        sigma = 0.8 * 2**octave
        envelope = (-(x.square() + y.square()) / (2 * sigma**2)).exp() / (2 * math.pi * sigma**2)
        for angle in range(ANGLES):
            theta = math.pi * angle / ANGLES
            phase = 3 * math.pi / 4 / 2**octave * (x * math.cos(theta) + y * math.sin(theta))
            wave = torch.polar(envelope, phase)
            wave = wave - envelope * (wave.sum() / envelope.sum())
            found.append(torch.fft.fft2(torch.fft.ifftshift(wave)))
    return torch.stack(found).view(SCALES, ANGLES, height, width).to(torch.complex64)


def scattering(images: Tensor) -> Tensor:
    """Return wavelet scattering coefficients of two orders, `[N, 77·C + 48]`.

    Per channel: means over 4×4 areas and the deviation; the modulus of the response to 12 wavelets
    (3 octaves, 4 angles), averaged over 2×2 areas, and its deviation. Then 48 of the mean of the
    channels: these moduli, at half the size, have a mean modulus of the response to the wavelets of
    each lower octave. Nothing is random.

    Source: Bruna and Mallat, IEEE TPAMI 35, 2013, arXiv:1203.1513.
    """
    expect_images(images, "scattering")
    images = images.float()
    found = [
        functional.adaptive_avg_pool2d(images, 4).flatten(1),
        images.flatten(2).std(2, correction=0),
    ]
    for maps in moduli(images).unbind(2):
        found.append(functional.adaptive_avg_pool2d(maps.flatten(1, 2), 2).flatten(1))
        found.append(maps.flatten(3).std(3, correction=0).flatten(1))
    grey = moduli(images.mean(1, keepdim=True)).squeeze(1)  # [N, 3, 4, H, W]
    half = functional.avg_pool2d(grey.flatten(1, 2), 2, ceil_mode=True)
    again = moduli(half).mean((4, 5)).unflatten(1, (SCALES, ANGLES))  # [N, 3, 4, 3, 4]
    # at half the size, octave j of the wavelets is octave j + 1 of the image
    found += [again[:, octave, :, octave : SCALES - 1].flatten(1) for octave in range(SCALES - 1)]
    return torch.cat(found, 1).double()


def moduli(images: Tensor) -> Tensor:
    """Return the moduli of the responses of images `[N, C, H, W]`, `[N, C, 3, 4, H, W]`."""
    spectrum = torch.fft.fft2(images)[:, :, None, None]
    return torch.fft.ifft2(spectrum * wavelets(*images.shape[2:])).abs()


def expect_images(images: Tensor, features: str) -> None:
    """Raise CompositionError for signals and volumes."""
    if images.dim() != 4:
        raise CompositionError(
            f"{features} are features of images, but a sample has {images.dim() - 2} axes",
            where=f"features {features}",
            fix="features randconv or pixels8",
        )
