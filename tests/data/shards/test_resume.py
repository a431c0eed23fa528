"""Whole runs on streamed data, through the command line."""

import os
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.data.shards.write import captioned, write_parquet, write_tar, write_tars
from tests.e2e.runs import metrics, run, weights
from tests.images import save_tiny_images
from unigrpo.cli.main import main

RUN = """
steps: 12
model: {{preset: tiny, vocab_size: 300, device: cpu, image_tokenizer: {{path: {tmp}/images, resolution: 8}}}}
streams:
  draw: {{batch_size: 4, data: {{task: image, path: "{tmp}/tars/*.tar", layout: caption, buffer: 12, max_broken: 0.2}}}}
  add:
    batch_size: 4
    mix:
      often: {{weight: 3, data: {{path: "{tmp}/a.parquet", template: plain, buffer: 24}}}}
      seldom: {{data: {{source: arithmetic, template: plain, size: 9, buffer: 24}}}}
sft: {{max_length: 600, workers: 1}}
checkpoint: {{every: 3, keep: 9}}
cluster: {{threads: 1}}
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """A run of captioned pictures in tar files, one of which is cut, and a mix of sums."""
    folder = tmp_path_factory.mktemp("streamed")
    save_tiny_images(folder / "images")
    write_tars(folder / "tars", shards=4, each=6)
    cut = write_tar(folder / "tars" / "00004.tar", captioned(range(24, 30)))
    cut.write_bytes(cut.read_bytes()[:8000])
    rows = [{"prompt": f"{n}+1=", "response": str(n + 1)} for n in range(60)]
    write_parquet(folder / "a.parquet", rows, group=7)
    (folder / "run.yaml").write_text(RUN.format(tmp=folder))
    return ["sft", str(folder / "run.yaml")]


@pytest.fixture(scope="module")
def done(settings, tmp_path_factory):
    """The run, uninterrupted."""
    output = tmp_path_factory.mktemp("done") / "run"
    run([*settings, f"output={output}"])
    return output


def test_a_run_that_is_killed_ends_as_if_it_had_not_been(settings, done, tmp_path):
    output = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "unigrpo", *settings, f"output={output}"], stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not (output / "checkpoint-6").is_dir():
        time.sleep(0.005)
    readers = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (output / "model").exists()
    run([*settings, f"output={output}", "resume=true"])
    assert weights(output) == weights(done)
    assert metrics(output) == metrics(done)
    _, alive = psutil.wait_procs(readers, timeout=60)
    assert not alive, "who reads for a process that is gone must go too"


def test_a_run_goes_on_without_its_position_too(settings, done, tmp_path):
    """By reading all that was before: what old checkpoints, and those that others made, need."""
    import json

    from unigrpo import checkpoint

    output = shutil.copytree(done, tmp_path / "run")
    for left in ("checkpoint-9", "checkpoint-12", "model"):
        shutil.rmtree(output / left)
    folder = output / "checkpoint-6"
    state = json.loads((folder / checkpoint.STATE).read_text())
    assert set(state.pop("data")) == {"draw", "add"}
    (folder / checkpoint.STATE).write_text(json.dumps(state))
    manifest = json.loads((folder / checkpoint.MANIFEST).read_text())
    manifest[checkpoint.STATE] = checkpoint._digest(folder / checkpoint.STATE)
    (folder / checkpoint.MANIFEST).write_text(json.dumps(manifest))
    run([*settings, f"output={output}", "resume=true"])
    assert weights(output) == weights(done)


MISTAKES = {
    "batch_size is 99, but the data has 27 examples": ["streams.draw.batch_size=99", "streams.draw.data.buffer=99"],
    "damaged after sample": ["streams.draw.data.max_broken=0", "streams.draw.data.buffer=99"],
    "mix.seldom.data.streaming is false": ["streams.add.mix.seldom.data.streaming=false"],
    "streams.add.data is set, but streams.add.mix says": ["streams.add.data.source=arithmetic"],
    "streams.add.mix has the tasks image and text": ["streams.add.mix.more.data={task: image, source: shapes}"],
    "streams.draw.held_out.streaming is true": ["streams.draw.held_out={task: image, path: a.tar, streaming: true}"],
    "streams.draw.data.layout is 'captoin', which is not known. Did you mean: 'caption'": [
        "streams.draw.data.layout=captoin"
    ],
    "there is no column `image`": ["streams.draw.data.path=FOLDER/a.parquet", "streams.draw.data.layout=rows"],
    "fits no file": ["streams.draw.data.path=FOLDER/none*.tar"],
}


@pytest.mark.parametrize("message", MISTAKES)
def test_a_mistake_is_found_before_anything_is_written(settings, tmp_path, capsys, message):
    folder = os.path.dirname(settings[1])
    words = [word.replace("FOLDER", folder) for word in MISTAKES[message]]
    if "column" in message:
        words.append("streams.draw.data.streaming=true")
    assert main([*settings, f"output={tmp_path}/run", "sft.workers=0", *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
