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
    """Memory ran out where several processes keep step, so that none of them can try smaller parts alone."""


class TrainingError(UniGRPOError, ArithmeticError):
    """Training went wrong in a way that going on would hide, such as a loss that is not finite."""
