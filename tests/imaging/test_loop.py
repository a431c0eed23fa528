import json

import numpy as np
import pytest
from PIL import Image

from tests.images import picture, save_tiny_images
from unigrpo import checkpoint
from unigrpo.cli.main import main
from unigrpo.config import ImageTokenizerSection, MagvitSection
from unigrpo.errors import ConfigError
from unigrpo.imaging.loop import make_network
from unigrpo.imaging.measure import psnr
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.models.magvit_config import MagvitConfig

NETWORK = """
    network.bits=4 network.groups=4 network.encoder_widths=[8,8,8] network.decoder_widths=[8,8,8]
    network.encoder_blocks=[1,1,1] network.decoder_blocks=[1,1,1]
""".split()  # noqa: SIM905
ARGS = """
    resolution=16 batch_size=4 data.source=shapes data.size=12 optim.schedule=constant optim.warmup_steps=0
    held_out_every=3 checkpoint.every=2 device=cpu cluster.threads=1
""".split()  # noqa: SIM905
HELD_OUT = "held_out={source: shapes, split: test, size: 5}"


def tokenizer(output, *settings: str) -> int:
    return main(["tokenizer", *NETWORK, *ARGS, HELD_OUT, f"output={output}", *settings])


def metrics(folder) -> list[dict]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if not name.startswith("time/")} for row in rows]


def weights(folder) -> bytes:
    return (folder / "model/model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer") / "whole"
    assert tokenizer(folder, "steps=5") == 0
    return folder


def test_a_run_leaves_a_tokenizer_metrics_and_a_page_of_pictures(whole):
    rows = metrics(whole)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["step"] for row in rows if "held_out/psnr" in row] == [3, 5]
    assert {"tokenizer/loss", "tokenizer/l1", "tokenizer/entropy", "optim/grad_norm", "optim/lr"} <= rows[0].keys()
    assert (whole / "reconstructions.png").stat().st_size > 1000
    images = ImageTokenizer.load(ImageTokenizerSection(path=str(whole / "model"), resolution=16))
    assert (images.codebook_size, images.tokens) == (16, 16)


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(whole, tmp_path):
    assert tokenizer(tmp_path / "cut", "steps=3") == 0
    assert tokenizer(tmp_path / "cut", "steps=5", "resume=true") == 0
    assert weights(tmp_path / "cut") == weights(whole)
    assert metrics(tmp_path / "cut") == metrics(whole)
    assert len(checkpoint.checkpoints(tmp_path / "cut")) == 2


def test_training_brings_back_more_than_any_one_picture_would(tmp_path):
    pictures = np.stack([picture(seed, 2, 2).repeat(4, axis=0).repeat(4, axis=1) for seed in range(8)])
    for number, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    same = [f"data.path={tmp_path}", f"held_out.path={tmp_path}", "resolution=8", "batch_size=8"]
    settings = ["steps=100", "optim.lr=5e-3", "optim.warmup_steps=0", "device=cpu", "cluster.threads=1"]
    assert main(["tokenizer", *NETWORK, *same, *settings, f"output={tmp_path / 'run'}"]) == 0
    alike = np.broadcast_to(pictures.mean(axis=0), pictures.shape)
    assert metrics(tmp_path / "run")[-1]["held_out/psnr"] > psnr(alike, pictures).mean() + 2


def test_a_tokenizer_can_be_trained_on(tmp_path):
    save_tiny_images(tmp_path / "old")
    section = MagvitSection(path=str(tmp_path / "old"))
    own, other = make_network(section, 0).state_dict(), make_network(section, 1).state_dict()
    assert all((own[name] == other[name]).all() for name in own)
    settings = [f"network.path={tmp_path / 'old'}", "resolution=8", "data.source=shapes", "data.size=4"]
    rest = ["batch_size=4", "steps=1", "optim.warmup_steps=0", "device=cpu", "cluster.threads=1"]
    assert main(["tokenizer", *settings, *rest, f"output={tmp_path / 'new'}"]) == 0
    images = [
        ImageTokenizer.load(ImageTokenizerSection(path=str(path), resolution=8))
        for path in (tmp_path / "old", tmp_path / "new/model")
    ]
    assert images[0].network.config == images[1].network.config
    assert weights(tmp_path / "new") != (tmp_path / "old/model.safetensors").read_bytes()


def test_sizes_come_from_the_section_and_weights_from_the_seed():
    section = MagvitSection(
        bits=3, groups=4, encoder_widths=[8, 16], decoder_widths=[8, 24], encoder_blocks=[1, 2], decoder_blocks=[2, 1]
    )
    network = make_network(section, 0)
    assert network.config == MagvitConfig(
        bits=3, groups=4, encoder_widths=(8, 16), decoder_widths=(8, 24), encoder_blocks=(1, 2), decoder_blocks=(2, 1)
    )
    weight = "encoder.conv_in.weight"
    assert (network.state_dict()[weight] == make_network(section, 0).state_dict()[weight]).all()
    assert (network.state_dict()[weight] != make_network(section, 1).state_dict()[weight]).any()
    with pytest.raises(ConfigError, match=r"^network: widths and blocks have"):
        make_network(MagvitSection(encoder_blocks=[1]), 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["resolution=18"], "resolution is 18, but a code of this image tokenizer is 4 pixels wide"),
        (["network.groups=3"], "network: groups is 3, which does not divide the width 8"),
        (["batch_size=13"], "batch_size is 13, but there are 12 pictures"),
        (["network.path={dir}"], "network.bits is 4, but it is only used when network.path is not set"),
        (["data.path=x"], "data.path is 'x', but data.source=shapes draws its pictures"),
        (["data.source=folder", "data.size=800"], "data.path is not set: data.source=folder reads one"),
        (["data.fit=pad"], "data.fit is pad, but it is only used when data.source is folder or file"),
        (["loss.l1=0", "loss.l2=0"], "loss.l1 and loss.l2 are both 0"),
        (["held_out=null"], "held_out_every is 3, but it is only used when held_out is set"),
        (["cluster.backend=ray"], "only `unigrpo train` and `unigrpo sft` use Ray"),
        (["optim.warmup_steps=99", "steps=5"], "optim.warmup_steps is 99"),
        (["resume=true", "overwrite=true"], "resume and overwrite are both set"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, capsys, settings, message):
    settings = [setting.replace("{dir}", str(tmp_path)) for setting in settings]
    assert tokenizer(tmp_path / "run", *settings) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_broken_picture_is_named_before_anything_is_written(tmp_path, capsys):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/a.png").write_bytes(picture(0).tobytes())
    settings = ["data={source: folder, path: " + str(tmp_path / "pictures") + "}"]
    assert main(["tokenizer", *NETWORK, *settings, f"output={tmp_path / 'run'}"]) == 2
    assert "a.png' cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
