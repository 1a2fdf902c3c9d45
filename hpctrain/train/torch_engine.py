"""Torch computes: any torch module with any torch optimizer, on the CPU or a GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from hpctrain.data.batch import Batch
from hpctrain.errors import CheckpointError
from hpctrain.models.torch_dropout import key_dropout
from hpctrain.train.engine import Arrays, Sums, check_arrays

Loss = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, float]]


def cross_entropy(outputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Summed loss and right predictions, for outputs (n, classes) or (n, positions, classes)."""
    classes = outputs.shape[-1]
    positions = targets.numel() // max(len(targets), 1) or 1
    flat, wanted = outputs.reshape(-1, classes), targets.reshape(-1)
    loss = torch.nn.functional.cross_entropy(flat, wanted, reduction="sum") / positions
    return loss, float((flat.detach().argmax(1) == wanted).sum()) / positions


def mean_squared_error(outputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Sum over samples of the mean over outputs of the squared error; nothing is right or wrong."""
    return ((outputs.reshape(targets.shape) - targets) ** 2).mean(tuple(range(1, targets.ndim))).sum(), 0.0


LOSSES: Mapping[str, Loss] = {"cross_entropy": cross_entropy, "mse": mean_squared_error}


class TorchEngine:
    """Implements `Engine`."""

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        loss: str,
        seed: int,
        inputs: torch.dtype = torch.float32,
    ) -> None:
        """Real inputs of 32 bits are given to the model as `inputs`; its outputs are widened for the loss."""
        self._inputs = inputs
        self.model = model
        self.optimizer = optimizer
        self._loss = LOSSES[loss]
        self._seed = seed
        self._torch_device = next(model.parameters()).device

    @property
    def device(self) -> str:
        """E.g. "cpu" or "cuda:0 (NVIDIA H100)"."""
        if self._torch_device.type == "cuda":
            return f"{self._torch_device} ({torch.cuda.get_device_name(self._torch_device)})"
        return str(self._torch_device)

    @property
    def num_weights(self) -> int:
        """Number of trained weights."""
        return sum(parameter.numel() for parameter in self.model.parameters() if parameter.requires_grad)

    def forward_backward(self, batch: Batch, scale: float) -> Sums:
        """One forward and backward pass; none for an empty batch."""
        if not len(batch):
            return Sums()
        self.model.train()
        self._key_random_numbers(batch)
        loss, correct = self._forward(batch)
        (loss * scale).backward()  # type: ignore[no-untyped-call]
        return Sums(float(loss.detach()), correct, len(batch))

    def _key_random_numbers(self, batch: Batch) -> None:
        """Dropout is keyed by sample; other random layers of somebody's model by the first sample that they see."""
        key_dropout(self.model, batch.epoch, batch.ids)
        torch.manual_seed(hash((self._seed, batch.epoch, int(batch.ids[0]))))

    @torch.no_grad()
    def evaluate(self, batch: Batch) -> Sums:
        """One forward pass; none for an empty batch."""
        if not len(batch):
            return Sums()
        self.model.eval()
        loss, correct = self._forward(batch)
        return Sums(float(loss), correct, len(batch))

    def _forward(self, batch: Batch) -> tuple[torch.Tensor, float]:
        inputs = self._to_device(batch.inputs)
        outputs = self.model(inputs.to(self._inputs) if inputs.dtype == torch.float32 else inputs)
        widened = outputs.float() if outputs.itemsize == 2 else outputs
        return self._loss(widened, self._to_device(batch.targets))

    def _to_device(self, array: np.ndarray) -> torch.Tensor:
        """A copy, at an aligned address: where numbers lie can change the last bits of a product."""
        return torch.from_numpy(array).to(self._torch_device, copy=True)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self.optimizer.zero_grad()

    def step(self, learning_rate: float) -> None:
        """Update the weights."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()

    def weights(self) -> dict[str, np.ndarray]:
        """The parameters; buffers may hold what a rank alone has seen."""
        return {name: _to_numpy(parameter) for name, parameter in self.model.named_parameters()}

    def shards(self) -> dict[str, dict[str, np.ndarray]]:
        """The module's state, and the optimizer's as "<parameter>/<what>"."""
        return {
            "model": {name: _to_numpy(tensor) for name, tensor in self.model.state_dict().items()},
            "optimizer": {
                f"{name}/{key}": _to_numpy(value)
                for name, parameter in self.model.named_parameters()
                for key, value in self.optimizer.state.get(parameter, {}).items()
                if isinstance(value, torch.Tensor)
            },
        }

    @torch.no_grad()
    def load(self, shards: Mapping[str, Arrays]) -> None:
        """Write the weights in place: they are views of buckets."""
        state = self.model.state_dict()
        expected = {name: (tuple(tensor.shape), str(_to_numpy(tensor).dtype)) for name, tensor in state.items()}
        if problems := check_arrays("the checkpoint", shards["model"], expected):
            raise CheckpointError("the checkpoint is of another model: " + "; ".join(problems[:5]))
        for name, tensor in state.items():
            tensor.copy_(_from_numpy(shards["model"][name], tensor.dtype))
        parameters = dict(self.model.named_parameters())
        groups = {parameter: group for group in self.optimizer.param_groups for parameter in group["params"]}
        for name, array in shards.get("optimizer", {}).items():
            parameter_name, _, key = name.rpartition("/")
            if parameter_name not in parameters:
                raise CheckpointError(
                    f"the checkpoint holds optimizer state of {parameter_name}, which this job has not"
                )
            parameter = parameters[parameter_name]
            # torch keeps moments beside their parameter, and step counts on the CPU unless one kernel does it all
            on_device = key != "step" or groups[parameter].get("fused") or groups[parameter].get("capturable")
            dtype = torch.float32 if key == "step" else parameter.dtype
            device = parameter.device if on_device else torch.device("cpu")
            self.optimizer.state[parameter][key] = _from_numpy(array, dtype).to(device)


def _to_numpy(tensor: torch.Tensor) -> np.ndarray:
    tensor = tensor.detach().cpu()
    return (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _from_numpy(array: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
    tensor = torch.from_numpy(array.copy())
    return tensor.view(torch.bfloat16) if dtype == torch.bfloat16 else tensor.to(dtype)
