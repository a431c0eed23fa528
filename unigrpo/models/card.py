"""The card of a model that is given away: a README.md of what it came from, how it was trained and how it is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from unigrpo.models.folder import read_json

CARD = "README.md"
STATED = ("license", "license_name", "license_link")
"""What a card takes over from that of its base model."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is said about a model."""

    name: str
    """Of its folder, or of its repository."""
    lineage: list[str]
    """What it came from, the oldest first; each is a folder, a name on the hub, or words."""
    stage: str
    """The verb that made it, and how many steps."""
    data: list[str]
    """What it learned from, one line each."""
    licence: Mapping[str, str]
    """Those of the keys `STATED` that are known."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings that differ from the defaults, by dotted key."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Last values, by name."""
    adapters: bool = False
    """It holds LoRA adapters alone, which need their base."""

    def text(self) -> str:
        """The whole file."""
        return "\n\n".join([self._front(), f"# {self.name}", *self._sections()]) + "\n"

    def _front(self) -> str:
        """What the hub reads; a base is named there only as the hub knows it."""
        known: dict[str, Any] = dict(self.licence)
        bases = [name for name in self.lineage[-1:] if is_hub_name(name)]
        known |= {"base_model": bases[0]} if bases else {}
        known |= {"library_name": "peft" if self.adapters else "transformers"}
        known |= {"pipeline_tag": "text-generation", "tags": ["diffusion-language-model", "mmada", "unigrpo"]}
        return f"---\n{yaml.safe_dump(known, sort_keys=False)}---"

    def _sections(self) -> list[str]:
        came = " -> ".join([*self.lineage, self.name])
        parts = [
            "A masked-diffusion language model" + (" (LoRA adapters)." if self.adapters else "."),
            f"## Origin\n\n{came}\n\nMade by `{self.stage}`.",
            "## Use\n\n" + (ADAPTERS if self.adapters else WHOLE).format(name=self.name),
            "## Data\n\n" + ("\n".join(f"- {line}" for line in self.data) or "Not recorded."),
            "## Settings\n\n" + _block(self.settings),
        ]
        if self.metrics:
            rows = "\n".join(f"| {name} | {value:.6g} |" for name, value in sorted(self.metrics.items()))
            parts.append(f"## Metrics\n\nThe last values of the run.\n\n| metric | value |\n|---|---|\n{rows}")
        return [*parts, "## Licence\n\n" + self._licence()]

    def _licence(self) -> str:
        found = self.licence.get("license")
        if found:
            return f"`{found}`."
        return "Not stated where the base model was found: that of the base model and of the data holds."


WHOLE = """```
unigrpo generate {name} --prompt "What is 12 + 34?"
```

```python
from unigrpo.config import ModelSection
from unigrpo.models import load_policy

policy = load_policy(ModelSection(path="{name}"))
logits = policy.model(policy.tokenizer("1 + 1 = ", return_tensors="pt").input_ids).logits
```

From the hub, `huggingface_hub.snapshot_download` makes the folder. After `import unigrpo.models` transformers'
`AutoModelForCausalLM` reads it too. Every token sees every token: generate by denoising, not from left to right."""
ADAPTERS = """The adapters need their base model:

```python
from unigrpo.models import load_model

model = load_model("BASE")
model.load_adapter("{name}")
```

BASE is the folder of the last model before this one, above."""


def is_hub_name(name: str) -> bool:
    """Whether a base can be on the hub: OWNER/NAME, and no folder here."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~")) and not Path(name).exists()


def licence_of(folder: Path) -> dict[str, str]:
    """What the card in a model's folder says about its licence."""
    return {name: str(value) for name, value in _front_matter(folder).items() if name in STATED}


def known_name(folder: Path) -> str:
    """What a base model is called: as its files say, or by its folder."""
    try:
        stated = str(read_json(folder / "config.json").get("_name_or_path") or "")
    except OSError:
        stated = ""
    return stated if is_hub_name(stated) else folder.name


def _front_matter(folder: Path) -> dict[str, Any]:
    try:
        text = (folder / CARD).read_text(encoding="utf-8")
    except OSError:
        return {}
    parts = text.split("---\n", 2)
    try:
        found = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0].strip() else None
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def _block(settings: Mapping[str, Any]) -> str:
    if not settings:
        return "The defaults."
    return f"```yaml\n{yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True, width=1000)}```"
