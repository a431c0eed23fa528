import numpy as np
import pytest

from unigrpo.types import Prompt, Rollout, Sampling


@pytest.fixture
def rollout():
    """Make a rollout of a given output and, of a drawing, image; keyword arguments are fields of its prompt."""

    def make(output: str, image: np.ndarray | None = None, **prompt) -> Rollout:
        fields = {"id": "p:1", "task": "text", "text": "6*7=", "answer": "42"} | prompt
        return Rollout(
            id=f"3/{fields['id']}/0",
            prompt=Prompt(tokens=np.array([0, 5]), **fields),
            tokens=np.array([7, 8, 1]),
            commit_step=np.zeros(3, dtype=np.int32),
            output=output,
            sampling=Sampling(temperature=1.0, guidance=0.0, gen_length=4, block_length=4),
            truncated=False,
            image=image,
        )

    return make


@pytest.fixture
def user_file(tmp_path):
    """Write a reward file and return its path."""

    def write(source: str, name: str = "rewards.py") -> str:
        path = tmp_path / name
        path.write_text(source)
        return str(path)

    return write
