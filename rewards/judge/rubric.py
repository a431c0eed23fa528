"""The rubric: what the judge is told, with places for what it is to judge."""

from dataclasses import dataclass
from string import Formatter

from unigrpo.errors import ConfigError


@dataclass(frozen=True)
class Rubric:
    """A text with places named in braces; braces that are meant as such are doubled."""

    pieces: tuple[tuple[str, str | None], ...]
    """Text, and the name of the place after it."""

    @classmethod
    def parse(cls, template: str) -> "Rubric":
        """Read a template such as `Is {response} polite?`.

        Raises:
            ConfigError: its braces do not pair, a place is no plain name, or there is nothing to be judged.
        """
        try:
            found = list(Formatter().parse(template))
        except ValueError as error:
            raise ConfigError(f"rubric: {error}: write {{name}} for a place, and {{{{ or }}}} for a brace.") from None
        for _, name, spec, conversion in found:
            if name is not None and (spec or conversion or not name.isidentifier()):
                raise ConfigError(f"rubric has the place {{{name}}}: name it alone, as in {{response}} or a column.")
        rubric = cls(tuple((text, name) for text, name, _, _ in found))
        if not {"response", "image"} & set(rubric.names):
            raise ConfigError("rubric names neither {response} nor {image}, so that nothing would be judged: add one.")
        return rubric

    @property
    def names(self) -> tuple[str, ...]:
        """Every name once, in order."""
        return tuple(dict.fromkeys(name for _, name in self.pieces if name is not None))
