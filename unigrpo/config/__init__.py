"""Configuration as dataclasses; importing this imports no torch."""

from unigrpo.config.algo import AlgoSection, LikelihoodSection, NoiseSection
from unigrpo.config.sections import (
    CheckpointSection,
    ClusterSection,
    DataSection,
    LoraSection,
    ModelSection,
    OptimSection,
    RewardEntry,
    RolloutSection,
    SamplingSection,
    TrackingSection,
)
from unigrpo.config.verbs import EvalConfig, EvalSection, GenerateConfig, SFTConfig, SFTSection, TrainConfig

__all__ = [
    "AlgoSection",
    "CheckpointSection",
    "ClusterSection",
    "DataSection",
    "EvalConfig",
    "EvalSection",
    "GenerateConfig",
    "LikelihoodSection",
    "LoraSection",
    "ModelSection",
    "NoiseSection",
    "OptimSection",
    "RewardEntry",
    "RolloutSection",
    "SFTConfig",
    "SFTSection",
    "SamplingSection",
    "TrackingSection",
    "TrainConfig",
]
