import json

import pytest
import torch

from tests.tiny import IDS, gradients, tiny_model
from unigrpo import checkpoint
from unigrpo.config import OptimSection
from unigrpo.engine import Engine, learning_rate
from unigrpo.errors import CheckpointError, TrainingError
from unigrpo.models import Policy, save_policy, train_tokenizer
from unigrpo.state import restore_state


def write(folder):
    (folder / "model.safetensors").write_bytes(b"weights")


def test_a_checkpoint_appears_whole_and_old_ones_go_after_the_new_one_stands(tmp_path):
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, write, {"position": step * 10}, keep=2)
    assert [path.name for path in checkpoint.checkpoints(tmp_path)] == ["checkpoint-2", "checkpoint-3"]
    assert checkpoint.latest(tmp_path) == (tmp_path / "checkpoint-3", {"step": 3, "position": 30})
    assert not list(tmp_path.glob("*.tmp"))


def test_a_crash_while_writing_leaves_the_checkpoint_before_it(tmp_path):
    checkpoint.save(tmp_path, 1, write, {}, keep=1)

    def fail(folder):
        write(folder)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(tmp_path, 2, fail, {}, keep=1)
    assert checkpoint.latest(tmp_path) == (tmp_path / "checkpoint-1", {"step": 1})


def test_steps_are_ordered_as_numbers(tmp_path):
    for step in (9, 10):
        checkpoint.save(tmp_path, step, write, {}, keep=5)
    found = checkpoint.latest(tmp_path)
    assert found is not None
    assert found[1]["step"] == 10


@pytest.mark.parametrize("name", ["model.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_named_and_so_is_the_way_out(tmp_path, name):
    folder = checkpoint.save(tmp_path, 1, write, {}, keep=1)
    (folder / name).write_bytes(b"x")
    with pytest.raises(CheckpointError, match=rf"{name} is not the file that was saved.*overwrite=true"):
        checkpoint.latest(tmp_path)
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=rf"{name} is missing"):
        checkpoint.latest(tmp_path)


@pytest.mark.parametrize(
    ("scores", "stay"),
    [
        ([0.1, 0.9, 0.5, 0.4], [2, 4]),
        ([0.1, 0.9, 0.9, 0.4], [3, 4]),
        ([0.1, 0.2, 0.3, 0.9], [4]),
        ([0.5, None, 0.3, None], [1, 4]),
        ([None, None, None, None], [4]),
    ],
)
def test_the_best_checkpoint_stays(tmp_path, scores, stay):
    for step, score in enumerate(scores, start=1):
        checkpoint.save(tmp_path, step, write, {"score": score}, keep=1)
    assert checkpoint.checkpoints(tmp_path) == [tmp_path / f"checkpoint-{step}" for step in stay]


def test_a_folder_that_is_replaced_is_never_missing_for_good(tmp_path, monkeypatch):
    checkpoint.publish(tmp_path / "model", lambda folder: (folder / "x").write_text("old"))
    rename = type(tmp_path).rename

    def crash(path, target):
        if path.name == "model.tmp":
            raise OSError("power cut")
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(type(tmp_path), "rename", crash)
        with pytest.raises(OSError, match="power cut"):
            checkpoint.publish(tmp_path / "model", lambda folder: (folder / "x").write_text("new"))

    def full(folder):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        checkpoint.publish(tmp_path / "model", full)
    assert (tmp_path / "model/x").read_text() == "old"
    checkpoint.publish(tmp_path / "model", lambda folder: (folder / "x").write_text("new"))
    assert (tmp_path / "model/x").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_an_unreadable_manifest_is_named(tmp_path):
    folder = checkpoint.save(tmp_path, 1, write, {}, keep=1)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(CheckpointError, match="checkpoint-1"):
        checkpoint.latest(tmp_path)
    assert json.loads((folder / "state.json").read_text()) == {"step": 1}


def step(engine, model):
    def backward():
        loss = model(torch.tensor([[1, 2, 9]])).logits.logsumexp(-1).mean()
        loss.backward()
        return {"loss": float(loss.detach())}

    return engine.step(backward)


def test_the_optimiser_goes_on_bit_for_bit_from_its_saved_state():
    optim = OptimSection(lr=1e-2, schedule="cosine", warmup_steps=2, weight_decay=0.1)
    whole, cut = tiny_model(), tiny_model()
    one, first = Engine(whole, optim, 6), Engine(cut, optim, 6)
    for _ in range(6):
        step(one, whole)
    for _ in range(3):
        step(first, cut)
    second = Engine(cut, optim, 6)
    second.load_state(first.state())
    for _ in range(3):
        step(second, cut)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), cut.parameters(), strict=True))


def test_a_loss_that_is_not_finite_is_left_out_and_too_many_in_a_row_stop():
    model = tiny_model()
    engine = Engine(model, OptimSection(lr=1e-2, schedule="linear", max_skipped=2), 8)

    def bad():
        (model.transformer.wte.weight.sum() * float("nan")).backward()
        return {"loss": float("nan")}

    rates = [engine.step(bad)["lr"], step(engine, model)["lr"]]
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    moments = {name: tensor.clone() for name, tensor in engine.state().items()}
    for _ in range(2):
        found = engine.step(bad)
        assert set(found) == {"skipped", "lr"}
        assert found["skipped"] == 1
        rates.append(found["lr"])
    with pytest.raises(TrainingError, match=r"not finite, nor were those of the 2 before it"):
        engine.step(bad)
    assert rates == [learning_rate(engine.optim, at, 8) for at in range(4)]
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert all(torch.equal(t, moments[name]) for name, t in engine.state().items() if "/" in name)
    assert step(engine, model)["skipped"] == 0
    assert engine.skipped_in_row == 0


def test_an_engine_that_has_left_out_all_its_steps_goes_on_from_its_state():
    model = tiny_model()
    engine = Engine(model, OptimSection(), 4)
    engine.step(lambda: {"loss": float("inf")})
    again = Engine(model, OptimSection(), 4)
    again.load_state(engine.state())
    assert (again.step_count, again.skipped_in_row) == (1, 1)
    step(engine, model)
    state = {name: tensor for name, tensor in engine.state().items() if "/" not in name}
    with pytest.raises(CheckpointError, match="of another model"):
        again.load_state(state)


def test_state_of_another_model_is_refused():
    model = tiny_model()
    engine = Engine(model, OptimSection(), 1)
    step(engine, model)
    other = {name.replace("blocks.0", "blocks.7"): tensor for name, tensor in engine.state().items()}
    with pytest.raises(CheckpointError, match="of another model"):
        Engine(tiny_model(), OptimSection(), 1).load_state(other)


def test_weights_of_another_model_are_refused(tmp_path):
    engine = Engine(tiny_model(), OptimSection(), 1)
    save_policy(Policy(tiny_model(vocab=12), train_tokenizer([], 268), IDS), tmp_path)
    with pytest.raises(CheckpointError, match=r"of another model: model\.transformer.* does not fit it"):
        restore_state(Policy(tiny_model(), train_tokenizer([], 268), IDS), engine, tmp_path)


def test_schedules_start_and_end_where_they_say():
    cosine = OptimSection(lr=1.0, schedule="cosine", warmup_steps=4, min_lr_ratio=0.1)
    assert [round(learning_rate(cosine, s, 11), 3) for s in (0, 3, 4, 7, 10)] == [0.25, 1.0, 1.0, 0.55, 0.1]
    assert learning_rate(OptimSection(lr=0.5), 99, 100) == 0.5


def constant_slope(model, scale):
    """A loss whose gradient is the same at every step."""

    def backward():
        loss = scale * sum(weight.sum() for weight in model.parameters())
        loss.backward()
        return {"loss": float(loss.detach())}

    return backward


def test_gradients_are_not_carried_over_and_are_scaled_down_to_the_limit():
    model = tiny_model()
    engine = Engine(model, OptimSection(max_grad_norm=0.5), 9)
    norms = [engine.step(constant_slope(model, 1.0))["grad_norm"] for _ in range(2)]
    count = sum(weight.numel() for weight in model.parameters())
    assert norms == pytest.approx([count**0.5] * 2)
    assert float(gradients(model).norm()) == pytest.approx(0.5, rel=1e-4)


def test_matrices_decay_and_norms_and_embeddings_do_not_and_a_rate_of_zero_moves_nothing():
    model = tiny_model()
    engine = Engine(model, OptimSection(lr=0.1, weight_decay=0.5, schedule="linear"), 2)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    for _ in range(2):  # the last step of the schedule has rate 0
        engine.step(constant_slope(model, 0.0))
    for name, weight in model.named_parameters():
        kept = weight.ndim == 1 or name.endswith("wte.weight")
        torch.testing.assert_close(weight.detach(), before[name] * (1.0 if kept else 0.95))
