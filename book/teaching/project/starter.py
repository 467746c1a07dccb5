"""The project "Judge a mask, use a mask, doubt a result": write your answers here.

    python grade.py starter.py

Each function says what it must return. Keep names and arguments; add whatever helps you.
"""

from align.methods import Method


def tolerable_leak(world, kept_object):
    """Return how much background a mask may leak before it is worse than no mask.

    Args:
        world: an `align.theory.gaussian.World` with beta_target <= 0 < beta_source.
        kept_object: how many object features the mask keeps.

    Returns:
        The largest number of background features, a float from 0 to `world.q`, with which the mask
        still tests as well on the target as no mask at all; 0 if no leak is tolerable.
    """
    raise NotImplementedError


def outside_loss(features, weight, labels, masks):
    """Return the share of the contrastive evidence outside the object, as a loss.

    Args:
        features: `(N, K, h, w)`, a feature map.
        weight: `(C, K)`, the weights of a pooled linear head.
        labels: int64 `(N,)`.
        masks: `(N, H, W)` in [0, 1], 1 on the object; H and W are multiples of h and w, and a
            cell's mask is the mean of its pixels'.

    Returns:
        A scalar with a gradient: the mean over images of each image's share, class by class and
        without the label's own; 0 for an image without any evidence.
    """
    raise NotImplementedError


class Mine(Method):
    """A method of training that may use the true masks, and tests better elsewhere than ERM.

    `batch.images` is `(N, 3, H, W)` in [0, 1], `batch.labels` is `(N,)`, `batch.masks` `(N, H, W)`.
    """

    needs_masks = True

    def loss(self, batch, epoch, generator):
        """Return a dict of terms; its entry "loss" is what is minimised."""
        raise NotImplementedError


def verdict(first, second):
    """Say whether a method is better than another, from runs on the same seeds.

    Args:
        first: accuracies of one method, one a seed.
        second: accuracies of the other method, for the same seeds in the same order.

    Returns:
        "better", "worse" or "cannot tell", by the paired 95 % Student interval of first - second.
    """
    raise NotImplementedError
