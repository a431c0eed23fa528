"""`unigrpo sft`."""

from contextlib import closing
from pathlib import Path

from rollout.colocated import set_threads
from unigrpo import checkpoint
from unigrpo.cli.verbs import VERBS
from unigrpo.config import SFTConfig, sets_of, streams_of
from unigrpo.config.load import flatten
from unigrpo.data.load import texts
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.models.load import load_policy
from unigrpo.progress import describe
from unigrpo.runs import check_run, open_run
from unigrpo.sft.loop import POSITIONS, sft
from unigrpo.sft.streams import close_streams, load_streams, start_streams
from unigrpo.tracking import Tracker, check_trackers
from unigrpo.types import Metrics


def run(args: list[str]) -> int:
    """Fine-tunes as the arguments say; prints where the model is."""
    config = VERBS["sft"].checked(args)
    metrics = sft_from(config)
    print(f"{config.output}/model  {describe(metrics, ('sft/loss', 'sft/held_out_loss'))}")
    return 0


def sft_from(config: SFTConfig) -> Metrics:
    """Checks the data, loads the model and trains. Nothing is written before all checks have passed."""
    set_threads(config.cluster.threads)
    check_run(config.output, config, config.resume, config.overwrite)
    check_trackers(config.tracking)
    streams = streams_of(config).values()
    data = [section for stream in streams for section in sets_of(stream).values()]
    words = [text for section in data for text in texts(section)] if config.model.preset else None
    policy = load_policy(config.model, words, config.seed)
    sees = any(stream.data.task != "text" for stream in streams)
    images = ImageTokenizer.load(config.model.image_tokenizer, policy.model.device) if sees else None
    mixed = load_streams(config, policy, images)
    found = checkpoint.latest(Path(config.output)) if config.resume else None
    start_streams(mixed, found[1].get(POSITIONS, {}) if found else {})
    run_folder = open_run(config.output, config, config.resume, config.overwrite)
    try:
        with closing(Tracker(run_folder, config.tracking, run_folder.name, flatten(config))) as tracker:
            tracker.rewind(found[1]["step"] if found else -1)
            return sft(config, policy, mixed, tracker, run_folder, found[0] if found else None)
    finally:
        close_streams(mixed)
