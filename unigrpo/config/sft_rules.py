"""Rules about what a run of supervised fine-tuning learns from, whether it names several streams or is one."""

from collections.abc import Callable
from dataclasses import fields, replace

from unigrpo.config.schema import choices, field_types
from unigrpo.config.sections import DataSection
from unigrpo.config.sft import SFTConfig, SFTSection, StreamSection
from unigrpo.config.task_rules import DRAWING, image_tokenizer_is_used
from unigrpo.config.tasks import streams_data, streams_of


def _first(it: SFTConfig, rule: Callable[[SFTConfig, StreamSection, str], str | None]) -> str | None:
    """What a rule finds first, among streams whose keys have the given prefix."""
    streams = {f"streams.{name}." if name else "": stream for name, stream in streams_of(it).items()}
    for prefix, stream in list(streams.items()):
        streams |= {f"{prefix}mix.{name}.": replace(stream, data=entry.data) for name, entry in stream.mix.items()}
    return next(filter(None, (rule(it, stream, prefix) for prefix, stream in streams.items())), None)


def streams_stand_alone(it: SFTConfig) -> str | None:
    """With `streams`, what would describe the only one is not set."""
    if not it.streams:
        return None
    for name in it.streams:
        if "/" in name or not name.strip():
            return f"streams holds the name {name!r}, but metrics are called sft/loss/NAME: write letters only."
    alone = {f"data.{field.name}": (it.data, field.name, DataSection()) for field in fields(DataSection)}
    alone |= {"held_out": (it, "held_out", SFTConfig())}
    alone |= {f"sft.{name}": (it.sft, name, SFTSection()) for name in ("batch_size", "pad_to")}
    for key, (section, name, default) in alone.items():
        if getattr(section, name) != getattr(default, name):
            own = f"streams.{next(iter(it.streams))}.{key.removeprefix('sft.')}"
            return f"{key} is set, but this run has streams: set it for each, such as {own}."
    return None


def choices_are_choices(it: SFTConfig) -> str | None:
    """Whoever is drawn has an alternative."""
    groups = [stream.one_of for stream in it.streams.values() if stream.one_of is not None]
    for name, stream in it.streams.items():
        if stream.one_of is not None and groups.count(stream.one_of) == 1:
            return (
                f"streams.{name}.one_of is {stream.one_of!r}, but no other stream has that: give it to those to choose "
                "from, or drop it."
            )
    return None


def stand_ins_are_of_a_task(it: SFTConfig) -> str | None:
    """What stands in is of the task whose place it takes."""
    tasks = choices(field_types(DataSection)["task"])
    for name, other in it.stand_ins.items():
        if name not in tasks:
            return f"stand_ins holds {name!r}, which is no task: those are {', '.join(tasks)}."
        if other.data.task != name:
            return f"stand_ins.{name}.data.task is {other.data.task}: set it to {name}."
    return "stand_ins is set, but this run has no streams: set data." if it.stand_ins and not it.streams else None


def ends_are_drawn(it: SFTConfig) -> str | None:
    """Only a drawing has the ends of an image in its loss."""
    if it.sft.image_ends and all(stream.data.task != "image" for stream in streams_of(it).values()):
        return "sft.image_ends is true, but no stream draws with task=image: drop it."
    return None


def mixes_are_of_one_task(it: SFTConfig) -> str | None:
    """A batch is of one task, and what a mix is made of stands in it."""
    for name, stream in it.streams.items():
        key = f"streams.{name}."
        if stream.mix and stream.data != DataSection():
            return f"{key}data is set, but {key}mix says what the stream draws from: drop one of them."
        tasks = {entry.data.task for entry in stream.mix.values()}
        if len(tasks) > 1:
            return f"{key}mix has the tasks {' and '.join(sorted(tasks))}, but a stream is of one: make two streams."
        for part, entry in stream.mix.items():
            if entry.data.streaming is False:
                return f"{key}mix.{part}.data.streaming is false, but what is mixed is streamed: drop it."
    return None


def held_out_is_in_memory(it: SFTConfig) -> str | None:
    """A validation loss is of the same rows each time."""
    for name, stream in streams_of(it).items():
        if stream.held_out is not None and stream.held_out.streaming:
            key = f"streams.{name}.held_out" if name else "held_out"
            return f"{key}.streaming is true, but these rows are held in memory: drop it, and set {key}.limit."
    return None


def workers_have_work(it: SFTConfig) -> str | None:
    """Data in memory is read once."""
    if it.sft.workers != SFTSection().workers and not any(map(streams_data, streams_of(it).values())):
        return f"sft.workers is {it.sft.workers}, but it is only used when data is streamed: drop it."
    return None


def prompts_leave_room(it: SFTConfig) -> str | None:
    """A response has somewhere to go; a thought, all the place it is filled up to."""
    return _first(it, _leaves_room)


def _leaves_room(it: SFTConfig, stream: StreamSection, p: str) -> str | None:
    prompt, most = stream.data.max_prompt_length, stream.max_length or it.sft.max_length
    length = f"{p}max_length" if stream.max_length else "sft.max_length"
    if prompt >= most:
        return (
            f"{p}data.max_prompt_length is {prompt}, which leaves no room for a response in {length}={most}: "
            "lower one or raise the other."
        )
    if stream.data.task == "think_image" and prompt + (stream.pad_to or 0) > most:
        return (
            f"{p}data.max_prompt_length is {prompt} and {p or 'sft.'}pad_to is {stream.pad_to}, together more than "
            f"{length}={most}, but an image stands behind a whole thought: lower one or raise the other."
        )
    return None


def stops_by_a_measured_loss(it: SFTConfig) -> str | None:
    """Somebody measures what decides the end."""
    if it.stop_below is None or any(stream.held_out for stream in streams_of(it).values()):
        return None
    key = f"streams.{next(iter(it.streams))}.held_out" if it.streams else "held_out"
    return f"stop_below is {it.stop_below}, but there is no validation loss: set {key}."


def held_out_is_of_the_task(it: SFTConfig) -> str | None:
    """A validation loss is the loss that is trained, on other rows."""
    return _first(it, _held_out_is_of_the_task)


def _held_out_is_of_the_task(it: SFTConfig, stream: StreamSection, p: str) -> str | None:
    if stream.held_out is None or stream.held_out.task == stream.data.task:
        return None
    return f"{p}held_out.task is {stream.held_out.task}, but {p}data.task is {stream.data.task}: make them equal."


def texts_are_padded(it: SFTConfig) -> str | None:
    """Codes are as many as they are."""
    return _first(it, _pads_a_text)


def _pads_a_text(it: SFTConfig, stream: StreamSection, p: str) -> str | None:
    if stream.data.task == "image" and stream.pad_to is not None:
        return f"{p or 'sft.'}pad_to is {stream.pad_to}, but {p}data.task=image has no text to fill up: drop it."
    return None


def prompts_of_drawings_are_dropped(it: SFTConfig) -> str | None:
    """Condition dropout is for guidance, which drawings alone are trained for."""
    share = it.sft.condition_dropout
    draws = any(stream.data.task in DRAWING for stream in streams_of(it).values())
    if share != SFTSection().condition_dropout and not draws:
        return f"sft.condition_dropout is {share}, but it is only used when a task draws: drop it."
    return None


def images_have_a_tokenizer(it: SFTConfig) -> str | None:
    """Streams with images need the image tokenizer, and others none."""
    tasks = {name: stream.data.task for name, stream in streams_of(it).items()}
    return image_tokenizer_is_used(it.model.image_tokenizer, it.model.legacy_visible_pads, tasks, "streams")
