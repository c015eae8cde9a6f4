# %% [markdown]
# # Your own model, your own pictures

# %% [markdown] tags=["launch"]
# [Open in Colab](https://colab.research.google.com/github/wsolbook/wsolbook/blob/main/notebooks/11_your_own.ipynb) · [Run on Binder](https://mybinder.org/v2/gh/wsolbook/wsolbook/main?labpath=notebooks%2F11_your_own.ipynb) · [Source text](https://github.com/wsolbook/wsolbook/blob/main/notebooks/text/11_your_own.py)

# %% tags=["colab", "remove-cell"]
import subprocess
import sys

if "google.colab" in sys.modules:  # wsolbook beside Colab's own torch and numpy
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "anywidget>=0.9.20", "jaxtyping>=0.2.30", "tyro>=0.9"], check=True)
    subprocess.run([*pip, "--no-deps", "git+https://github.com/wsolbook/wsolbook"], check=True)
    print("wsolbook is installed; torch and numpy are Colab's own")

# %% [markdown]
# *35 minutes to read, under a minute to run on two processor cores. Before this: {doc}`02_cam` and {doc}`03_grad_cam`;
# from {doc}`01_measuring_a_map` the {term}`IoU`.*
#
# Afterwards you will be able to
#
# - get the map of any PyTorch network on any photograph: convolutional, transformer, segmenter or detector;
# - train on a folder of your own pictures, from labels alone, and keep the result in one file;
# - choose a method by what it costs and by how faithful it was measured to be;
# - cut a map into a box without a single box to learn from, and say what ten boxes would add;
# - put the map where the network looked, which a plain resize does not.

# %%
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import skimage
import torch
from skimage.filters import threshold_otsu
from torch import nn
from torchvision.models import SwinTransformer, VisionTransformer, get_model
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn
from torchvision.utils import save_image

import wsolbook
from wsolbook import check, check_close, maps, methods, results
from wsolbook.alignment import align, grid_of, tiling
from wsolbook.backbones import build
from wsolbook.backbones.pretrained import load_pretrained
from wsolbook.cam import cam, grad_cam, hires_cam
from wsolbook.data import critters
from wsolbook.data.folder import Folder
from wsolbook.data.photos import read_photo
from wsolbook.data.transforms import from_network, to_network
from wsolbook.evaluation import center_gaussian
from wsolbook.metrics import box_above, box_iou
from wsolbook.show.figures import INK, draw_box, overlay, show_images
from wsolbook.training import Optim, Schedule, train

here = wsolbook.setup()

# %% [markdown]
# ## Photographs, at last
#
# With a trained network of torchvision and a photograph, all of this book so far is four lines:
#
# ```python
# trained = load_pretrained("mobilenet_v2")       # downloads ImageNet weights once, 14 MB
# photo = read_photo("holiday.jpg")               # upright, resized, cropped, normalized
# r = grad_cam(trained.network, photo.view)       # of the class that it finds most likely
# print(trained.names[r.classes[0, 0]], r.layer, r.values.shape)
# ```
#
# or one command: `wsolbook explain holiday.jpg --model mobilenet_v2`, which also takes folders. Three photographs that
# anybody may use come with scikit-image {cite}`vanderwalt2014skimage`: the cat by Stéfan van der Walt and the cup by Rachel Michetti, both
# CC0, and a rocket that SpaceX put into the public domain.

# %%
PICTURES = {"cat": "chelsea.png", "espresso": "coffee.png", "rocket": "rocket.jpg"}
free = Path(skimage.__file__).with_name("data")
photos = {word: read_photo(free / name) for word, name in PICTURES.items()}
x = torch.cat([photo.view for photo in photos.values()]).to(here.device)
seen = from_network(x.cpu())
print("network input", tuple(x.shape))

# %% [markdown]
# A page that is tested offline cannot download weights, so the raw maps of MobileNetV2 {cite}`sandler2018mobilenetv2` with ImageNet weights are read from
# `results/`, written by `benchmarks/own.py`. Under the profile `real` the last lines compute them anew.

# %%
stored = results.load("own-mobilenet_v2")
kept = stored["drawn"].values()
shown = ("Grad-CAM", "Grad-CAM, earlier", "LayerCAM, earlier")
raw = {name: torch.tensor([of["maps"][name] for of in kept]) for name in shown}
if here.profile == "real":
    weights = os.path.expandvars("$WSOLBOOK_REAL/weights/mobilenet_v2_symmetric")
    network = load_pretrained("mobilenet_v2", f"{weights}.safetensors").network
    raw["Grad-CAM"] = grad_cam(network.to(here.device), x).values[:, 0].cpu()

# %% mystnb={"image": {"alt": "Three photographs, each beside itself with a heat map. On the face of a cat the glow, titled tiger cat, runs from the brow to the muzzle and is strongest at its lower right. On a cup with spoon and saucer, espresso, it lies on the lower half of the cup and on the spoon. On a rocket between two masts, missile, it makes two columns, one on the rocket and a brighter one right of it, on the empty sky."}, "figure": {"caption": "Grad-CAM of the class that MobileNetV2 finds most likely, which stands above each map.", "name": "fig-own-photos"}}
pairs = zip(seen, raw["Grad-CAM"], strict=True)
panels = [panel for image, heat in pairs for panel in (image, overlay(image, heat))]
titles = [title for of in kept for title in ("", of["class"])]
show_images(panels, titles, columns=6, width=1.6)
plt.show()

# %% [markdown]
# Look twice at the last one. The network sees a missile, reasonably, and the brightest column lies on the sky beside
# it. Is the sky what the network uses? There is a way to ask: paint a strip of the picture over, with the pixels to
# its left, and see what is left of the missile. `benchmarks/own_boxes.py` did.

# %%
birds = results.load("own-boxes")
for strip, probability in birds["painted over"]["MobileNetV2"].items():
    print(f"{strip} painted over".ljust(44), f"missile {probability:.2f}")

# %% [markdown]
# The sky counts for next to nothing, the rocket for nearly all. The map is not wrong, it is coarse: a cell of its 7 × 7 grid stands for 32 × 32 pixels and looks at a window wider
# than the picture, so a cell beside the rocket may answer for the rocket. **A map says roughly where. What counts, erasing says.** Much of this chapter is about
# getting the most out of such a map.
#
# ## Any network
#
# Nothing has to be inherited, wrapped or registered, and nothing is left on your network. `grad_cam` watches one
# forward pass, takes the last layer that has positions, and says which. Layer and shape do not depend on the
# weights, so here are some architectures without any.

# %%
for name in ("resnet18", "densenet121", "mobilenet_v3_small", "efficientnet_b0"):
    network = get_model(name, weights=None).to(here.device)
    r = grad_cam(network, x[:1], 281)
    print(f"{name:18} {r.layer:10} {tuple(r.values.shape)}")

# %% [markdown]
# `classes` says what to explain: nothing for the best class of each picture, a number for all, `(n,)` for one each,
# `(n, k)` for several each, at the price of one forward pass ({doc}`03_grad_cam` has an example). Class names
# are a matter of your data: `trained.names`, or a text file.
#
# ### Two layers against each other
#
# Any other layer is asked for by its dotted name, as in `network.named_modules()`. An earlier one has a finer grid. Here is the
# last convolution of MobileNetV2, 7 × 7 cells, against the last one at half its stride, `features.13`.

# %% mystnb={"image": {"alt": "Espresso and rocket, each with three maps. Grad-CAM of the last layer is a wide glow over cup and spoon, and over rocket and sky. Grad-CAM of the earlier layer is scattered: for the cup it peaks in the lower right corner of the picture, for the rocket there is a spot in the upper left of the sky. LayerCAM of the earlier layer has a bright spot on the coffee, and one on the rocket."}, "figure": {"caption": "Two layers, two rules. The earlier layer is finer; whether it is right depends on the rule.", "name": "fig-own-layers"}}
panels, titles = [], []
for i, word in list(enumerate(photos))[1:]:
    panels += [seen[i], *(overlay(seen[i], raw[name][i]) for name in shown)]
    titles += [word, *(f"{name}, {len(raw[name][i])} rows" for name in shown)]
show_images(panels, titles, columns=4, width=2.3)
plt.show()

# %% [markdown]
# Grad-CAM gives each channel one weight for the whole picture. In an early layer, where a channel answers to edges everywhere, that lights up
# corners. LayerCAM {cite}`jiang2021layercam` weighs each position with its own gradient and stays on the thing. That it *looks* better is no proof: the table
# below has the numbers, and a surprise.
#
# ## Transformers
#
# A vision transformer returns tokens, a list, where a map needs a grid. It is refused with what to pass.

# %%
torch.manual_seed(0)
vit = VisionTransformer(224, 32, num_layers=4, num_heads=4, hidden_dim=64, mlp_dim=128)
nn.init.normal_(vit.heads.head.weight)  # torchvision starts it at zero: no map
vit = vit.to(here.device)
try:
    grad_cam(vit, x[:1])
except ValueError as refusal:
    print(refusal)

# %% [markdown]
# `reshape="tokens"` leaves out the class token and turns the 49 others into 7 × 7; give `(h, w)` when your pictures are not square. Which
# layer is taken is no matter of taste here. The class token reads the others for the last time in the last attention, so behind
# it they have no influence on any score, and their gradient is zero. It is the most common way to get an empty map.
#
# A Swin transformer has no class token. It ends, like a ResNet, in an average and a linear layer, so even CAM is exact on it.

# %%
r = grad_cam(vit, x[:1], reshape="tokens")
print(r.layer, tuple(r.values.shape))

late = "encoder.layers.encoder_layer_3"
behind = grad_cam(vit, x[:1], layer=late, reshape="tokens").values
check("peak of a map from behind the last attention", behind.max(), at_most=0)

swin = SwinTransformer([4, 4], 24, depths=[2, 2], num_heads=[2, 4], window_size=[7, 7])
swin = swin.to(here.device).eval()
r = cam(swin, x[:1], 281)
print(r.layer, tuple(r.values.shape))
bias = swin.head.bias[281].detach()
check_close("mean of the map + bias = logit", r.values.mean() + bias, r.logits[0, 281])

# %% [markdown]
# ## Your own pictures
#
# All you need is a folder for each class. We make one, of critters, so that what follows can be measured; put your own in its place.

# %%
folder = Path(tempfile.mkdtemp())
drawn = critters.Critters(n=1000, size=here.size, split="train")
for i, (image, label) in enumerate(zip(drawn.images, drawn.labels, strict=True)):
    place = folder / drawn.classes[label.argmax()]
    place.mkdir(exist_ok=True)
    save_image(image / 255, place / f"{i:04}.jpg")

mine = Folder(folder, size=here.size, augment="none")
print(len(mine), "pictures of", ", ".join(mine.classes))

# %%
settings = here.config(
    epochs=2, batch_size=32, optim=Optim(lr=0.05), schedule=Schedule("cosine")
)


def trained(seed):
    """Train on the folder, from labels alone; the seed decides all that is random."""
    torch.manual_seed(seed)
    model = build(here.backbone, classes=len(mine.classes), weights="critters")
    train(model.to(here.device), mine, settings, seed=seed)
    return model.eval()


models = [trained(seed) for seed in here.seeds]
model = models[0]

# %% [markdown]
# For photographs say `Folder(folder)`, whose pictures are cropped to 224 pixels with the usual augmentation, and
# `build("mobilenet_v2", classes=..., weights="imagenet")`. A damaged file stops the training and is named; `on_error="skip"` leaves a few out.
#
# Classes are numbered in the order of the folders' names. Whoever compares with a list in another order, as we do now, has to translate: forgotten,
# it costs no error message, only all of the accuracy.

# %%
test_set = critters.Critters(n=200, size=here.size, split="test")
test = test_set.batch(range(len(test_set)))
z = test.images.to(here.device)
words = [test_set.classes[i] for i in test.labels.argmax(1)]
true = torch.tensor([mine.classes.index(word) for word in words])

with torch.no_grad():
    errors = [(m(z).argmax(1).cpu() != true).float().mean() for m in models]
check("error on new critters", errors, at_most=0.15)

# %% [markdown]
# One file holds weights, architecture and names. It is read back in Python, or by
# `wsolbook explain new_pictures/ --weights mine.safetensors`, which writes maps, masks, boxes and a contact sheet.

# %%
model.names = mine.classes
methods.save(model, folder / "mine.safetensors")
again = methods.load(folder / "mine.safetensors").to(here.device).eval()
with torch.no_grad():
    check_close("read back = trained", again(z[:8]), model(z[:8]))
print(again.names)


# %% [markdown]
# From here two roads lead on. Boxes and their evaluation follow below. {term}`Pseudo labels <pseudo label>`, masks made of maps that train a
# segmentation network, are the subject of {doc}`08_affinitynet` and {doc}`09_segmentation`.
#
# ## A segmenter as target
#
# A network that returns no class scores needs to be told *which number* is to be explained. In place of `classes` goes a function of whatever the network returns. A
# segmenter returns scores for each pixel in a dictionary, as torchvision's do; ours is the classifier, asked at every position.

# %%
class Segmenter(nn.Module):
    """The classifier of this chapter, asked at every position instead of on average."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        features, linear = self.model.features(images), self.model.linear
        scores = torch.einsum("ck,nkhw->nchw", linear.weight, features)
        scores = scores + linear.bias[:, None, None]
        return {"out": maps.resize(scores, tuple(images.shape[-2:]))}


segmenter = Segmenter(model).eval()

# %% [markdown]
# Two frogs, side by side. We ask twice: why *frog* in the picture, and why *frog* in its right half?

# %%
frog = mine.classes.index("frog")
two = [i for i, word in enumerate(words) if word == "frog"][2:4]
pair = to_network(torch.cat([*test_set.images[two] / 255], -1))[None].to(here.device)


def target(out):
    """Score of frog, on average over all pixels, and over those of the right half."""
    score = out["out"][:, frog]
    return torch.stack([score.mean((1, 2)), score[..., here.size :].mean((1, 2))], 1)


asked = grad_cam(segmenter, pair, target, layer="model.features").values
of_class = grad_cam(model, pair, frog).values
check_close("all pixels: the classifier's Grad-CAM",
            maps.normalize(asked[:, :1]), maps.normalize(of_class))
check_close("the right half only: the same map again",
            maps.normalize(asked[:, 1:]), maps.normalize(of_class))

# %% mystnb={"image": {"alt": "Two frogs side by side, three times. As drawn; with Grad-CAM of the score in the right half, which glows on the heads of both frogs; with HiRes-CAM of the same score, which glows on the head of the right frog alone."}, "figure": {"caption": "Why \u201cfrog\u201d in the right half? Grad-CAM averages the gradient over all positions, and so forgets which half was asked for. HiRes-CAM multiplies position by position, and does not.", "name": "fig-own-region"}}
there = hires_cam(segmenter, pair, target, layer="model.features").values[0, 1]
border = there.shape[1] // 2 - 1
check("HiRes-CAM in the left half, its peak", there[:, :border].max(), at_most=0)

large = critters.render([test_set.scenes[i] for i in two], 256).images
large = torch.cat(list(large), -1)
panels = [large, overlay(large, asked[0, 1]), overlay(large, there)]
show_images(panels, ["picture", "Grad-CAM", "HiRes-CAM"], width=2.9)
plt.show()

# %% [markdown]
# The second check is a trap, and nothing warns of it. The average over positions, which makes Grad-CAM robust for a
# classifier, throws away the very region that was asked for. For questions about a region take
# `hires_cam` {cite}`draelos2020hirescam`.
#
# ## A detector as target
#
# Detectors return a list, one dictionary a picture, sorted by score, and they have several maps, so a layer has to be
# named. Weights are random here: with them all scores are low, and the threshold on them must go.

# %%
torch.manual_seed(0)
detector = fasterrcnn_mobilenet_v3_large_320_fpn(
    weights=None, weights_backbone=None, box_score_thresh=0.0
).to(here.device).eval()


def surest(out):
    """Score of the best box in each picture."""
    return torch.stack([found["scores"][0] for found in out])


r = grad_cam(detector, x[:1], surest, layer="backbone.body.16")
with torch.no_grad():
    found = surest(detector(x[:1]))
check_close("score explained = score found", r.logits[:, 0], found)
print(r.layer, tuple(r.values.shape))


# %% [markdown]
# A box is a question about a region, too: what was said of Grad-CAM and HiRes-CAM holds here.
#
# ## Which method, when?
#
# All that carries the name of CAM differs in one rule, from activation and gradient to map. How much difference does the rule make? Two networks with ImageNet
# weights were asked about the three pictures above and 17 labeled photographs, by `benchmarks/own.py`. Faithfulness is the area under insertion minus
# that under deletion ({term}`deletion and insertion`) {cite}`petsiuk2018rise`, times 100; the table has the lead over Grad-CAM, with the 95 % interval over the pictures. *Forwards* counts
# passes through the network; time and memory are ratios to one, on MobileNetV2 where it was asked. *Earlier* is the layer of the figure above, *both
# layers* the product of Grad-CAM there and LayerCAM here, *aligned* the subject of a later section, *4 sizes* `maps.multi_scale`. The dear ones, Ablation-CAM, Score-CAM and occlusion,
# saw eight of the pictures.

# %%
def lead(of):
    """Return the lead of a method over Grad-CAM with its interval, as text."""
    low, high = (100 * end for end in of["interval"])
    return f"{100 * of['lead']:+.1f} ({low:+.1f} to {high:+.1f})"


mobile, squeeze = stored["methods"], results.load("own-squeezenet1_1")["methods"]
costs = ("forwards", "time", "memory")
rows = []
for name, of in squeeze.items():
    ours = mobile.get(name)
    cost = [(ours or of)[c] for c in costs]
    cost = ["" if c is None else f"{c:.{min(k, 1)}f}" for k, c in enumerate(cost)]
    rows.append((name, *cost, lead(ours) if ours else "", lead(of)))
header = ("ahead of Grad-CAM", *costs, "MobileNetV2", "SqueezeNet")
print(results.table(header, rows), end="\n\n")

questions = ("removed parts", "another class")
rows = [
    (name, *(results.spread(of[question], 2) for question in questions))
    for name, of in results.load("own-critters")["methods"].items()
]
print(results.table(("critters, three seeds", *questions), rows))

# %% [markdown]
# **On the last layer most rules are one.** Both networks end in an average of what was recorded, or nearly, and CAM, Grad-CAM, HiRes-CAM and XGrad-CAM agree to a tenth. They cost one forward pass, and its memory.
#
# **Nothing dearer is surely better, except in one doubtful case.** Eight noisy copies {cite}`smilkov2017smoothgrad` are surely worse, four sizes are no sure gain at eighteen times the price, and Ablation-CAM {cite}`desai2020ablationcam`
# and Score-CAM {cite}`wang2020scorecam` are behind on average, at ten and at hundreds of times. Guided Grad-CAM is ahead on one network, at five times the time and eight times the memory: its lines follow edges, which serve this measure. {doc}`03_grad_cam` showed how little of
# them knows the class.
#
# **Some rules forget the class.** The last column of the second table is the rank correlation between the maps of two classes of one critter. Grad-CAM++ and LayerCAM keep only positive gradients and give
# nearly the same map to both; so does Score-CAM, and Eigen-CAM {cite}`muhammad2020eigencam` has no class at all. On photographs with one object this hardly shows. With two objects it is a wrong answer.
#
# **Earlier is finer, not more faithful.** Grad-CAM loses most there, LayerCAM less, and the product less still, and it knows the class again.
#
# **Look at the row of the center.** On MobileNetV2 a bell curve in the middle is as faithful as Grad-CAM, since photographers aim. Twenty pictures and this measure separate the bad from the good, and not the
# good from each other; removed parts do not either.
#
# | you want | take |
# |---|---|
# | the evidence for a class | `grad_cam` at the last layer, aligned |
# | an exact decomposition of the score | `cam`, where the head allows it |
# | a finer map that knows the class | the product of two layers, or a network of stride 16 (`--output-stride`) |
# | a region of a segmenter, a box of a detector | `hires_cam` |
# | a network that cannot be opened, or a second opinion | `occlusion`, at fifty passes |
#
# Ablation-CAM, Eigen-CAM and noise are not in `wsolbook.cam`, by these numbers; the first two are exercises. Score-CAM is there to be compared with.
#
# ## Where to cut, without boxes
#
# A map becomes a box by a {term}`threshold`, and the threshold that is best for the boxes is exactly what you do not know when you
# have none. We have boxes here, and use them to see how well one can do without. First the IoU of each test picture at sixteen
# thresholds.

# %%
levels = torch.arange(16) / 16


def overlaps(heat, cuts):
    """Return the IoU of the box of each map, at each of its cuts, with the true box."""
    boxes = [
        torch.stack([box_above(m, float(t)) for t in row])
        for m, row in zip(heat, cuts, strict=True)
    ]
    both = zip(boxes, test.boxes, strict=True)
    return torch.stack([box_iou(ours, truth).amax(1) for ours, truth in both])


raw_maps = [cam(m, z, true).values[:, 0].cpu() for m in models]
heats = [maps.normalize(maps.resize(m, here.size)) for m in raw_maps]
found = [overlaps(heat, levels.expand(len(heat), -1)) for heat in heats]
blind = center_gaussian(here.size).float().expand(len(z), -1, -1)
center = overlaps(blind, levels.expand(len(z), -1)).mean(0)

# %% [markdown]
# Two ideas need no box. **Otsu's threshold** {cite}`otsu1979threshold` looks at the histogram of one map, and splits its values into two groups that are as far
# apart as they can be. **Ask the network**: show it only what lies above the threshold, and take the highest one at which it still names
# the picture.

# %%
otsu = [torch.tensor([[threshold_otsu(m.numpy())] for m in h]) for h in heats]
by_otsu = [overlaps(h, t).mean() for h, t in zip(heats, otsu, strict=True)]


def still_named(cut):
    """Return the probability of the class when only what is above a cut is shown."""
    visible = z * (heats[0] > cut)[:, None].to(here.device)
    with torch.no_grad():
        return model(visible).softmax(1).cpu().gather(1, true[:, None]).mean()


named = [float(still_named(float(t))) for t in levels]
best = [f.mean(0).max() for f in found]
check("IoU lost by Otsu's thresholds, against the best of all",
      [b - o for b, o in zip(best, by_otsu, strict=True)], at_most=0.03)
check("best IoU of the maps, minus that of the center",
      [b - center.max() for b in best], at_least=0.02)
check("probability when only the region above three quarters is shown",
      named[12], at_least=0.4)

# %% mystnb={"image": {"alt": "Two charts over the threshold from 0 to 1. Left, the mean IoU of the maps rises from 0.27 to a flat top of 0.43 between 0.3 and 0.5 and falls below 0.1; a gray band marks Otsu's thresholds around 0.37, under the top; the dotted line of the center stays below, with its top at 0.38. Right, the probability of the class stays above 0.9 until a threshold of 0.8 and falls only then."}, "figure": {"caption": "Left: what the threshold does to the boxes, and where Otsu puts it (mean, and one standard deviation over the pictures). Right: what is left of the class when only the region above the threshold is shown.", "name": "fig-own-cut"}}
figure, axes = plt.subplots(1, 2, figsize=(7.6, 2.8), layout="constrained")
middle, width = otsu[0].mean(), otsu[0].std()
axes[0].axvspan(middle - width, middle + width, color="0.85", label="Otsu")
axes[0].plot(levels, found[0].mean(0), lw=2, label="map")
axes[0].plot(levels, center, ":", color=INK["background"], lw=2, label="center")
axes[0].set(xlabel="threshold", ylabel="mean IoU of the boxes")
axes[0].legend()
axes[1].plot(levels, named, "--", color=INK["head"], lw=2)
axes[1].set(xlabel="threshold", ylabel="probability of the class", ylim=(0, 1))
plt.show()


# %% [markdown]
# Otsu loses next to nothing. The other idea fails, instructively: the network names the animal from a fraction of its
# head, so it would choose a threshold near 1. It is the finding of {doc}`02_cam` from another side. **A classifier cannot tell how far the
# object extends, since it does not need to know.**
#
# ### What ten boxes add
#
# Suppose you draw ten boxes after all. They can choose a threshold, and they can say how good the maps are. Draw them a thousand
# times from the test pictures, and look at both.

# %%
def draws(few, times=1000):
    """Return which pictures are drawn, a row a time."""
    return torch.rand(times, len(z)).argsort(1)[:, :few]


def chosen_by(found, picks):
    """Return the IoU over all pictures at the thresholds that drawn pictures choose."""
    return found.mean(0)[found[picks].mean(1).argmax(1)]


ten = [chosen_by(f, draws(10)) for f in found]
check("IoU that ten boxes lose on average, against the best of all",
      [b - t.mean() for b, t in zip(best, ten, strict=True)], at_most=0.04)
iou = found[0][:, found[0].mean(0).argmax()]
said = iou[draws(10)].mean(1), (iou[draws(10)] >= 0.5).double().mean(1)
check("what ten boxes say of the mean IoU, spread", said[0].std(), at_most=0.06)
check("what they say of the share of hits at 0.5, spread", said[1].std(), at_least=0.08)

# %% [markdown]
# Ten boxes choose no better than Otsu without any. As judges they are better used, if one asks them the right thing: a share
# of hits moves by more than ten points from one draw to the next, the mean IoU by three or four. **With few boxes report the mean IoU, and its
# spread.**
#
# On photographs it is less simple. `benchmarks/own_boxes.py` cut the maps of three networks with ImageNet weights on 243 birds of
# CUB-200-2011, on which they were not trained.

# %%
rows = [
    (f"{name}, {laid}", *(f"{of[laid][c]:.{1 + (c == 'at')}f}" for c in of[laid]))
    for name, of in birds["networks"].items() for laid in ("plain", "aligned")
    if laid in of
]
header = ("mean IoU", "best", "at", "10 boxes", "1 in 20", "Otsu", "a fifth", "hits")
print(results.table(header, rows))

# %% [markdown]
# All but the last column are mean IoU in percent: at the best threshold, which is said; at the one that ten boxes choose, on average and in the
# worst of twenty draws; at Otsu's; and at a fifth of the range. *Hits* is the share of boxes with an IoU of 0.5 at its best threshold. Birds are photographed in the middle: only SqueezeNet is ahead of the
# center, the {term}`center-Gaussian baseline`.
#
# On both MobileNetV2s Otsu is again as good as ten boxes or better. On SqueezeNet, whose maps are a few sharp spots, it cuts too high and
# loses six to seven points, where ten boxes lose one to two. So look at a dozen maps: if they are wide blobs, take Otsu; if they are spots, a fifth; and if the boxes
# matter, draw ten. A fifth, close to the paper's 20 %, is no better than any other constant: the best of all for one network, and the worst in its row for another.
#
# ## Where to lay it: half a cell matters
#
# The rows called *aligned* have it better, without any training, by up to seven points of hits. A map is usually enlarged as if its cells
# tiled the picture. But a convolution of stride 2 that pads one pixel on either side looks at pixels 0, 2, 4, ... and not between them. Five
# of those, and a cell looks half a cell away from where it is drawn.

# %%
mobile = get_model("mobilenet_v2", weights=None).to(here.device).eval()
grid = grid_of(mobile, "features", x[:1], (7, 7))
tiles = tiling((224, 224), (7, 7))
for name, of in {"cells look at": grid, "a resize draws them at": tiles}.items():
    print(f"{name:23}", [of.start[0] + k * of.step[0] for k in range(7)])

# %% mystnb={"image": {"alt": "Espresso and rocket, each with the same map twice and a box around its bright part. Resized, the glow lies to the lower right: on the rim of the saucer, and on the sky right of the rocket. Aligned, it has moved to the upper left by a fifteenth of the picture: onto cup and spoon, and nearer to the rocket."}, "figure": {"caption": "The same 7 \u00d7 7 numbers, drawn as a resize draws them and where the cells look. Boxes are cut at 0.45.", "name": "fig-own-align"}}
panels, titles, boxes = [], [], []
for i, word in list(enumerate(photos))[1:]:
    resized = maps.resize(raw["Grad-CAM"][i : i + 1], 224)
    placed = align(raw["Grad-CAM"][i : i + 1], grid, 224)
    for how, heat in {"resized": resized, "aligned": placed}.items():
        panels.append(overlay(seen[i], heat[0]))
        titles.append(f"{word}, {how}")
        boxes.append(box_above(maps.normalize(heat)[0], 0.45))
figure = show_images(panels, titles, width=2.1)
for axis, box in zip(figure.axes, boxes, strict=True):
    draw_box(axis, box, INK["prediction"])
plt.show()

# %% [markdown]
# `grid_of` follows kernels, strides and paddings through one forward pass, and `align` lays the map out accordingly. Our `tiny` network ends
# in pools, which tile, and needs neither. `wsolbook explain` aligns; the {term}`MaxBoxAcc` protocol does not, and published numbers do not either, so say which you report.
#
# The direction depends on where the weights come from. Those called TensorFlow were trained with padding on one side only: their cells look 15.5
# pixels further to the lower right than a resize thinks, aligning moves the map the other way, and the boxes gain as well. In a single picture a shift may look good
# or bad, as on this rocket; over 243 birds it is no matter of taste.
#
# ## Checklist
#
# Before you believe a map, or show it to somebody:
#
# 1. **Is the network right?** A map of a wrong answer explains the wrong answer. Look at `r.logits`.
# 2. **Is the input right?** RGB in [0, 1], the mean and spread of the training, the size of the training. A network fed with values up to 255 answers too.
# 3. **Which class, which layer?** `r.classes` and `r.layer` say what was taken. Write both under the figure.
# 4. **Would it notice another class?** Ask for a second one. If the map stays, it is a drawing of the picture.
# 5. **Would it notice another network?** Randomize the last layer and ask again ({doc}`03_grad_cam`).
# 6. **Two layers.** Where they disagree, believe neither.
# 7. **Raw before scaled.** After {term}`min-max normalization` an empty map looks as confident as any other. Compare `r.values.max()` over pictures.
# 8. **Against what?** The center of the picture is right surprisingly often.
# 9. **Erase and see.** Cover what the map shows, and look at the score. That is the claim, tested.
#
# ## Troubleshooting
#
# What users of such libraries ask most, in that order.
#
# | what happens | why, and what to do |
# |---|---|
# | Which layer? Axis errors, wrong shapes | Leave `layer` out, and read `r.layer`. A layer that returns no map is refused with what to pass. |
# | A transformer's map is empty or striped | `reshape="tokens"`, no `layer`; for pictures that are not square `reshape=(h, w)`. |
# | Memory grows from picture to picture | You keep something with a graph: store `values.cpu()`. Nothing is kept here between two calls. |
# | Only the first picture has a map, or all have one class | `classes` of shape `(n,)`, one for each picture, or `(n, k)`. |
# | Detectors, segmenters, captions | A function in place of `classes`, and a `layer`. |
# | In-place ReLU, "view is modified" | Nothing to do: the layer's output is copied before anything writes to it. |
# | Frozen parameters, `no_grad`, `inference_mode`, `torch.compile` | Work as they are: the graph begins at the layer. |
# | Scripted, traced or quantized networks | Have no layers to watch: explain the network they were made from, or use `occlusion`. |
# | The map must go into a loss | `differentiable=True`, as {doc}`04_gain` does; `record` for a loop of your own. |
# | The map is all zero | Nothing in this layer speaks for the class. Look at `cam`, which is signed, or at `counterfactual=True`. |
# | NaN | Named with layer and picture; in half precision usually an overflow before the layer. |
# | Two maps shall be compared | Compare raw values. Scaled maps always reach 1. |
# | Several inputs | Wrap the network in a module that takes the picture and knows the rest. |
# | Several threads or GPUs | Threads wait for each other on one network; for speed give each process its own. |
# | Volumes | `(n, channels, depth, height, width)` in, maps with three axes out. |
#
# ## Exercises
#
# :::{exercise-start}
# :label: ex-own-grid
# :::
# *Compute* by hand where the cells of ResNet-18's last layer look: a 7 × 7 convolution of stride 2 with three pixels of padding, a 3 × 3 pool of stride 2
# with one, then three 3 × 3 convolutions of stride 2 with one. By how many pixels does a resize of its map miss, at 224 pixels and at 448?
#
# :::{dropdown} Hint
# With a padding of half the kernel a cell looks at its own position. What do strides do?
# :::
#
# :::{exercise-end}
# :::
#
# :::{solution-start} ex-own-grid
# :class: dropdown
# :::

# %% tags=["solution"]
resnet = get_model("resnet18", weights=None).to(here.device).eval()
for side in (224, 448):
    picture, cells = torch.zeros(1, 3, side, side, device=here.device), side // 32
    ours = grid_of(resnet, "layer4", picture, (cells, cells))
    plain = tiling((side, side), (cells, cells))
    print(side, ours.start, ours.step, "missed by", plain.start[0] - ours.start[0])

# %% [markdown]
# Each has as much padding as its kernel reaches to either side, so the first cell looks at pixel 0, and stays there: the steps are 32, and the resize, which puts the
# first cell at 15.5, misses by 15.5 pixels. It is half a cell less half a pixel, whatever the picture: at 448 pixels the same, and so half as much of the picture.
#
# :::{solution-end}
# :::
#
# :::{exercise-start}
# :label: ex-own-few
# :::
# *Predict*, then measure: how many boxes does it take until they choose a threshold as good as Otsu's, on average? And in nineteen draws of twenty?
#
# - [ ] 3 on average, 10 in nineteen draws of twenty
# - [ ] 30 on average, 100 in nineteen draws of twenty
# - [ ] 100 on average, 1,000 in nineteen draws of twenty
#
# :::{dropdown} Hint
# How flat is the top of the curve, and what does bad luck cost?
# :::
#
# :::{exercise-end}
# :::
#
# :::{solution-start} ex-own-few
# :class: dropdown
# :::

# %% tags=["solution"]
lost = {few: best[0] - chosen_by(found[0], draws(few)) for few in (3, 10, 30, 100)}
check("IoU that 3 boxes lose, in the worst of twenty draws",
      lost[3].quantile(0.95), at_least=0.02)
check("IoU that 100 boxes lose, in the worst of twenty draws",
      lost[100].quantile(0.95), at_most=0.02)


# %% [markdown]
# - [x] 30 on average, 100 in nineteen draws of twenty
#
# The top of the curve is flat, so the average settles soon: some thirty boxes lose hardly more than Otsu. The unlucky draws are what costs, and they take about a hundred. Those hundred boxes could have trained something
# ({term}`few-shot baseline`).
#
# :::{solution-end}
# :::
#
# :::{exercise-start}
# :label: ex-own-eigen
# :::
# *Implement* Eigen-CAM {cite}`muhammad2020eigencam`: flatten the activation of the last layer to a matrix of positions times channels, and project it onto its first right
# singular vector. Then put it to items 4 and 5 of the checklist.
#
# :::{dropdown} Hint
# `torch.linalg.svd` returns the right singular vectors as the rows of `Vh`.
# :::
#
# :::{exercise-end}
# :::
#
# :::{solution-start} ex-own-eigen
# :class: dropdown
# :::

# %% tags=["solution"]
def eigen_cam(network, images):
    """Return the first principal component of the activation; it takes no class."""
    with torch.no_grad():
        activation = network.features(images)
    flat = activation.flatten(2).mT
    direction = torch.linalg.svd(flat, full_matrices=False).Vh[:, 0]
    projected = (flat @ direction[..., None])[..., 0].abs()
    return projected.unflatten(1, activation.shape[2:])


before = eigen_cam(model, z[:8])
again.linear.reset_parameters()  # the copy that was read from the file
after = eigen_cam(again, z[:8])
check_close("random linear layer: the same map", after, before, atol=1e-4)

# %% [markdown]
# It has no argument for the class, so it cannot notice another one, and it never looks at the linear layer. That it finds the object all the same, since animals excite more channels than meadows do, says
# something about pictures with one object in them, and nothing about the network's reason.
#
# :::{solution-end}
# :::
#
# :::{exercise-start}
# :label: ex-own-ablation
# :::
# *Investigate.* Ablation-CAM {cite}`desai2020ablationcam` weighs a channel by the share of the score that is lost when the channel is set to zero. It is advertised as needing no
# gradient, at one forward pass for each channel. What does it come to on a network that ends in an average and a linear layer? Derive the weights, then check them.
#
# :::{dropdown} Hint
# The score is linear in the pooled channels.
# :::
#
# :::{exercise-end}
# :::
#
# :::{solution-start} ex-own-ablation
# :class: dropdown
# :::

# %% tags=["solution"]
with torch.no_grad():
    pooled = model.features(z[:1]).mean((2, 3))
    score = model.linear(pooled)[0, true[0]]
    without = pooled * (1 - torch.eye(pooled.shape[1], device=here.device))
    ablated = (score - model.linear(without)[:, true[0]]) / score
closed = model.linear.weight[true[0]] * pooled[0] / score
check_close("channel by channel = weight times mean, over the score", ablated, closed)

# %% [markdown]
# The score loses $w_k F_k$, so the weights are $w_k F_k / S$: those of CAM, times the mean of the channel. All forward passes could have been one product. Channels that are
# active everywhere count once more for it, and the map is no decomposition of the score any longer.
#
# :::{solution-end}
# :::
#
# ## Summary
#
# - Any network, any layer, any score: four lines, one forward pass, and the result says what it took.
# - Transformers need `reshape="tokens"` and the layer before the last attention; segmenters and detectors a function.
# - Nothing that we measured is surely more faithful than Grad-CAM at the last layer for its price; questions about a region need HiRes-CAM.
# - Otsu's threshold is as good as one from ten boxes where maps are wide, and worse where they are spots.
# - Lay maps where the cells look. It costs nothing and was worth up to seven points of boxes.
#
# Next: {doc}`12_to_scale`, the same on the papers' own data sets, on one GPU or on many.
