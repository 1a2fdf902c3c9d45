"""Learn handwritten digits, in an ordinary loop of torch."""

from importlib.resources import files

import numpy as np
import torch
from torch.nn.functional import cross_entropy

digits = np.load(files("hpctrain.data") / "digits.npz")
images = torch.from_numpy(digits["images"]).flatten(1) / 16
labels = torch.from_numpy(digits["labels"]).long()
train, test = slice(0, 1440), slice(1440, None)

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)

for _ in range(20):
    for batch in torch.randperm(1440).split(120):
        optimizer.zero_grad()
        cross_entropy(model(images[train][batch]), labels[train][batch]).backward()
        optimizer.step()

with torch.no_grad():
    outputs = model(images[test])
loss, correct = cross_entropy(outputs, labels[test]), outputs.argmax(1) == labels[test]
print(f"test loss {loss:.7f}, accuracy {correct.float().mean():.4f}")
