from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from unigrpo.config import ModelSection
from unigrpo.models import load_model, load_policy, save_policy

GOLDEN = Path(__file__).parents[1] / "golden"
TEXTS = ["What is 12 + 34? The answer is 46.", "Rückwärts: 987 - 65 = 922. Über café naïve"] * 4


@pytest.fixture(scope="session")
def golden():
    """The 2-layer MMaDA that the official code made its vectors with."""
    return load_model(GOLDEN)


@pytest.fixture(scope="session")
def vectors():
    return load_file(GOLDEN / "vectors.safetensors")


@pytest.fixture
def make_policy():
    def make(seed=0, **settings):
        return load_policy(ModelSection(**{"preset": "tiny", "device": "cpu", **settings}), texts=TEXTS, seed=seed)

    return make


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """A folder with a tiny model of random weights and a tokenizer; copy it before changing it."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    save_policy(load_policy(ModelSection(preset="tiny", device="cpu"), texts=TEXTS, seed=3), folder)
    return folder


@pytest.fixture
def tokens():
    return torch.randint(0, 256, (3, 12), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def golden_folder():
    return GOLDEN
