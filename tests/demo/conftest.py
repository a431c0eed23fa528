import pytest

from tests.demo.tiny import make


@pytest.fixture(scope="package")
def runs(tmp_path_factory):
    """Two runs of tiny models."""
    folder = tmp_path_factory.mktemp("runs")
    return [make(folder / name, seed) for name, seed in (("before", 0), ("after", 1))]
