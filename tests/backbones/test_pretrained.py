"""Trained classifiers by name, and what is refused of them."""

from __future__ import annotations

import pytest
import torch
from nets import lively
from torchvision import models

from wsolbook import methods
from wsolbook.backbones import build
from wsolbook.backbones.pretrained import load_pretrained
from wsolbook.cam.classes import find_class


@pytest.mark.parametrize("name", ["regnet_y_400mf", "mnasnet0_5"])
def test_networks_that_compute_their_widths_or_ask_for_their_version_load_from_a_file(tmp_path, name):
    torch.manual_seed(0)
    network = models.get_model(name, num_classes=3)
    torch.save(network.state_dict(), tmp_path / "a.pth")
    again = load_pretrained(name, tmp_path / "a.pth")
    assert again.names == ("class 0", "class 1", "class 2")
    found = again.network.state_dict()
    assert all(torch.equal(value, found[key]) for key, value in network.state_dict().items())


def test_an_output_stride_that_cannot_be_is_refused(tmp_path):
    torch.save(models.squeezenet1_1(num_classes=3).state_dict(), tmp_path / "a.pth")
    with pytest.raises(ValueError, match="squeezenet1_1 has output stride 16 or 8, not 0"):
        load_pretrained("squeezenet1_1", tmp_path / "a.pth", output_stride=0)
    with pytest.raises(ValueError, match="tiny has output stride 8 or 4 or 16, not 0"):
        build("tiny", output_stride=0)
    methods.save(lively(build("tiny", classes=3)), tmp_path / "own.safetensors")
    with pytest.raises(ValueError, match=r"own\.safetensors says output stride and padding itself"):
        load_pretrained(weights=tmp_path / "own.safetensors", output_stride=4)


def test_a_class_that_looks_like_a_number_is_a_name():
    assert find_class("²", ("¹", "²")) == 1
    with pytest.raises(ValueError, match="no class is called '²'"):
        find_class("²", ("a", "b"))
    with pytest.raises(ValueError, match="no class is called '--1'"):
        find_class("--1", ("a", "b"))
