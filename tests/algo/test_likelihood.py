import itertools
from functools import partial

import pytest
import torch

from tests.tiny import SUPPORT, tiny_model
from unigrpo.algo.likelihood import pad_free_positions, token_logprobs
from unigrpo.types import Support


def inputs(rows=3, prompt=4, width=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(0, 9, (rows, prompt + width), generator=generator)
    scored = torch.rand(rows, width, generator=generator) < 0.6
    scored[:, 0] = True
    masked = tokens.clone()
    masked[:, prompt:][scored] = 9
    return tokens, masked, torch.ones_like(tokens, dtype=torch.bool), scored


def test_equals_the_log_softmax_of_full_logits_over_the_support():
    model = tiny_model()
    tokens, masked, visible, scored = inputs()
    found = token_logprobs(model, masked, visible, tokens[:, 4:], scored, [SUPPORT])
    logits = model(masked).logits[:, 4:].clone()
    logits[..., 9] = float("-inf")
    expected = logits.log_softmax(-1).gather(-1, tokens[:, 4:, None])[..., 0]
    torch.testing.assert_close(found[scored], expected[scored], atol=1e-6, rtol=1e-5)
    assert (found[~scored] == 0).all()


@pytest.mark.parametrize("support", [SUPPORT, Support(start=3, stop=7), Support(start=0, stop=8, banned=(2, 5))])
def test_probabilities_sum_to_one_over_the_support_and_nothing_else(support):
    model = tiny_model()
    _, masked, visible, scored = inputs()
    total = torch.zeros(int(scored.sum()))
    for token in range(support.start, support.stop):
        targets = torch.full(scored.shape, token)
        total += token_logprobs(model, masked, visible, targets, scored, [support])[scored].exp()
    torch.testing.assert_close(total, torch.ones_like(total), atol=1e-6, rtol=0)


@pytest.mark.parametrize("chunk", [1, 2, 1000])
def test_chunks_change_neither_value_nor_gradient(chunk):
    model = tiny_model()
    tokens, masked, visible, scored = inputs()

    def run(size):
        model.zero_grad()
        found = token_logprobs(model, masked, visible, tokens[:, 4:], scored, [SUPPORT], chunk=size)
        found.sum().backward()
        return found.detach(), model.transformer.ff_out.weight.grad.clone()

    for whole, part in zip(run(7), run(chunk), strict=True):
        torch.testing.assert_close(part, whole, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("left", "right"), [(1, 0), (5, 0), (0, 3), (4, 2)])
def test_padding_changes_no_log_likelihood(left, right):
    model = tiny_model()
    tokens, masked, visible, scored = inputs()
    base = token_logprobs(model, masked, visible, tokens[:, 4:], scored, [SUPPORT])

    def padded(tensor, value):
        return torch.nn.functional.pad(tensor, (left, right), value=value)

    targets = torch.nn.functional.pad(tokens[:, 4:], (0, right), value=8)
    wide = torch.nn.functional.pad(scored, (0, right), value=False)
    found = token_logprobs(model, padded(masked, 3), padded(visible, False), targets, wide, [SUPPORT])
    torch.testing.assert_close(found[:, : scored.shape[1]], base, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("chunk", [2, 1000])
def test_sampled_temperature_divides_the_logits_of_its_own_row(chunk):
    model = tiny_model()
    tokens, masked, visible, scored = inputs()
    found = token_logprobs(
        model,
        masked,
        visible,
        tokens[:, 4:],
        scored,
        [SUPPORT],
        chunk,
        temperature_RS=torch.tensor([0.5, 1, 2])[:, None],
    )
    logits = model(masked).logits[:, 4:, :9] / torch.tensor([0.5, 1.0, 2.0])[:, None, None]
    expected = logits.log_softmax(-1).gather(-1, tokens[:, 4:, None])[..., 0]
    torch.testing.assert_close(found[scored], expected[scored], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("chunk", [2, 1000])
def test_guided_likelihood_is_that_of_the_combined_logits(chunk):
    scale = torch.tensor([1.5, 0.0, 3.0])
    model = tiny_model()
    tokens, masked, visible, scored = inputs()
    blind = masked.clone()
    blind[:, :4] = 9
    found = token_logprobs(
        model,
        masked,
        visible,
        tokens[:, 4:],
        scored,
        [SUPPORT],
        chunk,
        unguided=(blind, visible),
        guidance_RS=scale[:, None],
    )
    sighted, unguided = model(masked).logits[:, 4:, :9], model(blind).logits[:, 4:, :9]
    scale = scale[:, None, None]
    expected = ((1 + scale) * sighted - scale * unguided).log_softmax(-1).gather(-1, tokens[:, 4:, None])[..., 0]
    torch.testing.assert_close(found[scored], expected[scored], atol=1e-5, rtol=1e-5)


def test_positions_count_real_tokens_from_zero():
    """Rotary angles are relative, so log-probabilities would show a shift only in their last bits."""
    mask = torch.tensor([[False, False, True, True, True], [True] * 5])
    assert pad_free_positions(mask).tolist() == [[0, 0, 0, 1, 2], [0, 1, 2, 3, 4]]


def peak_bytes(work) -> int:
    """Largest sum of live bytes, from the allocator's own record."""
    with torch.profiler.profile(profile_memory=True) as profile:
        work()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    live = itertools.accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))
    return max(live)


@pytest.mark.slow
def test_peak_memory_grows_with_chunk_times_support_not_with_batch_times_length_times_vocabulary():
    model = tiny_model(vocab=20_000, d_model=16)
    tokens = torch.randint(0, 9, (8, 68))
    scored = torch.ones(8, 64, dtype=torch.bool)
    visible = torch.ones_like(tokens, dtype=torch.bool)
    support = Support(start=0, stop=20_000)

    def peak(chunk: int) -> int:
        return peak_bytes(
            lambda: token_logprobs(model, tokens, visible, tokens[:, 4:], scored, [support], chunk).sum().backward()
        )

    full_logits = 8 * 64 * 20_000 * 4
    assert peak(16) < 0.3 * full_logits
    assert peak(512) > full_logits


@pytest.mark.slow
def test_memory_of_image_likelihoods_does_not_grow_with_the_text_vocabulary():
    """With gradient too, apart from the gradients of embedding and head themselves, which any loss has."""
    peaks = []
    for vocab in (1_000, 50_000):
        model = tiny_model(vocab=vocab + 64, d_model=16)
        for parameter in (model.get_input_embeddings().weight, model.get_output_embeddings().weight):
            parameter.requires_grad_(False)
        tokens = vocab + torch.randint(0, 64, (8, 68))
        scored, visible = torch.ones(8, 64, dtype=torch.bool), torch.ones_like(tokens, dtype=torch.bool)
        codes = [Support(start=vocab, stop=vocab + 64)]
        score = partial(token_logprobs, model, tokens, visible, tokens[:, 4:], scored, codes)
        peaks.append(peak_bytes(lambda score=score: score().sum().backward()))
    assert peaks[0] == pytest.approx(peaks[1], rel=0.01)
