from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from toys import ToyNet, ToySamples

from wsolbook import backbones, cli, methods
from wsolbook.commands.maps import WriteMaps, write
from wsolbook.commands.samples import shard
from wsolbook.evaluation import FromNetwork
from wsolbook.evaluation.saved import read_maps


def options(folder, **changes) -> WriteMaps:
    return WriteMaps(
        **{"weights": folder / "net.safetensors", "out": folder / "maps", "batch_size": 3, **changes}
    )


def test_raw_maps_of_every_picture_and_label(tmp_path):
    net, data = ToyNet().eval(), ToySamples(7)
    assert write(Wide(net), data, options(tmp_path)) == 7
    for i in range(7):
        saved = read_maps(tmp_path / "maps" / f"{i:06d}.npz")
        assert saved.classes.tolist() == [i % 3]
        with torch.no_grad():
            expected = net.maps(data.batch([i]).images, torch.tensor([i % 3]))
        torch.testing.assert_close(saved.values, expected, rtol=1e-3, atol=1e-3)  # float16
    with np.load(tmp_path / "maps" / "000000.npz") as content:
        assert content["maps"].dtype == np.float16


class Wide(torch.nn.Module):
    """The maps of several classes an image, from a network that gives one."""

    def __init__(self, net: ToyNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, images):
        return self.net(images)

    def maps(self, images, classes):
        return torch.stack([self.net.maps(images, column) for column in classes.T], 1)


def test_bytes_are_scaled_by_min_and_max(tmp_path):
    net, data = Wide(ToyNet().eval()), ToySamples(2)
    write(net, data, options(tmp_path, dtype="uint8", classes="top", top=2))
    with np.load(tmp_path / "maps" / "000001.npz") as content:
        assert content["maps"].dtype == np.uint8
        assert content["maps"].min((1, 2)).tolist() == [0, 0]
        assert content["maps"].max((1, 2)).tolist() == [255, 255]
        ranked = net(data.batch([1]).images).topk(2).indices[0]
        assert content["classes"].tolist() == ranked.tolist()


def test_scales_and_mirrors_are_averaged():
    net, batch = Wide(ToyNet().eval()), ToySamples(1).batch([0])
    (said,) = FromNetwork(net, scales=(1.0, 2.0), flip=True)(batch)
    label = said.classes[None]
    big = torch.nn.functional.interpolate(batch.images, scale_factor=2, mode="bilinear")
    views = [
        net.maps(batch.images, label),
        net.maps(batch.images.flip(-1), label).flip(-1),
        net.maps(big, label),
        net.maps(big.flip(-1), label).flip(-1),
    ]
    size = (4, 4)
    expected = torch.stack([torch.nn.functional.interpolate(v, size, mode="bilinear") for v in views]).mean(0)
    torch.testing.assert_close(said.values, expected[0])


def test_shards_cover_the_set_and_what_is_there_is_left_out(tmp_path):
    net, data = Wide(ToyNet().eval()), ToySamples(7)
    assert [write(net, data, options(tmp_path, shard=f"{k}/3")) for k in (1, 2)] == [3, 2]
    (tmp_path / "maps" / "000003.npz").unlink()
    assert write(net, data, options(tmp_path)) == 3
    assert len(list((tmp_path / "maps").glob("*.npz"))) == 7
    with pytest.raises(ValueError, match=r"holds maps of other options \(flip\)"):
        write(net, data, options(tmp_path, flip=True))


@pytest.mark.parametrize("text", ["0/3", "4/3", "a/b", "3", "1/2/3"])
def test_a_wrong_shard_is_refused(text):
    with pytest.raises(ValueError, match="shard must look like 3/8"):
        shard(text)


def test_a_shard_comes_from_the_launcher(monkeypatch):
    assert shard("") == (0, 1)
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert shard("") == (2, 4)
    assert shard("1/8") == (0, 8)


def test_all_faults_at_once_and_nothing_created(tmp_path, capsys):
    arguments = ["--weights", str(tmp_path / "absent"), "--out", str(tmp_path / "out")]
    assert cli.main(["maps", *arguments, "--top", "0", "--scales", "0", "--shard", "9/2"]) == 1
    said = capsys.readouterr().err
    for part in (
        "4 problems",
        "top must be at least 1",
        "absent does not exist",
        "scales must",
        "shard must",
    ):
        assert part in said
    assert not (tmp_path / "out").exists()


def test_the_command_writes_the_maps_of_critters(tmp_path, capsys):
    net = backbones.build("tiny", classes=8)
    methods.save(net, tmp_path / "net.safetensors")
    arguments = ["--weights", str(tmp_path / "net.safetensors"), "--out", str(tmp_path / "out")]
    assert cli.main(["maps", *arguments, "--number", "3"]) == 0
    assert "3 of 3 pictures written" in capsys.readouterr().out
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "000000.npz",
        "000001.npz",
        "000002.npz",
        "maps.json",
    ]
    assert json.loads((tmp_path / "out" / "maps.json").read_text())["weights"] == "net.safetensors"
    assert read_maps(tmp_path / "out" / "000002.npz").values.shape == (1, 8, 8)
