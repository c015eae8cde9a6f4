"""Where cells look: closed forms, and the support of the gradient as an independent measure."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d
from torchvision import models

from wsolbook import maps
from wsolbook.alignment import Grid, align, grid_of, tiling
from wsolbook.backbones import build


def grid_of_features(name, size, **options):
    model = build(name, classes=2, **options).eval()
    images = torch.zeros(1, 3, size, size)
    with torch.no_grad():
        cells = model.features(images).shape[2:]
    return grid_of(model, "features", images, tuple(cells))


@pytest.mark.parametrize(
    ("name", "options", "step", "start"),
    [
        ("tiny", {}, 8, 3.5),  # 2x2 pools tile
        ("tiny_resnet", {"output_stride": 16}, 16, 7.5),
        ("vgg16", {}, 16, 7.5),
        ("resnet18", {}, 32, 0),  # five layers of stride 2, padded by half their kernel
        ("resnet18", {"output_stride": 8}, 8, 0),
        ("mobilenet_v2", {}, 32, 0),
        ("mobilenet_v2", {"padding": "tf-same"}, 32, 31),  # 1 + 2 + 4 + 8 + 16
        ("squeezenet1_1", {}, 16, 15),  # 1 + 2 + 4 + 8: no padding
        ("alexnet", {}, 16, 31),  # conv1 3, pools 4 and 8, pool5 16
        ("inception_v3", {"output_stride": 32}, 32, 37),  # 1 + 2 + 2 + 4 + 4 + 8 + 16
        ("googlenet", {}, 16, 14),  # 0 + 2 + 4 + 8: pools without padding
    ],
)
def test_grids_in_closed_form(name, options, step, start):
    assert grid_of_features(name, 224, **options) == Grid(
        (float(step), float(step)), (float(start), float(start))
    )


class Forked(nn.Module):
    """Functional pooling, concatenation, a string padding, unequal kernels."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(1, 2, (5, 3), stride=(3, 2), padding=(1, 0))
        self.b = nn.Conv2d(2, 2, 3, padding="same", dilation=2)
        self.c = nn.Conv2d(2, 1, 3, stride=2, padding=1)

    def forward(self, x):
        y = self.a(x)
        y = torch.cat([self.b(y), y], 1).chunk(2, 1)[0]
        return avg_pool2d(self.c(y), 3, stride=1)


def test_grid_is_the_middle_of_the_receptive_field():
    model = Forked().eval()
    for parameter in model.parameters():
        nn.init.constant_(parameter, 1.0)
    images = torch.ones(1, 1, 121, 101, requires_grad=True)
    out = model(images)
    cells = tuple(out.shape[2:])
    grid = grid_of(model, "", images.detach(), cells)
    for y, x in [(3, 4), (5, 7)]:
        (gradient,) = torch.autograd.grad(out[0, 0, y, x], images, retain_graph=True)
        rows, columns = gradient[0, 0].nonzero().unbind(1)
        middle = ((rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2)
        assert middle == (grid.start[0] + y * grid.step[0], grid.start[1] + x * grid.step[1])


def test_networks_of_others():
    images = torch.zeros(1, 3, 64, 64)
    densenet = models.densenet121(num_classes=2).eval()
    assert grid_of(densenet, "features", images, (2, 2)) == Grid(
        (32.0, 32.0), (14.0, 14.0)
    )  # 4/2 + 8/2 + 16/2
    shuffle = models.shufflenet_v2_x0_5(num_classes=2).eval()
    assert grid_of(shuffle, "conv5", images, (2, 2)) == Grid((32.0, 32.0), (0.0, 0.0))
    assert not hasattr(images, "grid")
    assert not shuffle.conv5._forward_hooks


def test_input_and_unknown_geometry_tile():
    model = build("tiny", classes=2).eval()
    assert grid_of(model, "input", torch.zeros(1, 3, 64, 64), (64, 64)) == Grid((1.0, 1.0), (0.0, 0.0))
    # A map of 2x2 cells cannot come from steps of 8 pixels over 64: something else shrank it.
    assert grid_of(model, "features", torch.zeros(1, 3, 64, 64), (2, 2)) == Grid((32.0, 32.0), (15.5, 15.5))


def test_aligning_tiles_is_resizing():
    values = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    aligned = align(values, tiling((40, 21), (5, 7)), (40, 21))
    torch.testing.assert_close(aligned, maps.resize(values, (40, 21)), rtol=1e-5, atol=1e-5)


def test_aligning_by_hand():
    values = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    grid = Grid((4.0, 4.0), (0.0, 2.0))
    aligned = align(values, grid, 8)
    assert aligned[0].tolist() == [0, 0, 0, 0.25, 0.5, 0.75, 1, 1]
    assert aligned[:, 0].tolist() == [0, 0.5, 1, 1.5, 2, 2, 2, 2]


def test_a_spot_is_found_where_it_is():
    """A network whose map peaks on a bright spot: aligned, the peak lies on it; tiled, it does not."""
    layers = [nn.Conv2d(1, 1, 3, stride=2, padding=1, bias=False) for _ in range(4)]
    model = nn.Sequential(*layers).eval()
    for parameter in model.parameters():
        nn.init.constant_(parameter, 1 / 9)
    image = torch.zeros(1, 1, 128, 128)
    image[..., 60:69, 92:101] = 1.0  # centered on (64, 96), where a cell of step 16 looks
    with torch.no_grad():
        heat = model(image)[0, 0]
    peak = divmod(int(align(heat, grid_of(model, "3", image, (8, 8)), 128).argmax()), 128)
    assert peak == (64, 96)
    tiled = divmod(int(maps.resize(heat, 128).argmax()), 128)
    assert abs(tiled[0] - 64) >= 7


def test_a_plain_call_from_another_thread_changes_no_grid():
    model = nn.Sequential(nn.Conv2d(1, 1, 3, stride=2, padding=1), nn.ReLU()).eval()
    image = torch.zeros(1, 1, 16, 16)

    def meanwhile(_module, _inputs, _output):
        if threading.current_thread() is threading.main_thread():
            other = threading.Thread(target=model, args=(image,))
            other.start()
            other.join()

    model[1].register_forward_hook(meanwhile)
    assert grid_of(model, "0", image, (8, 8)) == Grid((2.0, 2.0), (0.0, 0.0))
