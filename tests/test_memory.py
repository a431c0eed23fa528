import numpy as np
import pytest
import torch

from rollout.sampler import Sampler
from tests.test_learner import learner
from tests.test_train import Letters
from tests.tiny import IDS, tiny_batch, tiny_model
from unigrpo.config import AlgoSection, LikelihoodSection, SamplingSection
from unigrpo.errors import OutOfMemoryError
from unigrpo.learner import Reference
from unigrpo.memory import Portion, out_of_memory
from unigrpo.models.load import Policy
from unigrpo.types import Prompt


class Cramped(torch.nn.Module):
    """A model in little memory: more than so many rows at one time do not fit."""

    def __init__(self, model, rows: int, only_with_gradient: bool = False):
        super().__init__()
        self.model, self.rows, self.only_with_gradient = model, rows, only_with_gradient

    def hidden_states(self, tokens_BT, *rest):
        if len(tokens_BT) > self.rows and (torch.is_grad_enabled() or not self.only_with_gradient):
            raise torch.OutOfMemoryError(f"{len(tokens_BT)} rows")
        return self.model.hidden_states(tokens_BT, *rest)

    def head_logits(self, *args):
        return self.model.head_logits(*args)

    def in_head(self, *args):
        return self.model.in_head(*args)

    def state_dict(self, *args, **kwargs):
        return self.model.state_dict(*args, **kwargs)


def test_a_portion_halves_until_it_fits_and_stays_there(capfd):
    seen = []

    def attempt(size):
        seen.append(size)
        if size > 3:
            raise torch.OutOfMemoryError
        return size

    portion = Portion("rollout.batch_size", 16)
    assert [portion.run(attempt), portion.run(attempt)] == [2, 2]
    assert seen == [16, 8, 4, 2, 2]
    assert "Out of memory with rollout.batch_size=16: going on with 8." in capfd.readouterr().err


@pytest.mark.parametrize(("size", "splits"), [(1, True), (8, False)])
def test_what_cannot_be_halved_raises(size, splits):
    def attempt(size):
        raise MemoryError

    with pytest.raises(OutOfMemoryError, match=f"Out of memory with k={size}"):
        Portion("k", size, splits).run(attempt)


def test_other_errors_are_not_taken_for_memory():
    def attempt(size):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        Portion("k", 8).run(attempt)


def test_the_hosts_allocator_is_understood():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60, dtype=torch.uint8)
    assert out_of_memory(raised.value)


@pytest.mark.parametrize("only_with_gradient", [False, True])
def test_a_learner_in_little_memory_makes_the_same_updates(only_with_gradient):
    algo = AlgoSection(mu=2, likelihood=LikelihoodSection(micro_batch=6))
    found = []
    for rows in (100, 2):
        model = tiny_model()
        one = learner(algo, Cramped(model, rows, only_with_gradient), Reference(tiny_model(seed=1), algo))
        metrics = [one.learn([tiny_batch(algo, seed=seed)]) for seed in range(2)]
        found.append((metrics, torch.cat([p.flatten() for p in model.parameters()])))
    assert one.portion.size == 1
    torch.testing.assert_close(found[1][1], found[0][1], atol=1e-5, rtol=1e-5)
    for ours, theirs in zip(found[1][0], found[0][0], strict=True):
        assert ours["policy/loss"] == pytest.approx(theirs["policy/loss"], abs=1e-6)
        assert ours["policy/tokens"] == theirs["policy/tokens"]


def test_a_sampler_in_little_memory_draws_the_same():
    prompts = [Prompt(id=str(n), task="text", text="", tokens=np.array([n % 7, 1])) for n in range(5)]
    settings = SamplingSection(gen_length=8, block_length=8)
    found = []
    for rows in (100, 3):
        policy = Policy(Cramped(tiny_model(), rows), Letters(), IDS)  # pyright: ignore[reportArgumentType]
        sampler = Sampler(policy, settings, 0)
        found.append([rollout.tokens.tolist() for rollout in sampler.sample(prompts, 2, 0)])
    assert found[0] == found[1]
    assert sampler.portions[""].size == 2
