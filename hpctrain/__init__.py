"""hpctrain: deep-learning training across the ranks of an MPI job.

    import hpctrain

    world = hpctrain.init()
    model, optimizer = hpctrain.distribute(model, optimizer)

Names are loaded when they are first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpctrain.collectives.group import Group as Group
    from hpctrain.comm.operation import Op as Op
    from hpctrain.errors import CheckpointError as CheckpointError
    from hpctrain.errors import CommunicationError as CommunicationError
    from hpctrain.errors import DataError as DataError
    from hpctrain.errors import DivergenceError as DivergenceError
    from hpctrain.errors import EnvironmentProblem as EnvironmentProblem
    from hpctrain.errors import HpctrainError as HpctrainError
    from hpctrain.errors import InputError as InputError
    from hpctrain.errors import MeshError as MeshError
    from hpctrain.errors import ModelError as ModelError
    from hpctrain.errors import NonFiniteLossError as NonFiniteLossError
    from hpctrain.errors import Preempted as Preempted
    from hpctrain.errors import SettingsError as SettingsError
    from hpctrain.job.load import load_job as load_job
    from hpctrain.job.settings import Job as Job
    from hpctrain.launch.world import init as init
    from hpctrain.parallel.consensus import consensus as consensus
    from hpctrain.parallel.distribute import distribute as distribute
    from hpctrain.parallel.plan import Plan as Plan
    from hpctrain.version import __version__ as __version__

_HOMES = {
    "Group": "hpctrain.collectives.group",
    "Op": "hpctrain.comm.operation",
    "CheckpointError": "hpctrain.errors",
    "CommunicationError": "hpctrain.errors",
    "DataError": "hpctrain.errors",
    "DivergenceError": "hpctrain.errors",
    "EnvironmentProblem": "hpctrain.errors",
    "HpctrainError": "hpctrain.errors",
    "InputError": "hpctrain.errors",
    "MeshError": "hpctrain.errors",
    "ModelError": "hpctrain.errors",
    "NonFiniteLossError": "hpctrain.errors",
    "Preempted": "hpctrain.errors",
    "SettingsError": "hpctrain.errors",
    "load_job": "hpctrain.job.load",
    "Job": "hpctrain.job.settings",
    "init": "hpctrain.launch.world",
    "consensus": "hpctrain.parallel.consensus",
    "distribute": "hpctrain.parallel.distribute",
    "Plan": "hpctrain.parallel.plan",
    "__version__": "hpctrain.version",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hpctrain' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
