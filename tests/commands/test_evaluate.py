"""`wsolbook evaluate` on maps whose scores are known."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import trees
from PIL import Image
from torchvision import models

from wsolbook import backbones, cli
from wsolbook.cam import cam
from wsolbook.data.critters import Critters
from wsolbook.evaluation import frame_boxes, frame_maps, frame_masks
from wsolbook.evaluation.saved import write_maps
from wsolbook.methods import METHODS, save
from wsolbook.metrics import BoxAccuracy, PixelAP
from wsolbook.types import Network

N = 12


@pytest.fixture(scope="module")
def critters():
    return Critters(N, split="val")


@pytest.fixture(scope="module")
def folders(critters, tmp_path_factory):
    """Maps of three kinds: the mask itself, noise, and the mask among the maps of other classes."""
    top = tmp_path_factory.mktemp("maps")
    torch.manual_seed(0)
    for i in range(N):
        name, mask = f"{i:06d}", (critters.masks[i] > 0).float()[None]
        write_maps(top / "truth", name, mask)
        write_maps(top / "noise", name, torch.rand(1, 8, 8))
        label = int(critters.labels[i].argmax())
        others = torch.tensor([c for c in range(8) if c != label])[:4]
        classes = torch.cat([others[:1], torch.tensor([label]), others[1:]])  # the true class comes second
        write_maps(top / "ranked", name, mask.expand(5, -1, -1), classes)
        (top / "labels").mkdir(exist_ok=True)
        Image.fromarray(critters.masks[i].numpy()).save(top / "labels" / f"{name}.png")
    return top


def evaluate(capsys, *arguments, code=0):
    assert cli.main(["evaluate", "--number", str(N), *map(str, arguments)]) == code
    return capsys.readouterr()


def report(folder):
    return json.loads((folder / "report.json").read_text())


def test_boxes_are_those_of_the_metric(critters, folders, tmp_path, capsys):
    out = tmp_path / "out"
    shown = evaluate(capsys, "--maps", folders / "noise", "--thresholds", 100, "--out", out).out
    batch = critters.batch(range(N))
    metric = BoxAccuracy(100)
    raw = torch.stack([torch.from_numpy(np.load(folders / "noise" / f"{i:06d}.npy"))[0] for i in range(N)])
    metric.update(frame_maps(raw), [frame_boxes(b, (64, 64)) for b in batch.boxes])
    written = report(out)
    assert written["images"] == N
    row, center = written["results"]
    assert row["name"] == "noise"
    assert row["values"]["MaxBoxAccV2"] == metric.compute()["v2"]
    assert center["name"] == "center Gaussian"
    assert center["values"]["MaxBoxAccV2"] > 0
    assert f"| noise | {metric.compute()['v2']:.2f} |" in shown
    assert (out / "report.md").read_text() in shown
    with Image.open(out / "curve.png") as picture:
        assert picture.width > 300


def test_classes_add_up_to_the_whole(critters, folders, tmp_path, capsys):
    evaluate(capsys, "--maps", folders / "noise", "--thresholds", 50, "--out", tmp_path)
    row = report(tmp_path)["results"][0]
    counts = critters.labels.sum(0)
    shares = [
        row["per_class"].get(name, 0) * float(n) for name, n in zip(critters.classes, counts, strict=True)
    ]
    assert sum(shares) / N == pytest.approx(row["values"]["MaxBoxAccV2"])


def test_pixels(critters, folders, tmp_path, capsys):
    evaluate(capsys, "--maps", folders / "truth", "--metric", "pxap", "--out", tmp_path)
    metric = PixelAP()
    masks = critters.masks[:N]
    metric.update(frame_maps((masks > 0).float()), frame_masks((masks > 0).to(torch.uint8)))
    assert report(tmp_path)["results"][0]["values"]["PxAP"] == pytest.approx(metric.compute())
    assert metric.compute() > 99


def test_seeds_and_label_maps(folders, tmp_path, capsys):
    for name in ("truth", "labels"):
        evaluate(capsys, "--maps", folders / name, "--metric", "miou", "--out", tmp_path / name)
        values = report(tmp_path / name)["results"][0]["values"]
        assert values["mIoU"] == 100
    assert (values["mFP"], values["mFN"]) == (0, 0)
    assert not (tmp_path / "labels" / "curve.png").exists()


def test_localization_error(folders, tmp_path, capsys):
    evaluate(capsys, "--maps", folders / "ranked", "--metric", "loc", "--out", tmp_path)
    values = report(tmp_path)["results"][0]["values"]
    assert values == {"top1_cls": 100, "top5_cls": 0, "top1_loc": 100, "top5_loc": 0, "gt_known": 0}


def test_two_runs_are_compared_image_by_image(folders, tmp_path, capsys):
    shown = evaluate(
        capsys, "--maps", folders / "truth", "--against", folders / "noise", folders / "truth",
        "--thresholds", 50, "--resamples", 50, "--out", tmp_path,
    ).out  # fmt: skip
    truth, noise, same, _ = report(tmp_path)["results"]
    found = noise["against"]
    assert found["difference"] == truth["values"]["MaxBoxAccV2"] - noise["values"]["MaxBoxAccV2"]
    assert 0 < found["low"] <= found["difference"] <= found["high"]
    assert (same["against"]["low"], same["against"]["high"]) == (0, 0)
    assert "truth above it by" in shown


def test_thresholds_from_a_small_split(folders, tmp_path, capsys):
    few = Critters(N, split="train")
    for i in range(N):
        write_maps(tmp_path / "few", f"{i:06d}", (few.masks[i] > 0).float()[None])
    evaluate(
        capsys, "--maps", folders / "noise", "--few", tmp_path / "few", "--thresholds", 20, "--out", tmp_path
    )
    best, held_out, _ = report(tmp_path)["results"]
    assert held_out["name"] == "noise, threshold from train"
    assert held_out["values"]["MaxBoxAccV2"] <= best["values"]["MaxBoxAccV2"]
    message = evaluate(
        capsys, "--maps", folders / "noise", "--few", tmp_path / "few", "--metric", "pxap", code=1
    ).err
    assert message == "wsolbook: only boxes and seeds have a threshold to choose on --few\n"


def test_a_network_instead_of_a_folder(critters, tmp_path, capsys):
    network = backbones.build("tiny", classes=8).eval()
    save(network, tmp_path / "tiny.safetensors")
    evaluate(capsys, "--weights", tmp_path / "tiny.safetensors", "--thresholds", 20, "--out", tmp_path)
    batch = critters.batch(range(N))
    metric = BoxAccuracy(20)
    raw = network.maps(batch.images, batch.labels.argmax(1))
    metric.update(frame_maps(raw), [frame_boxes(b, (64, 64)) for b in batch.boxes])
    assert report(tmp_path)["results"][0]["values"]["MaxBoxAccV2"] == pytest.approx(metric.compute()["v2"])


class Colors(Network):
    """A method whose maps are not class activation maps: the brightness of one color, in quarters."""

    method = "colors"

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.settings = {"classes": classes}
        self.features = torch.nn.Conv2d(3, 4, 3, stride=2)
        self.linear = torch.nn.Linear(4, classes)

    def forward(self, images):
        return self.linear(self.features(images).mean((2, 3)))

    def loss(self, batch):
        return {"none": self(batch.images).sum() * 0}

    def maps(self, images, classes):
        return (
            4 * images[torch.arange(len(images))[:, None], classes % 3]
        ).round() / 4  # float16 can hold it


@pytest.mark.parametrize("metric", ["box", "pxap", "miou"])
def test_both_commands_use_the_maps_of_the_method_itself(metric, critters, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(METHODS, "colors", Colors)
    torch.manual_seed(0)
    save(network := Colors(8).eval(), weights := tmp_path / "colors.safetensors")
    options = ["--metric", metric, "--thresholds", 20, "--out", tmp_path]
    evaluate(capsys, "--weights", weights, *options)
    of_network = report(tmp_path)["results"][0]["values"]
    assert (
        cli.main(["maps", "--number", str(N), "--weights", str(weights), "--out", str(tmp_path / "maps")])
        == 0
    )
    evaluate(capsys, "--maps", tmp_path / "maps", *options)
    assert report(tmp_path)["results"][0]["values"] == of_network

    labels = critters.labels[:N].argmax(1, keepdim=True)
    images = critters.batch(range(N)).images
    for i, raw in enumerate(cam(network, images, labels).values):
        write_maps(tmp_path / "cam", f"{i:06d}", raw)
    evaluate(capsys, "--maps", tmp_path / "cam", *options)
    assert report(tmp_path)["results"][0]["values"] != of_network


@pytest.mark.parametrize("metric", ["box", "loc"])
def test_classes_in_another_order_give_the_same_numbers(metric, critters, tmp_path, capsys):
    """A network of the same classes and one more, all in another order, and one with other names for them."""
    torch.manual_seed(0)
    plain = backbones.build("tiny", classes=8).eval()
    torch.nn.init.normal_(plain.linear.weight)
    plain.names = critters.classes
    other = backbones.build("tiny", classes=9).eval()
    order = torch.randperm(8).tolist()
    state = plain.state_dict()
    for name in ("linear.weight", "linear.bias"):
        last = torch.zeros(1, *state[name].shape[1:]) - 100 * (name == "linear.bias")
        state[name] = torch.cat([state[name][order], last])
    other.load_state_dict(state)
    other.names = (*(critters.classes[i] for i in order), "unicorn")
    save(plain, tmp_path / "plain.safetensors")
    save(other, tmp_path / "other.safetensors")
    other.names = (*(f"my {name}" for name in other.names),)
    save(other, tmp_path / "named.safetensors")
    pairs = [f"{name}=my {name}" for name in critters.classes]
    values = []
    for name, extra in (("plain", []), ("other", []), ("named", ["--match", *pairs])):
        weights, out = tmp_path / f"{name}.safetensors", tmp_path / f"{name}-{metric}"
        evaluate(capsys, "--weights", weights, "--metric", metric, "--thresholds", 20, "--out", out, *extra)
        values.append(report(out)["results"][0]["values"])
        wanted = ["--classes", "top"] if metric == "loc" else []
        arguments = ["--number", N, "--weights", weights, "--out", out / "maps", *wanted, *extra]
        assert cli.main(["maps", *map(str, arguments)]) == 0
        evaluate(capsys, "--maps", out / "maps", "--metric", metric, "--thresholds", 20, "--out", out)
        values.append(report(out)["results"][0]["values"])
    assert values[0]["top1_loc" if metric == "loc" else "MaxBoxAccV2"] > 0
    assert values[2] == values[4] == values[0]
    assert values[3] == values[5] == values[1]


def test_classes_of_another_data_set_are_refused(tmp_path, capsys):
    torch.manual_seed(0)
    torch.save(models.squeezenet1_1().state_dict(), tmp_path / "imagenet.pth")
    trees.cub(tmp_path / "birds")
    trees.voc(tmp_path / "voc")
    pictures = ["--weights", tmp_path / "imagenet.pth", "--model", "squeezenet1_1", "--data"]
    said = "classes are none of the network's 1000, the first is"
    for data, root, first in (("cub", "birds", "001.A"), ("voc2012", "voc", "aeroplane")):
        options = ["--root", tmp_path / root, "--split", "test" if data == "cub" else "val"]
        assert f"{said} {first!r}" in evaluate(capsys, *pictures, data, *options, code=1).err
        assert cli.main(["maps", *map(str, [*pictures, data, *options, "--out", tmp_path / "maps"])]) == 1
        assert f"{said} {first!r}" in capsys.readouterr().err
    assert not (tmp_path / "maps").exists()
    options = ["--root", tmp_path / "birds", "--split", "test", "--thresholds", 20, "--match"]
    evaluate(capsys, *pictures, "cub", *options, "001.A=albatross", "002.B=goose")
    network = backbones.build("tiny", classes=7)
    save(network, tmp_path / "seven.safetensors")
    message = evaluate(capsys, "--weights", tmp_path / "seven.safetensors", code=1).err
    assert "8 of the data set's 8 classes are none of the network's 7" in message
    message = evaluate(capsys, "--maps", tmp_path, "--match", "a=b", code=1).err
    assert "were matched when they were written" in message


def test_guesses_of_a_network_are_boxed(critters, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(METHODS, "colors", Colors)
    torch.manual_seed(0)
    save(network := Colors(8).eval(), weights := tmp_path / "colors.safetensors")
    evaluate(capsys, "--weights", weights, "--metric", "loc", "--out", tmp_path)
    batch = critters.batch(range(N))
    with torch.no_grad():
        guesses = network(batch.images).topk(5).indices
    wrong = (guesses != batch.labels.argmax(1, keepdim=True)).all(1).double()
    written = report(tmp_path)
    assert written["title"] == "loc on critters, val, an error: lower is better"
    assert written["results"][0]["values"]["top5_cls"] == pytest.approx(100 * float(wrong.mean()))
    assert 0 < wrong.sum() < N
    assert "gt_known" in written["results"][0]["values"]


def test_wrong_options_and_files(tmp_path, capsys):
    def message(*arguments):
        return evaluate(capsys, *arguments, code=1).err

    assert "give either --maps FOLDER or --weights FILE" in message()
    assert f"{tmp_path / 'no'} is not a folder of maps" in message("--maps", tmp_path / "no")
    for i in range(N):
        write_maps(tmp_path / "two", f"{i:06d}", torch.rand(2, 8, 8))
        write_maps(tmp_path / "nan", f"{i:06d}", torch.full((1, 8, 8), torch.nan))
    first = tmp_path / "two" / "000000.npy"
    assert message("--maps", tmp_path / "two") == f"wsolbook: {first}: holds 2 maps for 1 labels\n"
    assert "nan/000000.npy: localization map holds nan" in message("--maps", tmp_path / "nan")
    assert "does not say which classes" in message("--maps", tmp_path / "two", "--metric", "loc")
    (tmp_path / "nan" / "000000.npy").unlink()
    assert "no map 000000.npz, .npy or .png" in message("--maps", tmp_path / "nan")
