import pytest

from actors.placement import plan
from unigrpo.config import AlgoSection, ClusterSection, LoraSection, ModelSection, TrainConfig


def planned(gpus=True, beta=0.01, rank=0, **cluster):
    config = TrainConfig(
        model=ModelSection(lora=LoraSection(rank=rank)), algo=AlgoSection(beta=beta), cluster=ClusterSection(**cluster)
    )
    return plan(config, gpus)


def test_a_rank_and_its_reference_share_one_gpu():
    found = planned(ranks=4)
    assert found.bundles() == [{"CPU": 2, "GPU": 1.0}] * 4 + [{"CPU": 1}]
    assert (found.total("CPU"), found.total("GPU")) == (9, 4)


@pytest.mark.parametrize("shares", [{"rank": 8}, {"beta": 0.0}])
def test_without_a_reference_of_its_own_a_rank_has_the_gpu_to_itself(shares):
    found = planned(ranks=2, **shares)
    assert found.reference is None
    assert found.bundles()[:2] == [{"CPU": 1, "GPU": 1.0}] * 2


def test_workers_that_sample_have_gpus_of_their_own_and_scorers_what_they_are_given():
    found = planned(ranks=2, layout="separate", rollout_workers=3, reward_workers=2, reward_gpus=0.25)
    assert found.total("GPU") == 2 + 3 + 0.5
    assert found.bundles()[2:] == [{"CPU": 1, "GPU": 1.0}] * 3 + [{"CPU": 1, "GPU": 0.25}] * 2


def test_colocated_scorers_share_the_gpus_of_the_ranks():
    found = planned(ranks=2, reward_workers=4, reward_gpus=0.1)
    assert found.policy.gpus == found.reference.gpus == pytest.approx(0.4)
    assert found.bundles() == [{"CPU": 4, "GPU": 1.0}] * 2
    assert found.places()["reward"] == [0, 1, 0, 1]


def test_on_the_cpu_nothing_asks_for_a_gpu():
    found = planned(gpus=False, ranks=2, layout="separate")
    assert found.total("GPU") == 0
    assert all("GPU" not in bundle for bundle in found.bundles())


def test_the_table_shows_every_role_and_the_cluster_beside_what_is_needed():
    lines = planned(ranks=2).table({"CPU": 3.0}).splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert cells == [
        ["policy", "2", "1", "0.5"],
        ["reference", "2", "1", "0.5"],
        ["reward", "1", "1", "0"],
        ["all", "5", "5", "2"],
        ["cluster", "", "3", "0"],
    ]
