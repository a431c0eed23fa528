"""The head that ImageReward and the LAION aesthetic predictor share: five linear layers with nothing between them."""

from itertools import pairwise

from torch import nn

HIDDEN = (1024, 128, 64, 16)


def linear_head(width: int, hidden: tuple[int, ...] = HIDDEN) -> nn.Sequential:
    """Return the head, with the names of the published weights: 0, 2, 4, 6 and 7.

    The odd places held dropouts, which only training needs.
    """
    first, second, third, *rest = (nn.Linear(before, after) for before, after in pairwise((width, *hidden, 1)))
    return nn.Sequential(first, nn.Identity(), second, nn.Identity(), third, nn.Identity(), *rest)
