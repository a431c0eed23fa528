"""What is shown of sampling: text that cannot become markup, and pictures as far as they are."""

import html
import re
from dataclasses import replace

import numpy as np

from tests.demo.test_models import load
from tests.tiny import scored_group
from unigrpo.demo.canvas import GREY, cards, message, partial
from unigrpo.demo.watch import Progress


def text_of(page):
    return html.unescape(re.sub(r"<[^>]*>", "", page))


def test_what_a_model_writes_is_text_and_never_markup(runs):
    model, words = load("<i>a</i>", runs[0]), "<img src=x onerror=alert(1)>&amp;\n"
    tokens = np.array(model.policy.tokenizer(words, add_special_tokens=False)["input_ids"])
    ids = model.policy.ids
    shown = cards([model], [Progress()], [Progress(text=np.array([*tokens, ids.mask, ids.eos]), steps=3, seconds=0.5)])
    assert "<img" not in shown
    assert text_of(shown) == f"<i>a</i>3 steps · 0.5 s …{words[:-1]}⏎\n"
    assert shown.count('class="mask"') == shown.count('class="end"') == 1
    assert "<script" not in message("<script>")


def test_an_answer_reads_as_it_was_written_though_its_characters_are_several_tokens(runs):
    model, words = load("a", runs[0]), "né à 20 °C, 雨 😀."
    tokens = model.policy.tokenizer(words, add_special_tokens=False)["input_ids"]
    assert len(tokens) > len(words)
    [item] = scored_group([1], [tokens], [0.0])
    rollout = replace(item.rollout, output=model.policy.text(tokens), commit_step=np.arange(len(tokens)))
    shown = cards([model], [Progress()], [Progress(text=rollout.tokens, rollout=rollout)])
    assert text_of(shown).endswith(words)
    assert shown.count("<span style") == len(words)
    assert f'title="step {len(tokens)}">.<' in shown
    last = len(tokens) - 1
    assert f'title="step {last - 3}, {last - 2}, {last - 1}, {last}">😀<' in shown


def test_only_tokens_that_came_since_the_last_look_stand_out(runs):
    model = load("a", runs[0])
    mask, [one, two] = model.policy.ids.mask, model.policy.tokenizer("12", add_special_tokens=False)["input_ids"]
    before, now = Progress(text=np.array([one, mask, mask])), Progress(text=np.array([one, mask, two]))
    assert cards([model], [before], [now]).count("<b>") == 1
    assert cards([model], [Progress()], [now]).count("<b>") == 2


def test_a_picture_is_grey_where_codes_are_masked_and_whole_without_masks(runs):
    model = load("a", runs[0])
    ids = model.policy.ids
    codes = np.arange(64) % 16
    [whole] = model.images.decode([codes])
    np.testing.assert_array_equal(partial(model, Progress(codes=codes + ids.image_offset)), whole)
    some = np.where(np.arange(64) == 9, ids.mask, codes + ids.image_offset)
    grey = (partial(model, Progress(codes=some)) == GREY).all(-1)
    expected = np.zeros((32, 32), dtype=bool)
    expected[4:8, 4:8] = True
    assert grey[expected].all()
    assert grey[~expected].mean() < 0.05
    assert (partial(model, Progress(codes=np.full(64, ids.mask))) == GREY).all()
