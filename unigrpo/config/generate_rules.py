"""Rules about what `unigrpo generate` is asked for, and what it is given."""

from pathlib import Path

from unigrpo.config.task_rules import DRAWING, image_tokenizer_is_used, samples_differ, sampling_fits
from unigrpo.config.tasks import ALONE
from unigrpo.config.verbs import GenerateConfig


def settings_fit_the_task(it: GenerateConfig) -> str | None:
    """A task has what it needs, and what is given is used."""
    if it.of is not None:
        return f"of is {it.of!r}, but only a run, named by its folder as the first argument, has tasks: drop it."
    if it.task == "understand" and it.image is None and it.file is None:
        return "task is understand, which asks about an image: set image=FILE."
    if it.task == "text" and it.image is not None:
        return f"image is {it.image!r}, but task=text looks at none: set task=understand to ask about it, or drop it."
    if it.task not in DRAWING:
        unused = next((name for name in ("mask", "picture") if getattr(it, name) is not None), None)
        return f"{unused} is {getattr(it, unused)!r}, but task={it.task} draws nothing: drop it." if unused else None
    if it.mask is not None and it.image is None:
        return f"mask is {it.mask!r}, but there is no image that is kept outside it: set image=FILE."
    if it.image is not None and it.mask is None:
        return f"image is {it.image!r}, but nothing says what of it is drawn anew: set mask=x0,y0,x1,y1, or drop it."
    return None


def a_file_stands_alone(it: GenerateConfig) -> str | None:
    """Many prompts come from one place, with their pictures, and go to one."""
    if it.file is None:
        return None
    for name in ("prompt", "image", "mask", "show_steps"):
        if getattr(it, name) not in (None, False):
            return f"{name} is set, but it is for one prompt, and file has many: drop it, or make it a column of file."
    if it.output is None:
        return "file is set, but not where the answers go: set output=answers.jsonl."
    if not it.output.endswith(".jsonl"):
        return f"output is {it.output!r}, but answers are JSON, one on each line: name a file that ends in .jsonl."
    if Path(it.output).absolute() == Path(it.file).absolute():
        return f"output is {it.output!r}, the file of prompts itself: name another for the answers."
    if it.picture is not None and it.picture.lower().endswith(".png"):
        return f"picture is {it.picture!r}, but file asks for many drawings: name a folder."
    return None


def model_and_sampling_fit_the_task(it: GenerateConfig) -> str | None:
    """The image tokenizer and the sampling are those of the task."""
    model = it.model
    found = image_tokenizer_is_used(model.image_tokenizer, model.legacy_visible_pads, {ALONE: it.task})
    found = found or sampling_fits(it.task, it.rollout, "rollout.")
    # Other verbs have the task in their data section.
    return found and found.replace("data.task", "task")


def samples_vary(it: GenerateConfig) -> str | None:
    """Several answers to one prompt differ."""
    return samples_differ(it.task, it.samples, it.rollout, "rollout.")
