"""Which process runs which tests: a file stays in one, for its fixtures, and few start Ray at a time."""

from functools import cache
from pathlib import Path

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

RAYS = 2
"""Processes that start Ray at a time: each of its heads has workers of 0.6 GiB, up to six."""
SUITE = Path(__file__).parents[1]


@cache
def starts_ray(file: str) -> bool:
    """Whether any test of a file has the marker `ray`."""
    return "mark.ray" in (SUITE / file).read_text()


class Lanes(LoadFileScheduling):
    """Files in the order in which they were collected, but those with Ray to `RAYS` processes at a time.

    Not by `--dist loadgroup`: pytest 9.2 and pytest-xdist 3.8 together do not see its groups (pytest-xdist #1386).
    """

    def _assign_work_unit(self, node: WorkerController) -> None:
        """Gives a process its next file; none if only files with Ray are left, and others have them."""
        if self._others_with_ray(node) >= RAYS:
            file = next((file for file in self.workqueue if not starts_ray(file)), None)
            if file is None:
                return node.shutdown()
            self.workqueue.move_to_end(file, last=False)
        return super()._assign_work_unit(node)

    def _others_with_ray(self, node: WorkerController) -> int:
        given = [files for other, files in self.assigned_work.items() if other is not node]
        return sum(any(starts_ray(file) and not all(files[file].values()) for file in files) for files in given)
