"""Frechet distance of two sets of features, as if each were normal.

N and M pictures, D features of each.

Source: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium"
(arXiv:1706.08500), equation 6.
"""

import numpy as np

from unigrpo.errors import DataError


def fid(features_ND: np.ndarray, others_MD: np.ndarray) -> float:
    """Returns |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)), in float64.

    Raises:
        DataError: a set has fewer than two pictures, or the sets have other numbers of features.
    """
    for name, set_ND in (("drawings", features_ND), ("pictures of reference", others_MD)):
        if set_ND.ndim != 2 or len(set_ND) < 2:
            raise DataError(f"fid: features of the {name} are {list(set_ND.shape)}, but must be [2 or more, features].")
    if features_ND.shape[1] != others_MD.shape[1]:
        raise DataError(f"fid: {features_ND.shape[1]} features here and {others_MD.shape[1]} there: give equal ones.")
    apart = features_ND.mean(0, dtype=np.float64) - others_MD.mean(0, dtype=np.float64)
    one_DD, other_DD = (np.atleast_2d(np.cov(it.astype(np.float64), rowvar=False)) for it in (features_ND, others_MD))
    return float(apart @ apart + np.trace(one_DD) + np.trace(other_DD) - 2 * _trace_of_root(one_DD, other_DD))


def _trace_of_root(one_DD: np.ndarray, other_DD: np.ndarray) -> float:
    """Trace of the root of the product, whose eigenvalues are those of a symmetric matrix too."""
    values, vectors = np.linalg.eigh(one_DD)
    root_DD = vectors * np.sqrt(values.clip(min=0)) @ vectors.T
    return float(np.sqrt(np.linalg.eigvalsh(root_DD @ other_DD @ root_DD).clip(min=0)).sum())
