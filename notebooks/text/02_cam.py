# %% [markdown]
# # CAM: the classifier already knows where

# %% [markdown] tags=["launch"]
# [Open in Colab](https://colab.research.google.com/github/wsolbook/wsolbook/blob/main/notebooks/02_cam.ipynb) · [Run on Binder](https://mybinder.org/v2/gh/wsolbook/wsolbook/main?labpath=notebooks%2F02_cam.ipynb) · [Source text](https://github.com/wsolbook/wsolbook/blob/main/notebooks/text/02_cam.py)

# %% tags=["colab", "remove-cell"]
import subprocess
import sys

if "google.colab" in sys.modules:  # wsolbook beside Colab's own torch and numpy
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "anywidget>=0.9.20", "jaxtyping>=0.2.30", "tyro>=0.9"], check=True)
    subprocess.run([*pip, "--no-deps", "git+https://github.com/wsolbook/wsolbook"], check=True)
    print("wsolbook is installed; torch and numpy are Colab's own")

# %% [markdown]
# *Zhou, Khosla, Lapedriza, Oliva and Torralba: "Learning Deep Features for Discriminative Localization", CVPR
# 2016* {cite}`zhou2016cam`
#
# *30 minutes to read, about a minute to run on two processor cores. Before this:
# {doc}`00_where_is_it` for the critters and {doc}`01_measuring_a_map` for the metrics.*
#
# Afterwards you will be able to
#
# - derive the {term}`class activation map` by exchanging two sums, and say what the exchange leaves out;
# - compute it in one line, and hold the line against the network's own score to six digits;
# - turn a map into a box as the paper does;
# - measure which *parts* of an object a map covers, and compare that with what the network really uses;
# - say which of the paper's claims held in our runs over three seeds, and which did not.

# %%
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

import wsolbook
from wsolbook import check, check_close, maps, results
from wsolbook.backbones import build
from wsolbook.cam import cam
from wsolbook.data import critters
from wsolbook.data.transforms import to_network
from wsolbook.show.figures import INK, overlay, show_images
from wsolbook.training import Optim, Schedule, train

here = wsolbook.setup()

# %% [markdown]
# ## A network that can name it but will not point
#
# Here is the situation of the whole book. We have pictures, and for each picture one word. There are no boxes
# and no outlines. From that we train an ordinary classifier, and it becomes good: show it a critter that it
# has never seen, and it gets the species right almost every time. Ask it *where* the animal is, and it has no
# answer to give. Its last layer returns eight numbers, and none of them is a position.
#
# The network is a small relative of the paper's VGG-GAP: four stages of convolutions, and after the last one
# nothing but an average and one linear layer. As the paper's networks start from ImageNet, ours starts from weights
# that were trained on *other* species, and is fine-tuned on these eight.

# %%
train_set = critters.Critters(n=1500, size=here.size, split="train")
test_set = critters.Critters(n=400, size=here.size, split="test")
settings = here.config(
    epochs=2, batch_size=32, optim=Optim(lr=0.05), schedule=Schedule("cosine")
)


# %%
def trained(seed):
    """Train the network of this chapter; the seed decides all that is random in it."""
    torch.manual_seed(seed)
    model = build(here.backbone, classes=8, weights="critters").to(here.device)
    train(model, train_set, settings, seed=seed)
    return model


models = [trained(seed) for seed in here.seeds]
model = models[0]  # that of the figures

# %%
test = test_set.batch(range(len(test_set)))
x, true = test.images.to(here.device), test.labels.argmax(1)
pictures = test_set.images / 255

with torch.no_grad():
    accuracy = [(m(x).argmax(1).cpu() == true).float().mean() for m in models]
check("accuracy on critters that it has never seen", accuracy, at_least=0.95)

# %% [markdown]
# The tempting first try is to look inside. A classifier of this kind carries a stack of
# {term}`feature maps <feature map>` to the very end of its convolutions: small grids, one for each kind of
# thing that the network looks for, which still know what part of the picture they came from. Average the
# stack, and lay it over the picture. To make it interesting we put two pictures side by side; a
# {term}`fully convolutional network` takes any size.

# %% mystnb={"image": {"alt": "Four panels of a fox beside a frog: the picture; the mean activation, which glows on both; the class activation map of fox, which glows on the fox; and that of frog, which glows on the frog."}, "figure": {"caption": "One forward pass of one network. The mean activation says that something is there, twice. The class activation maps answer for one word each.", "name": "fig-cam-pair"}}
words = ("fox", "frog")
classes = [test_set.classes.index(word) for word in words]
two = [pictures[int((true == c).nonzero()[0])] for c in classes]
pair = torch.cat(two, dim=-1)

z = to_network(pair)[None].to(here.device)
with torch.no_grad():
    activity = model.features(z)[0].mean(0)
of_fox, of_frog = cam(model, z, torch.tensor([classes])).values[0]

panels = [pair, *(overlay(pair, heat) for heat in (activity, of_fox, of_frog))]
titles = ["picture", "mean activation", "CAM of “fox”", "CAM of “frog”"]
show_images(panels, titles, columns=2, width=3)
plt.show()

# %% [markdown]
# The mean activation answers "something is here, and something is there". That was not the question. The two lower maps
# come from the same forward pass of the same network, and each answers for *one* word. They are
# {term}`class activation maps <class activation map>`, and nothing was trained to produce them. The rest of the
# chapter opens the box: where they come from, why they are exact, how good they are, and how they fail.
#
# ## Two sums change places
#
# Write $f_k(x, y)$ for the activation of {term}`channel` $k$ of the last convolution at a position of its
# $h \times w$ grid. {term}`Global average pooling` turns each channel into one number,
#
# $$
# F_k = \frac{1}{hw} \sum_{x,y} f_k(x, y),
# $$ (eq-cam-gap)
#
# and a linear layer with weights $w_k^c$ and bias $b_c$ turns those into the score of class $c$, its entry in the
# {term}`logits`:
#
# $$
# S_c = \sum_k w_k^c \, F_k + b_c .
# $$ (eq-cam-score)
#
# Put the first equation into the second. Both sums are finite, so they may change places:
#
# $$
# S_c - b_c
# = \sum_k w_k^c \, \frac{1}{hw} \sum_{x,y} f_k(x, y)
# = \frac{1}{hw} \sum_{x,y} \underbrace{\sum_k w_k^c \, f_k(x, y)}_{\textstyle M_c(x, y)} .
# $$ (eq-cam-swap)
#
# That is the paper. $M_c$ is the class activation map, and equation {eq}`eq-cam-swap` says what it means: **the score
# of a class is the average of its map, plus a constant.** Each position contributes $M_c(x, y) / hw$ to the score, no
# more and no less. There is no approximation in it, no gradient, and no second pass through the network.
#
# | paper | here | shape | meaning |
# |---|---|---|---|
# | $f_k(x, y)$ | `features` | `(n, K, h, w)` | last convolution, after its ReLU |
# | $F_k$ | `pooled` | `(n, K)` | spatial mean (the paper writes the sum; every released network takes the mean) |
# | $w_k^c$, $b_c$ | `weight`, `bias` | `(c, K)`, `(c,)` | the linear layer |
# | $S_c$ | `logits` | `(n, c)` | class scores before the {term}`softmax` |
# | $M_c(x, y)$ | `M` | `(n, c, h, w)` | class activation maps |
#
# Two conditions are hidden in this. The map is only as fine as the last grid, here $8 \times 8$; that is why the
# paper removes the last pooling stages of VGG and GoogLeNet and keeps a grid of 14 × 14. And the map needs *this* head.
# AlexNet and VGG end in three fully connected layers, which mix all positions before the class is known. The
# paper cuts them off, grows a new head and fine-tunes, and pays about two points of
# accuracy for it, in its own table.
#
# ## From scratch
#
# First the end of the forward pass in the letters of the paper, so that nothing is hidden.

# %%
weight, bias = model.linear.weight.detach(), model.linear.bias.detach()
with torch.no_grad():
    features = model.features(x[:16])
    logits = model(x[:16])
pooled = features.mean((2, 3))
S = pooled @ weight.T + bias

print("features", tuple(features.shape), " pooled", tuple(pooled.shape))
check_close("average, then one linear layer: that is the network", S, logits)

# %% [markdown]
# Now the map, equation {eq}`eq-cam-swap` in one line, and the promise that the equation makes.

# %%
M = torch.einsum("ck,nkhw->nchw", weight, features)

print("maps", tuple(M.shape))
check_close("mean of each map + bias = logit", M.mean((2, 3)) + bias, logits)

# %% [markdown]
# A sum over $k$ at one position is what a 1 × 1 convolution computes. So instead of averaging first and
# classifying the average, one can classify every position and average the scores. ACoL and SPG build
# their networks that way, and read the map off the class channel. There is one difference: a convolution adds its bias at
# every position, and so lifts the whole map by $b_c$.

# %%
each_position = F.conv2d(features, weight[:, :, None, None], bias)
lifted = M + bias[:, None, None]
check_close("classify each position = CAM + bias", each_position, lifted)

# %% [markdown]
# :::{admonition} Which of the two is *the* map?
# :class: note
# They differ by a constant, and a constant matters as soon as somebody cuts at 20 % of the maximum. We follow the
# paper: no bias. Under {term}`min-max normalization`, which removes constants, both are the same map.
# :::
#
# ### From a grid to the picture
#
# Two steps are left before a person can look at the map. It has to reach the size of the picture, and its values
# have to come into $[0, 1]$. The order is no matter of taste: a bilinear resize averages, and so it misses the
# peak; a map that was scaled first does not touch 1 any more. The
# evaluation protocol of {doc}`01_measuring_a_map` resizes first, and so do we.

# %%
raw = M[torch.arange(16), true[:16]].cpu()
scaled_last = maps.normalize(maps.resize(raw, here.size))
scaled_first = maps.resize(maps.normalize(raw), here.size)

peaks = scaled_last.amax((1, 2)), scaled_first.amax((1, 2))
check_close("scaled last: every map reaches 1", peaks[0], torch.ones(16))
check("scaled first: the lowest peak among 16", peaks[1].min(), at_most=0.999)

# %% mystnb={"image": {"alt": "Four panels: a critter; its class activation map as eight by eight squares; the same map resized to the picture; and the map over the picture, glowing on the head."}, "figure": {"caption": "From 8 \u00d7 8 numbers to evidence on the picture.", "name": "fig-cam-steps"}}
i = 5
photo = pictures[i].permute(1, 2, 0)
panels = [photo, raw[i], scaled_last[i], overlay(pictures[i], raw[i])]
grid = " × ".join(map(str, raw[i].shape))
titles = ["picture", f"raw map, {grid}", "resized, then scaled", "over the picture"]
figure, axes = plt.subplots(1, 4, figsize=(8.4, 2.4), layout="constrained")
for axis, panel, title in zip(axes, panels, titles, strict=True):
    axis.imshow(panel, cmap="inferno")
    axis.set_title(title)
    axis.set_axis_off()
plt.show()


# %% [markdown]
# ### From a map to a box
#
# The paper's rule has a single number in it. Keep the pixels above 20 % of the maximum, take the largest
# {term}`connected component`, and draw the tight box around it. Only "connected" needs an algorithm, and here is one
# that a GPU likes: give every kept pixel a number of its own, then let each take the largest number among its eight
# neighbors, until nothing changes. Pixels that end with the same number belong together.

# %%
def largest_component(keep):
    """Return the largest 8-connected component of a boolean mask (h, w)."""
    label = torch.arange(1.0, keep.numel() + 1).view(1, 1, *keep.shape) * keep
    while True:
        spread = F.max_pool2d(label, 3, stride=1, padding=1) * keep
        if torch.equal(spread, label):
            return label[0, 0] == label[label > 0].mode().values
        label = spread


def box_of(keep):
    """Return the inclusive corners (x0, y0, x1, y1) of what a mask keeps."""
    y, x = keep.nonzero(as_tuple=True)
    return [int(v) for v in (x.min(), y.min(), x.max(), y.max())]


# %% [markdown]
# A map made by hand shows the rule at work: a rectangle of ones, a blob at 21 % of the maximum, and another at 19 %.

# %%
toy = torch.zeros(12, 12)
toy[2:6, 3:9], toy[8:10, 1:3], toy[8:11, 9:12] = 1.0, 0.21, 0.19

keep = toy > 0.2 * toy.max()
print("pixels kept:", int(keep.sum()), " box:", box_of(largest_component(keep)))

# %% [markdown]
# The 24 pixels of the rectangle and the four of the brighter blob pass, the fainter blob does not, and the box is
# that of the rectangle alone.
#
# ## The same with `wsolbook`
#
# Everything above is one call. It returns raw values, as the method computed them, beside the logits of the same
# forward pass. Resizing and scaling stay visible in your own code.

# %%
from wsolbook.metrics import box_above

r = cam(model, x[:16], true[:16])
print("values", tuple(r.values.shape), " logits", tuple(r.logits.shape))
print("layer", r.layer)

check_close("package = from scratch", r.values[:, 0], raw)
ours = [box_of(largest_component(m > 0.2 * m.max())) for m in scaled_last]
print("equal boxes:", ours == [box_above(m, 0.2).tolist() for m in scaled_last])

# %% [markdown]
# The call is not tied to our networks. Whenever the scores are a linear function of averaged features there is a
# CAM, and `cam` finds the layer by watching one forward pass. A network without such a head is refused, with the
# reason.

# %%
from torchvision.models import get_model

noise = torch.randn(1, 3, 64, 64, device=here.device)
for name in ("resnet18", "densenet121", "mobilenet_v2", "squeezenet1_1"):
    r = cam(get_model(name, weights=None).to(here.device), noise, 7)
    print(f"{name:14} {r.layer:12} {tuple(r.values.shape)}")

try:
    cam(get_model("vgg11", weights=None).to(here.device), noise)
except ValueError as refusal:
    print(refusal)

# %% [markdown]
# ## The experiment: what does the map cover?
#
# The evidence in the paper is a benchmark. On ILSVRC, boxes from CAM reach a top-5
# {term}`localization error <top-1 localization error>` of 37.1 % on the test set (the paper's number), where a fully supervised
# AlexNet has 34.2 %. From that the authors conclude that a classification network has a remarkable ability to
# localize. We can ask a sharper question. In the world of critters each animal comes with masks of its parts, and we
# know which part tells the species: the **head** does, and the body hardly.
#
# So score all test maps at once. The threshold is the kindest one for the map: of all thresholds, the one at which what
# it keeps agrees best with the masks of the whole animals.

# %%
from wsolbook.metrics import best_threshold, part_coverage

raw_maps = [cam(m, x, true).values[:, 0].cpu() for m in models]
heats = [maps.normalize(maps.resize(r, here.size)) for r in raw_maps]

# %%
taus = [best_threshold(h, test.masks) for h in heats]
both = zip(heats, taus, strict=True)
coverage = [part_coverage(h, test_set.parts, t) for h, t in both]
heat, tau = heats[0], taus[0]

heads, bodies = ([c[part] for c in coverage] for part in ("head", "body"))
check("share of the head above the threshold", heads, at_least=0.9)
check("share of the body above the threshold", bodies, at_most=0.6)

# %% mystnb={"image": {"alt": "Four curves fall as the threshold rises from 0 to 1. The curve of the head stays near 1 much longer than those of body, limbs and background, which fall early and close together."}, "figure": {"caption": "How much of each part remains above a rising threshold. The dashed line marks the threshold at which the maps agree best with the animals.", "name": "fig-cam-coverage"}}
grid = torch.linspace(0, 1, 41)
curves = [part_coverage(heat, test_set.parts, float(t)) for t in grid]

figure, axis = plt.subplots(figsize=(5.6, 3.2), layout="constrained")
for part in ("head", "body", "limbs", "background"):
    axis.plot(grid, [c[part] for c in curves], color=INK[part], label=part, lw=2)
axis.axvline(tau, color="black", lw=1, ls="--")
axis.set(xlabel="threshold", ylabel="share above the threshold")
figure.legend(loc="outside right center")
plt.show()

# %% [markdown]
# This is the finding that a decade of papers is about. **The map is right, and it is not the object.** It shows the
# evidence, and the evidence is the head. A network that is trained to tell species apart has no reason to attend to
# what the species share.
#
# ### Is it right about the reason?
#
# "The evidence is the head" is a statement about the network, and so far we have only read it off a map. It can be tested
# without any map: draw every scene again without the head, every other pixel left alone, and see how far the score of the
# true class falls. Then do the same with the body, and with the limbs.

# %%
from wsolbook.metrics import part_evidence, part_importance, rank_agreement

def drawn_without(part):
    """Draw the test pictures again, with one part of every animal gone."""
    scenes = [s.without(part) for s in test_set.scenes]
    return to_network(critters.render(scenes, here.size, here.device).images)


without = {part: drawn_without(part) for part in critters.PARTS}
importance = [part_importance(m, x, without, true) for m in models]
falls = [torch.stack(list(i.values()), dim=1).cpu() for i in importance]
evidence = [part_evidence(h, test_set.parts) for h in heats]
agreement = [
    rank_agreement(e, f).nanmean() for e, f in zip(evidence, falls, strict=True)
]
check("removing the head costs most, share of pictures",
      [(f.argmax(1) == 0).float().mean() for f in falls], at_least=0.9)
check("mean rank agreement of map and cause", agreement, at_least=0.5)

# %% mystnb={"image": {"alt": "Two bar charts over head, body and limbs. Left, the mean of the map over each part: head highest. Right, the fall of the true logit when the part is removed: head by far the highest."}, "figure": {"caption": "What the map shows and what the network uses. Bars are means over the test pictures, lines their standard deviation.", "name": "fig-cam-cause"}}
figure, axes = plt.subplots(1, 2, figsize=(7.4, 2.8), layout="constrained")
sides = (
    ("mean of the map over the part", evidence[0]),
    ("fall of the logit without the part", falls[0]),
)
for axis, (title, value) in zip(axes, sides, strict=True):
    height, spread = value.nanmean(0), value.nan_to_num().std(0)
    colors = [INK[part] for part in critters.PARTS]
    axis.bar(critters.PARTS, height, yerr=spread, color=colors, capsize=3)
    axis.set_title(title)
plt.show()

# %% [markdown]
# The map tells the truth about its network. That deserves to be said, because the next ten years of papers call
# the same map *incomplete*. It is incomplete as an answer to "where is the object?". As an answer to "what did you look
# at?" it is good.
#
# ## Ablations
#
# The paper makes three choices: average pooling, a fine last grid, and a cut at 20 %. The first two need trainings of their
# own. Those were done by `wsolbook reproduce`, three seeds each, and are read from
# `results/`. {term}`MaxBoxAcc` counts boxes of the largest component at an IoU of 0.5; {term}`MaxBoxAccV2` averages over three IoUs;
# coverage is in percent at the threshold chosen as above.

# %%
runs = {
    "GAP, 8 × 8": "cam-critters",
    "max pooling (GMP)": "cam-critters-gmp",
    "coarse, 4 × 4": "cam-critters-coarse",
    "fine, 16 × 16": "cam-critters-fine",
}
columns = ("top-1", "MaxBoxAcc", "MaxBoxAccV2", "PxAP", "head", "body")
stored = {name: results.load(run) for name, run in runs.items()}
rows = [
    (name, *(results.spread(record["metrics"][c]) for c in columns))
    for name, record in stored.items()
]
center = stored["GAP, 8 × 8"]["center"]
numbers = (f"{center[c]:.1f}" if c in center else "" for c in columns)
rows.append(("center of the picture", *numbers))
print(results.table(("three seeds", *columns), rows))

# %% [markdown]
# **Average against maximum.** Both networks classify equally well, and the averaged one localizes better, by a few points of MaxBoxAcc: the
# order that the paper reports (57.8 % against 56.4 % top-1 localization error, the paper's numbers). The maximum is content
# with one strong position, the average pays for every position that responds. This comparison needs equal starts. From random weights, under the
# same schedule, the max-pooled network often failed to learn at all, and so all four start from the shipped weights.
#
# **Resolution.** A coarser grid costs some points. A finer one gains nothing here: the evidence on a head of twenty pixels is not
# limited by a grid of 8 × 8. The paper's claim that a higher resolution helps holds from 4 × 4 to 8 × 8, and not beyond.
#
# **And the last row.** A bell curve in the middle of each picture, which never looks at it, finds *more* boxes than CAM. Our animals are large
# and rarely far from the middle, and a box of half an animal is a miss at an IoU of 0.5. This is what
# a discriminative part costs, and it is why no table in this book stands without that row.
#
# ### On photographs
#
# The same method, the same code, real pictures: MobileNetV2 with ImageNet weights, fine-tuned with image labels on two small
# subsets, 632 images of PASCAL VOC 2012 and ten species of CUB-200-2011. These runs need the photographs and a few
# minutes per seed, so they too are read from `results/`; under the profile `real` ({doc}`../book/how_to_run`) this cell
# trains and measures instead. One warning: their learning rates and the stride of 16 pixels were settled
# after a look at one seed of these very pictures, so read them as a little kind to CAM. {term}`mAP` takes the place of the accuracy
# where a picture has several labels.

# %%
columns = ("top-1", "mAP", "MaxBoxAcc", "MaxBoxAccV2", "PxAP", "seed mIoU")
rows = []
subsets = {"VOC, 632 images": "cam-voc632", "CUB, 10 species": "cam-cub10"}
for name, run in subsets.items():
    record = here.result(run)
    ours = {c: results.spread(v) for c, v in record["metrics"].items()}
    center = {c: f"{v:.1f}" for c, v in record["center"].items()}
    rows.append((name, *(ours.get(c, "") for c in columns)))
    rows.append(("  center of the picture", *(center.get(c, "") for c in columns)))
seeds = "three seeds" if len(record["provenance"]["seeds"]) == 3 else "one seed"
print(results.table((seeds, *columns), rows))

# %% [markdown]
# The photographs agree with the critters, and not with the abstract of the paper. After a few minutes of fine-tuning, the birds
# are named right in about 85 % of the test pictures, and the boxes of the maps stay *below* those of the blind center. On VOC, with its smaller and less central objects,
# CAM is ahead of the center for boxes and for segmentation seeds, and behind it in {term}`PxAP`. Part of this is the setting: a small
# network, 300 birds, and strided convolutions whose cells look a few pixels up and left of where a plain resize puts them
# (`wsolbook.alignment` measures by how much; the protocol ignores it). The rest is what you saw above. A bird is told by its head.
#
# ## Turn the threshold yourself
#
# The whole chapter hangs on one number, so take it in your hands. Find the threshold at which the fox is boxed best; then look
# what it does to the others. {term}`MaxBoxAcc` allows one threshold for the whole set.

# %%
from wsolbook.show.explorer import explore

some = [int((true == c).nonzero()[1]) for c in range(4)]
explorer = explore(
    pictures[some], {"CAM": heat[some]}, boxes=[test.boxes[j] for j in some],
    mask=test.masks[some], titles=[test_set.classes[c] for c in range(4)],
)
explorer

# %% [markdown]
# ## When it fails, and what the paper does not say
#
# **It finds evidence, not extent.** That is the figure above, and it is no defect of the map, which is exact. It is a
# defect of the question. A classifier is paid for telling classes apart; what they share it may ignore.
#
# **It cannot count.** Two animals of one species share one map. If their blobs touch, they are one component; if not,
# the rule of the largest component drops one of them.

# %% mystnb={"image": {"alt": "Two foxes side by side. The class activation map glows on both heads; the box of the largest component surrounds only one of them."}, "figure": {"caption": "Two foxes, one map, one box.", "name": "fig-cam-count"}}
from wsolbook.show.figures import draw_box

fox = (true == classes[0]).nonzero()[:, 0]
foxes = torch.cat([pictures[fox[0]], pictures[fox[1]]], dim=-1)
z = to_network(foxes)[None].to(here.device)
both = cam(model, z, classes[0]).values[0, 0].cpu()
figure = show_images([foxes, overlay(foxes, both)], columns=2, width=3)
box = box_above(maps.normalize(maps.resize(both, foxes.shape[1:])), 0.5)
draw_box(figure.axes[1], box, INK["prediction"])
plt.show()

# %% [markdown]
# **It believes the context.** If boats always come with water, water is evidence for boats, and the map says so,
# truthfully. GAIN {cite}`li2018gain` starts from there.
#
# **Negative evidence is part of the sum.** $M_c$ is negative where a region speaks *against* the class. Min-max
# normalization moves the most negative value to 0, and a neutral region to some gray; division by the maximum leaves it
# at 0. A fixed threshold means two different things under the two.
#
# **Twenty percent of what?** The paper says: of the maximum of the map. The code that was released for ILSVRC cuts a map of
# values up to 255 at 20, 100 and 110, of which the first is 7.8 % of the maximum; runs a distance transform; cuts again; and
# merges the boxes of the three levels into a loose and a tight one. The 37.1 % above belong to a list of five guesses
# built from those: two boxes for the first class, two for the second, one for the third. With one box for each of
# five classes it is 42.9 %.
#
# **Absolute values.** At test time the released code averages over ten crops, and adds up the *absolute* values of
# their maps. Evidence against the class turns into evidence for it, and the center, which every crop sees, gets more of
# everything.
#
# **Tuned on boxes.** A threshold that was chosen by looking at test boxes is a form of supervision. The comparison that finally
# controlled for it found that, under one protocol, none of the later methods clearly beats CAM
# {cite}`choe2020evaluating`. You have the instruments to check that yourself now.
#
# ## Exercises
#
# :::{exercise-start}
# :label: ex-cam-twenty
# :::
# The paper cuts at 20 % of the maximum, its code at 20 of 255. Scale the maps by their maximum (`how="max"`), cut at either
# level, and count the boxes with an {term}`IoU` of at least 0.5. What do you expect when the map is as narrow as ours?
# :::{exercise-end}
# :::
#
# :::{solution-start} ex-cam-twenty
# :class: dropdown
# :::

# %% tags=["solution"]
from wsolbook.metrics import box_iou

by_max = maps.normalize(maps.resize(raw_maps[0], here.size), "max")
hit = {
    level: sum(
        float(box_iou(box_above(m, level)[None], b).max()) >= 0.5
        for m, b in zip(by_max, test.boxes, strict=True)
    ) / len(by_max)
    for level in (0.2, 20 / 255)
}
check("hits gained by the lower cut", hit[20 / 255] - hit[0.2], at_least=0)

# %% [markdown]
# The lower cut gives larger boxes. Where maps are too narrow for their objects, as everywhere in this book, larger is better.
# A number of a paper depends on such a constant as much as on its method.
#
# :::{solution-end}
# :::
#
# :::{exercise-start}
# :label: ex-cam-dropout
# :::
# The released VGG16-GAP has {term}`dropout` of one half between the average and the linear layer. Is the identity *mean of the
# map + bias = logit* still true in training mode? And in evaluation mode?
# :::{exercise-end}
# :::
#
# :::{solution-start} ex-cam-dropout
# :class: dropdown
# :::

# %% tags=["solution"]
noisy = F.dropout(pooled, 0.5) @ weight.T + bias
check("largest error of the identity in training mode",
      (M.mean((2, 3)) + bias - noisy).abs().max(), at_least=0.1)
check_close("in evaluation mode it holds", M.mean((2, 3)) + bias, logits)

# %% [markdown]
# Dropout removes half of the channels from the sum and doubles the rest, so the score of that pass is the mean of another map. `cam` therefore
# runs a network in evaluation mode, and puts every module back into the mode in which it found it.
#
# :::{solution-end}
# :::
#
# :::{exercise-start}
# :label: ex-cam-gmp
# :::
# With global *max* pooling the score is $S_c = \sum_k w_k^c \max_{x,y} f_k(x,y) + b_c$. Can the sums still change places? Find an inequality
# between $S_c$ and the maximum of $M_c$ for non-negative weights, and a case in which it is strict.
# :::{exercise-end}
# :::
#
# :::{solution} ex-cam-gmp
# :class: dropdown
# No: each channel takes its maximum at a position of its own. For $w_k^c \ge 0$,
#
# $$
# \max_{x,y} M_c(x,y) = \max_{x,y} \sum_k w_k^c f_k(x,y) \le \sum_k w_k^c \max_{x,y} f_k(x,y) = S_c - b_c ,
# $$
#
# and it is strict as soon as two channels with positive weight peak at different positions, an ear here and a snout there. The map of a
# max-pooled network is thus no decomposition of its score. Only the peaks receive a gradient in training, and nothing asks the rest of
# the object to respond.
# :::
#
# ## Summary
#
# - With average pooling and a linear layer, the score of a class is the mean of its map plus a bias. CAM is that map.
# - It is exact, costs nothing, and finds every network that has such a head.
# - It shows the evidence: nearly all of the head and about half of the body, and the head is indeed what the network uses.
# - The box depends on a threshold at least as much as on the map.
#
# The paper's own numbers, for reference (error in percent on the ILSVRC validation set, lower is better; **the paper's, not ours**):
#
# | network | top-1 class. | top-5 class. | top-1 loc. | top-5 loc. |
# |---|---|---|---|---|
# | GoogLeNet-GAP | 35.0 | 13.2 | 56.40 | 43.00 |
# | VGGnet-GAP | 33.4 | 12.2 | 57.20 | 45.14 |
# | AlexNet*-GAP | 44.9 | 20.9 | 63.75 | 49.53 |
# | GoogLeNet-GMP | 35.6 | 13.9 | 57.78 | 45.26 |
# | Backprop on VGGnet | 31.2 | 11.4 | 61.12 | 51.46 |
#
# Next comes Grad-CAM, which asks for no special head at all. What it needs instead is one gradient.
