"""One tab for each kind of question: its fields, its settings, and what it shows while models sample."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import gradio as gr
import numpy as np

from unigrpo.config import ImageSamplingSection, SamplingSection
from unigrpo.demo.asked import Kind, fitted, job_of, on_white
from unigrpo.demo.canvas import cards, message
from unigrpo.demo.models import DemoModel
from unigrpo.demo.settings import controls
from unigrpo.demo.watch import Progress, watch
from unigrpo.errors import DataError, UniGRPOError

PACE = 0.05
"""Seconds that a step takes at least, unless the page says otherwise: a small model would be done before it is seen."""
SLOWEST = 10.0
LONGEST = 16_000
"""Characters of a prompt that are sent; what is too long for the model is said by it."""
QUEUE = {"concurrency_id": "models", "concurrency_limit": 1, "api_visibility": "private"}
"""One question at a time, of whoever looks at the page; others wait."""
AT_ONCE = {"queue": False, "api_visibility": "private"}
NEW_SEED = "() => Math.floor(Math.random() * 1e9)"


@dataclass(frozen=True)
class Example:
    """A prompt of the data that a run was trained for, with its picture if it has one."""

    prompt: str
    picture: Path | None = None


@dataclass(frozen=True, eq=False)
class Page:
    """What all tabs share."""

    models: Sequence[DemoModel]
    examples: Mapping[str, Sequence[Example]]
    """By the title of the tab."""
    seed: int
    running: dict[str, Event] = field(default_factory=dict)
    """What stops the sampling of each visitor."""

    def begin(self, visitor: str) -> Event:
        """Stops what a visitor has going on, and begins anew."""
        self.end(visitor)
        self.running[visitor] = Event()
        return self.running[visitor]

    def end(self, visitor: str) -> None:
        """Stops what a visitor has going on, if anything."""
        if event := self.running.pop(visitor, None):
            event.set()


def add_tab(page: Page, kind: Kind) -> None:
    """Lays out a tab, and connects it."""
    with gr.Tab(kind.title, elem_id=_id(kind, "tab")):
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=320):
                fields = _fields(page, kind) | _chance(page, kind)
                with gr.Row():
                    do = "Draw" if kind.draws else "Answer"
                    run = gr.Button(do, variant="primary", scale=3, min_width=100, elem_id=_id(kind, "run"))
                    stop = gr.Button("Stop", scale=1, min_width=80, elem_id=_id(kind, "stop"))
            with gr.Column(scale=3, min_width=320):
                shown = gr.HTML(_nothing(kind), elem_id=_id(kind, "shown"))
        _offer(page, kind, fields)
        with gr.Accordion("Sampling", open=False, elem_id=_id(kind, "settings")):
            fields |= _settings(page, kind)
    names = list(fields)
    run.click(_answering(page, kind, names), list(fields.values()), shown, show_progress="full", **QUEUE)
    if not kind.draws:
        prompt = fields["prompt"]
        prompt.submit(_answering(page, kind, names), list(fields.values()), shown, show_progress="full", **QUEUE)
    stop.click(leaving(page), None, None, **AT_ONCE)


def leaving(page: Page) -> Callable[[gr.Request], None]:
    """The handler that stops what a visitor has going on; gradio knows by the annotation what to give it."""

    def leave(request: gr.Request) -> None:
        page.end(_visitor(request))

    return leave


def _id(kind: Kind, part: str) -> str:
    return f"{kind.title.lower().replace(' ', '-')}-{part}"


def _visitor(request: gr.Request) -> str:
    return str(request.session_hash)


def _nothing(kind: Kind) -> str:
    what = "drawing" if kind.draws else "answer"
    return f'<p class="nothing">The {what} appears here, step by step.</p>'


def _fields(page: Page, kind: Kind) -> dict[str, Any]:
    """What is asked."""
    fields: dict[str, Any] = {}
    if kind.looks:
        fields["picture"] = _picture(kind)
    if kind.paints:
        fields |= _painting(page, kind)
    fields["prompt"] = gr.Textbox(
        label="Prompt", placeholder=kind.invitation, lines=2, max_length=LONGEST, elem_id=_id(kind, "prompt")
    )
    return fields


def _picture(kind: Kind) -> gr.Image:
    """A field of a picture, which is read by us: gradio would print a stack trace for what is none."""
    field = gr.Image(
        label="Picture", type="filepath", sources=["upload", "clipboard"], elem_id=_id(kind, "picture"), height=260
    )
    field.preprocess = lambda payload: payload.path if payload else None  # pyright: ignore[reportAttributeAccessIssue]
    return field


def _painting(page: Page, kind: Kind) -> dict[str, Any]:
    """A picture to paint on, made as square as the model sees it, and a box as the other way to mark a part."""
    images = page.models[0].images
    assert images is not None
    seen = gr.State(None)
    canvas = gr.ImageEditor(
        label="Paint",
        type="numpy",
        sources=["upload", "clipboard"],
        transforms=(),
        layers=False,
        brush=gr.Brush(default_size=56, colors=["#f43f5e"], color_mode="fixed"),
        canvas_size=(512, 512),
        elem_id=_id(kind, "canvas"),
        height=420,
    )
    box = gr.Textbox(
        label="Or a box",
        placeholder="x0,y0,x1,y1",
        info="What is painted over, or in a box, is drawn anew. The box is in pixels of the square that the picture "
        f"becomes: 0 to {images.resolution}.",
        elem_id=_id(kind, "box"),
        max_length=100,
    )
    canvas.upload(lambda value: _taken(page, value), canvas, [canvas, seen], show_progress="hidden", **AT_ONCE)
    canvas.clear(lambda: None, None, seen, **AT_ONCE)
    return {"canvas": canvas, "picture": seen, "box": box}


def _taken(page: Page, value: Mapping[str, Any] | None) -> tuple[Any, np.ndarray | DataError | None]:
    """The canvas for a picture that was dropped into it, and the picture as the model sees it, or why it cannot."""
    if value is None or value["background"] is None:
        return gr.skip(), None
    try:
        return _canvas(page, on_white(value["background"]))
    except DataError as error:
        return gr.skip(), error


def _canvas(page: Page, picture: np.ndarray | Path) -> tuple[dict[str, Any], np.ndarray]:
    model = page.models[0]
    assert model.images is not None
    seen, large = fitted(picture, model.images, model.asks["image"])
    return {"background": large, "layers": [], "composite": large}, seen


def _offer(page: Page, kind: Kind, fields: Mapping[str, Any]) -> None:
    """Examples, to be taken by a click."""
    examples = page.examples.get(kind.title, ())
    if not examples:
        return
    pictured = all(example.picture for example in examples)
    samples = [[str(example.picture), example.prompt] if pictured else [example.prompt] for example in examples]
    components = [gr.Image(visible=False)] * pictured + [gr.Textbox(visible=False)]
    offered = gr.Dataset(
        components=components, samples=samples, type="index", label="Examples", elem_id=_id(kind, "examples")
    )
    outputs = [fields[name] for name in ("prompt", "canvas", "picture") if name in fields]

    def take(index: int) -> Any:
        example = examples[index]
        if example.picture is None:
            return example.prompt
        return [example.prompt, *(_canvas(page, example.picture) if kind.paints else [str(example.picture)])]

    offered.click(take, offered, outputs, show_progress="hidden", **AT_ONCE)


def _chance(page: Page, kind: Kind) -> dict[str, Any]:
    """Whether it thinks, and what decides all chance."""
    asks = page.models[-1].asks[kind.task]
    with gr.Row(elem_classes="chance"):
        think = gr.Checkbox(
            asks.instruction == "think" and not kind.draws,
            label="Think first",
            elem_id=_id(kind, "think"),
            min_width=100,
        )
        # No least value: gradio would print a stack trace for what is below it.
        seed = gr.Number(page.seed, label="Seed", precision=0, elem_id=_id(kind, "seed"), min_width=100)
        new = gr.Button("New seed", size="sm", elem_id=_id(kind, "new-seed"), min_width=90)
    new.click(None, None, seed, js=NEW_SEED)
    return {"think": think, "seed": seed}


def _settings(page: Page, kind: Kind) -> dict[str, Any]:
    """A control for every setting of the sampler that the kind has a use for."""
    asks = page.models[-1].asks
    with gr.Row(elem_classes="controls"):
        info = "Seconds that a step takes at least, so that it can be seen."
        fields: dict[str, Any] = {"pace": gr.Number(PACE, label="pace", info=info, step=0.05)}
        if kind.draws:
            fields |= controls(ImageSamplingSection, asks["image"].rollout.image, "image.")
        else:
            fields |= controls(SamplingSection, asks[kind.task].rollout, "text.")
    if kind.draws:
        with gr.Accordion("The thought", open=False), gr.Row(elem_classes="controls"):
            fields |= controls(SamplingSection, asks["think_image"].rollout, "text.", without=("guidance",))
    return fields


def _answering(page: Page, kind: Kind, names: Sequence[str]) -> Callable[..., Iterator[str]]:
    """The handler that samples; gradio knows by the annotation what to give it first."""

    def answer(request: gr.Request, *values: Any) -> Iterator[str]:
        given = dict(zip(names, values, strict=True))
        visitor = _visitor(request)
        stop = page.begin(visitor)
        try:
            jobs = [job_of(model, kind, given) for model in page.models]
            before = [Progress()] * len(jobs)
            yield cards(page.models, before, before)
            for now in watch(jobs, stop, min(float(given["pace"] or 0), SLOWEST)):
                yield cards(page.models, before, now)
                before = now
        except UniGRPOError as error:
            yield message(str(error))
        finally:
            stop.set()

    return answer
