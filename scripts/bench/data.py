"""How fast data reaches supervised fine-tuning, and how long training waits for it.

    python scripts/bench/data.py [--samples 2000] [--side 256] [--workers 2] [--steps 100] [--json]

Writes JPEG pictures with captions as a webdataset and as parquet, encodes them once, and trains a tiny model on each.
`read` is what the processes deliver when nobody else works; `train` has the model's forward and backward pass in it,
`wait` is the share of that time in which training gets its rows, and `encode` that of the image tokenizer.
"""

import argparse
import io
import json
import tarfile
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import torch
from PIL import Image
from pyarrow import parquet

from unigrpo.cli.tokenize_images import tokenize
from unigrpo.config import (
    DataSection,
    ImageTokenizerSection,
    ModelSection,
    SFTConfig,
    SFTSection,
    TokenizeImagesConfig,
)
from unigrpo.data.load import texts
from unigrpo.data.shards.prepare import finish
from unigrpo.engine import Engine
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.models.load import Policy, load_policy
from unigrpo.models.magvit import Magvit
from unigrpo.models.magvit_config import MagvitConfig
from unigrpo.models.magvit_folder import save_magvit
from unigrpo.report import table
from unigrpo.sft.batches import collate
from unigrpo.sft.learner import batch_loss
from unigrpo.sft.streams import Stream, close_streams, load_streams

SHARDS = 8
RESOLUTION = 32


def jpeg(number: int, side: int) -> bytes:
    """A smooth picture, which a JPEG holds as it does a photo."""
    coarse = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def write(folder: Path, samples: int, side: int) -> dict[str, DataSection]:
    """The same pictures in each kind of file."""
    each = samples // SHARDS
    for shard in range(SHARDS):
        rows = [{"image": jpeg(n, side), "caption": f"picture {n}"} for n in range(shard * each, (shard + 1) * each)]
        parquet.write_table(pyarrow.Table.from_pylist(rows), folder / f"{shard:05}.parquet")
        with tarfile.open(folder / f"{shard:05}.tar", "w") as tar:
            for number, row in enumerate(rows):
                for end, content in (("jpg", row["image"]), ("txt", row["caption"].encode())):
                    info = tarfile.TarInfo(f"{shard:05}-{number:06}.{end}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    shared = {"task": "image", "layout": "caption", "buffer": 256}
    tars = DataSection(path=f"{folder}/*.tar", **shared)
    return {
        "webdataset": tars,
        "parquet": DataSection(path=f"{folder}/*.parquet", **shared),
        "cached codes": replace(tars, codes=str(folder / "codes")),
    }


def save_images(folder: Path) -> ImageTokenizerSection:
    """An image tokenizer with 64 codes of a picture."""
    widths, blocks = (16, 16, 16), (1, 1, 1)
    shape = {"encoder_widths": widths, "decoder_widths": widths, "encoder_blocks": blocks, "decoder_blocks": blocks}
    save_magvit(Magvit(MagvitConfig(bits=8, groups=4, **shape)), folder)
    return ImageTokenizerSection(path=str(folder), resolution=RESOLUTION, batch_size=16)


def opened(config: SFTConfig) -> tuple[Stream, Policy, ImageTokenizer]:
    """The only stream of a run, its policy and its image tokenizer."""
    policy = load_policy(config.model, texts(config.data), config.seed)
    images = ImageTokenizer.load(config.model.image_tokenizer)
    return load_streams(config, policy, images)[""], policy, images


def read_rate(config: SFTConfig, steps: int) -> float:
    """Samples a second when nothing is done with them."""
    stream, *_ = opened(config)
    stream.batches.start()
    started = time.perf_counter()
    for step in range(steps):
        stream.batches.windows.batch(step)
    found = steps * config.sft.batch_size / (time.perf_counter() - started)
    close_streams({"": stream})
    return found


def train_rate(config: SFTConfig, steps: int) -> dict[str, float]:
    """Samples a second of training, and the shares of its time in which it waits for rows and encodes pictures."""
    stream, policy, images = opened(config)
    batches, engine, waited, encoding = stream.batches, Engine(policy.model, config.optim, steps), 0.0, 0.0
    batches.start()
    started = time.perf_counter()
    for step in range(steps):
        began = time.perf_counter()
        drafts = [(config.data, draft) for _, draft in batches.windows.batch(step)]
        read = time.perf_counter()
        examples = finish(drafts, policy.ids, images)
        encoded = time.perf_counter()
        batch_loss(engine, policy.ids, collate(examples, config.sft, policy.ids, noise_key=step)).backward()
        policy.model.zero_grad()
        waited, encoding = waited + read - began, encoding + encoded - read
    seconds = time.perf_counter() - started
    close_streams({"": stream})
    return {"train/s": steps * config.sft.batch_size / seconds, "wait": waited / seconds, "encode": encoding / seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = save_images(folder / "images")
        sections = write(folder, options.samples, options.side)
        make = TokenizeImagesConfig(output=f"{folder}/codes", image_tokenizer=images, data=sections["webdataset"])
        make.cluster.threads = 1
        began = time.perf_counter()
        count, _ = tokenize(make)
        made = count / (time.perf_counter() - began)
        rows = []
        for title, section in sections.items():
            model = ModelSection(preset="tiny", vocab_size=300, device="cpu", image_tokenizer=images)
            sft = SFTSection(batch_size=16, workers=options.workers)
            config = SFTConfig(model=model, data=section, sft=sft)
            found = train_rate(config, options.steps)
            rows.append({"data": title, "read/s": read_rate(config, options.steps)} | found)
    print(json.dumps(rows) if options.json else table(rows))
    if not options.json:
        print(f"\n`unigrpo tokenize-images`: {made:.0f} pictures/s")


if __name__ == "__main__":
    main()
