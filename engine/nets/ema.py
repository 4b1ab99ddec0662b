"""The exponential moving average of a model: the copy that is evaluated, recorded and kept."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


class Ema:
    """Average of a model's weights and floating-point buffers over its steps; whole-number ones are copied.

    After step k (from 1) the average is `d_k * average + (1 - d_k) * model` with `d_k = min(decay, k / (k + 9))`:
    the first steps, when the model is still random, are forgotten faster than the decay alone would.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._decay = decay
        self._count = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average one step towards `model`."""
        self._count += 1
        share = 1.0 - min(self._decay, self._count / (self._count + 9))
        mine = [*self.model.parameters(), *self.model.buffers()]
        theirs = [*model.parameters(), *model.buffers()]
        pairs = list(zip(mine, theirs, strict=True))
        floating = [pair for pair in pairs if pair[0].is_floating_point()]
        torch._foreach_lerp_([a for a, _ in floating], [b.detach() for _, b in floating], share)
        for a, b in pairs:
            if not a.is_floating_point():
                a.copy_(b)

    def state_dict(self) -> dict[str, Any]:
        """Return the average and its step count."""
        return {"model": self.model.state_dict(), "count": self._count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put a stored average back."""
        self.model.load_state_dict(state["model"])
        self._count = int(state["count"])
