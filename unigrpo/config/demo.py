"""The settings of `unigrpo demo`."""

from dataclasses import dataclass, field
from typing import Literal

from unigrpo.config.sections import ClusterSection, ModelSection, SamplingSection


@dataclass(kw_only=True)
class DemoConfig:
    """`unigrpo demo`: a page in the browser to try a model on, with every step of its denoising."""

    compare: str | None = None
    """A second run or model, asked the same with the same seed: such as before and after UniGRPO. It is the second
    word, and `model.path` the first. What the page proposes is then the sampling of this one."""
    host: str = "127.0.0.1"
    """Address that is listened on. By default only this machine can open the page; 0.0.0.0 lets all in that reach it,
    and nobody is asked for a password."""
    port: int = 7860
    """Port that is listened on; 0 takes one that is free."""
    share: bool = False
    """Also make a public link through gradio's servers: whoever has it can use the models."""
    seed: int = 0
    """Seed that the page proposes."""
    model: ModelSection = field(default_factory=ModelSection)
    """The model. Without an image tokenizer it neither sees nor draws."""
    template: Literal["chat", "plain"] = "chat"
    """As in the data section; a run's own, unless it is set."""
    instruction: str = ""
    """As in the data section; a run's own, unless it is set."""
    legacy_eot: bool = False
    """As in the data section; a run's own, unless it is set."""
    max_prompt_length: int = 512
    """Most tokens a prompt may have; those of an image are not counted."""
    fit: Literal["crop", "squash", "pad"] = "crop"
    """How a picture becomes square, as in the data section."""
    rollout: SamplingSection = field(default_factory=SamplingSection)
    """Sampling that the page proposes; a run's own, unless it is set."""
    cluster: ClusterSection = field(default_factory=lambda: ClusterSection(backend="local"))
    """Threads."""


PAGE = ("compare", "host", "port", "share")
"""The settings of the page; the others are those of `unigrpo generate`."""


def host_is_named(it: DemoConfig) -> str | None:
    """An empty address would be every address."""
    return None if it.host.strip() else "host is empty: set an address, such as 127.0.0.1 for this machine alone."


def models_differ(it: DemoConfig) -> str | None:
    """What stands beside a model is another one."""
    if it.compare is not None and it.compare == it.model.path:
        return f"compare is {it.compare!r}, the model itself: name another one, or drop it."
    return None


DEMO_RULES = [host_is_named, models_differ]
