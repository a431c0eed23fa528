"""`unigrpo clip`."""

from contextlib import closing
from functools import partial

import numpy as np

from rewards.vision.open_clip_towers import open_clip_towers
from rewards.vision.train_clip import CaptionBatches, Pairs, make_network, preprocess_of, retrieval, save, train
from unigrpo import checkpoint
from unigrpo.config import ClipConfig, DataSection, TrackingSection
from unigrpo.config.load import flatten
from unigrpo.data.images import fit_image, read_image
from unigrpo.data.rows import read_rows
from unigrpo.device import resolve_device
from unigrpo.machine import set_threads
from unigrpo.progress import describe, progress
from unigrpo.runs import check_run, open_run
from unigrpo.tracking import Tracker
from unigrpo.types import Metrics

SHOWN = ("clip/loss", "clip/accuracy", "clip/chance", "clip/matched", "clip/unmatched")


def run(config: ClipConfig) -> int:
    """Trains as the config says; prints where the model is and how well it tells held-out captions apart."""
    metrics = clip_from(config)
    print(f"{config.output}/model  {describe(metrics, SHOWN)}")
    return 0


def clip_from(config: ClipConfig) -> Metrics:
    """Checks the data, trains, and judges the written model. Nothing is written before all checks have passed."""
    set_threads(config.cluster.threads)
    check_run(config.output, config, overwrite=config.overwrite)
    network = make_network(config.network, config.seed, resolve_device(config.device, "device"))
    preprocess = preprocess_of(network)
    images, captions = captioned(config.data, max(preprocess.size))
    pairs = Pairs(preprocess.fit(images), captions)
    batches = CaptionBatches(captions, config.batch_size, config.seed)
    held_out = captioned(config.held_out, max(preprocess.size)) if config.held_out else None
    folder = open_run(config.output, config, overwrite=config.overwrite)
    with (
        closing(Tracker(folder, TrackingSection(), folder.name, flatten(config))) as tracker,
        progress("CLIP", config.steps, show=SHOWN) as bar,
    ):
        metrics: Metrics = {}

        def log(step: int, found: Metrics) -> None:
            metrics.update(found)
            tracker.log(step, found)
            bar.update(found)

        train(network, pairs, batches, config, log)
        model = checkpoint.publish(folder / "model", partial(save, network, config.network))
        if held_out:
            found = retrieval(open_clip_towers(str(model), None, "fp32", config.device, config.batch_size), *held_out)
            tracker.log(config.steps, found)
            metrics.update(found)
    return metrics


def captioned(section: DataSection, resolution: int) -> tuple[list[np.ndarray], list[str]]:
    """The images of a section's rows, square, and their captions."""
    rows = read_rows(section, require=("image",))
    images = []
    for row in rows:
        assert row.image is not None
        images.append(fit_image(read_image(row.image, row.where), resolution, section.fit))
    return images, [row.prompt for row in rows]
