import numpy as np
import pytest

from tests.data.shards.write import captioned, png, write_tar
from tests.images import picture, tiny_images
from unigrpo.config import DataSection
from unigrpo.data import load_examples, load_prompts
from unigrpo.data.shards.codes import KeptCodes, picture_key, write_index, write_shard
from unigrpo.errors import ConfigError

IMAGES = tiny_images()


def kept(folder, shards) -> KeptCodes:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text("{}")
    for name, pairs in shards.items():
        write_shard(folder, name, [key for key, _ in pairs], [codes for _, codes in pairs], 2**18)
    write_index(folder)
    return KeptCodes(folder)


def test_codes_are_found_by_key_and_no_others_are(tmp_path):
    draw = np.random.default_rng(0)
    pairs = [(draw.bytes(16), draw.integers(0, 2**18, 7)) for _ in range(300)]
    twin = pairs[0][0][:8] + bytes(8)  # the same first half
    pairs.append((twin, np.arange(7)))
    found = kept(tmp_path, {"a": pairs[:100], "empty": [], "b": pairs[100:]})
    for key, codes in pairs:
        np.testing.assert_array_equal(found.find(key), codes)
    assert found.find(twin[:8] + bytes([1] * 8)) is None
    assert found.find(bytes(16)) is None


def test_a_picture_is_known_by_its_file_or_its_pixels(tmp_path):
    (tmp_path / "a.png").write_bytes(png(1))
    assert picture_key(tmp_path / "a.png") == picture_key(png(1)) != picture_key(png(2))
    assert picture_key(picture(1)) == picture_key(picture(1).copy()) != picture_key(picture(2))
    assert picture_key(picture(1, 4, 8)) != picture_key(picture(1, 4, 8).reshape(8, 4, 3))


class NoEncoder:
    """The sizes and weights of an image tokenizer that refuses to work."""

    def __init__(self, allowed: int = 0):
        self.codebook_size, self.resolution, self.tokens = IMAGES.codebook_size, IMAGES.resolution, IMAGES.tokens
        self.fingerprint, self.allowed = IMAGES.fingerprint, allowed

    def encode(self, images):
        assert len(images) <= self.allowed
        return IMAGES.encode(images)


@pytest.fixture
def made(tmp_path):
    """A shard of four pictures, and the codes of the first three."""
    import json

    from unigrpo.data.images import fit_image, read_image
    from unigrpo.data.shards.codes import made_with

    samples = captioned(range(4))
    path = str(write_tar(tmp_path / "a.tar", samples))
    files = [members["png"] for members in samples.values()][:3]
    codes = IMAGES.encode([fit_image(read_image(file, ""), 8, "crop") for file in files])
    kept(tmp_path / "codes", {"a": [(picture_key(file), row) for file, row in zip(files, codes, strict=True)]})
    (tmp_path / "codes" / "tokenizer.json").write_text(json.dumps(made_with(IMAGES, "crop")))
    return DataSection(task="understand", layout="caption", path=path, codes=str(tmp_path / "codes"))


def test_kept_codes_are_used_in_place_of_encoding(made, tokenizer, seeing):
    from dataclasses import replace

    wanted = load_examples(replace(made, codes=None), tokenizer, seeing, images=IMAGES)
    found = load_examples(made, tokenizer, seeing, images=NoEncoder(1))
    prompts = load_prompts(made, tokenizer, seeing, images=NoEncoder(1))
    for one, other, prompt in zip(found, wanted, prompts, strict=True):
        np.testing.assert_array_equal(one.prompt_tokens, other.prompt_tokens)
        np.testing.assert_array_equal(prompt.tokens, other.prompt_tokens)


@pytest.mark.parametrize("change", ["weights", "resolution", "fit"])
def test_codes_of_another_tokenizer_are_refused(made, tokenizer, seeing, change):
    images = NoEncoder()
    if change == "weights":
        images.fingerprint = "other"
    elif change == "resolution":
        images.resolution = 16
    else:
        made.fit = "pad"
    with pytest.raises(ConfigError, match=f"codes were made with {change}="):
        load_examples(made, tokenizer, seeing, images=images)


def test_other_weights_have_another_fingerprint():
    assert tiny_images().fingerprint == IMAGES.fingerprint
    assert tiny_images(bits=5).fingerprint != IMAGES.fingerprint


def test_a_folder_without_codes_is_named(tmp_path, tokenizer, seeing, made):
    made.codes = str(tmp_path)
    with pytest.raises(ConfigError, match=r"holds no tokenizer\.json: name a folder made by `unigrpo tokenize-images`"):
        load_examples(made, tokenizer, seeing, images=IMAGES)
