"""Every failure that hpctrain reports, by kind.

A kind decides two things: the exit code of the job, and whether a person sees a one-line message (all of these)
or a traceback (anything else: a bug, here or in somebody's own model).
"""


class HpctrainError(Exception):
    """Base of everything hpctrain raises on purpose. The message is written for the person who started the job.

    Attributes:
        exit_code: of the job.
        is_everywhere: whether all ranks are known to raise it, so that rank 0 may speak for all.
    """

    exit_code = 1
    is_everywhere = False


class InputError(HpctrainError):
    """Something that the user gave cannot be used; fix the input and start again."""

    exit_code = 2


class SettingsError(InputError):
    """A job file or an override is wrong: unknown key, bad type, value not allowed, impossible combination."""


class DataError(InputError):
    """A data file is missing, unreadable, or holds values that the job does not accept."""


class MeshError(InputError):
    """The asked layout of ranks does not fit the world."""


class ModelError(InputError):
    """A model cannot be built: unknown factory, or shapes that do not fit the data."""


class EnvironmentProblem(InputError):
    """The machine lacks what the job asks for: no GPU, a missing package, an MPI that does not match its launcher."""


class CommunicationError(HpctrainError):
    """Ranks cannot reach each other, or called a collective with buffers that do not fit together."""


class SharedMemoryError(EnvironmentProblem):
    """The ranks of a node cannot share as much memory as was asked for."""


class CheckpointError(HpctrainError):
    """A checkpoint cannot be written, or the one asked for cannot be read."""


class DivergenceError(HpctrainError):
    """Ranks hold different weights, or different optimizer state, where they must be the same."""


class NonFiniteLossError(HpctrainError):
    """The loss became NaN or infinite."""


class Preempted(HpctrainError):
    """The job was asked to stop; its state is saved and it can be continued (EX_TEMPFAIL of sysexits.h)."""

    exit_code = 75
