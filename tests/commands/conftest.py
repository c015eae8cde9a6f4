"""A photograph and two networks for the tests of `wsolbook explain`."""

from __future__ import annotations

import pytest
import torch
from explaining import NAMES, picture
from torch import nn
from torchvision import models

from wsolbook.backbones import build
from wsolbook.methods import save


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Return a tiny network of five classes in a file of our own."""
    torch.manual_seed(0)
    model = build("tiny", classes=5)
    nn.init.normal_(model.linear.weight)
    model.names = NAMES
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save(model, path)
    return path


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory):
    """Return a SqueezeNet with torchvision's names and random parameters."""
    torch.manual_seed(0)
    model = models.squeezenet1_1()
    nn.init.normal_(model.classifier[1].weight, 0, 0.1)
    path = tmp_path_factory.mktemp("weights") / "squeezenet.pth"
    torch.save(model.state_dict(), path)
    return path


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    picture().save(path)
    return path
