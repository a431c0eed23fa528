"""`unigrpo sft`."""

from contextlib import closing
from pathlib import Path

from rollout.colocated import set_threads
from unigrpo import checkpoint
from unigrpo.cli.verbs import VERBS
from unigrpo.config import SFTConfig
from unigrpo.config.load import flatten
from unigrpo.data.load import Example, load_examples, texts
from unigrpo.errors import ConfigError
from unigrpo.models.load import load_policy
from unigrpo.progress import console, describe
from unigrpo.runs import check_run, open_run
from unigrpo.sft.loop import sft
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
    policy = load_policy(config.model, texts(config.data) if config.model.preset else None, config.seed)
    examples = load_examples(config.data, policy.tokenizer, policy.ids)
    if len(examples) < config.sft.batch_size:
        raise ConfigError(
            f"sft.batch_size is {config.sft.batch_size}, but the data has {len(examples)} examples, and no batch holds "
            f"one twice: set it to {len(examples)} or less, or give more data."
        )
    held_out = load_examples(config.held_out, policy.tokenizer, policy.ids) if config.held_out else []
    _report_cuts(examples, config.sft.max_length)
    found = checkpoint.latest(Path(config.output)) if config.resume else None
    run_folder = open_run(config.output, config, config.resume, config.overwrite)
    with closing(Tracker(run_folder, config.tracking, run_folder.name, flatten(config))) as tracker:
        tracker.rewind(found[1]["step"] if found else -1)
        return sft(config, policy, examples, held_out, tracker, run_folder, found[0] if found else None)


def _report_cuts(examples: list[Example], limit: int) -> None:
    """Says how many responses lose their end to the length limit: their model learns from them not to stop."""
    cut = sum(len(example.prompt_tokens) + len(example.response_tokens) > limit for example in examples)
    if cut:
        console.print(f"{cut} of {len(examples)} responses are cut at sft.max_length={limit}.", highlight=False)
