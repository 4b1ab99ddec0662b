"""Which pseudo-labels count, and how much: the threshold rules of the FixMatch family and distribution alignment.

Sources, with q the class probabilities of the weak view and p = max q:
- "fixmatch": Sohn et al., arXiv 2001.07685, eq. 4: weight 1 where p ≥ τ, else 0.
- "flexmatch": Zhang et al., arXiv 2110.08263, eq. 5-7 and 11-12: σ_c counts the unlabeled images whose last confident
  label (p ≥ τ when last drawn) was c; β_c = σ_c / max(max σ, number of images never confident);
  τ_c = τ · β_c / (2 − β_c), all of the batches before this one, which is counted after (algorithm 1).
- "freematch": Wang et al., arXiv 2205.07246, eq. 5-7: running means τ_g of p and p̃ of q, both from 1/K;
  τ_c = τ_g · p̃_c / max p̃. Eq. 9-11: the fairness term.
- "softmatch": Chen et al., arXiv 2301.10921, eq. 7-9: running mean μ and variance σ² of p; weight 1 where p ≥ μ, else
  exp(−(p − μ)² / (2 σ² / n²)).
- "adamatch": Berthelot et al., arXiv 2106.04732, section 3.2: weight 1 where p ≥ τ · (mean over the labeled batch of
  the largest probability of its weak views).
- alignment: Berthelot et al., arXiv 1911.09785, section 3.1: q · π / q̄, made to sum to 1 again, q̄ a running mean of q.
  π is given, or is the running mean of the predictions on the labeled batch (arXiv 2106.04732, section 3.1). With
  "softmatch" it changes the weight alone, not the label (arXiv 2301.10921, eq. 10).

Deviations:
- A running mean of decay m forgets its start faster, by min(m, k / (k + 9)) at step k, since with m = 0.999 a short run
  would end before the start is forgotten. Every mean takes the present batch in before it is used.
- Alignment goes with every rule. FreeMatch has none of its own: where it is on, p, p̃ and h̃ are those of the aligned q,
  which is what τ_c is compared with. p̃ then tends to π, so the classes' thresholds differ less.
- AdaMatch: all predictions are in evaluation mode, the labeled too, so that both confidences are alike. The random
  interpolation of labeled logits between two batch statistics is left out, as in the USB library; so are the labeled
  strong view and, of the paper, the mean of q over the last 128 steps, here a running mean as in USB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

Rule = Literal["fixmatch", "flexmatch", "freematch", "softmatch", "adamatch"]
FLOOR = 1e-6
"""Least running mean that an aligned probability is divided by."""


@dataclass(frozen=True)
class RuleTerms:
    """The numbers of the rules: τ, decay of the running means, n of SoftMatch, and the range of FreeMatch's τ_c.

    `follow_labeled` aligns to the running mean of the predictions on labeled images instead of to given shares.
    """

    rule: Rule
    threshold: float
    momentum: float
    n_sigma: float
    lowest: float
    highest: float
    follow_labeled: bool = False


@dataclass(frozen=True)
class Judged:
    """q (U, K), aligned where that changes the labels; weight (U,) 0..1; and the mean threshold of the classes ()."""

    q: Tensor
    weight: Tensor
    threshold: Tensor


class Thresholds:
    """The running state of one rule, on the device; nothing in it waits for the device.

    Args:
        terms: the rule and its numbers.
        num_classes: K.
        unlabeled: number of unlabeled images.
        prior: (K,) π that the labels are aligned to, sums to 1; None leaves them as they are.
        device: where it computes.
    """

    def __init__(
        self, terms: RuleTerms, num_classes: int, unlabeled: int, prior: Tensor | None, device: torch.device
    ) -> None:
        self.terms = terms
        self._prior = None if prior is None else prior.to(device)
        uniform = torch.full((num_classes,), 1 / num_classes, device=device)
        self._state: dict[str, Tensor] = {"aligned_mean": uniform.clone()}
        if terms.follow_labeled:
            self._state["labeled_mean"] = uniform.clone()
        if terms.rule == "flexmatch":
            self._state["last"] = torch.full((unlabeled,), -1, dtype=torch.int64, device=device)
        if terms.rule == "freematch":
            self._state |= {"level": uniform[0].clone(), "mean": uniform.clone(), "histogram": uniform.clone()}
        if terms.rule == "softmatch":
            self._state |= {"mu": uniform[0].clone(), "variance": torch.ones((), device=device)}
        self._steps = 0

    @property
    def needs_labeled(self) -> bool:
        """Whether `judge` must be given the predictions on the labeled batch."""
        return self.terms.rule == "adamatch" or self.terms.follow_labeled

    def judge(self, q: Tensor, places: Tensor, labeled_q: Tensor | None = None) -> Judged:
        """Take one batch into the running state and return what counts of it and how much.

        Args:
            q: (U, K) probabilities of the weak views, without gradient.
            places: (U,) int64, positions among the unlabeled images.
            labeled_q: (B, K) probabilities of the labeled batch's weak views, made as q is; see `needs_labeled`.
        """
        self._steps += 1
        if labeled_q is not None and self.terms.follow_labeled:
            self._follow("labeled_mean", labeled_q.mean(0))
        aligned = self._align(q)
        p, y = aligned.max(1)
        rule, threshold = self.terms.rule, self.terms.threshold
        if rule == "softmatch":
            self._follow("mu", p.mean())
            self._follow("variance", p.var(correction=1) if len(p) > 1 else torch.zeros_like(p[0]))
            return Judged(q, self._soft(p), self._state["mu"])
        if rule == "flexmatch":
            limits = self._flexible(p, y, places.to(q.device, non_blocking=True))
        elif rule == "freematch":
            limits = self._free(p, y, aligned)
        elif labeled_q is not None and rule == "adamatch":
            limits = (threshold * labeled_q.max(1).values.mean()).expand_as(q[0])
        else:
            limits = torch.full_like(q[0], threshold)
        return Judged(aligned, (p >= limits[y]).float(), limits.mean())

    def fairness(self, logits: Tensor, weight: Tensor) -> Tensor:
        """Return FreeMatch's term Σ p̂ log q̂ (), which is largest where both agree (eq. 9-11); 0 for other rules.

        p̂ ∝ p̃ / h̃, the running mean and histogram of the weak views; q̂ ∝ mean / histogram of the strong views that
        count. Classes that no label of the batch has stay out of q̂. Added with a plus: minimising it spreads the
        predictions.

        Args:
            logits: (U, K) of the strong views, with gradient.
            weight: (U,) from `judge`.
        """
        if self.terms.rule != "freematch":
            return logits.new_zeros(())
        q = torch.softmax(logits, 1)
        counted = torch.zeros_like(q[0]).index_add(0, q.argmax(1), weight)
        mean = (q * weight[:, None]).sum(0) / weight.sum().clamp_min(1)
        seen = _share(mean, counted / weight.sum().clamp_min(1))
        wanted = _share(self._state["mean"], self._state["histogram"])
        return (wanted * torch.log(seen + 1e-12)).sum() * (weight.sum() > 0)

    def _align(self, q: Tensor) -> Tensor:
        """Return q · π / q̄ with rows that sum to 1."""
        self._follow("aligned_mean", q.mean(0))
        prior = self._state["labeled_mean"] if self.terms.follow_labeled else self._prior
        if prior is None:
            return q
        moved = q * (prior / self._state["aligned_mean"].clamp_min(FLOOR))
        return moved / moved.sum(1, keepdim=True)

    def _flexible(self, p: Tensor, y: Tensor, places: Tensor) -> Tensor:
        last, threshold = self._state["last"], self.terms.threshold
        count = torch.zeros(len(self._state["aligned_mean"]) + 1, device=p.device)
        count.scatter_add_(0, last + 1, torch.ones_like(last, dtype=count.dtype))
        beta = count[1:] / torch.maximum(count[1:].max(), count[0])
        last[places] = torch.where(p >= threshold, y, last[places])
        return threshold * beta / (2 - beta)

    def _free(self, p: Tensor, y: Tensor, q: Tensor) -> Tensor:
        self._follow("level", p.mean())
        self._follow("mean", q.mean(0))
        self._follow("histogram", torch.zeros_like(q[0]).index_add(0, y, torch.full_like(p, 1 / len(p))))
        mean = self._state["mean"]
        return (self._state["level"] * mean / mean.max()).clamp(self.terms.lowest, self.terms.highest)

    def _soft(self, p: Tensor) -> Tensor:
        mu, variance = self._state["mu"], self._state["variance"]
        spread = 2 * variance.clamp_min(1e-12) / self.terms.n_sigma**2
        return torch.where(p >= mu, 1.0, torch.exp(-((p - mu) ** 2) / spread))

    def _follow(self, name: str, value: Tensor) -> None:
        decay = min(self.terms.momentum, self._steps / (self._steps + 9))
        self._state[name] = decay * self._state[name] + (1 - decay) * value

    def state_dict(self) -> dict[str, Any]:
        """Return the running state."""
        return {"steps": self._steps, **self._state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put a stored state back."""
        self._steps = int(state["steps"])
        self._state = {name: state[name].to(mine.device) for name, mine in self._state.items()}


def _share(mean: Tensor, histogram: Tensor) -> Tensor:
    """Return mean / histogram (K,), made to sum to 1; 0 where the histogram is 0."""
    ratio = torch.where(histogram > 0, mean / histogram.clamp_min(1e-12), 0.0)
    return ratio / ratio.sum().clamp_min(1e-12)
