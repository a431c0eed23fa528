"""What was found in a data set, as a line of a table and as samples that the model would see."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np

from unigrpo.algo.random import key
from unigrpo.cli.data_read import Report
from unigrpo.config import EvalConfig, SFTConfig, SFTSection, TrainConfig
from unigrpo.data.shards.prepare import finish
from unigrpo.models.tokenizer import RESERVED
from unigrpo.sft.batches import collate
from unigrpo.tracking import printable

FEW = 3
"""From so many equal tokens on they are counted instead of repeated."""


def summary(report: Report, config: SFTConfig | TrainConfig | EvalConfig) -> dict[str, Any]:
    """A data set in one line; `cut` is the share of its rows that lose the end of their response."""
    tally, totals = report.tally, [sum(pair) for pair in zip(report.prompts, report.responses, strict=True)]
    most = _limited(report, config).max_length if isinstance(config, SFTConfig) else None
    return {
        "data": report.key,
        "task": report.section.task,
        "rows": tally.seen,
        "broken": tally.broken,
        "left out": ", ".join(f"{name} {count}" for name, count in tally.filtered.items()) or None,
        "prompt tokens": _spread(report.prompts),
        "response tokens": _spread(report.responses) if report.stream else None,
        "both": _spread(totals) if report.stream else None,
        "cut": f"{np.mean(np.array(totals) > most):.1%}" if most and totals else None,
        "image": _sizes(report.sizes),
    }


def _limited(report: Report, config: SFTConfig) -> SFTSection:
    """The settings of a batch, with its stream's own limit of length."""
    own = report.stream.max_length if report.stream else None
    return replace(config.sft, max_length=own or config.sft.max_length)


def _spread(counts: list[int]) -> str | None:
    """Median, 99th percentile and most."""
    if not counts:
        return None
    middle, high = (int(found) for found in np.percentile(counts, (50, 99)))
    return f"{middle} / {high} / {max(counts)}"


def _sizes(sizes: list[tuple[int, int]]) -> str | None:
    if not sizes:
        return None
    (low, middle, high) = np.percentile(np.array(sizes), (0, 50, 100), axis=0).astype(int).tolist()
    return " / ".join(f"{width}x{height}" for width, height in (low, middle, high))


def samples_of(report: Report, config: SFTConfig | TrainConfig | EvalConfig) -> Iterator[tuple[str, str]]:
    """The first rows of a data set, each with a title, as ids in words: what is masked, and what is special."""
    pads = config.model.legacy_visible_pads
    for number, draft in enumerate(report.samples):
        title = f"{report.key}: {draft.id}"
        (example,) = finish([(report.section, draft)], report.ids, report.images, pads)
        if not isinstance(config, SFTConfig) or report.stream is None:
            yield title, in_words(example.prompt_tokens, np.zeros(len(example.prompt_tokens), bool), report)
            continue
        noise = key(config.seed, number, "data check")
        batch = collate([example], _limited(report, config), report.ids, noise_key=noise, pad_to=report.stream.pad_to)
        yield title, in_words(batch.tokens_BT[0].numpy(), batch.masked_BT[0].numpy(), report)


def in_words(tokens_T: np.ndarray, masked_T: np.ndarray, report: Report) -> str:
    """Ids as text: `[mask x 3]`, `[256 codes, 117 masked]`, the special ids by name, and the words between them."""
    ids = report.ids
    names = {getattr(ids, name): f"<{name}>" for name in (*RESERVED, "eos") if getattr(ids, name) is not None}
    names[ids.eos] = "<eos>"

    def kind(place: int) -> str:
        token = int(tokens_T[place])
        if ids.image_offset is not None and token >= ids.image_offset:
            return "code"
        return "mask" if masked_T[place] else names.get(token, "text")

    pieces = []
    for found, group in groupby(range(len(tokens_T)), kind):
        places = list(group)
        if found == "text":
            words = str(report.tokenizer.decode(tokens_T[places], skip_special_tokens=False))
            pieces.append("\n".join(printable(line, len(line) + 1) for line in words.split("\n")))
        elif found == "code":
            pieces.append(f"[{len(places)} codes, {int(masked_T[places].sum())} masked]")
        elif found == "mask":
            pieces.append(f"[mask x {len(places)}]")
        else:
            pieces.append(f"{found} x {len(places)}" if len(places) >= FEW else found * len(places))
    return "".join(pieces)
