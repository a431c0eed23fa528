import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

TINY = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


def write_clip(folder: Path, **preprocess) -> Path:
    """A random CLIP as a folder of open_clip."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    network = open_clip.CLIP(**TINY)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    save_file(network.state_dict(), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY, "preprocess_cfg": preprocess}))
    return folder


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory) -> str:
    return str(write_clip(tmp_path_factory.mktemp("clip") / "tiny"))


@pytest.fixture(scope="session")
def pictures() -> list[np.ndarray]:
    """Images of several shapes, smooth and noisy."""
    draw = np.random.default_rng(0)
    shapes = [(48, 40), (32, 32), (20, 70), (48, 40), (100, 33), (32, 32), (9, 9)]
    return [_picture(height, width, draw) for height, width in shapes]


def _picture(height: int, width: int, draw: np.random.Generator) -> np.ndarray:
    waves = np.sin(np.arange(height)[:, None, None] / 5) + np.cos(np.arange(width)[None, :, None] / draw.uniform(3, 9))
    return (127 + 40 * waves + draw.normal(0, 30, (height, width, 3))).clip(0, 255).astype(np.uint8)
