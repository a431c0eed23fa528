import pytest
import torch

from unigrpo.models.embedding import TokenEmbedding


@pytest.fixture
def threads():
    """Four threads, which may add up in another order each time."""
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def gradient(embedding: torch.nn.Embedding, ids_BT: torch.Tensor, grad_BTD: torch.Tensor) -> torch.Tensor:
    embedding.weight.grad = None
    embedding(ids_BT).backward(grad_BTD)
    assert embedding.weight.grad is not None
    return embedding.weight.grad


def test_the_gradient_of_few_ids_that_come_often_has_the_same_bits_each_time(threads):
    ids_BT, grad_BTD = torch.randint(0, 20, (256, 12)), torch.randn(256, 12, 128)
    ours, plain = TokenEmbedding(20, 128), torch.nn.Embedding(20, 128)
    found = [gradient(ours, ids_BT, grad_BTD) for _ in range(8)]
    assert all(torch.equal(one, found[0]) for one in found)
    torch.testing.assert_close(found[0], gradient(plain, ids_BT, grad_BTD))
