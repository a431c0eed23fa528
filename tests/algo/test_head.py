"""The head that never holds all logits, against one that does."""

import itertools
from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.tiny import gradients, tiny_model
from unigrpo.algo.head import Tokens, token_scores
from unigrpo.algo.likelihood import token_logprobs
from unigrpo.types import Support

VOCAB, PROMPT, WIDTH, ROWS = 12, 3, 5, 4
TEXT, CODES = Support(start=0, stop=8, banned=(2, 5)), Support(start=8, stop=12)
TEMPERATURE = torch.tensor([[0.5, 0.7], [1.0, 2.0], [1.5, 0.3], [0.9, 1.0]])
GUIDANCE = torch.tensor([[1.5, 0.0], [0.0, 3.0], [2.0, 1.0], [0.5, 0.5]])
GENERATOR = torch.Generator().manual_seed(0)
ALLOWED = torch.tensor([0, 1, 3, 4, 6, 7, 8, 9, 10, 11])
TARGETS = ALLOWED[torch.randint(0, 10, (ROWS, WIDTH), generator=GENERATOR)]
MASKED = torch.rand(ROWS, WIDTH, generator=GENERATOR) < 0.6
INPUT = torch.cat([torch.randint(0, 11, (ROWS, PROMPT), generator=GENERATOR), TARGETS.masked_fill(MASKED, 11)], 1)
BLIND = INPUT.clone()
BLIND[:, :PROMPT] = 11
SEEN = torch.ones_like(INPUT, dtype=torch.bool)
WEIGHTS = torch.randn(ROWS, WIDTH, generator=GENERATOR)


def plainly(model, supports, scored, tempered, guided):
    """The same by full logits, a log-softmax over each support, and what was chosen of it."""
    logits, blind = model(INPUT).logits[:, PROMPT:], model(BLIND).logits[:, PROMPT:]
    found = torch.zeros(ROWS, WIDTH)
    for index, support in enumerate(supports):
        scale = GUIDANCE[:, index, None, None]
        scores = (1 + scale) * logits - scale * blind if guided else logits
        scores = scores / TEMPERATURE[:, index, None, None] if tempered else scores
        ids = torch.tensor([i for i in range(support.start, support.stop) if i not in support.banned])
        logprobs = torch.full_like(scores, -torch.inf).index_copy(-1, ids, scores[..., ids].log_softmax(-1))
        here = scored & (support.start <= TARGETS) & (support.stop > TARGETS)
        found = torch.where(here, logprobs.gather(-1, TARGETS[..., None])[..., 0], found)
    return found


def ours(model, supports, scored, tempered, guided, chunk=3, **foreseen):
    return token_logprobs(
        model,
        INPUT,
        SEEN,
        TARGETS,
        scored,
        supports,
        chunk,
        temperature_RS=TEMPERATURE[:, : len(supports)] if tempered else None,
        unguided=(BLIND, SEEN) if guided else None,
        guidance_RS=GUIDANCE[:, : len(supports)] if guided else None,
        **foreseen,
    )


def curved(logprobs):
    """A loss whose slope by each log-probability depends on it alone."""
    return (WEIGHTS * (logprobs / 3).exp()).sum()


def slopes(logprobs):
    return WEIGHTS * (logprobs / 3).exp() / 3


FORESEEN = {
    "nothing": {},
    "right": {"slopes": slopes},
    "right, in place": {"slopes": slopes, "in_place": True},
    "a third of it": {"slopes": lambda logprobs: slopes(logprobs) / 3},
    "wrong": {"slopes": lambda logprobs: -2 + slopes(logprobs)},
    "wrong, in place": {"slopes": lambda logprobs: -2 + slopes(logprobs), "in_place": True},
    "none at all": {"slopes": torch.zeros_like, "in_place": True},
}
SUPPORTS = {"text": [TEXT], "both": [TEXT, CODES], "all": [Support(start=0, stop=VOCAB)]}


def run(score, frozen, *args, **kwargs):
    """The value, and the gradients of two micro-batches that add up."""
    model = tiny_model(vocab=VOCAB)
    model.get_output_embeddings().weight.requires_grad_(not frozen)
    for _ in range(2):
        found = score(model, *args, **kwargs)
        curved(found).backward()
    return found.detach(), gradients(model)


@pytest.mark.parametrize("frozen", [False, True], ids=["trained", "frozen"])
@pytest.mark.parametrize("foreseen", FORESEEN)
@pytest.mark.parametrize("supports", SUPPORTS)
def test_value_and_gradient_are_those_of_full_logits(supports, foreseen, frozen):
    for tempered, guided, some in itertools.product([False, True], repeat=3):
        scored = MASKED & (some | (TARGETS > 99))
        args = SUPPORTS[supports], scored, tempered, guided
        found, expected = run(ours, frozen, *args, **FORESEEN[foreseen]), run(plainly, frozen, *args)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5 * max(1.0, float(other.abs().max())), rtol=1e-5)


class Products(TorchDispatchMode):
    """Counts the products of matrices of which one side is as long as the vocabulary."""

    def __init__(self, vocabulary: int):
        super().__init__()
        self.vocabulary, self.found = vocabulary, Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in ("mm", "addmm", "addmm_") and any(
            self.vocabulary in arg.shape for arg in args if isinstance(arg, torch.Tensor)
        ):
            self.found[name] += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("frozen", "foreseen", "expected"),
    [
        (False, "nothing", 4),
        (False, "right", 3),
        (False, "a third of it", 3),
        (False, "wrong", 6),
        (True, "nothing", 2),
    ],
)
def test_a_gradient_that_was_foreseen_needs_no_logits_again(frozen, foreseen, expected):
    model = tiny_model(vocab=VOCAB)
    model.get_output_embeddings().weight.requires_grad_(not frozen)
    with Products(VOCAB) as products:
        curved(ours(model, SUPPORTS["all"], MASKED, False, False, 100, **FORESEEN[foreseen])).backward()
    assert products.found.total() == expected


@pytest.mark.parametrize("foreseen", ["nothing", "right, in place", "wrong, in place"])
def test_gradients_that_add_up_in_place_stay_where_they_are(foreseen):
    model = tiny_model(vocab=VOCAB)
    places = []
    for _ in range(3):
        curved(ours(model, [TEXT], MASKED, False, False, **({"in_place": True} | FORESEEN[foreseen]))).backward()
        places.append([part.weight.grad.data_ptr() for part in (model.transformer.wte, model.transformer.ff_out)])
    assert places[0] == places[1] == places[2]


def test_bfloat16_is_normalised_in_float32():
    generator = torch.Generator().manual_seed(1)
    hidden, weight = (torch.randn(size, 16, generator=generator).bfloat16() for size in (6, 300))
    tokens = Tokens(torch.arange(6), ((Support(start=0, stop=300), 6),), 4)
    found = token_scores(hidden, weight, tokens)
    expected = (hidden @ weight.T).float().log_softmax(-1)[torch.arange(6), torch.arange(6)]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_a_gradient_may_be_asked_for_twice():
    model = tiny_model(vocab=VOCAB)
    found = curved(ours(model, [TEXT], MASKED, False, False, **FORESEEN["right"]))
    found.backward(retain_graph=True)
    once = gradients(model).clone()
    found.backward()
    torch.testing.assert_close(gradients(model), 2 * once, atol=1e-6, rtol=1e-5)
