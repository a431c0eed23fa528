"""What counts as the same answer where taste differs. Each default is the strict reading that a reward needs."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from unigrpo.errors import ConfigError

Percent = Literal["value", "either"]
Units = Literal["optional", "require", "convert", "ignore"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How an answer is compared with the reference."""

    percent: Percent = "value"
    """`value`: 4% is 0.04 and nothing else. `either`: it is also 4. A reference of 25% takes 25 either way."""
    units: Units = "optional"
    """`optional`: one side may leave its unit out, two units must agree. `require`: both or none. `convert`: 5 m is
    500 cm. `ignore`: units say nothing."""
    ordered: bool = True
    """Whether (1, 2) is a pair, which neither (2, 1) nor {1, 2} nor 1, 2 answers. A bare list `1, 2` has no order, but
    its answer in round brackets must keep it. False: brackets and order say nothing."""
    tolerance: float = 5e-6
    """How far, relatively, a decimal may be from a reference without a finite decimal form (1/3, pi); 0 for not at all.
    The decimal must show as many significant digits: six by default. All other numbers are compared exactly."""
    simplified: bool = True
    """Whether arithmetic left undone among plain numbers (2+2, 3*4) is no answer."""

    def __post_init__(self):
        for name, allowed in (("percent", get_args(Percent)), ("units", get_args(Units))):
            if getattr(self, name) not in allowed:
                raise ConfigError(
                    f"rewards.math.args.{name} is {getattr(self, name)!r}: set it to {_choices(allowed)}."
                )
        for name in ("ordered", "simplified"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"rewards.math.args.{name} is {getattr(self, name)!r}: set it to true or false.")
        number = isinstance(self.tolerance, int | float) and not isinstance(self.tolerance, bool)
        if not number or not 0 <= self.tolerance < 1:
            raise ConfigError(
                f"rewards.math.args.tolerance is {self.tolerance!r}: set it from 0 to below 1, such as 1e-3."
            )

    @property
    def digits(self) -> float:
        """Significant digits that a decimal must show to be taken as an approximation."""
        return math.ceil(-math.log10(self.tolerance)) if self.tolerance else math.inf


def _choices(allowed: tuple[str, ...]) -> str:
    return ", ".join(f"`{choice}`" for choice in allowed[:-1]) + f" or `{allowed[-1]}`"
