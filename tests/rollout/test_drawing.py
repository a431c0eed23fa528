"""Pictures drawn by the sampler: what is sampled, what is given, and what may not change a picture."""

from dataclasses import replace

import numpy as np
import pytest

from rollout.sampler import Sampler
from tests.tiny import IMAGE_IDS, tiny_model
from unigrpo.batch import make_batches
from unigrpo.config import AlgoSection, ImageSamplingSection, ImageTokenizerSection, LikelihoodSection, SamplingSection
from unigrpo.errors import ConfigError, DataError
from unigrpo.learner import frozen_logprobs
from unigrpo.models import Policy
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.models.magvit import Magvit
from unigrpo.models.magvit_config import MagvitConfig
from unigrpo.models.seeding import private_seed
from unigrpo.types import Prompt, Scored

CONFIG = MagvitConfig(
    bits=3, encoder_widths=(4, 4), decoder_widths=(4, 4), encoder_blocks=(1, 1), decoder_blocks=(1, 1), groups=2
)
SETTINGS = SamplingSection(gen_length=6, block_length=3, image=ImageSamplingSection(steps=3))


class Letters:
    """The least a sampler asks of a tokenizer."""

    def decode(self, ids, skip_special_tokens):
        return "".join(chr(97 + int(i)) for i in ids)


def tokenizer():
    with private_seed(0):
        return ImageTokenizer(Magvit(CONFIG), ImageTokenizerSection(path="-", resolution=4))


def sampler(settings=SETTINGS, seed=0, images=True):
    policy = Policy(tiny_model(vocab=24), Letters(), IMAGE_IDS)  # pyright: ignore[reportArgumentType]
    return Sampler(policy, settings, seed, tokenizer() if images else None)


def asked(task, *words, **fields):
    start, stop = ([12, 7], [8, 10]) if task == "image" else ([14, 7], [])
    return [
        Prompt(
            id=str(n),
            task=task,
            text="",
            tokens=np.array([*start, *range(n % 3 + 1), *stop]),
            unconditional=np.array([*start, *stop]),
            **fields,
        )
        for n in words
    ]


def guided(scale, **fields):
    return replace(SETTINGS, image=ImageSamplingSection(steps=3, guidance=scale, **fields))


@pytest.mark.parametrize("guidance", [0.0, 2.0])
def test_a_drawing_is_codes_and_their_end_and_its_picture_is_theirs(guidance):
    one = sampler(guided(guidance))
    for rollout in one.sample(asked("image", 1, 2), 3, 0):
        assert rollout.tokens[-1] == IMAGE_IDS.eoi
        assert ((rollout.tokens[:4] >= 16) & (rollout.tokens[:4] < 24)).all()
        assert rollout.sampled.tolist() == [True] * 4 + [False]
        assert rollout.commit_step[:4].max() == 2
        assert rollout.forwards == 3
        assert rollout.commit_step[4] == -1
        assert rollout.output == ""
        assert one.images is not None
        assert np.array_equal(rollout.image, one.images.decode([rollout.tokens[:4] - 16])[0])


@pytest.mark.parametrize("guidance", [0.0, 2.0])
def test_a_thought_ends_before_the_drawing_starts(guidance):
    for rollout in sampler(guided(guidance)).sample(asked("think_image", 1, 2, 3), 4, 0):
        thought, start, codes, end = rollout.tokens[:6], rollout.tokens[6], rollout.tokens[7:11], rollout.tokens[11:]
        assert start == IMAGE_IDS.soi
        assert (codes >= 16).all()
        assert end.tolist() == [IMAGE_IDS.eoi]
        assert (thought < 16).all()
        ends = np.flatnonzero(thought == IMAGE_IDS.eos)
        assert rollout.truncated == (len(ends) == 0)
        if len(ends):
            assert (thought[ends[0] :] == IMAGE_IDS.eos).all()
            assert rollout.sampled[:6].sum() <= ends[0] + 2
        assert rollout.sampled[[6, 11]].tolist() == [False, False]
        assert rollout.commit_step[7:11].min() > rollout.commit_step[:6].max()
        assert rollout.forwards == 3 + (3 if len(ends) and ends[0] < 3 else 6)
        assert len(rollout.output) == (ends[0] if len(ends) else 6)


@pytest.mark.parametrize("task", ["image", "think_image"])
@pytest.mark.parametrize("guidance", [0.0, 1.5])
def test_a_picture_does_not_depend_on_its_batch(task, guidance):
    settings = guided(guidance)
    group = sampler(settings).sample(asked(task, 1, 2, 3), 3, 5)
    alone = sampler(replace(settings, batch_size=1)).sample(asked(task, 2), 3, 5)
    assert [r.tokens.tolist() for r in group[3:6]] == [r.tokens.tolist() for r in alone]
    assert [r.commit_step.tolist() for r in group[3:6]] == [r.commit_step.tolist() for r in alone]


def test_pictures_differ_by_seed_step_and_index():
    drawn = [
        tuple(rollout.tokens)
        for seed in (0, 1)
        for step in (0, 1)
        for rollout in sampler(seed=seed).sample(asked("image", 1), 8, step)
    ]
    assert len(set(drawn)) > 20


def test_guidance_of_zero_is_no_guidance():
    """Scored with guidance 0 against an empty prompt, what was sampled without it has the likelihood it had."""
    scored = [Scored(rollout=rollout, reward=0.0, parts={}) for rollout in sampler().sample(asked("image", 1, 2), 2, 0)]
    found = []
    for guidance in (False, True):
        algo = AlgoSection(likelihood=LikelihoodSection(guided=guidance))
        batches = make_batches(scored, 2, algo, seed=0, ids=IMAGE_IDS)
        found.append(frozen_logprobs(tiny_model(vocab=24), batches, algo, range(1))[0][0])
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


@pytest.mark.parametrize("task", ["image", "think_image"])
def test_known_codes_are_kept_exactly_and_earn_nothing(task):
    known = np.array([5, -1, -1, 0])
    for rollout in sampler(guided(1.0)).sample(asked(task, 1, 2, known_codes=known), 3, 0):
        codes = rollout.tokens[-5:-1] - 16
        assert codes[[0, 3]].tolist() == [5, 0]
        assert rollout.sampled[-5:-1].tolist() == [False, True, True, False]
        assert rollout.commit_step[-5:-1][[0, 3]].tolist() == [-1, -1]


def test_streams_are_sampled_by_their_own_settings():
    settings = {"short": replace(SETTINGS, gen_length=3), "long": SETTINGS}
    prompts = [Prompt(id=name, task="text", text="", tokens=np.array([7, 1]), stream=name) for name in settings]
    lengths = {
        rollout.prompt.stream: rollout.sampling.gen_length for rollout in sampler(settings).sample(prompts, 2, 0)
    }
    assert lengths == {"short": 3, "long": 6}


def test_a_drawing_without_an_image_tokenizer_is_refused():
    with pytest.raises(ConfigError, match=r"asks for a drawing.*set model.image_tokenizer.path"):
        sampler(images=False).sample(asked("image", 1), 2, 0)


@pytest.mark.parametrize("known", [[5, -1, -1], [8, -1, -1, -1], [-1, -2, 1, 1]])
def test_known_codes_that_are_none_are_refused(known):
    with pytest.raises(DataError, match=r"an image has 4 codes from 0 to 7"):
        sampler().sample(asked("image", 1, known_codes=np.array(known)), 2, 0)
