"""Errors a user can act on: each says what is wrong, where, what was found and what to do."""


class UniGRPOError(Exception):
    """Input or environment at fault, not our code; the command line prints it as one line."""


class ConfigError(UniGRPOError, ValueError):
    """A setting is unknown, missing, of the wrong type, or contradicts another."""


class DataError(UniGRPOError, ValueError):
    """A data file, or a row of it, cannot be used."""


class RewardError(UniGRPOError, RuntimeError):
    """A reward cannot be found or loaded, or returned something that is no reward."""


class CheckpointError(UniGRPOError, OSError):
    """A model folder or checkpoint is missing, incomplete or corrupt."""


class MissingExtraError(UniGRPOError, ImportError):
    """An optional dependency is needed and absent."""


class ClusterError(UniGRPOError, RuntimeError):
    """Ray cannot be reached or a worker died."""


class LostWorkerError(ClusterError):
    """A worker is gone or does not answer; started again from the last checkpoint, the run can go on."""


class OutOfMemoryError(LostWorkerError, MemoryError):
    """Memory ran out where no smaller part can be tried: it is one row, or several processes must keep step."""

    def __init__(self, message: str, key: str, size: int):
        """Args:
        key: the setting that says how much is worked on at one time.
        size: how much did not fit.
        """
        super().__init__(message, key, size)
        self.key, self.size = key, size

    def __str__(self) -> str:
        return self.args[0]


class TrainingError(UniGRPOError, ArithmeticError):
    """Training went wrong in a way that going on would hide, such as a loss that is not finite."""
