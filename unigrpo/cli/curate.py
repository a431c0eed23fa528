"""`unigrpo curate`."""

from unigrpo.config import CurateConfig
from unigrpo.curation.loop import curate


def run(config: CurateConfig) -> int:
    """Curates as the config says; prints what was kept, why other answers were not, and what they cost."""
    summary = curate(config)
    print(summary.table())
    print(f"{config.output}/{config.file}  {summary.kept} rows, {summary.keep_rate:.1%} of the answers")
    return 0
