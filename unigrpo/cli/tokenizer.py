"""`unigrpo tokenizer`."""

from contextlib import closing
from pathlib import Path

from unigrpo import checkpoint
from unigrpo.config import ImageTokenizerSection, TokenizerConfig
from unigrpo.config.load import flatten
from unigrpo.device import resolve_device
from unigrpo.errors import ConfigError
from unigrpo.imaging.loop import PAGE, make_network, train_tokenizer
from unigrpo.imaging.pictures import load_pictures
from unigrpo.machine import set_threads
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.progress import describe
from unigrpo.runs import check_run, open_run
from unigrpo.tracking import Tracker, check_trackers
from unigrpo.types import Metrics


def run(config: TokenizerConfig) -> int:
    """Trains as the config says; prints where the tokenizer is and how well it does."""
    metrics = tokenizer_from(config)
    shown = describe(metrics, ("held_out/psnr", "held_out/psnr_min", "held_out/codes_used"))
    print(f"{config.output}/model  {shown}  Pictures: {config.output}/{PAGE}")
    return 0


def tokenizer_from(config: TokenizerConfig) -> Metrics:
    """Checks the pictures, makes the network and trains. Nothing is written before all checks have passed."""
    set_threads(config.cluster.threads)
    check_run(config.output, config, config.resume, config.overwrite)
    check_trackers(config.tracking)
    network = make_network(config.network, config.seed).to(resolve_device(config.device, "device"))
    section = ImageTokenizerSection(resolution=config.resolution, batch_size=config.batch_size)
    tokenizer = ImageTokenizer(network, section, "resolution")
    pictures = load_pictures(config.data, config.resolution)
    if len(pictures) < config.batch_size:
        raise ConfigError(
            f"batch_size is {config.batch_size}, but there are {len(pictures)} pictures, and no batch holds one twice: "
            f"set it to {len(pictures)} or less, or give more pictures."
        )
    held_out = load_pictures(config.held_out, config.resolution) if config.held_out else None
    found = checkpoint.latest(Path(config.output)) if config.resume else None
    folder = open_run(config.output, config, config.resume, config.overwrite)
    with closing(Tracker(folder, config.tracking, folder.name, flatten(config))) as tracker:
        tracker.rewind(found[1]["step"] if found else -1)
        return train_tokenizer(config, tokenizer, pictures, held_out, tracker, folder, found[0] if found else None)
