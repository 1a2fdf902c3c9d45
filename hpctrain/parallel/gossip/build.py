"""From the settings of a job to what gossips."""

from __future__ import annotations

from hpctrain.collectives.group import Group
from hpctrain.comm.patient import PatientCommunicator
from hpctrain.job.settings import Parallel
from hpctrain.layout.mixing import Mixing
from hpctrain.layout.mixing_matrix import Stochastic
from hpctrain.parallel.gossip.compressed import CompressedGossipWeights
from hpctrain.parallel.gossip.d_psgd import GossipWeights
from hpctrain.parallel.gossip.gradient_tracking import TrackedGradients, TrackingGossipWeights
from hpctrain.parallel.gossip.neighbourhood import Neighbourhood
from hpctrain.parallel.gossip.overlapped import OverlappedGossipWeights
from hpctrain.parallel.gossip.push_sum import PushSumWeights
from hpctrain.parallel.gradient_sync.alone import OwnGradients
from hpctrain.parallel.gradient_sync.gradient_sync import GradientSync


def build_gossip(group: Group, settings: Parallel, seed: int) -> tuple[GradientSync, GossipWeights]:
    """What becomes of gradients and of weights. All ranks.

    Raises SettingsError for a mixing matrix that does not fit, MeshError for a hypercube of another size than 2^k.
    """
    mixing = mixing_of(settings, group.size, seed)
    topology = settings.mixing_matrix or settings.topology
    near = Neighbourhood(group.comm, mixing)
    details = [settings.gossip, topology, *([settings.compression] if settings.compression != "none" else [])]
    gradients = OwnGradients(group, f"gossip ({', '.join(details)})")
    if settings.gossip == "gradient_tracking":
        tracked = TrackedGradients(group, Neighbourhood(group.comm, mixing), gradients.description)
        return tracked, TrackingGossipWeights(group, near, topology, tracked)
    if settings.gossip == "push_sum":
        return gradients, PushSumWeights(group, near, topology)
    if settings.compression != "none":
        return gradients, CompressedGossipWeights(group, near, topology, settings, seed)
    if settings.overlap:
        background = PatientCommunicator(group.nodes.background, next(group.nodes.channels))
        return gradients, OverlappedGossipWeights(group, Neighbourhood(background, mixing), topology)
    return gradients, GossipWeights(group, near, topology)


def mixing_of(settings: Parallel, size: int, seed: int) -> Mixing:
    """The weights that neighbours give each other."""
    if settings.mixing_matrix:
        stochastic = Stochastic.COLUMNS if settings.gossip == "push_sum" else Stochastic.DOUBLY
        return Mixing.of_file(settings.mixing_matrix, size, stochastic)
    return Mixing.of(settings.topology, size, seed)
