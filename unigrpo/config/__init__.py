"""Configuration as dataclasses; importing this imports no torch."""

from unigrpo.config.algo import AlgoSection, LikelihoodSection, NoiseRule, NoiseSection
from unigrpo.config.clip import ClipConfig
from unigrpo.config.imaging import MagvitSection, PicturesSection, TokenizerConfig, TokenizerLossSection
from unigrpo.config.init_mmada import InitMmadaConfig
from unigrpo.config.pipeline import PipelineConfig, StageSection
from unigrpo.config.rewards import RewardEntry, ScoringSection
from unigrpo.config.sections import (
    CheckpointSection,
    ClusterSection,
    DataSection,
    ImageSamplingSection,
    ImageTokenizerSection,
    LoraSection,
    ModelSection,
    OptimSection,
    RolloutSection,
    SamplingSection,
    TrackingSection,
)
from unigrpo.config.tasks import streams_of, tasks_of
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
    "ClipConfig",
    "ClusterSection",
    "DataSection",
    "EvalConfig",
    "EvalSection",
    "GenerateConfig",
    "ImageSamplingSection",
    "ImageTokenizerSection",
    "InitMmadaConfig",
    "LikelihoodSection",
    "LoraSection",
    "MagvitSection",
    "ModelSection",
    "NoiseRule",
    "NoiseSection",
    "OptimSection",
    "PicturesSection",
    "PipelineConfig",
    "RewardEntry",
    "RolloutSection",
    "SFTConfig",
    "SFTSection",
    "SamplingSection",
    "ScoringSection",
    "StageSection",
    "StreamSection",
    "TaskSection",
    "TokenizerConfig",
    "TokenizerLossSection",
    "TrackingSection",
    "TrainConfig",
    "streams_of",
    "tasks_of",
]
