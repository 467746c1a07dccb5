"""The regulariser L_reg: maps of same-class mixtures should be mixtures of maps, and small.

    x̂ = m x + (1 − m) x′,  x′ of the class of x,  m ~ Beta(.2, .2)
    L_reg = mean |Φ(x̂) − (m Φ(x) + (1 − m) Φ(x′))| + ½ mean size of Φ(x), Φ(x̂)

Source: Li et al. (DRE), CVPR 2023, with its weights 1 and ½; Hong et al. 2026 take it over.
"""

from __future__ import annotations

from torch import Generator, Tensor

from align import losses
from align.data.batches import Batch
from align.methods.mixing import mix, same_class_partners, shares
from align.networks.classifier import Classifier
from align.saliency import minmax_maps
from align.transfer import upload


def regulariser(
    classifier: Classifier, batch: Batch, features: Tensor, weight: Tensor, generator: Generator
) -> Tensor:
    """The regulariser L_reg of a batch, a scalar."""
    partner = same_class_partners(batch.labels, generator)
    share = upload(shares(len(partner), generator), batch.images.device, batch.images.dtype)
    mixed = mix(batch.images, partner, share)
    own = minmax_maps.unchecked(features, weight, batch.labels)
    blended = minmax_maps.unchecked(classifier.features(mixed), weight, batch.labels)
    consistency, size = map_terms(own, blended, partner, share)
    return consistency + 0.5 * size


def map_terms(
    own: Tensor, blended: Tensor, partner: Tensor, share: Tensor
) -> tuple[Tensor, Tensor]:
    """The two parts of L_reg before they are weighted.

    Args:
        own: `(N, h, w)`, maps Φ(x) of the images.
        blended: `(N, h, w)`, maps Φ(x̂) of the mixtures.
        partner: int64 `(N,)`, positions in the batch of what each image was mixed with.
        share: `(N,)` in [0, 1], the share m of the image itself.

    Returns:
        `(consistency, size)`, two scalars, at least 0.
    """
    consistency = losses.attribution_consistency.unchecked(blended, own, own[partner], share)
    spread = losses.attribution_sparsity.unchecked
    return consistency, (spread(own) + spread(blended)) / 2
