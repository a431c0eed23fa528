import numpy as np
import pytest

from unigrpo.errors import DataError
from unigrpo.fid import fid


def draw(seed, size=400, width=5):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(size, width)) @ generator.normal(size=(width, width)) + generator.normal(size=width)


def test_equals_the_formula_with_the_root_of_a_matrix():
    linalg = pytest.importorskip("scipy.linalg")
    one, other = draw(0), draw(1, size=300)
    root = linalg.sqrtm(np.cov(one, rowvar=False) @ np.cov(other, rowvar=False)).real
    apart = ((one.mean(0) - other.mean(0)) ** 2).sum()
    expected = apart + np.trace(np.cov(one, rowvar=False) + np.cov(other, rowvar=False) - 2 * root)
    assert fid(one, other) == pytest.approx(expected, rel=1e-6)
    assert fid(one, other) == pytest.approx(fid(other, one), rel=1e-6)


def test_nothing_apart_is_nothing_and_a_shift_is_its_square():
    one = draw(2)
    assert fid(one, one) == pytest.approx(0, abs=1e-6)
    assert fid(one, one + np.array([3, 0, 4, 0, 0])) == pytest.approx(25, abs=1e-6)


def test_one_feature_has_a_closed_form():
    one, other = np.array([[0.0], [2.0], [4.0]]), np.array([[1.0], [1.0], [7.0], [7.0]])
    deviations = [it.std(ddof=1) for it in (one, other)]
    assert fid(one, other) == pytest.approx((2 - 4) ** 2 + (deviations[0] - deviations[1]) ** 2)


def test_fewer_pictures_than_features_are_no_trouble():
    assert fid(draw(3, size=4, width=9), draw(4, size=3, width=9)) > 0


def test_sets_that_cannot_be_compared_are_refused():
    with pytest.raises(DataError, match="5 features here and 4 there"):
        fid(draw(0), draw(0, width=4))
    with pytest.raises(DataError, match="features of the drawings are"):
        fid(draw(0)[:1], draw(0))
