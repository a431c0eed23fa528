from pathlib import Path

import pytest

from tests.e2e.runs import run, train_args
from unigrpo.models.magvit import Magvit
from unigrpo.models.magvit_config import MagvitConfig
from unigrpo.models.magvit_folder import save_magvit
from unigrpo.models.seeding import private_seed

SIZES = MagvitConfig(
    bits=4,
    encoder_widths=(4, 4, 4, 4),
    decoder_widths=(4, 4, 4, 4),
    encoder_blocks=(1, 1, 1, 1),
    decoder_blocks=(1, 1, 1, 1),
    groups=2,
)


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> Path:
    """An uninterrupted run in this process; nothing may write there."""
    folder = tmp_path_factory.mktemp("whole")
    run(train_args(folder, folder / "run", "cluster.backend=local"))
    return folder / "run"


@pytest.fixture(scope="session")
def vq(tmp_path_factory) -> Path:
    """An image tokenizer of random weights."""
    folder = tmp_path_factory.mktemp("vq")
    with private_seed(0):
        save_magvit(Magvit(SIZES), folder)
    return folder
