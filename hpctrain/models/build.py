"""From the settings of a job to a model with its initial weights, for either engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpctrain.models.cnn import cnn
from hpctrain.models.initial_weights import gpt2_initial_weights, initial_weights
from hpctrain.models.mlp import mlp
from hpctrain.models.transformer import transformer

if TYPE_CHECKING:
    import torch

    from hpctrain.job import settings as job
    from hpctrain.nn.module import ArrayModule, Module

# Of each kind: its layers, and how its weights are drawn.
_KINDS = {
    "cnn": (cnn, initial_weights),
    "mlp": (mlp, initial_weights),
    "transformer": (transformer, gpt2_initial_weights),
}


def build_torch(
    settings: job.Model, *, input_shape: tuple[int, ...], num_outputs: int, seed: int, dtype: str
) -> torch.nn.Module:
    """A torch model on the CPU: `settings.factory`'s, with keyed dropout, or the built-in `settings.kind`.

    torch's own random numbers are left as they were.

    Args:
        settings: the section `model` of a job.
        input_shape: of one sample.
        num_outputs: classes, or numbers to predict.
        seed: of the run.
        dtype: "float32" or "float64".

    Raises ModelError where the shapes do not fit or the factory cannot be used.
    """
    import torch

    torch_dtype = getattr(torch, dtype)
    if settings.factory:
        from hpctrain.models.factory import call_factory
        from hpctrain.models.torch_dropout import replace_dropout

        model = call_factory(settings, input_shape=input_shape, num_outputs=num_outputs, seed=seed)
        replace_dropout(model, seed)
        return model.to(torch_dtype)
    from hpctrain.models.torch_layers import TorchLayers

    network, draw_weights = _KINDS[settings.kind]
    model = torch.nn.Sequential(*network(TorchLayers(torch_dtype, seed), settings, input_shape, num_outputs))
    parameters = dict(model.named_parameters())
    weights = draw_weights({name: tuple(parameter.shape) for name, parameter in parameters.items()}, seed)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return model


def build_nn(
    settings: job.Model,
    xp: ArrayModule,
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    seed: int,
    dtype: str,
) -> Module:
    """The same network of `hpctrain.nn` layers, with the same names and initial weights.

    Its `backward` returns None: the gradient of the data is not computed.

    Args:
        settings: the section `model` of a job.
        xp: numpy or cupy.
        input_shape: of one sample.
        num_outputs: classes, or numbers to predict.
        seed: of the run.
        dtype: "float32" or "float64".

    Raises ModelError where the shapes do not fit.
    """
    from hpctrain.models.nn_layers import NnLayers
    from hpctrain.nn.sequential import Sequential

    network, draw_weights = _KINDS[settings.kind]
    model = Sequential(network(NnLayers(xp, dtype, seed), settings, input_shape, num_outputs))
    model.skip_input_gradient()
    parameters = dict(model.named_parameters())
    weights = draw_weights({name: parameter.value.shape for name, parameter in parameters.items()}, seed)
    for name, parameter in parameters.items():
        parameter.value[...] = xp.asarray(weights[name])
    return model
