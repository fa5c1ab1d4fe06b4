"""Precision of terms under autocast."""

import torch
from torch import Tensor


def in_float32(values: Tensor) -> Tensor:
    """Convert values of a smaller dtype to float32."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
