"""The laboratory draws what Python draws, computes what PyTorch computes, and answers mouse and keyboard."""

import base64
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pages import needs_chromium, needs_node, told_by
from safetensors.torch import load_file
from torch import nn

from wsolbook.backbones import build
from wsolbook.cam import cam
from wsolbook.data import critters
from wsolbook.data.transforms import to_network
from wsolbook.maps import resize
from wsolbook.methods import METHODS
from wsolbook.show import laboratory as room
from wsolbook.show.laboratory import described, laboratory, painting, plain
from wsolbook.show.portable import SHIPPED, folded, integers, portable
from wsolbook.show.widget import ROOM

STORED = Path(__file__).with_name("laboratory")
# Last layers; and in how many of 200 pictures a cell is so near to a cut that rounding moves it across.
LAST = {"acol": ("first.4", "second.4"), "spg": ("a4",), "seenet": ("s_a.5", "s_b.5")}
TIPPED = {"seenet": 4}
NETWORKS = sorted(path.stem for path in SHIPPED.glob("*.safetensors"))


def javascript(body, given, tmp_path):
    """Run JavaScript on `given` in Node, and return what it returns; it may write files to `folder`."""
    names = {
        "critters": "draw, withBodyOf",
        "network": "open, run",
        "laboratory": "seen, evidence, newcomer, exchanged",
    }
    imports = [
        f"import {{ {what} }} from {json.dumps((ROOM / f'{name}.mjs').as_uri())};"
        for name, what in names.items()
    ]
    script = tmp_path / "script.mjs"
    script.write_text("\n".join([
        *imports,
        'import fs from "node:fs";',
        f"const folder = {json.dumps(str(tmp_path))};",
        "const given = JSON.parse(fs.readFileSync(0));",
        f"console.log(JSON.stringify((() => {{ {body} }})()));",
    ]))  # fmt: skip
    done = subprocess.run(
        ["node", str(script)], input=json.dumps(given), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def changed_scenes():
    single, several = critters.scenes(16, seed=5), critters.scenes(6, "multi")
    a, b, c, d = single[:4]
    return [
        *single,
        *several,
        a.without("head"),
        b.on("water"),
        c.with_body_of("frog"),
        d.without("body", "limbs"),
    ]


@needs_node
@pytest.mark.parametrize(("size", "count"), [(64, None), (80, 2)])
def test_pictures_are_pythons_byte_for_byte(size, count, tmp_path):
    scenes = changed_scenes()[:count]
    body = """
      const drawn = given.scenes.map((s) => draw(given.world, s, given.size));
      for (const name of ["light", "owners", "parts"])
        fs.writeFileSync(`${folder}/${name}`, Buffer.concat(drawn.map((d) => Buffer.from(d[name].buffer))));
      return drawn.length;"""
    given = {"world": painting(), "scenes": [plain(s) for s in scenes], "size": size}
    assert javascript(body, given, tmp_path) == len(scenes)
    shape = (len(scenes), -1, size, size)
    light = np.fromfile(tmp_path / "light", np.float32).reshape(shape)
    owners = np.fromfile(tmp_path / "owners", np.int8).reshape(shape)
    parts = np.fromfile(tmp_path / "parts", np.uint8).reshape(shape)
    expected = critters.render(scenes, size)
    assert np.array_equal((light * 255).round(), (expected.images.numpy() * 255).round())
    assert np.array_equal(owners[:, 0] >= 0, expected.masks.numpy() > 0)
    for k in range(3):
        assert np.array_equal((parts[:, 0] == k) & (owners[:, 0] >= 0), expected.parts[:, k].numpy())


@needs_node
def test_a_body_is_swapped_as_in_python(tmp_path):
    scenes = critters.scenes(8, seed=3)
    body = "return given.scenes.map((s) => withBodyOf(given.world, s.critters[0], 'duck'));"
    found = javascript(body, {"world": painting(), "scenes": [plain(s) for s in scenes]}, tmp_path)
    for scene, values in zip(scenes, found, strict=True):
        expected = plain(scene.with_body_of("duck"))["critters"][0]
        for key in ("x", "y", "scale", "swell"):
            assert values.pop(key) == pytest.approx(expected.pop(key), rel=1e-12)
        assert values == expected


@needs_node
def test_a_newcomer_is_another_species_and_who_stands_nearer_is_drawn_later(tmp_path):
    scene = critters.scenes(1, seed=3)[0]
    body = """const fresh = newcomer(given.world, given.scene, given.scene.critters[0]);
      return exchanged(given.scene, null, { ...fresh, y: 0.1 });"""
    both = described(javascript(body, {"world": painting(), "scene": plain(scene)}, tmp_path))
    assert both.critters[1] == scene.critters[0]
    assert both.critters[0].species != scene.critters[0].species
    critters.render([both])  # Python draws what the page made


RUN = """
  const network = open(new Uint8Array(fs.readFileSync(given.file)));
  const pixels = fs.readFileSync(given.pixels);
  const size = 3 * 64 * 64;
  const answers = Array.from({ length: pixels.length / size }, (_, n) =>
    run(network, Float32Array.from(pixels.subarray(n * size, (n + 1) * size), (v) => v / 255)));
  fs.writeFileSync(`${folder}/scores`, Buffer.concat(answers.map((a) => Buffer.from(a.scores.buffer))));
  fs.writeFileSync(`${folder}/maps`, Buffer.concat(
    answers.flatMap((a) => [...a.scores].map((_, c) => Buffer.from(a.map(c).buffer)))));
  return answers[0].side;"""


def in_the_page(file, images, tmp_path):
    """Return scores and maps of all classes that the page computes for pictures."""
    (tmp_path / "pixels").write_bytes((images * 255).round().byte().numpy().tobytes())
    side = javascript(RUN, {"file": str(file), "pixels": str(tmp_path / "pixels")}, tmp_path)
    scores = torch.from_numpy(np.fromfile(tmp_path / "scores")).view(len(images), -1)
    maps = torch.from_numpy(np.fromfile(tmp_path / "maps")).view(*scores.shape, side, side)
    return scores.float(), maps.float()


def rounded_to_bytes(images):
    return (images * 255).round() / 255


@needs_node
@pytest.mark.parametrize(
    "options", [{}, {"head": "gmp"}, {"output_stride": 4}, {"output_stride": 16}], ids=str
)
def test_sixteen_bits_are_pytorch(options, tmp_path):
    torch.manual_seed(0)
    model = build("tiny", classes=8, weights="critters", **options).eval()
    nn.init.normal_(model.linear.bias)
    images = rounded_to_bytes(critters.sample(8).images)
    file = tmp_path / "network"
    file.write_bytes(portable(model, critters.MAIN, bits=16))
    scores, maps = in_the_page(file, images, tmp_path)
    expected = cam(model, to_network(images), torch.arange(8).expand(8, 8))
    assert torch.allclose(scores, expected.logits, atol=1e-3)
    assert float((maps - expected.values).abs().max() / expected.values.abs().max()) < 1e-3


@needs_node
@pytest.mark.parametrize("name", ["acol", "spg", "seenet"])
def test_sixteen_bits_with_branches_are_pytorch(name, tmp_path):
    options = {"seenet": {"mirror": False, "scaled": "map", "initial": "xavier"}}.get(name, {})
    torch.manual_seed(1)  # with it no cell of these maps is so near to a cut that 16 bits move it across
    model = METHODS[name]("tiny", classes=8, weights="critters", width=6, **options).eval()
    for last in LAST[name]:
        nn.init.normal_(model.get_submodule(last).bias)
    images = rounded_to_bytes(critters.sample(8).images)
    file = tmp_path / "network"
    file.write_bytes(portable(model, critters.MAIN, bits=16))
    scores, maps = in_the_page(file, images, tmp_path)
    with torch.no_grad():
        assert torch.allclose(scores, model(to_network(images)), atol=1e-3)
    expected = model.maps(to_network(images), torch.arange(8).expand(8, 8))
    off = (maps - expected).abs().amax((2, 3)) / expected.abs().amax((2, 3))
    assert off.max() < 1e-2


@needs_node
@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_shipped_networks_say_what_the_trained_ones_said(name, tmp_path):
    """On 200 test scenes, against the stored answers of the network before its weights became integers."""
    stored = load_file(STORED / f"{name}.safetensors")
    images = rounded_to_bytes(critters.render(critters.scenes(200, start=critters.SPLITS["test"])).images)
    scores, maps = in_the_page(SHIPPED / f"{name}.safetensors", images, tmp_path)
    squashed = torch.sigmoid if name == "seenet" else lambda scores: scores.softmax(1)
    assert (squashed(scores) - squashed(stored["scores"])).abs().max() < 1e-2
    best = maps[torch.arange(200), stored["scores"].argmax(1)]
    expected = stored["maps"].float()
    off = (best - expected).abs().amax((1, 2)) / expected.abs().amax((1, 2))
    assert (off > 1e-2).sum() <= TIPPED.get(name, 0)


@pytest.mark.parametrize("name", NETWORKS)
def test_shipped_networks_are_small_and_say_where_they_come_from(name):
    data = (SHIPPED / f"{name}.safetensors").read_bytes()
    assert len(data) <= 350_000
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    about = json.loads(header["about"])
    assert about["command"] == f"python scripts/laboratory_networks.py {name}"
    assert {"recipe", "seed", "commit", "versions", "instruction_set"} <= about.keys()
    assert about["right on 200 test pictures"] > 0.95
    assert json.loads(header["network"])["names"] == list(critters.MAIN)


def test_folding_keeps_what_convolution_and_normalization_do():
    torch.manual_seed(0)
    convolution, norm = nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
    pictures = torch.rand(8, 2, 5, 5)
    norm(convolution(pictures))  # statistics that are not those of the start
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    norm.eval()
    kernel, bias = folded(convolution, norm)
    found = nn.functional.conv2d(pictures, kernel, bias, padding=1)
    assert torch.allclose(found, norm(convolution(pictures)), atol=1e-5)


def test_integers_reach_the_largest_value_of_each_channel():
    kernel = torch.tensor([2.54, -1.26, 0.0, 0.02]).view(2, 2, 1, 1).expand(2, 2, 3, 3)
    whole, scale = integers(kernel, 8, torch.rand(1, 2, 8, 8))
    assert whole.flatten(2)[..., 0].tolist() == [[127, -63], [0, 127]]
    assert (whole == whole[..., :1, :1]).all()  # nothing to make up
    assert scale.tolist() == pytest.approx([0.02, 0.02 / 127])
    whole, scale = integers(kernel, 16, torch.rand(1, 2, 8, 8))
    assert whole.dtype == torch.int16
    assert whole[0, :, 0, 0].tolist() == [32767, round(-1.26 / 2.54 * 32767)]


def test_integers_change_what_the_kernel_makes_of_features_less_than_rounding_does():
    torch.manual_seed(0)
    kernel, features = torch.randn(4, 8, 3, 3), resize(torch.rand(8, 8, 4, 4), 16)
    whole, scale = integers(kernel, 8, features)
    plain = (kernel / scale[:, None, None, None]).round()
    size = scale[:, None, None, None]
    off = [nn.functional.conv2d(features, k * size - kernel).norm() for k in (whole, plain)]
    assert off[0] < 0.3 * off[1]


def test_other_networks_are_refused():
    with pytest.raises(TypeError, match="trunk tiny, got Conv2d"):
        portable(nn.Conv2d(3, 8, 3), critters.MAIN)
    with pytest.raises(TypeError, match="trunk tiny"):
        portable(build("tiny_resnet"), critters.MAIN)
    with pytest.raises(ValueError, match="1 names given for 8 classes"):
        portable(build("tiny", classes=8), ("fox",))
    with pytest.raises(ValueError, match="runs acol with fusion='max' only"):
        portable(METHODS["acol"]("tiny", fusion="first"), critters.MAIN)
    with pytest.raises(ValueError, match="runs seenet with mirror=False only"):
        portable(METHODS["seenet"]("tiny"), critters.MAIN)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"unknown network 'cam2'; there are .*cam"):
        laboratory(networks=["cam2"])
    with pytest.raises(ValueError, match="unknown network 'cam2'"):
        laboratory(networks=["cam", "cam2"], shared="networks")
    with pytest.raises(ValueError, match="at least one network"):
        laboratory(networks=[])
    with pytest.raises(ValueError, match=r"draws the classes fox, owl, .* got fox, owl$"):
        laboratory(critters.scenes(1, classes=2)[0])


def test_scenes_go_to_the_page_and_back():
    for scene in changed_scenes():
        assert described(plain(scene)) == scene
    live = laboratory()
    other = critters.scenes(1, seed=9)[0]
    live.show(other.on("snow"))
    assert live.now == other.on("snow")
    assert not live.painted.any()
    live.gray = base64.b64encode(bytes([2] + [0] * 511)).decode()
    assert live.painted.nonzero()[0].tolist() == [0]
    assert live.painted.nonzero()[1].tolist() == [1]


def test_page_is_the_same_every_time_small_and_asks_nothing_of_the_network():
    scene = critters.scenes(1, seed=2)[0]
    torch.manual_seed(0)
    one, two = (laboratory(scene, ["cam"]) for _ in range(2))
    assert (
        repr(one)
        == repr(two)
        == f"Laboratory(networks=['cam'], animals=['{scene.critters[0].species}'], on '{scene.background}')"
    )
    assert one.html() == two.html()
    assert len(one.html()) < 600_000  # a second network adds 450,000: both pages stay below 1.5 MB
    assert one._repr_mimebundle_()[0]["text/html"] == one.html()
    assert not re.findall(r"(?:https?:)?//[\w.-]+\.\w{2,}/", one.html())
    assert "import " not in room.MODULE


@needs_chromium
def test_mouse_and_keyboard_in_a_browser(tmp_path):
    scene = next(
        s for s in critters.scenes(99, seed=7, object_scale=(0.6, 0.7)) if s.critters[0].species == "fox"
    )
    live = laboratory(replace(scene, critters=(replace(scene.critters[0], x=0.5),)))
    state = {name: getattr(live, name) for name in ("content", "scene", "gray", "label", "answers")}
    page = tmp_path / "page.html"
    page.write_text(
        "<!doctype html><meta charset=utf-8><title>-</title><link rel=icon href=data:,>"
        f'<script id=state type="application/json">{json.dumps(state)}</script>'
        f'<script type="module">{room.MODULE}{(STORED / "drive.mjs").read_text()}</script>'
    )
    found = told_by(page, tmp_path, milliseconds=9000, seconds=300)
    assert found["said"] == found["again"]
    assert found["said"].startswith("says fox")
    assert found["spoken"] == f"cam {found['said']}"
    assert found["answers"] == ["cam"]
    assert found["step"] == pytest.approx(-2 / 64)
    assert found["dragged"] == pytest.approx(0.1 - 2 / 64)
    assert found["missing"] == ["head"]
    assert found["plan"] == "sitter"
    assert found["owl"].startswith("says owl")
    assert (found["background"], found["animals"], found["left"], found["label"]) == ("snow", 2, 1, "duck")
    assert 300 < found["gray"] < 330  # a disc of 20 pixels: 314
    assert found["clean"] == ""
    assert found["empty"].startswith("nobody on")
    assert found["nameless"] == []
