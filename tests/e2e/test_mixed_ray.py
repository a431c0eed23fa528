import pytest

from tests.e2e.cut import check_equal
from tests.e2e.runs import run
from tests.e2e.test_mixed import args

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_a_mixed_run_is_the_same_in_ray_bit_for_bit(tmp_path, vq):
    run(args(tmp_path, vq, tmp_path / "a", "cluster.backend=local"))
    run(args(tmp_path, vq, tmp_path / "b", "cluster.backend=ray"))
    check_equal(tmp_path / "a", tmp_path / "b")
