"""The loop that trains an image tokenizer: same engine, checkpoints and tracker as the policy's."""

import copy
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file
from torch import Tensor

from unigrpo import checkpoint
from unigrpo.config import MagvitSection, TokenizerConfig
from unigrpo.engine import Engine
from unigrpo.errors import ConfigError
from unigrpo.imaging.loss import tokenizer_loss
from unigrpo.imaging.measure import measure, page
from unigrpo.imaging.pictures import rows_of_step
from unigrpo.models.folder import read_tensors
from unigrpo.models.image_tokenizer import ImageTokenizer, to_pixels
from unigrpo.models.magvit import Magvit
from unigrpo.models.magvit_config import MagvitConfig
from unigrpo.models.magvit_folder import load_magvit, save_magvit
from unigrpo.models.seeding import private_seed
from unigrpo.profiling import Recorder
from unigrpo.progress import progress
from unigrpo.stopping import stoppable
from unigrpo.tracking import Tracker
from unigrpo.types import Metrics

OPTIMIZER, PAGE = "optimizer.safetensors", "reconstructions.png"
SHOW = ("tokenizer/loss", "tokenizer/l1", "held_out/psnr", "held_out/codes_used")


def make_network(section: MagvitSection, seed: int) -> Magvit:
    """Load the network to go on from, or make one.

    Raises:
        ConfigError: the sizes make no network.
        CheckpointError: the folder cannot be used.
    """
    if section.path is not None:
        return load_magvit(section.path)
    sizes: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in vars(section).items() if k != "path"}
    try:
        with private_seed(seed):
            return Magvit(MagvitConfig(**sizes))
    except ConfigError as error:
        raise ConfigError(f"network: {error}") from None


def train_tokenizer(
    config: TokenizerConfig,
    tokenizer: ImageTokenizer,
    pictures_nHW3: np.ndarray,
    held_out_nHW3: np.ndarray | None,
    tracker: Tracker,
    run: Path,
    resume_from: Path | None = None,
) -> Metrics:
    """Trains to the last step, writes the tokenizer to `run/model` and a page of pictures beside it.

    Raises:
        StoppedError: SIGTERM came; what had been learned is saved.
    """
    network = tokenizer.network
    engine = Engine(network, config.optim, config.steps)
    if resume_from:
        _restore(network, engine, resume_from)

    def save() -> Callable[[], Path]:
        write = partial(_write, copy.deepcopy(network).to("cpu"), engine.state())
        return partial(checkpoint.save, run, engine.step_count, write, {}, config.checkpoint.keep)

    metrics: Metrics = {}
    with (
        progress("Image tokenizer", config.steps, engine.step_count, SHOW) as bar,
        stoppable(run, engine.step_count, save, config.checkpoint.background) as saves,
        Recorder(config.tracking, run, engine.step_count) as recorder,
    ):
        while engine.step_count < config.steps:
            recorder.at(engine.step_count)
            started = time.perf_counter()
            rows = rows_of_step(len(pictures_nHW3), config.batch_size, config.seed, engine.step_count)
            metrics = _step(engine, network, pictures_nHW3[rows], config)
            done = engine.step_count
            if held_out_nHW3 is not None and (done == config.steps or done % config.held_out_every == 0):
                metrics |= measure(tokenizer, held_out_nHW3)
            times = {"time/step": time.perf_counter() - started}
            tracker.log(done, metrics | times)
            recorder.took(done - 1, times)
            bar.update(metrics)
            if done == config.steps or done % config.checkpoint.every == 0:
                saves.now(done)
            saves.stop_if_asked(done)
    checkpoint.publish(run / "model", partial(save_magvit, network))
    page(tokenizer, pictures_nHW3 if held_out_nHW3 is None else held_out_nHW3, run / PAGE)
    return metrics


def _step(engine: Engine, network: Magvit, pictures_BHW3: np.ndarray, config: TokenizerConfig) -> Metrics:
    pixels_B3HW = to_pixels(pictures_BHW3).to(next(network.parameters()).device)

    def backward() -> Metrics:
        losses = tokenizer_loss(network, pixels_B3HW, config.loss, engine.step_count)
        losses["loss"].backward()
        return {name: float(value.detach()) for name, value in losses.items()}

    found = engine.step(backward)
    optim = {f"optim/{name}": found.pop(name) for name in ("grad_norm", "lr", "skipped") if name in found}
    return {f"tokenizer/{name}": value for name, value in found.items()} | optim


def _write(network: Magvit, optimizer: dict[str, Tensor], folder: Path) -> None:
    save_magvit(network, folder)
    save_file(optimizer, folder / OPTIMIZER)


def _restore(network: Magvit, engine: Engine, folder: Path) -> None:
    network.load_state_dict(load_magvit(folder).state_dict())
    engine.load_state(read_tensors(folder / OPTIMIZER))
