from dataclasses import asdict
from itertools import product

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from unigrpo.config import ImageTokenizerSection
from unigrpo.errors import ConfigError
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.models.magvit import Magvit, Quantizer
from unigrpo.models.magvit_config import MagvitConfig
from unigrpo.models.magvit_folder import load_magvit
from unigrpo.models.seeding import private_seed


@pytest.fixture
def official(golden_folder):
    """The reduced network that the official code made its vectors with."""
    return load_magvit(golden_folder / "vq.safetensors")


@pytest.fixture
def tolerance():
    return {"atol": 1e-4, "rtol": 0}


def test_the_defaults_are_the_published_network(golden_folder):
    with torch.device("meta"):
        network = Magvit(MagvitConfig())
    found = [f"{name} {tuple(tensor.shape)}" for name, tensor in network.state_dict().items()]
    assert sorted(found) == sorted((golden_folder / "magvitv2_full_state_dict_keys.txt").read_text().splitlines())
    assert len(found) == 382
    assert sum(weight.numel() for weight in network.parameters()) == 95_387_004
    assert (network.config.factor, network.config.codebook_size) == (16, 8192)


@torch.inference_mode()
def test_a_square_image_gives_the_official_latents_codes_and_reconstruction(official, vectors, tolerance):
    torch.testing.assert_close(official.encoder(vectors["vq.pixels"]), vectors["vq.latents"], **tolerance)
    torch.testing.assert_close(official.encode(vectors["vq.pixels"]), vectors["vq.codes"], **tolerance)
    made = official.decode(vectors["vq.codes"], (4, 4))
    torch.testing.assert_close(made, vectors["vq.reconstruction"], **tolerance)


@torch.inference_mode()
def test_a_wide_image_gives_the_official_codes_and_reconstruction(official, vectors, tolerance):
    torch.testing.assert_close(official.encode(vectors["vq.wide_pixels"]), vectors["vq.wide_codes"], **tolerance)
    made = official.decode(vectors["vq.wide_codes"], (2, 4))
    torch.testing.assert_close(made, vectors["vq.wide_reconstruction"], **tolerance)


def test_the_first_channel_is_the_highest_bit_and_zero_is_no_bit():
    quantizer = Quantizer(MagvitConfig())
    latents = torch.full((4, 13, 1, 1), -1.0)
    latents[0] = 0.5
    latents[1, 0] = latents[2, 12] = 1e-9
    latents[3] = 0.0
    assert quantizer.codes(latents).flatten().tolist() == [8191, 4096, 1, 0]
    assert quantizer.embedding[4096].tolist() == [1.0] + [-1.0] * 12


@pytest.mark.parametrize("bits", [1, 2, 5])
def test_every_code_has_the_vector_that_quantises_to_it(bits):
    quantizer = Quantizer(MagvitConfig(bits=bits))
    codes = torch.arange(2**bits)
    vectors = quantizer.vectors(codes)
    assert [tuple(row) for row in vectors.tolist()] == list(product([-1.0, 1.0], repeat=bits))
    assert torch.equal(vectors, quantizer.embedding)
    assert torch.equal(quantizer.codes(vectors.T[None, :, None]), codes[None])


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_each_level_after_the_first_halves_the_sides(levels):
    widths, blocks = (8,) * levels, (1,) * levels
    sizes = {"encoder_widths": widths, "decoder_widths": widths, "encoder_blocks": blocks, "decoder_blocks": blocks}
    with private_seed(0):
        network = Magvit(MagvitConfig(bits=3, groups=4, **sizes))
    assert network.config.factor == 2 ** (levels - 1)
    codes = network.encode(torch.zeros(1, 3, 16, 24))
    shape = (16 // network.config.factor, 24 // network.config.factor)
    assert codes.shape == (1, shape[0] * shape[1])
    assert network.decode(codes, shape).shape == (1, 3, 16, 24)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"encoder_blocks": (1, 1)}, r"widths and blocks have \[5, 5, 2, 5\] entries"),
        ({"decoder_blocks": (4, 4, 0, 4, 3)}, "must be 1 or more"),
        ({"bits": 0}, "bits is 0: set it to a number from 1 to 20"),
        ({"groups": 48}, "groups is 48, which does not divide the width 128"),
        ({"groups": 0}, "must be 1 or more"),
        (dict.fromkeys(("encoder_widths", "decoder_widths", "encoder_blocks", "decoder_blocks"), ()), "entries"),
    ],
)
def test_sizes_that_make_no_network_are_refused(sizes, message):
    with pytest.raises(ConfigError, match=message):
        MagvitConfig(**(asdict(MagvitConfig()) | sizes))


@pytest.mark.slow
def test_the_published_network_takes_a_picture_to_256_codes_and_back():
    with private_seed(0):
        network = Magvit(MagvitConfig())
    images = ImageTokenizer(network, ImageTokenizerSection(resolution=256))
    rows, columns = np.mgrid[:256, :256].astype(np.uint8)
    [codes] = images.encode([np.stack([rows, columns, rows ^ columns], axis=2)])
    [image] = images.decode([codes])
    assert images.tokens == 256 == len(codes)
    assert (image.shape, image.dtype) == ((256, 256, 3), np.uint8)
    [white] = images.encode([np.full((256, 256, 3), 255, dtype=np.uint8)])
    assert (codes != white).any()


def test_the_golden_network_is_what_its_tensors_say(official, golden_folder):
    sizes = official.config
    assert (sizes.bits, sizes.factor, sizes.encoder_widths) == (6, 16, (32, 32, 32, 32, 64))
    assert load_file(golden_folder / "vq.safetensors").keys() == official.state_dict().keys()
