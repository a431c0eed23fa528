import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from rewards.vision.preprocess import Preprocess


@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_images_are_within_a_few_grey_levels_of_open_clips_own(pictures, resize_mode, size, interpolation):
    if resize_mode == "shortest" and size != (32, 32):
        interpolation = "bicubic"  # open_clip uses no other there
    settings = {"size": size, "resize_mode": resize_mode, "interpolation": interpolation, "fill_color": 77}
    theirs = image_transform_v2(PreprocessCfg(**settings), is_train=False)
    wanted = torch.stack([theirs(Image.fromarray(picture)) for picture in pictures])
    ours = Preprocess(**settings)
    assert ours(pictures).shape == wanted.shape
    apart = (ours(pictures) - wanted).abs().amax((1, 2, 3)) * 255 * min(ours.std)
    assert apart.max() < 4.5
    assert apart.median() < 1.5


def test_an_image_does_not_depend_on_those_beside_it(pictures):
    fit = Preprocess((32, 32)).fit
    alone = torch.cat([fit([picture]) for picture in pictures])
    assert torch.equal(fit(pictures), alone)


def test_an_image_of_the_right_size_is_only_normalised():
    image = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)
    ours = Preprocess((32, 32), mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))([image])[0]
    wanted = (image / 255 - np.array([0.1, 0.2, 0.3])) / np.array([0.4, 0.5, 0.6])
    assert np.allclose(ours.permute(1, 2, 0), wanted, atol=1e-6)
