import pytest
import torch
from torch import nn

from tests.tiny import tiny_model
from unigrpo.config import OptimSection
from unigrpo.engine import Engine
from unigrpo.errors import CheckpointError
from unigrpo.sft.ema import RunningMean


def mean_of(model: nn.Module, decay: float) -> RunningMean:
    return RunningMean(Engine(model, OptimSection(), 1), decay)


def walk(layer: nn.Linear, values: list[float]):
    for value in values:
        layer.weight.data.fill_(value)
        yield value


def test_the_mean_is_the_sum_with_geometric_weights():
    layer = nn.Linear(2, 1, bias=False)
    layer.weight.data.fill_(3.0)
    mean = mean_of(layer, 0.9)
    values = [1.0, -2.0, 0.5, 4.0]
    for _ in walk(layer, values):
        mean.update()
    expected = 0.9**4 * 3.0 + sum(0.1 * 0.9 ** (3 - at) * value for at, value in enumerate(values))
    torch.testing.assert_close(mean.means["weight"], torch.full((1, 2), expected))


def test_small_changes_of_bfloat16_weights_are_not_lost_in_the_mean():
    layer = nn.Linear(1, 1, bias=False, dtype=torch.bfloat16)
    layer.weight.data.fill_(1.0)
    mean = mean_of(layer, 0.999)
    layer.weight.data.fill_(1.0078125)
    for _ in range(100):
        mean.update()
    assert float(mean.means["weight"]) == pytest.approx(1 + 0.0078125 * (1 - 0.999**100), rel=1e-5)


def test_the_model_has_the_means_for_a_while_and_its_own_weights_again_even_after_an_error():
    model = tiny_model()
    mean = mean_of(model, 0.5)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    for value in mean.means.values():
        value.add_(1.0)

    def fail():
        assert torch.equal(model.transformer.wte.weight, before["model.transformer.wte.weight"] + 1)
        raise KeyError

    with pytest.raises(KeyError), mean.used():
        fail()
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_only_what_is_trained_has_a_mean():
    model = tiny_model().requires_grad_(False)
    model.transformer.ln_f.weight.requires_grad_(True)
    assert list(mean_of(model, 0.5).means) == ["model.transformer.ln_f.weight"]


def test_a_mean_that_is_not_there_or_of_another_model_is_refused(tmp_path):
    mean = mean_of(tiny_model(), 0.5)
    with pytest.raises(CheckpointError, match=r"holds no ema\.safetensors, for it was written without sft\.ema"):
        mean.load(tmp_path)
    mean_of(tiny_model(vocab=12), 0.5).snapshot()(tmp_path)
    with pytest.raises(CheckpointError, match="of another model"):
        mean.load(tmp_path)
