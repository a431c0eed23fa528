"""Configuration as dataclasses; importing this imports no torch."""

from unigrpo.config.algo import AlgoSection, LikelihoodSection, NoiseRule, NoiseSection
from unigrpo.config.sections import (
    CheckpointSection,
    ClusterSection,
    DataSection,
    ImageSamplingSection,
    ImageTokenizerSection,
    LoraSection,
    ModelSection,
    OptimSection,
    RewardEntry,
    RolloutSection,
    SamplingSection,
    TrackingSection,
)
from unigrpo.config.verbs import (
    EvalConfig,
    EvalSection,
    GenerateConfig,
    SFTConfig,
    SFTSection,
    StreamSection,
    TaskSection,
    TrainConfig,
)

__all__ = [
    "AlgoSection",
    "CheckpointSection",
    "ClusterSection",
    "DataSection",
    "EvalConfig",
    "EvalSection",
    "GenerateConfig",
    "ImageSamplingSection",
    "ImageTokenizerSection",
    "LikelihoodSection",
    "LoraSection",
    "ModelSection",
    "NoiseRule",
    "NoiseSection",
    "OptimSection",
    "RewardEntry",
    "RolloutSection",
    "SFTConfig",
    "SFTSection",
    "SamplingSection",
    "StreamSection",
    "TaskSection",
    "TrackingSection",
    "TrainConfig",
]
