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
# *30 minutes to read, under a minute to run on two processor cores. Before this:
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


def large(index):
    """Draw test pictures for the eye, with more pixels than the network gets."""
    return critters.render([test_set.scenes[i] for i in index], 256)


with torch.no_grad():
    errors = [(m(x).argmax(1).cpu() != true).float().mean() for m in models]
check("error on critters that it has never seen", errors, at_most=0.05)

# %% [markdown]
# The tempting first try is to look inside. A classifier of this kind carries a stack of
# {term}`feature maps <feature map>` to the very end of its convolutions: small grids, one for each kind of
# thing that the network looks for, which still know what part of the picture they came from. Average the
# stack, and lay it over the picture. To make it interesting we put two pictures side by side; a
# {term}`fully convolutional network` takes any size.

# %% mystnb={"image": {"alt": "Four panels of a fox beside a frog: the picture; the mean activation, which glows brightly on the fox and more faintly on the frog; the class activation map of fox, which glows on the fox's head and not on the frog; and that of frog, which glows on the frog's head, above a faint wash over all the rest."}, "figure": {"caption": "One forward pass of one network, which sees this picture at 64 \u00d7 128 pixels. The mean activation says that something is there, twice. The class activation maps answer for one word each.", "name": "fig-cam-pair"}}
def beside(images):
    """Put pictures next to each other."""
    return torch.cat(list(images), dim=-1)


fox, frog = 50, 27
words = [test_set.classes[true[i]] for i in (fox, frog)]
pair = beside(test_set.images[[fox, frog]] / 255)
shown = beside(large([fox, frog]).images)

z = to_network(pair)[None].to(here.device)
with torch.no_grad():
    activity = model.features(z)[0].mean(0)
of_fox, of_frog = cam(model, z, true[[fox, frog]][None]).values[0]

panels = [shown, *(overlay(shown, heat) for heat in (activity, of_fox, of_frog))]
titles = ["picture", "mean activation", *(f"CAM of “{word}”" for word in words)]
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
check("scaled first: maps that reach 1", (peaks[1] > 0.9999).sum(), at_most=0)

# %% mystnb={"image": {"alt": "Four panels: a critter; its class activation map as eight by eight squares; the same map resized to the picture; and the map over the picture, glowing on the head."}, "figure": {"caption": "From 8 \u00d7 8 numbers to evidence on the picture.", "name": "fig-cam-steps"}}
i = 0
picture = large([i]).images[0]
fine = maps.normalize(maps.resize(raw[i : i + 1], 256))[0]
panels = [picture.permute(1, 2, 0), raw[i], fine, overlay(picture, raw[i])]
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
# forward pass. Resizing and scaling stay visible in your own code. The network runs in evaluation mode meanwhile: the
# released VGG16-GAP has {term}`dropout` between the average and the linear layer, and in training mode a score would
# be the mean of another map.

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

for name in ("resnet18", "densenet121", "mobilenet_v2", "squeezenet1_1"):
    r = cam(get_model(name, weights=None).to(here.device), x[:1], 7)
    print(f"{name:14} {r.layer:12} {tuple(r.values.shape)}")

try:
    cam(get_model("vgg11", weights=None).to(here.device), x[:1])
except ValueError as refusal:
    print(refusal)

# %% [markdown]
# ## The experiment: what does the map cover?
#
# The evidence in the paper is a benchmark. On ILSVRC, boxes from CAM reach a top-5
# {term}`localization error <top-1 localization error>` of 37.1 % on the test set (the paper's number), where a fully
# supervised AlexNet has 34.2 %.
# From that the authors conclude that a classification network has a remarkable ability to localize. We can ask a
# sharper question. In the world of critters each animal comes with masks of its parts, and we know which part tells
# the species: the **head** always does, and the body sometimes.
#
# The body is no bad witness either. Half of the animals wear the body of their own kind. How far does that lead? A
# network was trained and tested on the same kind of pictures *without heads*, by `benchmarks/world.py` over three seeds.

# %%
world = results.load("world")["single"]
bare = [row["top-1, trained headless"] for row in world["CAM"]]
print("right without heads:", results.spread(bare), "%, by guessing: 12.5 %")

# %% [markdown]
# Whoever has to use the body can. Now to the network that had both.
#
# Score all its test maps at once. The threshold is the kindest one for the map: of all thresholds, the one at which what
# it keeps agrees best with the masks of the whole animals.

# %%
from wsolbook.metrics import best_threshold, part_coverage

raw_maps = [cam(m, x, true).values[:, 0].cpu() for m in models]
heats = [maps.normalize(maps.resize(r, here.size)) for r in raw_maps]
taus = [best_threshold(h, test.masks) for h in heats]
both = zip(heats, taus, strict=True)
coverage = [part_coverage(h, test_set.parts, t) for h, t in both]
heat, tau = heats[0], taus[0]

heads, bodies = ([c[part] for c in coverage] for part in ("head", "body"))
check("share of the head below the threshold", [1 - h for h in heads], at_most=0.15)
check("share of the body above the threshold", bodies, at_most=0.65)

# %% mystnb={"image": {"alt": "Four curves fall from 1 to 0 as the threshold rises from 0 to 1. That of the head, solid, stays near 1 until a threshold of about 0.6 and drops after it. The body, dashed, falls all the way and is at about 0.4 where a vertical line marks the best threshold, 0.61; the limbs, dash-dotted, are at about 0.2 there. The background, dotted, drops at once and is at about 0.1."}, "figure": {"caption": "How much of each part remains above a rising threshold, all test pictures together. The vertical line marks the threshold at which the maps agree best with the animals.", "name": "fig-cam-coverage"}}
grid = torch.linspace(0, 1, 41)
curves = [part_coverage(heat, test_set.parts, float(t)) for t in grid]
strokes = {"head": "-", "body": "--", "limbs": "-.", "background": ":"}

figure, axis = plt.subplots(figsize=(5.6, 3.2), layout="constrained")
for part, stroke in strokes.items():
    share = [c[part] for c in curves]
    axis.plot(grid, share, stroke, color=INK[part], label=part, lw=2)
axis.axvline(tau, color="black", lw=1)
axis.set(xlabel="threshold", ylabel="share above the threshold")
figure.legend(loc="outside right center", handlelength=3)
plt.show()

# %% [markdown]
# This is the finding that a decade of papers is about. **The map is right, and it is not the object.** Nearly all of the
# head is above the threshold, and less than half of the body, although the body alone would tell the species
# in more than half of the pictures. A network that is trained to tell species apart has no reason to use a second
# piece of evidence once the first is enough, still less to attend to what the species share.
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
check("pictures in which another part costs more than the head",
      [(f.argmax(1) > 0).float().mean() for f in falls], at_most=0.05)
check("mean rank agreement of map and cause", agreement, at_least=0.5)

# %%
def right_without(part):
    """Return the share of pictures that each network names when a part is gone."""
    with torch.no_grad():
        named = [m(without[part]).argmax(1).cpu() for m in models]
    return [(n == true).float().mean() for n in named]


check("right without the head", right_without("head"), at_most=0.65)
check("wrong without the body", [1 - r for r in right_without("body")], at_most=0.05)

# %% mystnb={"image": {"alt": "Two bar charts over head, body and limbs. Left, the mean of the map over each part: head almost 0.9, body 0.6, limbs 0.4. Right, the fall of the true logit when the part is removed: 8 for the head, next to nothing for body and limbs."}, "figure": {"caption": "What the map shows and what the network uses. Bars are means over the test pictures, lines one standard deviation over them.", "name": "fig-cam-cause"}}
figure, axes = plt.subplots(1, 2, figsize=(7.4, 2.8), layout="constrained")
sides = (
    ("what the map shows", "mean of the map over the part", evidence[0]),
    ("what the network uses", "fall of the logit without it", falls[0]),
)
for axis, (title, label, values) in zip(axes, sides, strict=True):
    known = [v[v.isfinite()] for v in values.T]  # hidden parts have no mean
    means, spreads = [v.mean() for v in known], [v.std() for v in known]
    colors = [INK[part] for part in critters.PARTS]
    axis.bar(critters.PARTS, means, yerr=spreads, color=colors, capsize=3)
    axis.set(title=title, xlabel="part", ylabel=label)
plt.show()

# %% [markdown]
# In order of importance the map tells the truth about its network. That deserves to be said, because the next ten
# years of papers call the same map *incomplete*. It is incomplete as an answer to "where is the object?". As an answer to
# "what did you look at?" it is good.
#
# It is not sharp, though, and the two charts differ in more than their order: the map gives the body more than half
# of what it gives the head, and yet its removal costs the network next to nothing. A position of the last grid sees
# up to 66 × 66 pixels, a window as wide as the picture. So a cell over the body may glow for the head next to it. The
# last exercise measures how much of the glow on the body is the body's own.
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
# Spread over seeds says how much the training matters, not how much the choice of the test pictures does. For that
# the pictures are drawn again with replacement, a thousand times, for the map and for the center alike: the paired
# bootstrap.

# %%
def over_center(record, *metrics):
    """Return a table of how far the maps lie above the center, a row for each seed."""
    rows = []
    for metric in metrics:
        blind, ours = record["center"][metric], record["metrics"][metric]
        for seed, (low, high) in enumerate(record["over_center"][metric]):
            lead, interval = f"{ours[seed] - blind:+.1f}", f"{low:+.1f} to {high:+.1f}"
            rows.append((metric, seed, lead, interval))
    pictures = f"{record['pictures']['evaluated']} pictures"
    return results.table((pictures, "seed", "above the center", "95 % interval"), rows)


print(over_center(stored["GAP, 8 × 8"], "MaxBoxAcc", "MaxBoxAccV2", "PxAP"))

# %% [markdown]
# **Average against maximum.** Both networks classify equally well, and which one localizes better depends on the
# question: the averaged one in PxAP, by five to six points on average and by next to nothing in one of the seeds; in
# MaxBoxAccV2 there is no difference beyond the spread; and in boxes at an IoU of 0.5 it is the max-pooled one, by
# five points. The order that the paper reports (56.4 % against 57.8 % top-1 localization error, the paper's numbers,
# for boxes at 0.5) is not the one that we find. What the averaged network does more reliably is to cover the head:
# the maximum is content with one strong position, and its seeds differ more. The comparison needs equal starts, so
# all four start from the shipped weights.
#
# **Resolution.** A coarser grid costs ten points of PxAP and three to four of MaxBoxAccV2. A finer one gains nothing
# here: it has four times as many positions, but each of them looks at about as wide a piece of the picture as before. The
# paper's claim that a higher resolution helps holds from 4 × 4 to 8 × 8, and not beyond.
#
# **And the last row.** A bell curve in the middle of each picture, which never looks at it, is the least that a map
# must beat. CAM does so in MaxBoxAccV2, by eight points, as on ImageNet (62.4 against 52.5;
# {cite}`choe2020evaluating`), and in PxAP by far, with intervals that stay clear of zero. At an IoU of 0.5 alone it
# does not: in no seed does it find more boxes than the bell curve, and in none is the difference sure. A glow around
# the head overlaps nearly every animal a little, which counts at an IoU of 0.3, and few of them well. This is what a
# discriminative part costs; the grid is not to blame, for the true masks reduced to 8 × 8 reach 98 in MaxBoxAccV2
# (`benchmarks/world.py`). It is also why no table of this book that scores our maps by boxes or pixels
# stands without that row.
#
# ### On photographs
#
# The same method, the same code, real pictures: MobileNetV2 with ImageNet weights, fine-tuned with image labels on
# two small subsets, 632 images of PASCAL VOC 2012 and ten species of CUB-200-2011. These runs need the photographs
# and a few minutes per seed, so they too are read from `results/`; under the profile `real`
# ({doc}`../book/how_to_run`) this cell trains and measures instead. One warning: their learning rates and the stride
# of 16 pixels were settled after a look at one seed of these very pictures, so read them as a little kind to CAM.
# {term}`mAP` takes the place of the accuracy where a picture has several labels, and *seed mIoU* is the {term}`mIoU` of
# masks that are cut from the maps at the best background score.

# %%
columns = ("top-1", "mAP", "MaxBoxAcc", "MaxBoxAccV2", "PxAP", "seed mIoU")
subsets = {"VOC, 321 pictures": "cam-voc632", "CUB, 243 pictures": "cam-cub10"}
photographs = {name: here.result(run) for name, run in subsets.items()}
rows = []
for name, record in photographs.items():
    ours = {c: results.spread(v) for c, v in record["metrics"].items()}
    center = {c: f"{v:.1f}" for c, v in record["center"].items()}
    rows.append((name, *(ours.get(c, "") for c in columns)))
    rows.append(("  center of the picture", *(center.get(c, "") for c in columns)))
seeds = "three seeds" if len(record["provenance"]["seeds"]) == 3 else "one seed"
print(results.table((seeds, *columns), rows), "\n")
print(over_center(photographs["CUB, 243 pictures"], "MaxBoxAcc", "MaxBoxAccV2"))

# %% [markdown]
# The birds are named right in about 85 % of the test pictures, and the boxes of their maps stay *below* those of the
# blind center, in MaxBoxAcc by nine to fourteen points. 243 pictures are few, and each interval is twelve points wide,
# but none reaches zero. On VOC, with its smaller and less central objects, CAM
# is ahead of the center for boxes and for segmentation seeds, and behind it in {term}`PxAP`. Part of this is the
# setting: a small network, 300 birds to learn from, and strided convolutions whose cells look a few pixels up and
# left of where a plain resize puts them (`wsolbook.alignment` measures by how much; the protocol ignores it). How
# much of the rest is the finding above, that a classifier needs no more than a part, these numbers cannot tell:
# nobody can remove a bird's head and leave all else as it was. That is what the critters are for.
#
# ## Turn the threshold yourself
#
# The whole chapter hangs on one number, so take it in your hands. Find the threshold at which the near fox is boxed
# best; then look what it does to the far one. {term}`MaxBoxAcc` allows one threshold for the whole set.

# %%
from wsolbook.show.explorer import explore

some = [24, 51, 9, 26]
drawn = large(some)
explorer = explore(
    drawn.images, {"CAM": heat[some]}, boxes=drawn.boxes, mask=drawn.masks,
    titles=["fox, near", "fox, far", "frog, near", "frog, far"],
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

# %% mystnb={"image": {"alt": "Two foxes side by side, and twice their class activation map, which glows on both heads. Cut at 20 % of the range, one box surrounds both heads; cut at half, it surrounds the left head only."}, "figure": {"caption": "Two foxes, one map, one box. Left to right: the picture, and the box of the largest component at two thresholds.", "name": "fig-cam-count"}}
from wsolbook.show.figures import draw_box

left, right = 24, 34
two = beside(test_set.images[[left, right]] / 255)
z = to_network(two)[None].to(here.device)
both = cam(model, z, true[left]).values[0, 0].cpu()
shown = beside(large([left, right]).images)

levels = (0.2, 0.5)
panels = [shown, *[overlay(shown, both)] * len(levels)]
titles = ["picture", *(f"threshold {level}" for level in levels)]
figure = show_images(panels, titles, width=2.8)
scaled = maps.normalize(maps.resize(both, shown.shape[1:]))
for axis, level in zip(figure.axes[1:], levels, strict=True):
    draw_box(axis, box_above(scaled, level), INK["prediction"])
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
# **Tuned on boxes.** A threshold that was chosen by looking at test boxes is a form of supervision. The comparison
# that finally controlled for it found that, under one protocol, none of the later methods clearly beats CAM
# {cite}`choe2020evaluating`. You have the instruments to check that yourself now.
#
# ## Exercises
#
# The {doc}`laboratory <../book/laboratory>`, where a network runs in the page, asks three more questions to this chapter.
#
# :::{exercise-start}
# :label: ex-cam-twenty
# :::
# *Predict.* The paper cuts at 20 % of the maximum, its code at 20 of 255. Before you compute anything: which of the
# two boxes is larger, and for which animals is that good, for the near ones or for the far ones? Then scale the maps
# by their maximum (`how="max"`), cut at 20 of 255 and, for contrast, at 60 %, and count the boxes with an {term}`IoU`
# of at least 0.5 among the largest and among the smallest third of the animals.
#
# - [ ] 20 of 255, which is good for near animals
# - [ ] 20 of 255, which is good for far animals
# - [ ] 20 %, which is good for near animals
#
# :::{dropdown} Hint
# How much larger is a near animal than a far one, and how much larger is its head's glow?
# :::
#
# :::{exercise-end}
# :::
#
# :::{solution-start} ex-cam-twenty
# :class: dropdown
# :::

# %% tags=["solution"]
from wsolbook.metrics import box_iou

by_max = maps.normalize(maps.resize(raw_maps[0], here.size), "max")
order = test_set.masks.bool().sum((1, 2)).argsort()
third = len(order) // 3


def hits(level, index):
    """Return the share of pictures whose box at this level reaches an IoU of 0.5."""
    boxes = [box_above(by_max[i], level)[None] for i in index]
    best = [box_iou(b, test.boxes[i]).max() for b, i in zip(boxes, index, strict=True)]
    return float((torch.stack(best) >= 0.5).float().mean())


low, high = 20 / 255, 0.6
near, far = ([hits(t, i) for t in (low, high)] for i in (order[-third:], order[:third]))
check("near: hits at 20 of 255 minus at 60 %", near[0] - near[1], at_least=0.3)
check("far: hits at 60 % minus at 20 of 255", far[1] - far[0], at_least=0.1)


def near_to_far(masks):
    """Return how many times more pixels masks have for near animals than far ones."""
    pixels = masks.sum((1, 2))[order].float()
    return pixels[-third:].mean() / pixels[:third].mean()


check("area of near animals over that of far ones",
      near_to_far(test_set.masks.bool()), at_least=2)
check("area of their glow, the same", near_to_far(by_max > 0.2), at_most=1.7)

# %% [markdown]
# - [x] 20 of 255, which is good for near animals
#
# The lower cut gives the larger box, so it gains near animals and loses far ones. Near animals cover three times as
# many pixels as far ones, and the glow around their heads hardly more, so no single cut is right for both. A number of
# a paper depends on such a constant as much as on its method.
#
# :::{solution-end}
# :::
#
# ::::{exercise} The same sum with a maximum
# :label: ex-cam-gmp
# *Compute*, by hand. Two channels on a grid of 2 × 2, $f_1 = \begin{pmatrix}4&0\\0&0\end{pmatrix}$ and $f_2 =
# \begin{pmatrix}0&0\\0&2\end{pmatrix}$, with $w = (1, 2)$ and $b = 1$. What are the score and the mean of the map
# under average pooling? With global *max* pooling the score is $S_c = \sum_k w_k^c \max_{x,y} f_k(x,y) + b_c$: can
# the sums still change places? Find an inequality between $S_c - b_c$ and the maximum of $M_c$ for non-negative
# weights.
#
# :::{dropdown} Hint
# Do both channels take their maximum at the same position?
# :::
#
# ::::
#
# :::{solution} ex-cam-gmp
# :class: dropdown
# Average: $F = (1, 0.5)$, $S = 1 + 1 + 1 = 3$; the map is $M = \begin{pmatrix}4&0\\0&4\end{pmatrix}$ with a mean of
# 2, and $2 + 1 = 3$. Maximum: $S = 4 + 4 + 1 = 9$, while the map never exceeds 4. The sums cannot change places, for
# each channel takes its maximum at a position of its own. For $w_k^c \ge 0$,
#
# $$
# \max_{x,y} M_c(x,y) = \max_{x,y} \sum_k w_k^c f_k(x,y) \le \sum_k w_k^c \max_{x,y} f_k(x,y) = S_c - b_c ,
# $$
#
# strictly as soon as two channels with positive weight peak at no common position, an ear here and a snout there. The
# map of a max-pooled network is thus no decomposition of its score. Only the peaks receive a gradient in training,
# and nothing asks the rest of the object to respond.
# :::
#
# :::{exercise-start}
# :label: ex-cam-peaks
# :::
# *Implement* a map for the max-pooled network that *is* a decomposition: its sum over the positions, plus the bias,
# must be the logit.
# `build(..., head="gmp")` makes such a network; it need not be trained.
#
# :::{dropdown} Hint
# Which position of a channel does the maximum read?
# :::
#
# :::{exercise-end}
# :::
#
# :::{solution-start} ex-cam-peaks
# :class: dropdown
# :::

# %% tags=["solution"]
peaked = build(here.backbone, classes=8, weights="critters", head="gmp")
peaked = peaked.to(here.device).eval()
with torch.no_grad():
    flat = peaked.features(x[:16]).flatten(2)
    wanted = peaked(x[:16])
top = F.one_hot(flat.argmax(2), flat.shape[2])  # where each channel peaks
ours = torch.einsum("ck,nkp->ncp", peaked.linear.weight.detach(), flat * top)
check_close("sum of the peaks + bias = logit",
            ours.sum(2) + peaked.linear.bias.detach(), wanted)

# %% [markdown]
# Each channel puts all that it has to say where it peaks. The map is exact again, and it is a handful of dots.
#
# :::{solution-end}
# :::
#
# :::{exercise-start}
# :label: ex-cam-spill
# :::
# *Investigate.* Some two fifths of the body are above the threshold of this chapter. Does the network see something
# *there*, or does it see the head from there? Think of a change to the pictures that tells the two apart, and
# measure.
#
# :::{dropdown} Hint
# Change what lies beside the body, and leave every pixel of the body as it is.
# :::
#
# :::{exercise-end}
# :::
#
# :::{solution-start} ex-cam-spill
# :class: dropdown
# :::

# %% tags=["solution"]
def over_the_body(network, images):
    """Return the raw map of the true class, averaged over the body in each picture."""
    heat = maps.resize(cam(network, images, true).values[:, 0].cpu(), here.size)
    return part_evidence(heat, test_set.parts)[:, 1].nanmean()


left = [over_the_body(m, without["head"]) / over_the_body(m, x) for m in models]
check("of the raw map over the body, what stays without the head", left, at_most=0.5)

# %% [markdown]
# Remove the head and leave every pixel of the body as it is: most of the raw map over the body goes, without any
# change to what it lies on. It was the head's. So even the part of the body that the map covers is mostly not the
# body's evidence. The raw map is the one to compare, for {term}`min-max normalization` would make the rest look
# strong again.
#
# :::{solution-end}
# :::
#
# ## Summary
#
# - With average pooling and a linear layer, the score of a class is the mean of its map plus a bias. CAM is that map.
# - It is exact, costs nothing, and finds every network that has such a head.
# - It shows the evidence: nearly all of the head and less than half of the body, and the head is what the network uses, though the body
#   alone tells more than half of the critters apart.
# - In MaxBoxAccV2 and PxAP it is ahead of a blind guess at the center and far behind what its grid could show; in boxes at
#   an IoU of 0.5 it is not ahead, and on birds it is behind.
# - The box depends on a threshold at least as much as on the map.
#
# The paper's own numbers, for reference (error in percent on the ILSVRC validation set, lower is better; **the
# paper's, not ours**):
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
