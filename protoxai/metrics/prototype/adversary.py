"""Projected gradient steps that lower a score by small changes of some pixels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

STEP = 2.5
"""Sum of all steps, in multiples of the bound, so that each pixel can reach it and turn back."""


def lowered(
    score: Callable[[Tensor], Tensor],
    images: Tensor,
    changeable: Tensor,
    *,
    bound: Tensor,
    low: Tensor,
    high: Tensor,
    steps: int,
) -> Tensor:
    """Return images whose score projected gradient steps have lowered.

    Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018,
    section 2.1: each step moves along the sign of the gradient, and is clipped to the bound.

    Args:
        score: Differentiable function of images (n, C, H, W) that returns one number each, (n,),
            which depends on no other image.
        images: Images (n, C, H, W).
        changeable: Pixels that may change, bool (n, H, W).
        bound: Largest change of a channel, (C,).
        low: Smallest value of a channel, (C,), which images below it may keep.
        high: Largest value of a channel, (C,), which images above it may keep.
        steps: Number of steps.

    Returns:
        Images (n, C, H, W), without gradient.

    Example:
        >>> import torch
        >>> image, bound = torch.tensor([[[[0.5, 0.5]]]]), torch.tensor([0.1])
        >>> right = torch.tensor([[[False, True]]])
        >>> options = {"low": bound * 0, "high": bound * 10, "steps": 4}
        >>> lowered(lambda x: x.sum((1, 2, 3)), image, right, bound=bound, **options)
        tensor([[[[0.5000, 0.4000]]]])
    """
    # The caller may have disabled gradients.
    with torch.inference_mode(False), torch.enable_grad():
        images = images.detach().clone()
        bound, low, high = (limit.to(images)[:, None, None] for limit in (bound, low, high))
        bound = bound * changeable[:, None]
        least = torch.maximum(images - bound, torch.minimum(images, low))
        most = torch.minimum(images + bound, torch.maximum(images, high))
        current = images
        for _ in range(steps):
            current = current.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(score(current).sum(), current)
            moved = current.detach() - gradient.sign() * bound * (STEP / steps)
            current = torch.minimum(torch.maximum(moved, least), most)
        return current.detach()
