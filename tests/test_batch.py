"""Batches of several tasks: buckets, what is scored, and under which support."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.tiny import IMAGE_IDS, drawing, gradients, scored_group, tiny_model
from unigrpo.batch import make_batches
from unigrpo.config import AlgoSection, LikelihoodSection, NoiseRule, NoiseSection, OptimSection
from unigrpo.engine import Engine
from unigrpo.learner import Learner, frozen_logprobs, score_views
from unigrpo.models import Policy
from unigrpo.models.ids import supports

TASKS = ("image", "think_image")


def mixed(guidance: float = 0.0):
    """A group of each task, their members in a row."""
    texts = scored_group([1, 2], [[1, 2, 3], [4, 8]], [0.0, 1.0], "text")
    pictures = [drawing(task, f"{task}{n}", float(n), guidance, seed=n) for task in TASKS for n in (0, 1)]
    return [*texts, *pictures]


def batches(algo, guidance=0.0):
    return make_batches(mixed(guidance), 2, algo, seed=0, ids=IMAGE_IDS)


def learner(algo, model):
    policy = Policy(model, None, IMAGE_IDS)  # pyright: ignore[reportArgumentType]
    return Learner(policy, Engine(model, OptimSection(lr=1e-2), 10), algo, None)


def test_each_task_and_shape_is_a_bucket_and_all_share_one_step():
    found = batches(AlgoSection())
    assert [batch.task for batch in found] == ["text", "image", "think_image"]
    assert [batch.width for batch in found] == [6, 5, 11]
    one = learner(AlgoSection(beta=0.0, mu=2), tiny_model(vocab=24))
    metrics = one.learn(found)
    assert one.engine.step_count == 2
    assert metrics["policy/first_ratio_deviation"] < 1e-6


@pytest.mark.parametrize("aggregation", ["sequence", "token"])
def test_the_gradient_of_all_buckets_is_that_of_each_by_its_share(aggregation):
    algo = AlgoSection(beta=0.0, mu=1, aggregation=aggregation)

    def gradient(parts):
        one = learner(algo, tiny_model(vocab=24))
        one._backward(parts, 0, None, None, **one._count(parts, 0))
        return gradients(one.model)

    found = batches(algo)
    tokens = [int(batch.views(algo, 0).scored_BKC.sum()) for batch in found]
    sizes = tokens if aggregation == "token" else [len(batch) for batch in found]
    apart = sum(gradient([batch]) * size / sum(sizes) for batch, size in zip(found, sizes, strict=True))
    torch.testing.assert_close(gradient(found), apart, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("rule", ["formula", "full", "elbo"])
@pytest.mark.parametrize("plan", ["uniform", "trace", "ar", "block"])
def test_what_was_given_is_never_masked_nor_scored(plan, rule):
    algo = AlgoSection(noise=NoiseSection(plan=plan, rule=rule, block_length=3))
    for batch in batches(algo):
        given = ~batch.sampled_BC[:, None]
        for update in range(algo.mu):
            views = batch.views(algo, update)
            assert not (views.masked_BKC & given).any()
            assert not (views.scored_BKC & ~views.masked_BKC).any()
            assert views.scored_BKC.any(-1).all()


def test_drawings_have_noise_of_their_own():
    algo = AlgoSection(noise=NoiseSection(rule="range", low=1e-6, high=2e-6, image=NoiseRule(rule="full")))
    text, image, thinking = batches(algo)
    assert text.views(algo, 0).masked_BKC.sum(-1).tolist() == [[1], [1]]
    assert image.views(algo, 0).masked_BKC.sum(-1).tolist() == [[4], [4]]
    assert thinking.views(algo, 0).masked_BKC.sum(-1).tolist() == [[8], [8]]


@pytest.mark.parametrize("temperature", ["one", "sampled"])
def test_each_token_is_scored_among_the_ids_of_its_own_kind(temperature):
    algo = AlgoSection(noise=NoiseSection(rule="full"), likelihood=LikelihoodSection(temperature=temperature))
    model, batch = tiny_model(vocab=24), batches(algo)[2]
    found = score_views(model, batch, batch.views(algo, 0), slice(0, 2), algo)[:, 0]
    masked = batch.tokens_BT.clone()
    masked[:, -11:][batch.sampled_BC] = 9
    logits = model(masked, batch.key_mask_BT).logits[:, -11:].detach()
    text = [i for i in range(16) if i not in (9, 15)]
    divisor = 0.5 if temperature == "sampled" else 1.0
    for row in range(2):
        for place in range(11):
            token = int(batch.tokens_BT[row, -11 + place])
            ids = list(range(16, 24)) if token >= 16 else text
            scores = (logits[row, place, ids] / (divisor if token >= 16 else 1.0)).log_softmax(-1)
            expected = float(scores[ids.index(token)]) if batch.sampled_BC[row, place] else 0.0
            assert float(found[row, place]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_a_guided_drawing_is_scored_against_an_empty_prompt_and_an_empty_thought(task):
    guided = LikelihoodSection(guided=True)
    algo = AlgoSection(noise=NoiseSection(rule="full"), likelihood=guided)
    model = tiny_model(vocab=24)
    batch = next(batch for batch in batches(algo, guidance=1.5) if batch.task == task)
    views, width = batch.views(algo, 0), batch.width
    found = score_views(model, batch, views, slice(0, 2), algo)[:, 0]
    masked = batch.tokens_BT.clone()
    masked[:, -width:][batch.sampled_BC] = 9
    empty = [12, 7, 8, 10, 9, 9, 9, 9, 11] if task == "image" else [14, 7, 8, 8, 8, 8, 8, 10, 9, 9, 9, 9, 11]
    blind = model(torch.tensor([empty] * 2)).logits[:, -5:-1, 16:]
    sighted = model(masked, batch.key_mask_BT).logits[:, -5:-1, 16:]
    expected = (2.5 * sighted - 1.5 * blind).log_softmax(-1)
    expected = expected.gather(-1, batch.tokens_BT[:, -5:-1, None] - 16)[..., 0]
    torch.testing.assert_close(found[:, -5:-1], expected, atol=1e-5, rtol=1e-5)


def test_image_likelihoods_sum_to_one_over_the_codes():
    algo = AlgoSection(noise=NoiseSection(rule="full"))
    model, batch = tiny_model(vocab=24), batches(algo)[1]
    total = torch.zeros(2, 4)
    for code in range(16, 24):
        tokens = batch.tokens_BT.clone()
        tokens[:, -5:-1] = code
        total += frozen_logprobs(model, [replace(batch, tokens_BT=tokens)], algo, range(1))[0][0][:, 0, :4].exp()
    torch.testing.assert_close(total, torch.ones(2, 4))


def test_supports_of_text_and_codes_are_disjoint():
    text, codes = supports(IMAGE_IDS, "think_image")
    assert (text.start, text.stop, text.banned) == (0, 16, (9, 15))
    assert (codes.start, codes.stop, codes.banned) == (16, 24, ())
    assert supports(IMAGE_IDS, "understand") == (text,)
    assert supports(IMAGE_IDS, "image") == (codes,)


def test_tokens_that_a_cache_drew_count_by_their_exact_probability_up_to_the_limit():
    drawn = [np.log([0.5, 0.2, 0.1]), np.log([0.25, 0.5])]
    exact = [np.log([0.25, np.nan, 0.8]), np.log([0.25, 0.75])]
    scored = scored_group([1, 2], [[1, 2, 3], [4, 8]], [0.0, 1.0])
    cached = [
        replace(item, rollout=replace(item.rollout, logprobs=a.astype("f4"), exact_logprobs=b.astype("f4")))
        for item, a, b in zip(scored, drawn, exact, strict=True)
    ]
    [batch] = make_batches(cached, 2, AlgoSection(cache_correction=2.0), seed=0, ids=IMAGE_IDS)
    wanted = torch.ones(2, 6)
    wanted[0, 0], wanted[0, 2], wanted[1, 1] = 0.5, 2.0, 1.5
    torch.testing.assert_close(batch.importance_BC, wanted)
    [plain] = make_batches(cached, 2, AlgoSection(), seed=0, ids=IMAGE_IDS)
    assert plain.importance_BC is None
    torch.testing.assert_close(batch.share(1, 2).importance_BC, wanted[1:])
