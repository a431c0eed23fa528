"""What is seen of sampling: a card for each model, with its text token by token, and its picture code by code."""

import base64
import html
import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from unigrpo.demo.models import DemoModel
from unigrpo.demo.watch import Progress
from unigrpo.logged import legible

GREY = 160
"""Level of what is still masked."""
FULL = 192
"""Pictures up to so many pixels wide are sent as they are at every step; larger ones are compressed until the last."""


def cards(models: Sequence[DemoModel], before: Sequence[Progress], now: Sequence[Progress]) -> str:
    """All models side by side.

    Args:
        before: what was shown last, so that what is new can be told from it.
    """
    shown = (_card(*columns) for columns in zip(models, before, now, strict=True))
    return f'<div class="cards">{"".join(shown)}</div>'


def message(text: str) -> str:
    """A message in the place of an answer."""
    return f'<p class="problem" role="alert">{html.escape(text)}</p>'


def _card(model: DemoModel, before: Progress, now: Progress) -> str:
    body = message(now.problem) if now.problem else _body(model, before, now)
    title = f"<header><strong>{html.escape(model.name)}</strong><span>{_state(now)}</span></header>"
    return f'<section class="card{" over" if now.over else ""}">{title}{body}</section>'


def _state(now: Progress) -> str:
    if now.problem:
        return ""
    steps = f"{now.steps} step{'s' * (now.steps != 1)} · {now.seconds:.1f} s"
    return f"{steps} · stopped" if now.stopped else steps if now.rollout is not None else f"{steps} …"


def _body(model: DemoModel, before: Progress, now: Progress) -> str:
    text, picture = "", ""
    if now.text is not None:
        text = _answer(model, now) if now.rollout is not None else _tokens(model, before.text, now.text)
    if now.codes is not None:
        picture = _picture(model, now)
    return f"{text}{picture}" or '<p class="waiting">…</p>'


def _tokens(model: DemoModel, before: np.ndarray | None, now: np.ndarray) -> str:
    """All tokens so far: new ones stand out, masked ones are boxes, and what follows an end is faint."""
    fresh = now != (model.policy.ids.mask if before is None else before)
    pieces = (_token(model, int(token), bool(new)) for token, new in zip(now, fresh, strict=True))
    return f'<p class="tokens">{"".join(pieces)}</p>'


def _token(model: DemoModel, token: int, fresh: bool) -> str:
    if token == model.policy.ids.mask:
        return '<i class="mask"></i>'
    if token == model.policy.ids.eos:
        return '<i class="end"></i>'
    return f"<b>{_piece(model, token)}</b>" if fresh else f"<span>{_piece(model, token)}</span>"


def _piece(model: DemoModel, token: int) -> str:
    return _shown(str(model.policy.tokenizer.decode([token])))


def _shown(text: str) -> str:
    return html.escape(text).replace("\n", "⏎\n")


def _answer(model: DemoModel, now: Progress) -> str:
    """The answer, each token shaded by when it came: the darker, the later."""
    rollout = now.rollout
    assert rollout is not None
    written = (
        rollout.sampled & (rollout.tokens < model.policy.ids.text_vocab) & (rollout.tokens != model.policy.ids.eos)
    )
    tokens, steps = rollout.tokens[written], rollout.commit_step[written]
    if not rollout.output:
        return '<p class="tokens"><em>an empty answer</em></p>'
    last = max(1, int(rollout.commit_step.max()))
    pieces = (_written(text, steps[own].tolist(), last) for own, text in legible(tokens.tolist(), model.policy.text))
    return f'<p class="tokens done">{"".join(pieces)}</p>'


def _written(text: str, steps: Sequence[int], last: int) -> str:
    came = ", ".join(str(step + 1) for step in steps)
    return f'<span style="--when:{100 * max(steps) // last}%" title="step {came}">{_shown(text)}</span>'


def _picture(model: DemoModel, now: Progress) -> str:
    drawn = now.rollout.image if now.rollout is not None else None
    shown = partial(model, now) if drawn is None else drawn
    done, side = drawn is not None, shown.shape[1]
    kind = "PNG" if done or side <= FULL else "JPEG"
    file = io.BytesIO()
    Image.fromarray(shown).save(file, kind)
    url = f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
    sharp = ' class="pixels"' if side < FULL else ""
    save = f'<a download="drawing.png" href="{url}">Save the picture</a>' if done else ""
    return f'<figure><img{sharp} src="{url}" alt="the drawing"><figcaption>{save}</figcaption></figure>'


def partial(model: DemoModel, now: Progress) -> np.ndarray:
    """The picture of the codes that are there, grey where they are masked."""
    ids, images = model.policy.ids, model.images
    assert now.codes is not None
    assert images is not None
    assert ids.image_offset is not None
    masked_N = now.codes == ids.mask
    side = math.isqrt(len(masked_N))
    [image] = images.decode([_filled(now.codes - ids.image_offset, masked_N, side)])
    times = len(image) // side
    masked_HW = masked_N.reshape(side, side).repeat(times, 0).repeat(times, 1)
    return np.where(masked_HW[..., None], np.uint8(GREY), image)


def _filled(codes_N: np.ndarray, masked_N: np.ndarray, side: int) -> np.ndarray:
    """The codes, and for masked ones the nearest that is there: what is decoded depends on what stands around it."""
    if masked_N.all():
        return np.zeros_like(codes_N)
    places_N2 = np.stack(np.divmod(np.arange(len(codes_N)), side), -1)
    there = np.flatnonzero(~masked_N)
    distance = ((places_N2[:, None] - places_N2[there]) ** 2).sum(-1)
    return codes_N[there[distance.argmin(-1)]]
