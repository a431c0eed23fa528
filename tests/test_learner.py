import copy
import math
import pickle
from dataclasses import replace

import pytest
import torch

from tests.tiny import IDS, gradients, scored_group, tiny_batch, tiny_model
from unigrpo.algo.advantage import advantages
from unigrpo.algo.likelihood import token_logprobs
from unigrpo.algo.objective import policy_loss
from unigrpo.batch import make_batches
from unigrpo.config import AlgoSection, LikelihoodSection, NoiseSection, OptimSection
from unigrpo.engine import Engine
from unigrpo.errors import TrainingError
from unigrpo.learner import Learner, Reference, earning, frozen_logprobs, score_views
from unigrpo.models.load import Policy


def learner(algo, model=None, reference=None, lr=1e-2, max_grad_norm=0.0):
    model = model or tiny_model()
    optim = OptimSection(lr=lr, max_grad_norm=max_grad_norm)
    policy = Policy(model, None, IDS)  # pyright: ignore[reportArgumentType]
    return Learner(policy, Engine(model, optim, 100), algo, reference)


def first_gradient(algo, batch=None, model=None, reference=None):
    one = learner(algo, model, reference)
    batches = [tiny_batch(algo) if batch is None else batch]
    metrics = one._backward(batches, 0, None, reference, **one._count(batches, 0))
    return gradients(one.model), metrics


def test_first_update_is_the_advantage_weighted_score_function_with_ratio_exactly_one():
    algo = AlgoSection(beta=0.0, mu=1)
    batch, model = tiny_batch(algo), tiny_model()
    found, metrics = first_gradient(algo, batch, model)
    assert metrics["ratio"] == metrics["tokens"]
    assert metrics["clipped"] == 0
    model.zero_grad()
    views = batch.views(algo, 0)
    masked = batch.tokens_BT.clone()
    masked[:, -6:][views.masked_BKC[:, 0]] = 9
    scored = views.scored_BKC[:, 0]
    logprobs = token_logprobs(model, masked, batch.key_mask_BT, batch.tokens_BT[:, -6:], scored, batch.supports)
    means = logprobs.sum(-1) / scored.sum(-1)
    (-(batch.advantages_B * means).mean()).backward()
    torch.testing.assert_close(found, gradients(model), atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 4, 6])
@pytest.mark.parametrize("aggregation", ["sequence", "token"])
def test_loss_and_gradient_do_not_depend_on_micro_batches(size, aggregation):
    def run(micro_batch):
        algo = AlgoSection(aggregation=aggregation, likelihood=LikelihoodSection(micro_batch=micro_batch))
        reference = frozen_logprobs(tiny_model(seed=5), [tiny_batch(algo)], algo, range(1))[0]
        return first_gradient(algo, reference=reference)

    (whole, a), (part, b) = run(6), run(size)
    torch.testing.assert_close(part, whole, atol=1e-6 * float(whole.abs().max()), rtol=1e-6)
    assert a["loss"] == pytest.approx(b["loss"], abs=1e-6)


def test_loss_and_gradient_do_not_depend_on_the_order_of_the_responses():
    algo = AlgoSection(beta=0.0, noise=NoiseSection(draws=2, prompt_mask=0.2))
    batch = tiny_batch(algo)
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    shuffled = replace(
        batch, **{name: value[order] for name, value in vars(batch).items() if isinstance(value, torch.Tensor)}
    )
    (found, a), (expected, b) = first_gradient(algo, shuffled), first_gradient(algo, batch)
    torch.testing.assert_close(found, expected, atol=1e-6 * float(expected.abs().max()), rtol=1e-6)
    assert a["loss"] == pytest.approx(b["loss"], abs=1e-6)


def test_old_policy_and_reference_score_the_masks_of_the_policy_bit_for_bit():
    algo = AlgoSection(mu=3, likelihood=LikelihoodSection(micro_batch=6))
    batch, model = tiny_batch(algo), tiny_model()
    reference = Reference(copy.deepcopy(model), algo).logprobs([batch])
    for update, [old] in enumerate(frozen_logprobs(model, [batch], algo, range(3))):
        with_gradient = score_views(model, batch, batch.views(algo, update), slice(0, 6), algo)
        assert torch.equal(old, reference[update][0])
        assert torch.equal(old, with_gradient.detach())


def test_masks_of_their_own_for_the_old_policy_would_break_the_ratio():
    """The negative control: with another seed the log-probabilities of equal weights differ."""
    algo = AlgoSection()
    model = tiny_model()
    ours, other = (frozen_logprobs(model, [tiny_batch(algo, seed=seed)], algo, range(1))[0][0] for seed in (0, 1))
    assert not torch.equal(ours, other)


def test_without_kl_the_reference_never_runs():
    class Untouchable:
        def logprobs(self, batches):
            raise AssertionError("the reference ran")

    algo = AlgoSection(beta=0.0)
    metrics = learner(algo, reference=Untouchable()).learn([tiny_batch(algo)])
    assert "policy/kl" not in metrics


def test_kl_is_zero_and_flat_when_the_policy_is_the_reference():
    algo = AlgoSection(beta=1.0)
    batch, model = tiny_batch(algo), tiny_model()
    reference = Reference(copy.deepcopy(model), algo).logprobs([batch])[0]
    with_kl, metrics = first_gradient(algo, batch, copy.deepcopy(model), reference)
    without, _ = first_gradient(AlgoSection(beta=0.0), batch, copy.deepcopy(model))
    assert metrics["kl"] == pytest.approx(0.0, abs=1e-12)
    torch.testing.assert_close(with_kl, without)


def test_dropping_a_zero_advantage_group_leaves_the_direction_of_the_gradient():
    algo = AlgoSection(beta=0.0)
    live = scored_group([1, 2], [[1, 2, 3], [4, 5, 8]], [0.0, 1.0], "live")
    dead = scored_group([3], [[1, 1], [2, 2, 2]], [1.0, 1.0], "dead")

    def gradient(scored):
        [batch] = make_batches(scored, 2, algo, seed=0, ids=IDS)
        return first_gradient(algo, batch)[0]

    with_dead, without = gradient(live + dead), gradient(live)
    torch.testing.assert_close(with_dead * 2, without, atol=1e-7, rtol=1e-5)


def test_inner_updates_move_the_ratio_and_are_counted_by_optimiser_step():
    algo = AlgoSection(mu=3, likelihood=LikelihoodSection(micro_batch=2))
    one = learner(algo, reference=Reference(tiny_model(), algo))
    metrics = one.learn([tiny_batch(algo)])
    assert one.engine.step_count == 3
    assert metrics["policy/ratio"] != 1.0
    assert metrics["policy/kl"] > 0
    assert metrics["policy/first_ratio_deviation"] < 1e-6


def test_dropout_stops_the_run_before_the_first_update():
    model = tiny_model()
    model.transformer.blocks[0].attn_out.register_forward_hook(lambda m, i, out: torch.nn.functional.dropout(out, 0.5))
    algo = AlgoSection()
    with pytest.raises(TrainingError, match="Is dropout on"):
        learner(algo, model).learn([tiny_batch(algo)])


def test_prompt_pads_and_what_follows_the_response_have_no_influence_on_the_masks_or_the_loss():
    algo = AlgoSection()
    batch = tiny_batch(algo)
    views = batch.views(algo, 0)
    after = torch.arange(6)[None] >= batch.lengths_B[:, None]
    assert (batch.tokens_BT[:, -6:][after] == 9).all()
    assert not views.scored_BKC[:, 0][after].any()


def test_the_distribution_that_was_sampled_is_scored_when_asked():
    """Guided and tempered, against the likelihood computed from the same pieces by hand."""
    algo = AlgoSection(beta=0.0, mu=1, likelihood=LikelihoodSection(temperature="sampled", guided=True))
    sampled = {"temperature_BS": torch.full((6, 1), 0.7), "guidance_BS": torch.full((6, 1), 1.5), "guided": True}
    batch = replace(tiny_batch(algo), **sampled)
    model, views = tiny_model(), batch.views(algo, 0)
    found = score_views(model, batch, views, slice(0, 6), algo)[:, 0]
    masked = batch.tokens_BT.clone()
    masked[:, -6:][views.masked_BKC[:, 0]] = 9
    blind = masked.clone()
    blind[:, :-6] = 9
    positions = (batch.key_mask_BT.cumsum(-1) - 1).clamp(min=0)
    sighted, unguided = (model(ids, batch.key_mask_BT, positions).logits[:, -6:, :9] for ids in (masked, blind))
    expected = ((2.5 * sighted - 1.5 * unguided) / 0.7).log_softmax(-1)
    expected = expected.gather(-1, batch.tokens_BT[:, -6:, None].clamp(max=8))[..., 0]
    scored = views.scored_BKC[:, 0]
    torch.testing.assert_close(found[scored], expected[scored], atol=1e-5, rtol=1e-5)
    metrics = learner(algo).learn([batch])
    assert metrics["policy/ratio"] == 1.0


def test_with_weights_that_do_not_move_every_update_has_ratio_one_and_no_kl():
    """Each update meets the old and the reference log-probabilities of its own masks and of its own rows."""
    algo = AlgoSection(mu=3, likelihood=LikelihoodSection(micro_batch=2))
    metrics = learner(algo, reference=Reference(tiny_model(), algo), lr=0.0).learn([tiny_batch(algo)])
    assert metrics["policy/ratio"] == pytest.approx(1.0, abs=1e-5)
    assert metrics["policy/kl"] == pytest.approx(0.0, abs=1e-8)


def test_version_counts_batches_and_survives_a_restart():
    algo = AlgoSection(beta=0.0, mu=3)
    one, other = learner(algo), learner(algo)
    for _ in range(2):
        one.learn([tiny_batch(algo)])
    other.engine.load_state(one.engine.state())
    assert one.weights().version == other.weights().version == 2


def test_a_batch_carries_what_the_sampler_recorded_and_a_key_for_each_rollout():
    scored = scored_group([1, 2], [[1, 2, 3], [4, 8]], [0.0, 1.0])
    sampling = replace(scored[0].rollout.sampling, temperature=0.7, guidance=1.5)
    scored = [replace(item, rollout=replace(item.rollout, sampling=sampling)) for item in scored]
    algo = AlgoSection(advantage="wd1", psi=0.5)
    [batch] = make_batches(scored, 2, algo, seed=0, ids=IDS)
    assert batch.commit_BC.tolist() == [[2, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]]
    assert batch.temperature_BS[:, 0].tolist() == pytest.approx([0.7, 0.7])
    assert batch.guidance_BS[:, 0].tolist() == [1.5, 1.5]
    assert batch.keys_B[0] != batch.keys_B[1]
    assert torch.equal(batch.advantages_B, advantages(torch.tensor([[0.0, 1.0]]), "wd1", 0.5)[0].float())


def test_log_probabilities_do_not_depend_on_the_prompts_beside_it():
    algo = AlgoSection()
    short, long = (scored_group(p, [[1, 2, 3], [4, 8]], [0.0, 1.0], str(len(p))) for p in ([5], [1, 2, 3, 4]))

    def logprobs(scored):
        [batch] = make_batches(scored, 2, algo, seed=0, ids=IDS)
        return frozen_logprobs(tiny_model(), [batch], algo, range(1))[0][0]

    torch.testing.assert_close(logprobs(short + long)[:2], logprobs(short), atol=1e-6, rtol=1e-5)


def test_a_masked_prompt_is_hidden_from_the_likelihood():
    algo = AlgoSection(noise=NoiseSection(rule="full", prompt_mask=0.5))
    batch, model = tiny_batch(algo), tiny_model()
    views = batch.views(algo, 0)
    assert views.prompt_BP is not None
    masked = batch.tokens_BT.clone()
    masked[:, :-6][views.prompt_BP] = 9
    masked[:, -6:][views.masked_BKC[:, 0]] = 9
    scored = views.scored_BKC[:, 0]
    expected = token_logprobs(model, masked, batch.key_mask_BT, batch.tokens_BT[:, -6:], scored, batch.supports)
    torch.testing.assert_close(score_views(model, batch, views, slice(0, 6), algo)[:, 0], expected)


def test_what_the_sampling_policy_said_is_the_old_policy_and_changes_nothing_while_it_is_the_policy_itself():
    algo = AlgoSection(mu=2, beta=0.0)
    batch = tiny_batch(algo)
    recorded = torch.stack([old for [old] in frozen_logprobs(tiny_model(), [batch], algo, range(2))], 1)
    on, off = learner(algo), learner(algo)
    expected = on.learn([batch])
    assert off.learn([replace(batch, behaviour_BUKC=recorded)]) == expected
    assert all(torch.equal(a, b) for a, b in zip(on.model.parameters(), off.model.parameters(), strict=True))


def test_the_first_ratio_is_to_the_policy_that_sampled_where_another_learns():
    algo = AlgoSection(mu=1, beta=0.0)
    batch, other = tiny_batch(algo), tiny_model(seed=4)
    recorded = torch.stack([old for [old] in frozen_logprobs(other, [batch], algo, range(1))], 1)
    now = frozen_logprobs(tiny_model(), [batch], algo, range(1))[0][0]
    earns = batch.views(algo, 0).scored_BKC & (batch.advantages_B != 0)[:, None, None]
    expected = (now - recorded[:, 0]).exp()[earns].mean()
    found = learner(algo).learn([replace(batch, behaviour_BUKC=recorded)])
    assert found["policy/ratio"] == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("advantage", ["grpo", "rloo", "reinforce++"])
def test_a_rollout_without_a_known_reward_is_as_if_it_had_not_been_drawn(advantage):
    algo = AlgoSection(advantage=advantage, beta=0.0)
    whole = scored_group([7, 1], [[1, 2, 8], [2, 8], [3, 3, 3, 8], [1, 8]], [0.0, math.nan, 1.0, 3.0])
    kept = [item for item in whole if item.known]
    found, expected = (
        first_gradient(algo, *make_batches(group, len(group), algo, seed=0, ids=IDS)) for group in (whole, kept)
    )
    assert torch.equal(found[0], expected[0])
    assert found[1] == expected[1]


def test_a_step_without_any_known_reward_has_no_batch():
    scored = scored_group([7, 1], [[1, 8], [2, 8]], [math.nan] * 2)
    assert make_batches(scored, 2, AlgoSection(), seed=0, ids=IDS) == []


RATIOS = [{}, {"ratio": "sequence"}, {"ratio": "none"}, {"ratio": "none", "negative": "eubo"}, {"ratio": "regress"}]


@pytest.mark.parametrize("aggregation", ["sequence", "token"])
@pytest.mark.parametrize("kind", RATIOS, ids=str)
def test_rows_that_earn_nothing_can_be_left_out_of_the_update(kind, aggregation):
    """Of the six responses one has advantage 0; a regression to it has a gradient all the same."""
    algo = AlgoSection(beta=0.0, aggregation=aggregation, likelihood=LikelihoodSection(chunk=2), **kind)
    batch = tiny_batch(algo)
    old = frozen_logprobs(tiny_model(seed=3), [batch], algo, range(1))[0][0]
    kept = earning([replace(batch, behaviour_BUKC=old[:, None])], algo)
    assert len(kept[0]) == (6 if algo.ratio == "regress" else 5)

    def gradient(batches, old):
        one = learner(algo)
        one._backward(batches, 0, old, None, **one._count([batch], 0))
        return gradients(one.model)

    whole, part = gradient([batch], [old]), gradient(kept, [kept[0].behaviour_BUKC[:, 0]])
    torch.testing.assert_close(part, whole, atol=1e-6 * float(whole.abs().max()), rtol=1e-5)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_ranks_have_as_many_rows_as_each_other_whichever_earn_nothing(world):
    algo = AlgoSection(beta=0.0)
    batch = replace(tiny_batch(algo), advantages_B=torch.tensor([0.0, 1.0, 0.0, 0.0, -1.0, 2.0]))
    [kept] = earning([batch], algo)
    shares = [kept.share(rank, world).by_length() for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    earned = torch.cat([share.advantages_B[: share.rows] for share in shares])
    assert sorted(earned.tolist()) == [-1.0, 1.0, 2.0]


def test_where_nobody_earns_anything_the_optimiser_goes_on_as_with_a_gradient_of_zero():
    """Momentum and decay still move the weights, as they would if all rows were scored."""
    algo = AlgoSection(mu=1, beta=0.0)
    barren = replace(tiny_batch(algo, seed=1), advantages_B=torch.zeros(6))
    found = []
    for one in (learner(algo), learner(replace(algo, beta=1e-30))):
        for batch in (tiny_batch(algo), barren):
            one.learn([batch])
        found.append(torch.cat([weight.detach().flatten() for weight in one.model.parameters()]))
    torch.testing.assert_close(*found, atol=1e-7, rtol=1e-6)


def test_no_column_of_a_part_is_padding_alone_and_neighbours_are_of_a_length():
    algo = AlgoSection(beta=0.0, mu=1, likelihood=LikelihoodSection(micro_batch=2))
    scored = [
        item
        for size in (1, 9, 2, 8, 3, 7)
        for item in scored_group(list(range(size))[:8] + [1] * (size - 8), [[1, 2], [3, 8]], [0.0, 1.0], str(size))
    ]
    [batch] = make_batches(scored, 2, algo, seed=0, ids=IDS)
    one, seen = learner(algo), []
    one.model.transformer.register_forward_pre_hook(lambda module, args: seen.append((args[0].shape[1] - 6, args[2])))
    one._backward([batch.by_length()], 0, None, None, **one._count([batch], 0))
    assert seen == [(size, None) for size in (9, 8, 7, 3, 2, 1)]


def test_updates_that_fit_are_scored_at_once_and_say_the_same():
    algo = AlgoSection(mu=4, noise=NoiseSection(draws=2, prompt_mask=0.3))
    batch, model, calls = tiny_batch(algo), tiny_model(), []
    model.transformer.ff_out.register_forward_hook(lambda *args: calls.append(1))
    found = [
        frozen_logprobs(model, [batch], replace(algo, likelihood=LikelihoodSection(micro_batch=size)), range(1, 4))
        for size in (18, 17)
    ]
    assert len(calls) == 1 + 3
    for [one], [other] in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", RATIOS, ids=str)
def test_the_gradient_is_that_of_full_logits(kind):
    """The head's gradient is foreseen where the loss allows it; an oracle takes what autograd makes of all logits."""
    algo = AlgoSection(beta=0.3, likelihood=LikelihoodSection(chunk=2), **kind)
    batch, model = tiny_batch(algo), tiny_model()
    old = frozen_logprobs(tiny_model(seed=3), [batch], algo, range(1))[0]
    reference = frozen_logprobs(tiny_model(seed=4), [batch], algo, range(1))[0]
    one = learner(algo, model)
    one._backward([batch], 0, old, reference, **one._count([batch], 0))
    found = gradients(model)
    views = batch.views(algo, 0)
    masked = batch.tokens_BT.clone()
    masked[:, -6:][views.masked_BKC[:, 0]] = 9
    logits = model(masked, batch.key_mask_BT).logits[:, -6:, :9]
    logprobs = logits.log_softmax(-1).gather(-1, batch.tokens_BT[:, -6:, None].clamp(max=8))[..., 0]
    logprobs = torch.where(views.scored_BKC, logprobs[:, None], 0.0)
    model.zero_grad()
    count = {"responses": 6, "tokens": float(views.scored_BKC.sum())}
    policy_loss(logprobs, old[0], reference[0], batch.advantages_B, views, batch.lengths_B, algo, **count)[0].backward()
    torch.testing.assert_close(found, gradients(model), atol=1e-5 * float(found.abs().max()), rtol=1e-5)


def test_masks_are_made_once_and_are_those_of_each_row_alone():
    algo = AlgoSection(noise=NoiseSection(draws=2, prompt_mask=0.3))
    batch = tiny_batch(algo)
    assert batch.views(algo, 1).masked_BKC.data_ptr() == batch.views(algo, 1).masked_BKC.data_ptr()
    assert batch.views(algo, 1).masked_BKC.data_ptr() != batch.views(algo, 0).masked_BKC.data_ptr()
    for row in range(6):
        fresh = tiny_batch(algo).of(torch.tensor([row]))
        for name in ("masked_BKC", "scored_BKC", "ratio_BK", "prompt_BP"):
            alone, among = (getattr(it.views(algo, 1), name) for it in (fresh, batch))
            assert torch.equal(alone[0], among[row])
    assert not pickle.loads(pickle.dumps(batch)).made
