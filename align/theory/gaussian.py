"""A world in closed form: Gaussian object and background features, and masks that keep some.

Y = ±1 with probability ½ each. Given Y all features are independent with variance 1: p object
features of mean μY, q background features of mean β_S Y on the source and β_T Y on the target.

Throughout, `kept_object` is how many object features a mask keeps, 0 to p, `kept_background` how
many background features, 0 to q; fractions are allowed, for curves. `domain` is where a rule is
tested, `source` or `target`. Results are floats, or arrays of the arguments' broadcast shape. A
number out of its range and an unknown domain raise a ValueError.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from align.theory._common import Array, as_array, quotient


class BestPenalty(NamedTuple):
    """The best strength λ of guidance and the accuracy it reaches; floats or arrays."""

    penalty: Any
    accuracy: Any


@dataclass(frozen=True)
class World:
    """The closed-form world.

    Args:
        p: how many object features, 0 or more.
        q: how many background features, 0 or more; p + q is at least 1.
        mu: μ, mean of an object feature times the label, in both domains.
        beta_source: β_S, mean of a background feature times the label on the source.
        beta_target: β_T, the same on the target.
    """

    p: int
    q: int
    mu: float
    beta_source: float
    beta_target: float

    def __post_init__(self) -> None:
        """Check the arguments."""
        for name in ("p", "q"):
            count = getattr(self, name)
            if count != int(count) or count < 0:
                raise ValueError(f"{name} is {count}, expected a whole number, 0 or more")
        if self.p + self.q == 0:
            raise ValueError("the world has no features (p = q = 0), expected at least one")
        for name in ("mu", "beta_source", "beta_target"):
            as_array(getattr(self, name), name, 0)

    def means(self, domain: str = "source") -> Array:
        """The means E[x_j Y] of all features, float64 `(p + q,)`, the object's first."""
        beta = self._beta(domain)
        return np.concatenate([np.full(self.p, float(self.mu)), np.full(self.q, float(beta))])

    def moments(
        self, objects: ArrayLike, backgrounds: ArrayLike, domain: str = "source"
    ) -> tuple[Any, Any]:
        r"""Mean and variance of $Y\,m\cdot x$ over some features, m the source means.

        They are $\sum m_jm'_j$ and $\sum m_j^2$, with m' the means of the domain of x.
        """
        objects, backgrounds = self._kept(objects, backgrounds)
        signal = objects * self.mu**2
        mean = signal + backgrounds * self.beta_source * self._beta(domain)
        return mean, signal + backgrounds * self.beta_source**2

    def separation(
        self,
        kept_object: ArrayLike,
        kept_background: ArrayLike,
        domain: str = "target",
        penalty: ArrayLike | None = None,
    ) -> Any:
        r"""The number t whose Φ(t) is the `accuracy`, which has the arguments and the formula.

        Book: theory/break_even, eq-separation-penalty.
        """
        shrink = 0.0  # the factor on weights outside the mask
        if penalty is not None:
            shrink = 1 / (1 + as_array(penalty, "penalty", ends=(0, np.inf), finite=False))
        kept, dropped = self._parts(kept_object, kept_background, domain)
        return _ratio(kept[0] + shrink * dropped[0], kept[1] + shrink**2 * dropped[1])

    def accuracy(
        self,
        kept_object: ArrayLike,
        kept_background: ArrayLike,
        domain: str = "target",
        penalty: ArrayLike | None = None,
    ) -> Any:
        r"""The accuracy in [0, 1] of the source-trained linear rule under a mask.

        The best rule on the source has the weights $m_js_j$, m the source means, and
        $$\mathrm{acc}=\Phi\!\left(\frac{\sum_j s_j m_j m'_j}{\sqrt{\sum_j s_j^2m_j^2}}\right),$$
        m' the means of the domain tested, $s_j=1$ inside the mask. Outside, a hard mask has s = 0,
        and a `penalty` λ ≥ 0 on these weights $s=1/(1+\lambda)$: 0 is the unguided rule, and None
        the same as `inf`, the hard mask. A rule without any weight guesses: ½.

        Book: theory/evidence, eq-world-accuracy.
        Book: theory/break_even, eq-penalty.
        """
        return ndtr(self.separation(kept_object, kept_background, domain, penalty))

    def break_even(self, kept_background: ArrayLike) -> Any:
        r"""How much of the object a mask must keep to be no worse than no mask, on the target.

        With $t_1$ the unguided rule's separation the hard mask ties with it where
        $$\begin{aligned}k_o\mu^2&=\ell^2-k_b\beta_S^2,\\
          \ell&=\tfrac12\Big(t_1+\sqrt{t_1^2+4k_b\beta_S(\beta_S-\beta_T)}\Big),\end{aligned}$$
        and is worse exactly below. This $k_o$ is a real number: 0 where even a mask that keeps no
        object is no worse than none, above p where no mask that leaks this much is as good as none.

        Raises:
            ValueError: also if μ = 0, or $\beta_S\beta_T>\beta_S^2$ (the background would be worth
                more on the target than on the source).

        Book: theory/break_even, eq-break-even.
        """
        if self.mu == 0:
            raise ValueError("mu is 0: the object says nothing, so no amount of it can break even")
        drift = self._drift()
        _, kept = self._kept(0.0, kept_background)
        unguided = self.separation(self.p, self.q)
        root = (unguided + np.sqrt(unguided**2 + 4 * kept * drift)) / 2
        needed = np.maximum(root**2 - kept * self.beta_source**2, 0) / self.mu**2
        return needed[()]

    def best_penalty(
        self, kept_object: ArrayLike, kept_background: ArrayLike, domain: str = "target"
    ) -> BestPenalty:
        r"""The strength λ ≥ 0 of guidance by a given mask that tests best.

        With N and D the `moments`, index 0 for what is kept and 1 for the rest, $s=1/(1+\lambda)$
        is best at
        $$s^*=\min\Big(1,\max\Big(0,\frac{N_1D_0}{N_0D_1}\Big)\Big)\quad(N_0>0),$$
        and if $N_0\le0$ at the better one of 0 and 1. If $\mu\ne0$ and $\beta_S(\beta_S-\beta)>0$,
        a little guidance helps if and only if $k_o/p>k_b/q$ (theory/break_even proves it). λ may
        be `inf`; among equally good λ it is the least.
        """
        kept, rest = self._parts(kept_object, kept_background, domain)
        (mean, spread), (rest_mean, rest_spread) = kept, rest
        scale = mean * rest_spread
        stationary = np.divide(rest_mean * spread, scale, out=np.ones_like(scale), where=scale > 0)
        ends = _ratio(mean, spread) > _ratio(mean + rest_mean, spread + rest_spread)
        shrink = np.where(mean > 0, np.clip(stationary, 0, 1), np.where(ends, 0.0, 1.0))
        with np.errstate(divide="ignore"):
            penalty = (1 / shrink - 1)[()]
        return BestPenalty(penalty, self.accuracy(kept_object, kept_background, domain, penalty))

    def threshold(self, kept_object: ArrayLike, kept_background: ArrayLike) -> Any:
        r"""How much of what a mask could keep beyond what it keeps must be object: a share τ.

        A few more features raise the hard mask's separation on the target if and only if a larger
        share of them is the object's. With N_0 and D_0 the `moments` of what is kept,
        $$\tau=\frac b{o+b},\quad o=\mu^2(1-\ell),\quad
          b=\max\big(0,\beta_S(\ell\beta_S-\beta_T)\big),\quad\ell=\frac{N_0}{2D_0};$$
        a mask that keeps nothing of meaning has ℓ = 0.

        Raises:
            ValueError: also if the background is worth more on the target, see `break_even`.

        Book: theory/break_even, eq-cut, eq-cut-home.
        """
        drift = self._drift()
        mean, variance = self.moments(kept_object, kept_background, "target")
        rest = 1 - quotient(mean, 2 * variance)
        lost = np.maximum(drift - rest * self.beta_source**2, 0)
        return quotient(lost, rest * self.mu**2 + lost)[()]

    def sample(self, n: int, domain: str = "source", seed: int = 0) -> tuple[Array, Array]:
        """Draw `n` samples, 1 or more, from the world; the same seed gives the same draw.

        Returns:
            Features float64 `(n, p + q)`, the object's first, and labels float64 `(n,)`, ±1.
        """
        if n < 1:
            raise ValueError(f"asked for {n} samples, expected 1 or more")
        rng = np.random.default_rng(seed)
        labels = rng.choice([-1.0, 1.0], size=n)
        noise = rng.standard_normal((n, self.p + self.q))
        return labels[:, None] * self.means(domain) + noise, labels

    def _beta(self, domain: str) -> float:
        if domain not in ("source", "target"):
            raise ValueError(f"domain is '{domain}', expected 'source' or 'target'")
        return self.beta_source if domain == "source" else self.beta_target

    def _drift(self) -> float:
        """How much less the background is worth on the target, never negative."""
        drift = self.beta_source * (self.beta_source - self.beta_target)
        if drift < 0:
            raise ValueError(
                f"beta_target is {self.beta_target:g} with beta_source {self.beta_source:g}, "
                "expected a background that is worth no more on the target than on the source"
            )
        return drift

    def _kept(self, objects: ArrayLike, backgrounds: ArrayLike) -> tuple[Array, ...]:
        kept_object = as_array(objects, "kept_object", ends=(0, self.p))
        kept_background = as_array(backgrounds, "kept_background", ends=(0, self.q))
        return tuple(np.broadcast_arrays(kept_object, kept_background))

    def _parts(self, objects: ArrayLike, backgrounds: ArrayLike, domain: str) -> tuple:
        """The moments of what a mask keeps, and of the rest."""
        objects, backgrounds = self._kept(objects, backgrounds)
        rest = self.moments(self.p - objects, self.q - backgrounds, domain)
        return self.moments(objects, backgrounds, domain), rest


def _ratio(mean: Array, variance: Array) -> Any:
    """`mean / sqrt(variance)`, and 0 where there is no variance: a rule without weights."""
    return quotient(mean, np.sqrt(variance))[()]
