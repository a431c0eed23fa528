"""One data set as an endless sequence of drafts, epoch after epoch, that goes on from a few numbers."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from unigrpo.config import DataSection
from unigrpo.data.shards.broken import Skipped, Tally
from unigrpo.data.shards.lanes import Item, Maker, Place
from unigrpo.data.shards.order import generator
from unigrpo.data.shards.pool import Pool
from unigrpo.data.shards.units import LANES, Unit, digest_of, units_of
from unigrpo.errors import ConfigError, DataError

State = dict[str, Any]


class SetStream:
    """Reads the parts of a data set side by side, in an order that the seed and the epoch decide.

    The parts of a rank are dealt to lanes, and one row is taken of each lane in turn. How many processes run the lanes
    does not matter.
    """

    def __init__(
        self,
        section: DataSection,
        maker: Maker,
        pool: Pool,
        *,
        seed: int,
        ahead: int = 1,
        rank: int = 0,
        world: int = 1,
        key: str = "data.",
    ):
        """Args:
        ahead: rows that may be read before they are asked for, over all lanes.
        rank: of `world` processes that train together; each reads parts of its own.

        Raises:
            ConfigError: there are fewer parts than ranks.
            DataError: a file does not exist.
        """
        self.units = units_of(section)
        if len(self.units) < world:
            raise ConfigError(
                f"{key}path has {len(self.units)} parts for {world} ranks, and each reads its own: split it into more "
                "files."
            )
        self.section, self.pool, self.maker, self.seed = section, pool, pool.add(maker), seed
        self.rank, self.world, self.ahead = rank, world, ahead
        self.digest = digest_of(self.units)
        self.tally = Tally(section.path or section.source, section.max_broken, key)
        self.epoch, self.turn, self.found = 0, 0, 0
        self.places: list[Place | None] = [(0, 0)] * LANES
        self.lanes: list[Iterator[Item]] | None = None

    def next(self) -> Any | None:
        """Return the next draft; None at the end of an epoch, behind which the next one begins.

        Raises:
            DataError: a row is broken, or more are than may be, or none of an epoch is left.
        """
        lanes = self.lanes = self.lanes or self._opened()
        while any(place is not None for place in self.places):
            at, self.turn = self.turn, (self.turn + 1) % LANES
            if self.places[at] is None:
                continue
            item = next(lanes[at], None)
            self.places[at] = None if item is None else item.after
            if item is not None:
                self.tally.add(item.value)
                if not isinstance(item.value, Skipped):
                    self.found += 1
                    return item.value
        self._end()
        return None

    def state(self) -> State:
        """Return what `restore` needs to go on from here; JSON."""
        tally = self.tally
        return {
            "units": self.digest,
            "epoch": self.epoch,
            "turn": self.turn,
            "found": self.found,
            "places": list(self.places),
            "seen": tally.seen,
            "broken": tally.broken,
            "filtered": dict(tally.filtered),
        }

    def restore(self, state: State) -> None:
        """Go on from where a state was taken.

        Raises:
            ConfigError: the files are not those that it was taken with.
        """
        if state["units"] != self.digest:
            raise ConfigError(
                f"{self.tally.name} has other files, or other parts, than when the run was saved, so that it cannot go "
                "on where it was: put them back, or start again with overwrite=true."
            )
        self.close()
        self.epoch, self.turn, self.found = state["epoch"], state["turn"], state["found"]
        self.places = [None if place is None else (place[0], place[1]) for place in state["places"]]
        self.tally.seen, self.tally.broken = state["seen"], state["broken"]
        self.tally.filtered = Counter(state["filtered"])

    def close(self) -> None:
        """Stop reading ahead."""
        self.lanes = None

    def _end(self) -> None:
        self.tally.end()
        if not self.found:
            raise DataError(
                f"{self.tally.name} has no rows that can be used: of {self.tally.seen}, {self.tally.broken} are broken "
                f"and {sum(self.tally.filtered.values())} left out {dict(self.tally.filtered)}."
            )
        self.epoch, self.turn, self.found = self.epoch + 1, 0, 0
        self.places, self.lanes = [(0, 0)] * LANES, None

    def _opened(self) -> list[Iterator[Item]]:
        units = self._order()
        each = max(1, self.ahead // min(LANES, max(1, len(units))))
        return [
            iter(()) if place is None else self.pool.lane(self.maker, units[number::LANES], place, each)
            for number, place in enumerate(self.places)
        ]

    def _order(self) -> Sequence[Unit]:
        units = self.units
        if self.section.shuffle:
            units = [units[row] for row in generator(self.seed, self.epoch).permutation(len(units))]
        return units[self.rank :: self.world]
