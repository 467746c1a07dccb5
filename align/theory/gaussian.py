"""A world in closed form: Gaussian object and background features, and masks that keep some.

Y = ±1 with probability ½ each. Given Y all features are independent with variance 1: p object
features of mean μY, q background features of mean β_S Y on the source and β_T Y on the target.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from align.theory._common import Array, as_array

DOMAINS = ("source", "target")


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

    Raises:
        ValueError: if a count is not a whole number, is negative, or a mean is not finite.
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
        """The means E[x_j Y] of all features, the object's first.

        Args:
            domain: `source` or `target`.

        Returns:
            float64 `(p + q,)`.
        """
        beta = self._beta(domain)
        return np.concatenate([np.full(self.p, float(self.mu)), np.full(self.q, float(beta))])

    def moments(
        self, objects: ArrayLike, backgrounds: ArrayLike, domain: str = "source"
    ) -> tuple[Any, Any]:
        r"""Mean and variance of $Y\,m\cdot x$ over some features, m the source means.

        Args:
            objects: how many object features, 0 to p; fractions are allowed.
            backgrounds: how many background features, 0 to q.
            domain: where x comes from, `source` or `target`.

        Returns:
            $\sum m_jm'_j$ and $\sum m_j^2$: floats, or arrays of the arguments' broadcast shape.

        Raises:
            ValueError: if there are fewer features, or the domain is unknown.
        """
        objects, backgrounds = self._check_kept(objects, backgrounds)
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
        r"""The number t whose Φ(t) is the accuracy; see `accuracy` for arguments and formula.

        Book: theory/break_even, eq-separation-penalty.
        """
        kept_object, kept_background = self._check_kept(kept_object, kept_background)
        shrink = _shrinkage(penalty)
        kept = self.moments(kept_object, kept_background, domain)
        dropped = self.moments(self.p - kept_object, self.q - kept_background, domain)
        return _ratio(kept[0] + shrink * dropped[0], kept[1] + shrink**2 * dropped[1])

    def accuracy(
        self,
        kept_object: ArrayLike,
        kept_background: ArrayLike,
        domain: str = "target",
        penalty: ArrayLike | None = None,
    ) -> Any:
        r"""The accuracy of the source-trained linear rule under a mask.

        A hard mask (`penalty=None`) leaves $k_o$ object and $k_b$ background features, and the
        best rule on the source, $\operatorname{sign}(m\cdot x)$ with the source means m, has
        $$\mathrm{acc}=\Phi\!\left(\frac{k_o\mu^2+k_b\beta_S\beta}
          {\sqrt{k_o\mu^2+k_b\beta_S^2}}\right),\qquad \beta=\beta_S\ \text{or}\ \beta_T .$$
        A penalty λ instead minimises $E(Y-w\cdot x)^2+\lambda\sum_{j\notin\tilde M}w_j^2$ on the
        source: $w_j\propto m_j\,s_j$, with $s_j=1$ inside the mask and $s=1/(1+\lambda)$ outside,
        so with $(k_o,k_b)$ kept and $(p-k_o,q-k_b)$ not,
        $$\mathrm{acc}=\Phi\!\left(\frac{\sum_j s_j m_j m'_j}{\sqrt{\sum_j s_j^2m_j^2}}\right),$$
        m' the means of the domain tested. λ = 0 is the unguided rule; λ = ∞ the hard mask. If the
        rule has no weight at all (nothing kept, or only features of source mean zero) it guesses:
        ½. For an empty mask every finite λ shrinks all weights alike and leaves the unguided
        rule; only λ = ∞ guesses.

        Args:
            kept_object: $k_o$, 0 to p; fractions are allowed, for curves.
            kept_background: $k_b$, 0 to q.
            domain: where the rule is tested, `source` or `target`.
            penalty: λ ≥ 0, `inf` included; None means a hard mask, the same as `inf`.

        Returns:
            The accuracy in [0, 1]: a float, or an array of the arguments' broadcast shape.

        Raises:
            ValueError: if a mask keeps more than there is, or λ is negative.

        Book: theory/evidence, eq-world-accuracy.
        Book: theory/break_even, eq-penalty.
        """
        return ndtr(self.separation(kept_object, kept_background, domain, penalty))

    def break_even(self, kept_background: ArrayLike) -> Any:
        r"""How much of the object a mask must keep to be no worse than no mask, on the target.

        With $t_1$ the unguided rule's separation and $b=k_b\beta_S^2$, the hard mask ties with it
        where
        $$k_o\mu^2=\ell^2-b,\qquad
          \ell=\tfrac12\Big(t_1+\sqrt{t_1^2+4k_b\beta_S(\beta_S-\beta_T)}\Big),$$
        and is worse exactly below, since the accuracy rises with $k_o$ when
        $\beta_S\beta_T\le\beta_S^2$.

        Args:
            kept_background: $k_b$, 0 to q; fractions are allowed.

        Returns:
            The break-even $k_o$, a real number of features, cut off at 0 where even a mask that
            keeps no object is no worse than none. A value above p says that no mask that leaks
            this much is as good as none. A float, or an array of the argument's shape.

        Raises:
            ValueError: if $k_b$ is out of range, μ = 0, or $\beta_S\beta_T>\beta_S^2$ (the
                background would be worth more on the target than on the source).

        Book: theory/break_even, eq-break-even.
        """
        if self.mu == 0:
            raise ValueError("mu is 0: the object says nothing, so no amount of it can break even")
        drift = self.beta_source * (self.beta_source - self.beta_target)
        if drift < 0:
            raise ValueError(
                f"beta_target is {self.beta_target:g} with beta_source {self.beta_source:g}, "
                "expected a background that is worth no more on the target than on the source"
            )
        _, kept = self._check_kept(0.0, kept_background)
        unguided = self.separation(self.p, self.q)
        root = (unguided + np.sqrt(unguided**2 + 4 * kept * drift)) / 2
        needed = np.maximum(root**2 - kept * self.beta_source**2, 0) / self.mu**2
        return needed[()]

    def best_penalty(
        self, kept_object: ArrayLike, kept_background: ArrayLike, domain: str = "target"
    ) -> BestPenalty:
        r"""The strength λ ≥ 0 of guidance by a given mask that tests best.

        With $s=1/(1+\lambda)$ the separation is $t(s)=(N_0+sN_1)/\sqrt{D_0+s^2D_1}$, index 0 for
        what is kept and 1 for the rest, $N=k_o\mu^2+k_b\beta_S\beta$, $D=k_o\mu^2+k_b\beta_S^2$,
        and $t'(s)$ has the sign of $N_1D_0-sN_0D_1$. So
        $$s^*=\min\Big(1,\max\Big(0,\frac{N_1D_0}{N_0D_1}\Big)\Big)\quad(N_0>0),$$
        and if $N_0\le0$ the better one of s = 0 and s = 1. Moreover
        $N_1D_0-N_0D_1=\mu^2\beta_S(\beta_S-\beta)(pk_b-qk_o)$: if $\mu\ne0$ and
        $\beta_S(\beta_S-\beta)>0$, a little guidance helps if and only if $k_o/p>k_b/q$, that is if
        the mask keeps a larger share of the object than of the background. Where the unguided
        rule is no worse than chance, λ = 0 is best exactly when it does not.

        Args:
            kept_object: $k_o$, 0 to p.
            kept_background: $k_b$, 0 to q.
            domain: where the rule is tested, `source` or `target`.

        Returns:
            `BestPenalty(penalty, accuracy)`, floats or arrays of the arguments' broadcast shape.
            λ may be `inf`; among equally good λ it is the least of 0, s* and `inf`.

        Raises:
            ValueError: if a mask keeps more than there is.
        """
        kept_object, kept_background = self._check_kept(kept_object, kept_background)
        mean, spread = self.moments(kept_object, kept_background, domain)
        rest_mean, rest_spread = self.moments(
            self.p - kept_object, self.q - kept_background, domain
        )
        scale = mean * rest_spread
        stationary = np.divide(rest_mean * spread, scale, out=np.ones_like(scale), where=scale > 0)
        ends = _ratio(mean, spread) > _ratio(mean + rest_mean, spread + rest_spread)
        shrink = np.where(mean > 0, np.clip(stationary, 0, 1), np.where(ends, 0.0, 1.0))
        with np.errstate(divide="ignore"):
            penalty = (1 / shrink - 1)[()]
        return BestPenalty(penalty, self.accuracy(kept_object, kept_background, domain, penalty))

    def sample(self, n: int, domain: str = "source", seed: int = 0) -> tuple[Array, Array]:
        """Draw from the world.

        Args:
            n: how many samples, 1 or more.
            domain: `source` or `target`.
            seed: the same seed gives the same draw.

        Returns:
            Features float64 `(n, p + q)`, the object's first, and labels float64 `(n,)`, ±1.

        Raises:
            ValueError: if n is below 1 or the domain is unknown.
        """
        if n < 1:
            raise ValueError(f"asked for {n} samples, expected 1 or more")
        rng = np.random.default_rng(seed)
        labels = rng.choice([-1.0, 1.0], size=n)
        noise = rng.standard_normal((n, self.p + self.q))
        return labels[:, None] * self.means(domain) + noise, labels

    def _beta(self, domain: str) -> float:
        if domain not in DOMAINS:
            raise ValueError(f"domain is '{domain}', expected 'source' or 'target'")
        return self.beta_source if domain == "source" else self.beta_target

    def _check_kept(self, objects: ArrayLike, backgrounds: ArrayLike) -> tuple[Array, Array]:
        arrays = []
        for name, kept, most in (("object", objects, self.p), ("background", backgrounds, self.q)):
            array = as_array(kept, f"kept_{name}")
            if array.size and (array.min() < 0 or array.max() > most):
                raise ValueError(
                    f"the mask keeps {array.min():g} to {array.max():g} {name} features, "
                    f"expected 0 to the world's {most}"
                )
            arrays.append(array)
        first, second = np.broadcast_arrays(*arrays)
        return first, second


def _shrinkage(penalty: ArrayLike | None) -> Any:
    """The factor 1/(1 + λ) on weights outside the mask; 0 for a hard mask."""
    if penalty is None:
        return 0.0
    strength = np.asarray(penalty, dtype=np.float64)
    if np.isnan(strength).any() or (strength.size and strength.min() < 0):
        raise ValueError(f"penalty is {penalty}, expected numbers of 0 or more")
    return 1 / (1 + strength)


def _ratio(mean: Array, variance: Array) -> Any:
    """`mean / sqrt(variance)`, and 0 where there is no variance: a rule without weights."""
    mean, variance = np.broadcast_arrays(mean, variance)
    root = np.sqrt(variance)
    return np.divide(mean, root, out=np.zeros_like(root), where=root > 0)[()]
