"""Rules of streams that take turns, of what stands in for data, and of how weights of bfloat16 are trained."""

import pytest

from unigrpo.config import ClipConfig, SFTConfig, TokenizerConfig, TrainConfig, streams_of
from unigrpo.config.check import check_clip, check_sft, check_tokenizer, check_train
from unigrpo.config.load import load_config
from unigrpo.errors import ConfigError

CHECKS = {SFTConfig: check_sft, TrainConfig: check_train, ClipConfig: check_clip, TokenizerConfig: check_tokenizer}
TEXT = "{source: arithmetic, template: plain}"
TWO = [
    "model.preset=tiny",
    f"streams.a={{data: {TEXT}, one_of: x, weight: 2}}",
    f"streams.b={{data: {TEXT}, one_of: x}}",
]
DRAW = [*TWO, "model.image_tokenizer.preset=tiny", "streams.c.data={task: image, source: shapes}"]
BASES = {
    SFTConfig: TWO,
    TrainConfig: ["model.preset=tiny", "data.source=arithmetic", "rewards.math.weight=1"],
    ClipConfig: ["data.source=shapes", "data.task=image"],
    TokenizerConfig: ["data.source=shapes"],
}


def message(schema: type, *settings: str, base: list[str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        CHECKS[schema](load_config(schema, [*(BASES[schema] if base is None else base), *settings]))
    return str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["model.dtype=bfloat16"],
        ["model.dtype=bfloat16", "optim.bfloat16=rounded"],
        ["optim.offload=true"],
        ["sft.ema=0.999", "sft.accumulation=4"],
        ["stand_ins.text.data={source: countdown}", "stand_ins.image.data={task: image, source: digits}"],
        ["streams.a.max_length=700"],
    ],
    ids=str,
)
def test_what_goes_together_passes(settings):
    check_sft(load_config(SFTConfig, [*TWO, *settings]))
    check_sft(load_config(SFTConfig, [*DRAW, *settings, "sft.image_ends=true"]))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            ["streams.b.one_of=y"],
            "streams.a.one_of is 'x', but no other stream has that: give it to those to choose from, or drop it.",
        ),
        (
            ["streams.a.one_of=null", "streams.b.one_of=null"],
            "streams.a.weight is 2.0, but it is only used when streams.a.one_of is set: drop it.",
        ),
        (
            ["stand_ins.draw.data.source=arithmetic"],
            "stand_ins holds 'draw', which is no task: those are text, understand",
        ),
        (["stand_ins.image.data.source=arithmetic"], "stand_ins.image.data.task is text: set it to image."),
        (["sft.image_ends=true"], "sft.image_ends is true, but no stream draws with task=image: drop it."),
        (["sft.ema=1"], "sft.ema is 1.0: set it to at least 0 and below 1."),
        (
            ["streams.a.max_length=500"],
            "streams.a.data.max_prompt_length is 512, which leaves no room for a response in streams.a.max_length=500",
        ),
        (
            ["model.image_tokenizer.preset=tiny"],
            "model.image_tokenizer.preset is 'tiny', but no task has images: drop it, or set data.task.",
        ),
        (["model.dtype=bfloat16", "optim.bfloat16=rounded", "optim.offload=true"], "optim.bfloat16 is rounded, but"),
        (["optim.bfloat16=rounded", "model.dtype=bfloat16", "model.lora.rank=4"], "optim.bfloat16 is rounded, but"),
    ],
)
def test_what_would_be_ignored_or_contradicts_is_an_error(settings, expected):
    assert message(SFTConfig, *settings).startswith(expected)


def test_an_image_tokenizer_has_one_origin():
    said = message(SFTConfig, "model.image_tokenizer.path=vq", base=DRAW)
    assert said == "model.image_tokenizer.path and model.image_tokenizer.preset are both set: drop one."


@pytest.mark.parametrize("schema", [ClipConfig, TokenizerConfig])
def test_networks_of_float32_have_no_settings_of_bfloat16(schema):
    assert "optim.offload is True, but it is only used when a policy is trained" in message(
        schema, "optim.offload=true"
    )


def test_ranks_keep_copies_of_their_own():
    said = message(TrainConfig, "model.dtype=bfloat16", "optim.bfloat16=rounded", "cluster.ranks=2", "cluster.zero=1")
    assert said.startswith("optim.bfloat16 is rounded, but it is only used when one process trains all weights")


def test_stand_ins_replace_data_and_sizes_and_leave_coefficients_and_choices():
    config = load_config(
        SFTConfig,
        [*DRAW, "streams.a.coefficient=0.3", "stand_ins.text={batch_size: 3, pad_to: 5, data: {source: countdown}}"],
    )
    streams = streams_of(config)
    for name, factor in (("a", 0.3), ("b", 1.0)):
        assert (streams[name].data.source, streams[name].batch_size, streams[name].pad_to) == ("countdown", 3, 5)
        assert (streams[name].coefficient, streams[name].one_of) == (factor, "x")
    assert streams["c"] == config.streams["c"]
