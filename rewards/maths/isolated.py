"""The verifier as the children of a pool hold it."""

from rewards.maths.options import Options
from rewards.maths.verifier import verify


class Verifier:
    """Compares answers by one set of options."""

    def __init__(self, **options) -> None:
        """See `Options`."""
        self.options = Options(**options)

    def __call__(self, part: str, gold: str) -> tuple[bool, str]:
        """Return whether the answer part is right, and why not."""
        return verify(part, gold, self.options)
