"""Configuration as dataclasses; importing this imports no torch."""

from unigrpo.config.algo import AlgoSection, LikelihoodSection, NoiseRule, NoiseSection
from unigrpo.config.clip import ClipConfig
from unigrpo.config.curate import CurateConfig, FilterSection, TeacherSection
from unigrpo.config.imaging import MagvitSection, PicturesSection, TokenizerConfig, TokenizerLossSection
from unigrpo.config.init_mmada import InitMmadaConfig
from unigrpo.config.pipeline import PipelineConfig, StageSection
from unigrpo.config.rewards import RewardEntry, ScoringSection
from unigrpo.config.samples import JoinSection, SampleFilterSection
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
from unigrpo.config.tasks import sets_of, streams_data, streams_of, tasks_of
from unigrpo.config.tokenize_images import TokenizeImagesConfig
from unigrpo.config.verbs import (
    EvalConfig,
    EvalSection,
    GenerateConfig,
    MixSection,
    SFTConfig,
    SFTSection,
    StandInSection,
    StreamSection,
    TaskSection,
    TrainConfig,
)

__all__ = [
    "AlgoSection",
    "CheckpointSection",
    "ClipConfig",
    "ClusterSection",
    "CurateConfig",
    "DataSection",
    "EvalConfig",
    "EvalSection",
    "FilterSection",
    "GenerateConfig",
    "ImageSamplingSection",
    "ImageTokenizerSection",
    "InitMmadaConfig",
    "JoinSection",
    "LikelihoodSection",
    "LoraSection",
    "MagvitSection",
    "MixSection",
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
    "SampleFilterSection",
    "SamplingSection",
    "ScoringSection",
    "StageSection",
    "StandInSection",
    "StreamSection",
    "TaskSection",
    "TeacherSection",
    "TokenizeImagesConfig",
    "TokenizerConfig",
    "TokenizerLossSection",
    "TrackingSection",
    "TrainConfig",
    "sets_of",
    "streams_data",
    "streams_of",
    "tasks_of",
]
