import pytest

from unigrpo.config import SFTConfig
from unigrpo.config.check import check_sft
from unigrpo.config.load import load_config
from unigrpo.errors import ConfigError

MODEL = ["model.preset=tiny", "model.image_tokenizer.path=images"]
STREAMS = [
    "streams.say={data: {source: arithmetic}}",
    "streams.ask={data: {source: shapes, task: understand}}",
    "streams.draw={data: {source: shapes, task: image}}",
    "streams.riddle={data: {source: shapes, task: think_image}, pad_to: 64}",
]


def check(*settings):
    check_sft(load_config(SFTConfig, list(settings)))


def test_a_run_of_every_task_passes():
    check(*MODEL, *STREAMS, "sft.condition_dropout=0.2", "model.legacy_visible_pads=true")
    check(*MODEL, *STREAMS, "stop_below=1", "streams.say.held_out={source: arithmetic, split: test}")


def test_one_drawing_stream_needs_no_name():
    check(*MODEL, "data.task=image", "data.source=shapes", "sft.condition_dropout=0")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            ["data.source=gsm8k"],
            "data.source is set, but this run has streams: set it for each, such as streams.say.data.source.",
        ),
        (
            ["held_out={source: arithmetic}"],
            "held_out is set, but this run has streams: set it for each, such as streams.say.held_out.",
        ),
        (
            ["sft.batch_size=8"],
            "sft.batch_size is set, but this run has streams: set it for each, such as streams.say.batch_size.",
        ),
        (
            ["sft.pad_to=8"],
            "sft.pad_to is set, but this run has streams: set it for each, such as streams.say.pad_to.",
        ),
        (
            ["streams={a/b: {data: {source: arithmetic}}}"],
            "streams holds the name 'a/b', but metrics are called sft/loss/NAME: write letters only.",
        ),
        (
            ["streams.ask.data.max_prompt_length=1024"],
            "streams.ask.data.max_prompt_length is 1024, which leaves no room for a response in "
            "sft.max_length=1024: lower one or raise the other.",
        ),
        (
            ["streams.riddle.pad_to=600"],
            "streams.riddle.data.max_prompt_length is 512 and streams.riddle.pad_to is 600, together more than "
            "sft.max_length=1024, but an image stands behind a whole thought: lower one or raise the other.",
        ),
        (["stop_below=1"], "stop_below is 1.0, but there is no validation loss: set streams.say.held_out."),
        (
            ["streams.ask.held_out={source: shapes, task: image}"],
            "streams.ask.held_out.task is image, but streams.ask.data.task is understand: make them equal.",
        ),
        (
            ["streams.draw.pad_to=8"],
            "streams.draw.pad_to is 8, but streams.draw.data.task=image has no text to fill up: drop it.",
        ),
        (
            ["model.image_tokenizer.path=null"],
            "streams.ask.data.task is understand, which needs an image tokenizer: set "
            "model.image_tokenizer.path to a folder made by `unigrpo tokenizer`, or of the published magvitv2.",
        ),
        (
            ["streams.draw.data.template=plain"],
            "streams.draw.data.template is plain, but it is only used when streams.draw.data.task is another "
            "than image: drop it.",
        ),
        (
            ["streams.draw.data.instruction=think"],
            "streams.draw.data.instruction is think, but streams.draw.data.task=image draws without a thought: "
            "set streams.draw.data.task=think_image.",
        ),
        (
            ["streams.ask.data.template=plain", "streams.ask.data.legacy_eot=true"],
            "streams.ask.data.legacy_eot is True, but it is only used when streams.ask.data.template=chat and "
            "streams.ask.data.task is another than image: drop it.",
        ),
        (["streams.ask.coefficient=0"], "streams.ask.coefficient is 0.0: set it to a number above 0."),
    ],
)
def test_streams_that_cannot_be_trained_are_explained(settings, expected):
    with pytest.raises(ConfigError) as caught:
        check(*MODEL, *STREAMS, *settings)
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            "sft.condition_dropout=0.3",
            "sft.condition_dropout is 0.3, but it is only used when a task draws: drop it.",
        ),
        (
            "model.image_tokenizer.path=x",
            "model.image_tokenizer.path is 'x', but no task has images: drop it, or set data.task.",
        ),
        (
            "model.legacy_visible_pads=true",
            "model.legacy_visible_pads is true, but only the task image pads its prompts: drop it.",
        ),
    ],
)
def test_settings_of_images_are_refused_where_there_are_none(settings, expected):
    with pytest.raises(ConfigError) as caught:
        check("model.preset=tiny", "data.source=arithmetic", settings)
    assert str(caught.value) == expected
