"""How many answers were kept, why others were not, and what they cost."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from unigrpo.config import TeacherSection
from unigrpo.config.files import write_atomically
from unigrpo.curation.requests import Named
from unigrpo.curation.said import Said
from unigrpo.report import table

NAME = "curation.json"
SHOWN = 300
"""Characters of an example."""


@dataclass(kw_only=True)
class Summary:
    """What came of a curation."""

    prompts: int
    wanted: int
    """Answers that were to be had."""
    answers: int
    """Those that there are."""
    right: int = 0
    kept: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    """Answers that were not kept, by the first reason."""
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    """Of all answers that were used, whenever they were asked for."""
    asked: int = 0
    """Answers that this call asked for."""
    asked_cost: float = 0.0
    seconds: float = 0.0
    """Of this call."""
    groups: dict[str, int] = field(default_factory=dict)
    """Rows of each group that was balanced."""
    examples: dict[str, str] = field(default_factory=dict)
    """What was said of one answer, by the reason."""

    @property
    def keep_rate(self) -> float:
        """Share of the answers that were kept."""
        return self.kept / self.answers if self.answers else 0.0

    def reject(self, reasons: Mapping[str, int], example: str = "") -> None:
        """Count answers that are not kept; of each reason the end of the first example stays."""
        self.rejected = dict(Counter(self.rejected) + Counter(reasons))
        if example:
            self.examples |= {reason: example[-SHOWN:] for reason in reasons if reason not in self.examples}

    def pay(self, section: TeacherSection, said: Mapping[Named, Said], asked: set[Named]) -> None:
        """Add up tokens and cost."""
        self.tokens_in = sum(one.tokens_in for one in said.values())
        self.tokens_out = sum(one.tokens_out for one in said.values())
        self.cost = sum(cost(section, one) for one in said.values())
        self.asked, self.asked_cost = len(asked), sum(cost(section, said[name]) for name in asked)

    def write(self, folder: Path) -> None:
        """Write curation.json."""
        values = {"keep_rate": self.keep_rate, **asdict(self)}
        write_atomically(folder / NAME, json.dumps(values, indent=2, ensure_ascii=False) + "\n")

    def table(self) -> str:
        """Return it as Markdown."""
        rows = [
            ("prompts", f"{self.prompts:,}"),
            ("answers", f"{self.answers:,} of {self.wanted:,}"),
            ("right", f"{self.right:,} ({_share(self.right, self.answers)})"),
            ("kept", f"{self.kept:,} ({_share(self.kept, self.answers)})"),
            *((f"not kept: {reason}", f"{count:,}") for reason, count in self.rejected.items()),
            *((f"group {name}", f"{count:,}") for name, count in self.groups.items()),
            ("tokens in, out", f"{self.tokens_in:,}, {self.tokens_out:,}"),
            ("cost", f"{self.cost:,.4f}"),
            ("asked for in this call", f"{self.asked:,} (cost {self.asked_cost:,.4f})"),
            ("seconds", f"{self.seconds:.1f}"),
        ]
        return table([{"": name, "value": value} for name, value in rows])


def cost(section: TeacherSection, said: Said) -> float:
    """Return the price of one answer."""
    return (section.price_in * said.tokens_in + section.price_out * said.tokens_out) / 1e6


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0%"
