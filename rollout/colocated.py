"""A policy that learns and samples with the same weights, and the frozen reference beside it."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rollout.sampler import Sampler
from unigrpo.config import EvalConfig, LoraSection, ModelSection, TrainConfig, tasks_of
from unigrpo.data.load import texts
from unigrpo.device import resolve_device
from unigrpo.engine import Engine
from unigrpo.learner import Learner, Reference, ReferencePolicy
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.models.llada import LLaDAModelLM
from unigrpo.models.load import Policy, load_policy
from unigrpo.state import restore_optimizer, restore_weights


def policy_of(model: ModelSection, config: TrainConfig) -> Policy:
    """The policy of a run; a preset's tokenizer is trained on the run's data."""
    return load_policy(model, texts_of(config) if model.preset else None, config.seed)


def texts_of(config: TrainConfig) -> list[str]:
    """The texts of a run's data, of which a preset's tokenizer is made."""
    return [text for task in tasks_of(config).values() for text in texts(task.data)]


def load_images(config: TrainConfig | EvalConfig) -> ImageTokenizer | None:
    """The image tokenizer of a run; none when no task has images."""
    if all(task.data.task == "text" for task in tasks_of(config).values()):
        return None
    return ImageTokenizer.load(config.model.image_tokenizer, resolve_device(config.model.device))


def reference_model(config: TrainConfig) -> LLaDAModelLM:
    """The frozen reference: the weights the run starts from, without adapters."""
    return policy_of(replace(config.model, lora=LoraSection()), config).model.requires_grad_(False)


def make_reference(config: TrainConfig) -> Reference:
    """The reference as a model of its own."""
    return Reference(reference_model(config), config.algo)


def needs_reference(config: TrainConfig) -> bool:
    """Whether a reference model of its own is loaded: with LoRA the base with adapters off is the reference."""
    return config.algo.beta > 0 and config.model.lora.rank == 0


def sampler_of(policy: Policy, config: TrainConfig) -> Sampler:
    """The sampler of a run."""
    settings = {name: task.rollout for name, task in tasks_of(config).items()}
    return Sampler(policy, settings, config.seed, load_images(config))


@dataclass(frozen=True, eq=False)
class Colocated:
    """Learner and sampler on one set of weights: nothing has to be handed over between them."""

    learner: Learner
    sampler: Sampler

    @classmethod
    def build(
        cls,
        config: TrainConfig,
        reference: ReferencePolicy | None = None,
        resume_from: Path | None = None,
        engine_of: Callable[..., Engine] = Engine,
        shards_weights: bool = False,
    ) -> "Colocated":
        """Loads the policy of a run, from a checkpoint when the run goes on.

        Args:
            reference: who scores under the frozen reference; by default it is loaded here, where one is needed.
            engine_of: what makes the engine of a model, the optimiser's settings and the number of steps.
            shards_weights: the engine leaves the model in pieces, so that a copy of it samples.
        """
        policy = policy_of(config.model, config)
        if resume_from:
            restore_weights(policy, resume_from)
        trained = policy.model
        if shards_weights:
            # From the host the engine takes the pieces of each rank: no GPU need hold the model whole, and twice.
            trained.to(device="cpu")  # pyright: ignore[reportCallIssue]
            policy = replace(policy, model=copy.deepcopy(trained).to(device="meta"))  # pyright: ignore[reportCallIssue]
        engine = engine_of(trained, config.optim, config.steps * config.algo.mu)
        if resume_from:
            restore_optimizer(engine, resume_from)
        if config.algo.beta > 0 and config.model.lora.rank > 0:
            reference = Reference(engine.module, config.algo, shares_model=True, splits=engine.starts_over)
        elif reference is None and needs_reference(config):
            reference = make_reference(config)
        colocated = cls(Learner(policy, engine, config.algo, reference), sampler_of(policy, config))
        colocated.sampler.load(colocated.learner.weights())
        return colocated
