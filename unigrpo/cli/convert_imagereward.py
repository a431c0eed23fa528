"""`unigrpo convert-imagereward`: the published ImageReward.pt as a folder that the reward `image_reward` reads."""

from functools import partial
from pathlib import Path

from rewards.vision.blip import VOCABULARY, BlipSizes, save
from rewards.vision.convert import convert
from rewards.vision.place import read_torch_file
from unigrpo import checkpoint
from unigrpo.errors import CheckpointError, ConfigError

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def run(args: list[str], sizes: BlipSizes | None = None) -> int:
    """Converts `ImageReward.pt BERT_VOCAB OUT`; prints how much was written."""
    if len(args) != 3 or any(arg.startswith("-") or "=" in arg for arg in args):
        raise ConfigError("convert-imagereward takes three paths: ImageReward.pt, the vocab.txt of BERT, and a folder.")
    source, vocabulary, target = map(Path, args)
    sizes = sizes or BlipSizes()
    if target.exists():
        raise ConfigError(f"{target} already exists: name a folder that does not.")
    words = read_vocabulary(vocabulary, sizes.vocabulary)
    state = convert(read_torch_file(source), sizes, str(source))
    checkpoint.publish(target, partial(save, state, sizes, words))
    print(f"{target}  {len(state)} tensors, {sum(t.numel() for t in state.values()) / 1e6:.1f} M parameters")
    return 0


def read_vocabulary(path: Path, size: int) -> str:
    """Reads the words of BERT's tokenizer, one on each line, from vocab.txt or the folder that holds it.

    Raises:
        CheckpointError: there is none, or it is another tokenizer's.
    """
    file = path / VOCABULARY if path.is_dir() else path
    if not file.is_file():
        raise CheckpointError(f"{file}: no such file. Download vocab.txt of bert-base-uncased.")
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CheckpointError(f"{file}: is no text. Give vocab.txt of bert-base-uncased.") from None
    words = text.splitlines()
    absent = [word for word in SPECIAL if word not in words]
    if absent:
        raise CheckpointError(f"{file}: has no line {absent[0]}. Give vocab.txt of bert-base-uncased.")
    if len(words) > size:
        raise CheckpointError(f"{file}: has {len(words)} words, more than the {size} of ImageReward. Give BERT's own.")
    return text
