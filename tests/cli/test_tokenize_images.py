import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.data.shards.write import captioned, png, write_tar, write_tars
from tests.images import picture, save_tiny_images, tiny_images
from unigrpo.cli.main import main
from unigrpo.data.shards.codes import KeptCodes, picture_key, shards_of


@pytest.fixture
def settings(tmp_path):
    """The command, with an image tokenizer and three shards of five pictures."""
    save_tiny_images(tmp_path / "images")
    path = write_tars(tmp_path / "tars", shards=3, each=5)
    model = [f"image_tokenizer.path={tmp_path}/images", "image_tokenizer.resolution=8", "device=cpu"]
    machine = ["workers=1", "cluster.threads=1"]
    return ["tokenize-images", *model, f"data.path={path}", f"output={tmp_path}/codes", *machine]


def check(folder, numbers) -> None:
    codes = tiny_images().encode([picture(number) for number in numbers])
    kept = KeptCodes(folder)
    for number, wanted in zip(numbers, codes, strict=True):
        np.testing.assert_array_equal(kept.find(picture_key(png(number))), wanted)


def test_every_picture_gets_the_codes_of_the_tokenizer(settings, tmp_path, capsys):
    assert main(settings) == 0
    assert "codes of 15 pictures; read 15, left out 0 broken" in capsys.readouterr().out
    check(tmp_path / "codes", range(15))


def test_it_goes_on_with_what_has_no_codes_yet(settings, tmp_path, capsys):
    assert main(settings) == 0
    shards_of(tmp_path / "codes")[1].unlink()
    write_tar(tmp_path / "tars" / "00003.tar", captioned(range(15, 19)))
    capsys.readouterr()
    assert main([*settings, f"data.path={tmp_path}/tars/*.tar"]) == 0
    assert "codes of 19 pictures; read 9," in capsys.readouterr().out
    check(tmp_path / "codes", range(19))
    assert main([*settings, f"data.path={tmp_path}/tars/*.tar"]) == 0
    assert "read 0," in capsys.readouterr().out


def test_a_run_that_is_killed_goes_on(settings, tmp_path):
    write_tars(tmp_path / "tars", shards=8, each=8)
    last = tmp_path / "tars/00007.tar"
    kept = last.rename(tmp_path / "kept")
    os.mkfifo(last)  # who reads it waits for ever
    settings[4] = f"data.path={tmp_path}/tars/*.tar"
    process = subprocess.Popen([sys.executable, "-m", "unigrpo", *settings], stderr=subprocess.DEVNULL)
    while process.poll() is None and len(shards_of(tmp_path / "codes")) < 3:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = shards_of(tmp_path / "codes")
    kept.rename(last)
    assert 3 <= len(done) < 8
    before = {shard: shard.stat().st_mtime_ns for shard in done}
    assert main(settings) == 0
    assert {shard: shard.stat().st_mtime_ns for shard in done} == before
    check(tmp_path / "codes", range(64))


def test_codes_of_another_tokenizer_are_kept_until_they_are_given_up(settings, tmp_path, capsys):
    assert main(settings) == 0
    save_tiny_images(tmp_path / "images", bits=5)
    assert main(settings) == 2
    assert "whose codes were made with weights=" in capsys.readouterr().err
    check(tmp_path / "codes", range(15))
    assert main([*settings, "overwrite=true"]) == 0
    assert KeptCodes(tmp_path / "codes").made_by["codebook_size"] == 32


def test_broken_pictures_are_left_out_and_named(settings, tmp_path, capsys):
    write_tar(tmp_path / "tars" / "00001.tar", captioned(range(5, 9)) | {"x": {"png": png(9)[:50]}})
    assert main(settings) == 2
    assert "00001.tar sample x: the image" in capsys.readouterr().err
    assert main([*settings, "data.max_broken=0.1"]) == 0
    out = capsys.readouterr().out
    assert "left out 1 broken" in out
    assert "left out: " in out
    check(tmp_path / "codes", [*range(9), *range(10, 15)])


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("image_tokenizer.path=null", "image_tokenizer.path is not set"),
        ("data.task=text", "which has no images"),
        ("data.limit=3", "data.limit is 3, but every picture is read"),
        ("data.codes=x", "data.codes is 'x', but this makes codes"),
        ("output=.", "output=. is not empty and holds no codes"),
    ],
)
def test_a_mistake_is_one_line(settings, tmp_path, capsys, monkeypatch, setting, problem):
    monkeypatch.chdir(tmp_path)
    assert main([*settings, setting]) == 2
    assert problem in capsys.readouterr().err
