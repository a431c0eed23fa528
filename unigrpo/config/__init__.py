"""Configuration as dataclasses; importing this imports no torch."""

from unigrpo.config.algo import AlgoSection, LikelihoodSection, NoiseRule, NoiseSection
from unigrpo.config.clip import ClipConfig
from unigrpo.config.curate import CurateConfig, FilterSection, TeacherSection
from unigrpo.config.demo import DemoConfig
from unigrpo.config.evaluation import ChoicesSection, EvalConfig, EvalTaskSection, FidSection
from unigrpo.config.export import ExportConfig
from unigrpo.config.imaging import MagvitSection, PicturesSection, TokenizerConfig, TokenizerLossSection
from unigrpo.config.init_mmada import InitMmadaConfig
from unigrpo.config.pipeline import PipelineConfig, StageSection
from unigrpo.config.report import ReportConfig
from unigrpo.config.rewards import RewardEntry, ScoringSection
from unigrpo.config.samples import JoinSection, SampleFilterSection, ShotsSection
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
from unigrpo.config.sft import MixSection, SFTConfig, SFTSection, StandInSection, StreamSection
from unigrpo.config.sweep import (
    AxisSection,
    EarlyStopSection,
    ResourcesSection,
    SearchSection,
    SweepClusterSection,
    SweepConfig,
)
from unigrpo.config.tasks import sets_of, streams_data, streams_of, tasks_of
from unigrpo.config.tokenize_images import TokenizeImagesConfig
from unigrpo.config.verbs import (
    EvalSection,
    GenerateConfig,
    TaskSection,
    TrainConfig,
)

__all__ = [
    "AlgoSection",
    "AxisSection",
    "CheckpointSection",
    "ChoicesSection",
    "ClipConfig",
    "ClusterSection",
    "CurateConfig",
    "DataSection",
    "DemoConfig",
    "EarlyStopSection",
    "EvalConfig",
    "EvalSection",
    "EvalTaskSection",
    "ExportConfig",
    "FidSection",
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
    "ReportConfig",
    "ResourcesSection",
    "RewardEntry",
    "RolloutSection",
    "SFTConfig",
    "SFTSection",
    "SampleFilterSection",
    "SamplingSection",
    "ScoringSection",
    "SearchSection",
    "ShotsSection",
    "StageSection",
    "StandInSection",
    "StreamSection",
    "SweepClusterSection",
    "SweepConfig",
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
