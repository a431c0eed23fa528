"""Rules of how the workers of a training run are laid out."""

from unigrpo.config.sections import ClusterSection
from unigrpo.config.sft import SFTConfig
from unigrpo.config.verbs import TrainConfig


def stale_samples_come_from_elsewhere(it: TrainConfig) -> str | None:
    """A policy that samples itself cannot sample while it learns."""
    if it.rollout.max_staleness and it.cluster.layout != "separate":
        return (
            f"rollout.max_staleness is {it.rollout.max_staleness}, but with cluster.layout={it.cluster.layout} the "
            "policy samples itself, and cannot while it learns: set cluster.layout=separate."
        )
    return None


def half_precision_has_masters(it: TrainConfig | SFTConfig) -> str | None:
    """Without ZeRO, DeepSpeed's engine of bfloat16 weights is one that we have not tried."""
    if it.cluster.ranks > 1 and not it.cluster.zero and it.model.dtype == "bfloat16":
        return "cluster.zero is 0, but several ranks train bfloat16 weights only with ZeRO: set cluster.zero=1 or more."
    return None


def scorers_leave_room(it: TrainConfig) -> str | None:
    """Colocated scorers share the GPU of a rank."""
    cluster = it.cluster
    on_each = -(-cluster.reward_workers // cluster.ranks)
    if cluster.layout == "colocated" and on_each * cluster.reward_gpus >= 1:
        return (
            f"cluster.reward_gpus is {cluster.reward_gpus:g}, but {on_each} of the reward workers share the GPU of a "
            "rank with the policy: set it lower, or cluster.layout=separate."
        )
    if cluster.reward_gpus > 1 and cluster.reward_gpus % 1:
        return f"cluster.reward_gpus is {cluster.reward_gpus:g}: above 1, Ray gives whole GPUs only."
    return None


def what_sleeps_is_there(it: TrainConfig) -> str | None:
    """With LoRA the reference is the policy with its adapters off, and without KL there is none."""
    if it.cluster.sleep and (it.algo.beta == 0 or it.model.lora.rank):
        why = "algo.beta is 0" if it.algo.beta == 0 else "with model.lora it is the policy itself"
        return f"cluster.sleep is true, but there is no reference to rest ({why}): drop it."
    return None


CLUSTER_RULES = [
    stale_samples_come_from_elsewhere,
    half_precision_has_masters,
    scorers_leave_room,
    what_sleeps_is_there,
]


def ranks_only_learn(it: SFTConfig) -> str | None:
    """Nothing is sampled or scored in supervised fine-tuning."""
    for name in ("layout", "rollout_workers", "reward_workers", "reward_gpus", "sleep"):
        value = getattr(it.cluster, name)
        if value != getattr(ClusterSection(), name):
            return f"cluster.{name} is {value}, but it is only used by `unigrpo train`: drop it."
    return None


SFT_CLUSTER_RULES = [half_precision_has_masters, ranks_only_learn]
