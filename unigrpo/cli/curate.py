"""`unigrpo curate`."""

from unigrpo.cli.verbs import VERBS
from unigrpo.curation.loop import curate


def run(args: list[str]) -> int:
    """Curates as the arguments say; prints what was kept, why other answers were not, and what they cost."""
    config = VERBS["curate"].checked(args)
    summary = curate(config)
    print(summary.table())
    print(f"{config.output}/{config.file}  {summary.kept} rows, {summary.keep_rate:.1%} of the answers")
    return 0
