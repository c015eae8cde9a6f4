# %% [markdown]
# # Grad-CAM: any network, one gradient

# %% [markdown] tags=["launch"]
# [Open in Colab](https://colab.research.google.com/github/wsolbook/wsolbook/blob/main/notebooks/03_grad_cam.ipynb) · [Run on Binder](https://mybinder.org/v2/gh/wsolbook/wsolbook/main?labpath=notebooks%2F03_grad_cam.ipynb) · [Source text](https://github.com/wsolbook/wsolbook/blob/main/notebooks/text/03_grad_cam.py)

# %% tags=["colab", "remove-cell"]
import subprocess
import sys

if "google.colab" in sys.modules:  # wsolbook beside Colab's own torch and numpy
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "anywidget>=0.9.20", "jaxtyping>=0.2.30", "tyro>=0.9"], check=True)
    subprocess.run([*pip, "--no-deps", "git+https://github.com/wsolbook/wsolbook"], check=True)
    print("wsolbook is installed; torch and numpy are Colab's own")

# %% [markdown]
# *Selvaraju, Cogswell, Das, Vedantam, Parikh and Batra: "Grad-CAM: Visual Explanations from Deep Networks via
# Gradient-based Localization", ICCV 2017* {cite}`selvaraju2017gradcam`
#
# *30 minutes to read, about half a minute to run on two processor cores. Before this: {doc}`02_cam`.*
#
# Afterwards you will be able to
#
# - say why CAM needs a special head and Grad-CAM does not, and prove that they agree where both exist;
# - write Grad-CAM in eight lines, and name the trap in which such lines are caught;
# - explain why {term}`guided backpropagation` is sharp and says little about the class, and test any method for that;
# - judge maps by their agreement with occlusion, and say which of the paper's claims held in our runs over three seeds;
# - choose the layer, read a counterfactual map, and get the maps of many classes from one forward pass.

# %%
import matplotlib.pyplot as plt
import torch
from torch import nn

import wsolbook
from wsolbook import check, check_close, maps, results
from wsolbook.backbones import build
from wsolbook.backbones.freeze import freeze_norms
from wsolbook.cam import (
    area, cam, deletion, grad_cam, grad_cam_of, guided_backprop, guided_grad_cam,
    occlusion, record,
)
from wsolbook.data import critters
from wsolbook.data.transforms import to_network
from wsolbook.metrics import rank_agreement
from wsolbook.show.explorer import explore
from wsolbook.show.figures import INK, etching, overlay, show_images
from wsolbook.training import Optim, Schedule, train
from wsolbook.types import Supervision

here = wsolbook.setup()

# %% [markdown]
# ## A network that CAM must refuse
#
# CAM reads the evidence off the last linear layer, and for that the layer must stand right behind an average. Many
# networks are not like that. AlexNet and VGG, and the captioning and question-answering models that were
# built on them, flatten the last grid and send it through several fully connected layers. To explain such a network by
# CAM one has to cut off its head, grow another, and train again. Then one has explained a different
# network: by the paper's table, one that is three points worse.
#
# We need one network of either kind. The first is that of the last chapter, with its average and its linear layer.

# %%
train_set = critters.Critters(n=1500, size=here.size, split="train")
test_set = critters.Critters(n=200, size=here.size, split="test")
test = test_set.batch(range(len(test_set)))
x, true = test.images.to(here.device), test.labels.argmax(1)


def trained(model, epochs, lr, seed):
    """Train a network on the critters, in place; return it."""
    settings = here.config(
        epochs=epochs, batch_size=32, optim=Optim(lr=lr), schedule=Schedule("cosine")
    )
    train(model.to(here.device), train_set, settings, seed=seed)
    return model.eval()


def pooled(seed):
    """Return the network of the last chapter."""
    torch.manual_seed(seed)
    model = build(here.backbone, classes=8, weights="critters")
    return trained(model, 2, 0.05, seed)


gaps = [pooled(seed) for seed in here.seeds]
gap = gaps[0]  # that of the figures


# %% [markdown]
# The second takes over the convolutions as they are, and ends in two linear layers with a ReLU between them. Only those
# learn, so the two networks see the same features and differ in the head alone. The training loop asks a network for its
# loss and for what it may see in training, so it gets both.

# %%
class DeepHead(nn.Module):
    """Given convolutions, then two linear layers, as VGG ends in three."""

    supervision = Supervision()  # sees the labels of images and nothing else

    def __init__(self, trunk, classes):
        super().__init__()
        self.trunk = trunk.requires_grad_(False)
        freeze_norms(self.trunk)
        channels = list(trunk.taps.values())[-1].channels
        self.head = nn.Sequential(
            nn.AdaptiveMaxPool2d(4), nn.Flatten(),
            nn.Linear(channels * 16, 64), nn.ReLU(inplace=True), nn.Linear(64, classes),
        )

    def forward(self, images):
        return self.head(self.trunk(images))

    def loss(self, batch):
        logits = self(batch.images)
        return {"classification": nn.functional.cross_entropy(logits, batch.labels)}


# %%
def deepened(model, seed):
    """Return a network with a deep head on the convolutions of another."""
    torch.manual_seed(seed)
    return trained(DeepHead(model.features, 8), 1, 0.02, seed)


deeps = [deepened(m, seed) for m, seed in zip(gaps, here.seeds, strict=True)]
deep = deeps[0]

# %%
with torch.no_grad():
    for name, nets in {"pooled": gaps, "deep": deeps}.items():
        wrong = [(m(x).argmax(1).cpu() != true).float().mean() for m in nets]
        check(f"{name} head, share of new critters named wrongly", wrong, at_most=0.05)
try:
    cam(deep, x[:1])
except ValueError as refusal:
    print(refusal)

# %% [markdown]
# ## The gradient as a weight
#
# Let $A^k$ be the activations of channel $k$ of a convolutional layer, $u \times v$ numbers, $Z = uv$ of them, and let
# $y^c$ be the score of class $c$ among the {term}`logits`. CAM weighs channel $k$ with the class weight
# $w_k^c$. Where there is no such weight, ask for the next best thing: how much would the score rise, if the channel were a
# little more active? That is a derivative. Averaged over all positions it is one number for each channel,
#
# $$
# \alpha_k^c = \frac{1}{Z} \sum_{i,j} \frac{\partial y^c}{\partial A^k_{ij}},
# $$ (eq-gradcam-alpha)
#
# and the map is the sum of the channels with these weights, of which only the positive part is kept:
#
# $$
# L^c = \operatorname{ReLU}\Big( \sum_k \alpha_k^c \, A^k \Big).
# $$ (eq-gradcam-map)
#
# The ReLU belongs to the question. We ask what speaks *for* class $c$, and a position with a negative sum speaks for some
# other class.
#
# | paper | here | shape | meaning |
# |---|---|---|---|
# | $A^k$ | `activation` | `(n, K, u, v)` | feature maps of the chosen layer |
# | $y^c$ | `scores` | `(n,)` | score of the class asked for, before the {term}`softmax` |
# | $\partial y^c / \partial A^k_{ij}$ | `gradients` | `(n, K, u, v)` | {term}`gradient` of the score |
# | $\alpha_k^c$ | `weights` | `(n, K)` | weight of a channel |
# | $L^c$ | `values` | `(n, u, v)` | Grad-CAM |
#
# :::{admonition} Grad-CAM is CAM where both exist
# :class: important
# Let the score be an average and a linear layer, $y^c = \sum_k w_k^c \frac{1}{Z} \sum_{ij} A^k_{ij} + b_c$. It is linear in each
# activation, with $\partial y^c / \partial A^k_{ij} = w_k^c / Z$ at every position. The mean over positions is the same
# number, $\alpha_k^c = w_k^c / Z$, and equation {eq}`eq-gradcam-map` becomes $Z L^c = \operatorname{ReLU}(M_c)$, with $M_c$ the class
# activation map.
# :::
#
# The factor $Z$ disappears under any normalization. It matters where raw maps of two layers are compared, and where a map
# enters a loss. The authors' own code *sums* gradients where the paper averages them, and so returns $Z$ times
# the map of the paper.
#
# ## From scratch
#
# We need the activations of one layer, and the gradient of one score with respect to them. Our network has two halves,
# so we can stop in between.

# %%
asked = true[:16].to(here.device)
with torch.no_grad():
    activation = deep.trunk(x[:16])
activation.requires_grad_(True)
scores = deep.head(activation).gather(1, asked[:, None])[:, 0]
(gradients,) = torch.autograd.grad(scores.sum(), activation)

# %%
activation = activation.detach()
weights = gradients.mean((2, 3))
values = torch.einsum("nk,nkuv->nuv", weights, activation).relu()
print("activation", tuple(activation.shape), " weights", tuple(weights.shape))
print("values", tuple(values.shape))

# %% [markdown]
# Three details deserve a second look. The scores of the batch are *summed* before the backward pass: no picture has an
# influence on another, so each gets its own gradient. It is `autograd.grad` and not `backward`, so no parameter's
# `.grad` is written to. And the trunk ran without a graph, so the expensive part of the network costs
# what it costs at inference.
#
# ## The same with `wsolbook`

# %%
r = grad_cam(deep, x[:16], asked, layer="trunk")
check_close("package = from scratch", r.values[:, 0], values)

a, b = cam(gap, x[:16], 3), grad_cam(gap, x[:16], 3)
Z = a.values.shape[-2:].numel()
check_close("Z times Grad-CAM = ReLU of CAM", Z * b.values, a.values.relu())
print("layer found by rule:", grad_cam(deep, x[:1]).layer, "and", b.layer)

# %% [markdown]
# If the forward pass is yours, in a training loop or inside a captioning model, `record` follows it. The network runs
# without a graph up to the layer, and with one after it. When the block ends, nothing of it is left on the model.

# %%
with record(deep, "trunk") as tape:
    logits = deep(x[:16])

check_close("tape = function", grad_cam_of(tape, logits, asked).values, r.values)
print("hooks left:", sum(len(m._forward_hooks) for m in deep.modules()))


# %% [markdown]
# ## The trap
#
# Search the web for Grad-CAM, and you will find some version of the next cell. A hook keeps what it
# saw, the gradient is taken, both are multiplied. On many networks it is right.

# %%
def careless_grad_cam(model, layer, images, classes):
    """Return Grad-CAM, with luck."""
    seen = []
    hook = layer.register_forward_hook(lambda m, i, out: seen.append(out))
    scores = model(images).gather(1, classes[:, None])
    hook.remove()
    (gradients,) = torch.autograd.grad(scores.sum(), seen)
    weights = gradients.mean((2, 3))
    return torch.einsum("nk,nkuv->nuv", weights, seen[0].detach()).relu()


# %% [markdown]
# Now let the layer be followed by an in-place ReLU, as almost every layer of torchvision's networks is. Both networks
# below compute the same function with the same weights.

# %%
def small(inplace):
    """Return one network; its ReLU works in place or not."""
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3), nn.ReLU(inplace), nn.AdaptiveAvgPool2d(4), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(128, 8)).to(here.device).eval()


# %%
nets = small(inplace=False), small(inplace=True)
good, bad = (careless_grad_cam(net, net[0], x[:8], asked[:8]) for net in nets)
ours = [grad_cam(net, x[:8], asked[:8], "0").values[:, 0] for net in nets]

check_close("out of place, careless = ours", good, ours[0])
check_close("in place, ours = ours out of place", ours[1], ours[0])
check("in place, error of the careless map / its peak",
      (bad - ours[0]).abs().max() / ours[0].max(), at_least=0.1)

# %% [markdown]
# One of the maps is wrong, and nothing said so: no error, no warning. The hook kept the tensor, not a copy. The ReLU then wrote
# over it, and what should have been the output of a convolution, negative values and all, was the output of the ReLU. The
# cure is one `clone`. Well-known libraries have this defect, as `benchmarks/peers.py` finds on the two networks above.

# %%
columns = ("library", "version", "in place", "guided, resnet18", "guided, googlenet")
rows = [
    [f"{v:.2f}" if isinstance(v := line.get(c, ""), float) else v for c in columns]
    for line in results.load("peers")["libraries"]
]
print(results.table(columns, rows))

# %% [markdown]
# The third column is the difference between the maps of the two twins, in units of the peak; it should be 0. The last two
# belong to the next section: how far a library's guided backpropagation is from the plain gradient, where 0 means that
# it *is* the plain gradient. All 57 ReLUs of GoogLeNet are written as functions, and who exchanges modules never meets them;
# `wsolbook` watches the calls. An empty field: the library does not have it.
#
# ## How sharp is a map that knows the class?
#
# A Grad-CAM is as coarse as the layer it looks at. There is an older family of pictures that is much sharper: differentiate
# the score with respect to the *pixels* {cite}`simonyan2014saliency`. The plain gradient looks like noise.
# {term}`Guided backpropagation` {cite}`springenberg2015guided` changes one rule on the way back. Let $f$ be the input of a ReLU,
# and $R$ the gradient that arrives from above:
#
# $$
# \text{gradient: } [f > 0]\, R, \qquad
# \text{deconvnet: } [R > 0]\, R, \qquad
# \text{guided: } [f > 0]\,[R > 0]\, R .
# $$ (eq-gradcam-guided)
#
# Only positive gradients through positive activations survive. Multiply the result
# with the Grad-CAM of the class, resized to the pixels, and you have **Guided Grad-CAM**: the sharpness of one, the place of
# the other.
#
# For a look at all three, put two pictures side by side, as in the last chapter. The network is fully convolutional, and
# we use that here: both animals are short, 0.4 of their pictures, so drawn at twice the side they are as many pixels long as the
# large ones of the training set, and the gradient has four times the pixels to draw with.

# %%
def side_by_side(indices, size):
    """Draw some of the test pictures in a row."""
    return torch.cat(
        list(critters.render([test_set.scenes[i] for i in indices], size).images), -1
    )


def first(species, place=0):
    """Return which test picture shows a species first, or `place` pictures later."""
    return int((true == test_set.classes.index(species)).nonzero()[place, 0])


words = ("fox", "frog")
pair = [first(word) for word in words]
z = to_network(side_by_side(pair, 2 * here.size))[None].to(here.device)
classes = torch.tensor([[test_set.classes.index(word) for word in words]])
print("picture", tuple(z.shape), " classes", classes.tolist())

# %% mystnb={"image": {"alt": "Two rows for the words fox and frog over a picture of a fox beside a frog. Grad-CAM glows on the named animal. Guided backpropagation shows colored dots on the heads, thin outlines of the bodies and some flowers, for both animals in both rows, the named one stronger. The product keeps the named animal alone, and flowers near the frog."}, "figure": {"caption": "One picture, two questions. The upper row asks for the fox, the lower for the frog.", "name": "fig-gradcam-guided"}}
heat = grad_cam(gap, z, classes).values[0]
lines = guided_backprop(gap, z, classes).values[0]
product = guided_grad_cam(gap, z, classes).values[0]
large = side_by_side(pair, 256)
panels = [
    panel for k in (0, 1)
    for panel in (overlay(large, heat[k]), etching(lines[k]), etching(product[k]))
]
kinds = ("Grad-CAM", "guided backprop", "their product")
titles = [f"{kind}, “{word}”" for word in words for kind in kinds]
show_images(panels, titles, columns=3, width=2.9)
plt.show()

# %% [markdown]
# Grad-CAM is silent on the animal that was not asked for. Guided backpropagation is usually shown as if it were an etching. Look closer: it
# is colored dots, dense on the heads, and thin outlines of the bodies, in which one recognizes the frog by its eyes and mouth; some flowers in
# the meadow are drawn as well. Both animals are in both rows. The one that was asked for is stronger, since its
# score reacts more, but the other is there, in the same lines. Multiplied, the product loses the other animal and keeps the flowers beside
# the frog, where Grad-CAM has a faint glow too.
#
# How similar are the answers to two different questions? Take the true class of each test picture and a wrong one. For a
# method that knows the class, the two maps should have little in common. We compare them on the grid of the last layer, by the
# rank correlation of its cells: 1 means the same order, 0 none.

# %%
few = x[:64]
other = (true + 4) % 8
two = torch.stack([true, other], dim=1)[:64]


def similarity(a, b):
    """Mean rank correlation of pairs of maps, on the grid of the last layer."""
    cells = [maps.resize(m.cpu(), here.size // 8).flatten(1) for m in (a, b)]
    return float(rank_agreement(*cells).nanmean())


def edges(model, classes):
    """Strength of guided backpropagation at each pixel, for each class."""
    return guided_backprop(model, few, classes).values.abs().sum(2)


drawings = [edges(m, two) for m in gaps]
check("guided backprop: true against another class",
      [similarity(d[:, 0], d[:, 1]) for d in drawings], at_least=0.7)


# %% [markdown]
# ### A sanity check for any method
#
# Adebayo and colleagues {cite}`adebayo2018sanity` proposed a harder question. Replace the network's weights by random numbers. A map that
# explains the network must change; a map that does not is a drawing of the picture, whatever it is called.
# Begin at the top, with the linear layer: then the network cannot tell a fox from a frog.

# %%
def randomized(model, name, seed):
    """Return a copy of a network with one of its parts initialized anew."""
    twin = build(here.backbone, classes=8).to(here.device)
    twin.load_state_dict(model.state_dict())
    torch.manual_seed(seed)
    for module in twin.get_submodule(name).modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    return twin.eval()


seeded = list(zip(gaps, here.seeds, strict=True))
blind = [randomized(model, "linear", seed) for model, seed in seeded]
redrawn = [edges(m, two[:, :1]) for m in blind]
check("guided backprop: linear layer random",
      [similarity(a[:, 0], b[:, 0]) for a, b in zip(drawings, redrawn, strict=True)],
      at_least=0.7)

# %% [markdown]
# It draws the same picture. Both questions, for all methods and three trainings, are in `results/`. The last line is a bell curve
# in the middle of each picture, which looks at nothing.

# %%
stored = results.load("grad-cam-critters")
questions = ("another class", "random linear", "random stage 4")
rows = [
    (name, *(results.spread(answers[q], 2) for q in questions))
    for name, answers in stored["methods"].items()
]
print(results.table(("rank correlation with", *questions), rows))
print("\nthree seeds,", stored["pictures"]["evaluated"], "held-out pictures")

# %% [markdown]
# Neither gradient takes much notice of either question. CAM and Grad-CAM do, and not to perfection. How much the maps of two classes share
# depends on the training, as the spread says: for Grad-CAM the rank correlation is near 0 in one training and near 0.4 in another. With the last stage random as well, Grad-CAM keeps more
# than with a random linear layer alone, and CAM, which is the same sum without the ReLU, keeps little. Guided Grad-CAM lies between its two
# factors in every column. Its place is that of Grad-CAM, its lines are those of the picture.
#
# So guided backpropagation answers neither "which class?" nor "which weights of the last layer?". What it does read is the subject of the
# last exercise.
#
# ## Does it agree with what the network really uses?
#
# The paper holds its maps against {term}`occlusion <occlusion sensitivity>`: slide a gray patch over the picture, and see how far the score falls
# {cite}`zeiler2014visualizing`. On photographs it reports these rank correlations (the paper's numbers): CAM 0.208, guided
# backpropagation 0.168, Grad-CAM 0.254, and Guided Grad-CAM 0.261. An occluded picture is a strange picture, though; and our
# world has something better, scenes drawn again without a part. We ask both.

# %% mystnb={"image": {"alt": "Horizontal bars of six maps, with spread. Left, agreement with occlusion: CAM and Grad-CAM just below 0.6, Guided Grad-CAM slightly less, both gradients near 0.5, the center at a third. Right, agreement with the removal of parts: all five methods between 0.76 and 0.8, the center at a third."}, "figure": {"caption": "Agreement with two kinds of truth, three trainings, 200 pictures each. Bars are means, lines the standard deviation over the trainings, dots the single trainings. The hatched bar is the map that never looks.", "name": "fig-gradcam-truth"}}
methods = stored["methods"]
names = list(methods)[::-1]
figure, axes = plt.subplots(1, 2, figsize=(7.6, 2.9), layout="constrained", sharey=True)
for axis, question in zip(axes, ("occlusion", "removed parts"), strict=True):
    found = torch.tensor([methods[name][question] for name in names])
    bars = axis.barh(names, found.mean(1), xerr=found.std(1), capsize=3,
                     color=INK["body"], alpha=0.6)
    bars[names.index("center")].set(hatch="///", color=INK["background"])
    for row, values_of_seeds in enumerate(found):
        axis.plot(values_of_seeds, [row] * len(values_of_seeds), "k.", ms=4)
    axis.set(xlabel=f"rank correlation with {question}", xlim=(0, 1))
plt.show()

# %% [markdown]
# Left, the three trainings agree. CAM and Grad-CAM lead and are equal to a hundredth: on one network they differ by the ReLU alone (the
# paper's 0.208 and 0.254 belong to two networks). Guided Grad-CAM is behind them by 0.03 in each training, the two gradients by about 0.1,
# and the center, which looks at nothing, still gets a third.
#
# The paper's order is another one, and speaks against what we have just said: there the product is the best of the four, by
# 0.007. So the lines may carry something. A patch that covers an object lowers its score, and lines are drawn where objects have
# structure; at the resolution of a photograph this may pay. We compare cells of 8 × 8 pixels, where sharpness has nothing to win.
# Neither result shows that the lines know the class, because occlusion was asked about the right class only.
#
# Right, the lesson is about measures. Asked only to *rank* head, body and limbs, the means of all five methods lie within 0.05 of each other, and what failed the sanity check is no exception: heads have the strongest edges in these
# pictures, and an edge detector finds them. A drawing can be right for the wrong reason. That is why the sanity
# check came first.
#
# ### A third measure: erase and see
#
# A measure without patches and parts: erase pixels in the order of the map, highest first, and
# watch the probability of the class {cite}`petsiuk2018rise`. If the map is right about what matters, the curve falls at once and the
# area under it is small. **Insertion** goes the other way, from a blurred picture to the whole, and wants a large area.

# %%
shown = grad_cam(gap, few, true[:64])
curves = deletion(gap, few, shown, steps=8)
print("curves", tuple(curves.shape), " areas", tuple(area(curves).shape))

rows = [
    (name, *(results.spread(answers[q], 2) for q in ("deletion", "insertion")))
    for name, answers in methods.items()
]
print(results.table(("area under the curve of", "deletion", "insertion"), rows))

# %% [markdown]
# All five methods have the same areas to a hundredth or so; only the center is far behind. One eighth of the pixels, the first of our steps, is enough
# for any of them to erase most of a head, and then nothing is left to tell them apart. A picture full of gray holes is also a kind of picture that
# the network has never seen. This measure separates looking from not looking. It does not separate an explanation from a drawing.
#
# ## Four maps in your hands
#
# Turn the threshold, and change the map; drag the divider to see two of them on one picture. Occlusion is the only one of the four that never looks inside the network.

# %%
drops = occlusion(gap, few, true[:64], patch=here.size // 4, stride=here.size // 8)
some = [first(species, 1) for species in test_set.classes[:4]]
closer = critters.render([test_set.scenes[i] for i in some], 256)
views = {
    "CAM": cam(gap, x[some], true[some]).values[:, 0],
    "Grad-CAM": grad_cam(gap, x[some], true[some]).values[:, 0],
    "guided backprop": drawings[0][some, 0],
    "occlusion": drops.values[some, 0],
}
explorer = explore(
    closer.images, views, boxes=closer.boxes, mask=closer.masks,
    titles=test_set.classes[:4], against="Grad-CAM",
)
explorer

# %% [markdown]
# ## Which layer?
#
# The question that users of every library ask first. The method allows any layer, so look at several.

# %% mystnb={"image": {"alt": "A lion and a frog, each with Grad-CAM at four depths. Stage 1 follows edges and specks all over the picture. Stage 2 has one bright spot on the lion's brow, and one on a flower below the frog. Stage 3 lies on both faces, with a faint rest on that flower. Stage 4 covers head and surroundings in a wide blob."}, "figure": {"caption": "The same score explained at four depths of the network, for two pictures.", "name": "fig-gradcam-layers"}}
layers = [f"trunk.{stage}" for stage in deep.trunk.taps]
panels, titles = [], []
for i in (2, 5):
    large = side_by_side([i], 256)
    one = x[i : i + 1], true[i : i + 1]
    at = [grad_cam(deep, *one, layer).values[0, 0] for layer in layers]
    panels += [large, *(overlay(large, value) for value in at)]
    titles += [test_set.classes[int(true[i])]]
    titles += [f"stage {s}, {len(v)} × {len(v)}" for s, v in enumerate(at, 1)]
show_images(panels, titles, columns=len(layers) + 1, width=1.6)
plt.show()

# %%
agreement = [
    similarity(grad_cam(gap, few, true[:64], f"features.{stage}").values[:, 0],
               drops.values[:, 0])
    for stage in gap.features.taps
]
check("agreement with occlusion, last stage minus first",
      agreement[-1] - agreement[0], at_least=0)

# %% [markdown]
# Stage 1 follows edges and specks wherever they are. Stage 2 picks single spots: the brow of the lion, but for the frog a flower in the
# meadow, more than its mouth. Stage 3 lies on both faces, more tightly than the last stage, with a remainder on the flower; and stage 4 covers the head and more, as each of
# its cells is an eighth of the picture wide. So depth buys relevance and costs resolution. The weights $\alpha_k^c$ are means over the whole
# picture, and only in late layers does a channel stand for one thing everywhere. **Take the last layer that still has positions**, which is what
# `grad_cam` does when no layer is named, and it tells you which it took. If you need a finer map, look one stage earlier, and check it.
#
# A useful habit: compute the map at two depths before you believe either. If they point to different places, the earlier one shows what catches the eye of the
# network, the later one what counts for the answer. Transformers need the same care. Their last block hands all evidence to one class token, so the
# layer to take is the one *before* the last attention; `reshape="tokens"` turns its tokens into a grid again.
#
# ## Several classes, and the case against
#
# A picture with several animals has several answers, and they need one forward pass, not one each. With a pooled linear
# head the weights of all classes are known without any backward pass; otherwise one batched
# {term}`backpropagation` through the head delivers them together.

# %% mystnb={"image": {"alt": "Four panels of one picture with an owl, a rabbit and a duck. The maps of owl, rabbit and duck each glow on the head of that animal. The map against the owl glows on the head of the rabbit, and hardly on the duck."}, "figure": {"caption": "Three maps from one forward pass, and a counterfactual: what speaks against the first of the three.", "name": "fig-gradcam-multi"}}
species = ("owl", "rabbit", "duck")
three = [first(name, 1) for name in species]
z3 = to_network(side_by_side(three, here.size))[None].to(here.device)
ask = torch.tensor([[test_set.classes.index(name) for name in species]])
pro = grad_cam(gap, z3, ask).values[0]
contra = grad_cam(gap, z3, int(ask[0, 0]), counterfactual=True).values[0, 0]

large = side_by_side(three, 256)
panels = [overlay(large, m) for m in (*pro, contra)]
titles = [*(f"“{name}”" for name in species), f"against “{species[0]}”"]
show_images(panels, titles, columns=2, width=4)
plt.show()

# %% [markdown]
# The {term}`counterfactual <counterfactual explanation>` map is the same formula with the gradient negated: regions whose removal would *raise* the score.
# Against the owl speaks the head of the rabbit, and the duck hardly.
# The map and its counterfactual never overlap, and their difference is the sum before the ReLU. Both are
# identities, so check them.

# %%
against = grad_cam(deep, x[:16], asked, "trunk", counterfactual=True).values[:, 0]
signed = torch.einsum("nk,nkuv->nuv", weights, activation)
check_close("map x counterfactual = 0", values * against, torch.zeros_like(values))
check_close("map - counterfactual = signed sum", values - against, signed)

# %% [markdown]
# ## When it fails, and what the paper does not say
#
# **One number for a channel.** The weight $\alpha_k^c$ is the same at all positions, as if the channel meant the same everywhere. In the last layer of a
# classifier that is nearly true. In earlier layers, and in networks whose head reads positions, as our deep one does, it is an approximation, and the map is then no
# decomposition of the score: its mean says nothing about the logit. CAM had that guarantee, and Grad-CAM gives it up for generality.
#
# **Three things differ at once.** In the table at the end of this page Grad-CAM is 0.69 points ahead of CAM for one guess (56.51
# against 57.20), and 1.27 points behind it for five (46.41 against 45.14). But the two rows are two networks, one of which classifies three points
# better; and their boxes are cut at two levels, above 15 % of the maximum for Grad-CAM, above 20 % for CAM. How much such a cut can
# move is the subject of {doc}`01_measuring_a_map`; what the three points of classification are worth is the second exercise below.
#
# **Use the logit.** Differentiate the {term}`softmax` probability instead, and the gradient carries the factor $p(1-p)$ and the scores of all
# other classes with it. For a confident network it all but vanishes, and what remains explains the competition.
#
# **A mean of gradients is a choice.** Where a channel helps in one place and hurts in another, its mean weight is small, and both places go
# dark. HiResCAM {cite}`draelos2020hirescam` multiplies before it averages; Grad-CAM++ {cite}`chattopadhay2018gradcampp`, LayerCAM
# {cite}`jiang2021layercam`, XGrad-CAM {cite}`fu2020xgradcam` and Score-CAM {cite}`wang2020scorecam` choose other weights. All of
# them are in `wsolbook.cam`, a few lines each over the same engine. For a pooled linear head most of them are CAM again.
#
# **It inherits CAM's modesty.** Grad-CAM finds the evidence, and so the head and not the animal. A gradient does not change what a
# classifier is paid for.
#
# ## Exercises
#
# The {doc}`laboratory <../book/laboratory>` has a brush that covers what you choose, and asks two more questions to this chapter.
#
# :::{exercise-start}
# :label: ex-gradcam-softmax
# :::
# *Predict.* Compute Grad-CAM for the *probability* of the true class instead of its logit, on pictures that the network is sure of. Will the
# raw maps be larger, equal or smaller? Then pass a function in place of `classes` and see.
#
# - [ ] Larger
# - [ ] Equal
# - [ ] Smaller
#
# :::{dropdown} Hint
# Differentiate the softmax: which factor stands before the gradient of the logit?
# :::
#
# :::{exercise-end}
# :::
#
# :::{solution-start} ex-gradcam-softmax
# :class: dropdown
# :::

# %% tags=["solution"]
probability = lambda out: out.softmax(1).gather(1, asked[:, None])[:, 0]  # noqa: E731
faint = grad_cam(deep, x[:16], probability, "trunk").values[:, 0]
ratio = faint.amax((1, 2)) / values.amax((1, 2)).clamp(min=1e-9)
check("peak of probability / peak of logit, median", ratio.median(), at_most=0.25)

# %% [markdown]
# - [x] Smaller
#
# Smaller by far: the factor $p(1 - p)$ at work. The more certain the network, the fainter its explanation, which is the opposite of what one wants.
#
# :::{solution-end}
# :::
#
# :::{exercise-start}
# :label: ex-gradcam-given
# :::
# *Compute.* A guess counts as localized only if its class is right as well. From the table at the end of the page: of the pictures whose class
# each network names right at the first guess, in how many percent is the box wrong? Who localizes better then, CAM or Grad-CAM?
#
# :::{dropdown} Hint
# A wrong name counts as a wrong box. Take those pictures out of both numbers.
# :::
#
# :::{exercise-end}
# :::
#
# :::{solution-start} ex-gradcam-given
# :class: dropdown
# :::

# %% tags=["solution"]
table = {  # errors of one guess in percent: localization, classification
    "Backprop": (61.12, 30.38), "c-MWP": (70.92, 30.38),
    "Grad-CAM": (56.51, 30.38), "CAM (VGG-16-GAP)": (57.20, 33.40),
}
for name, (localization, classification) in table.items():
    share = 100 * (localization - classification) / (100 - classification)
    print(f"{name:17} {share:.1f} % of the boxes wrong where the class is right")

# %% [markdown]
# CAM, by almost two points. All that puts Grad-CAM ahead for one guess is the better classifier below it. That is an argument for
# Grad-CAM, since it may keep that classifier. It is no argument that its maps are better.
#
# :::{solution-end}
# :::
#
# :::{exercise-start}
# :label: ex-gradcam-hires
# :::
# *Implement.* HiResCAM multiplies gradient and activation at each position before anything is summed. Change one line of
# the code from scratch, and hold the result against `wsolbook.cam.hires_cam`.
#
# :::{dropdown} Hint
# The mean over the positions comes too early.
# :::
#
# :::{exercise-end}
# :::
#
# :::{solution-start} ex-gradcam-hires
# :class: dropdown
# :::

# %% tags=["solution"]
from wsolbook.cam import hires_cam

by_hand = (gradients * activation).sum(1).relu()
theirs = hires_cam(deep, x[:16], asked, "trunk").values[:, 0]
check_close("one line = hires_cam", by_hand, theirs)

# %% [markdown]
# No mean is left, so a channel may help here and hurt there. On the pooled head the gradient is the same at every position, and the
# line gives CAM again.
#
# :::{solution-end}
# :::
#
# :::{exercise-start}
# :label: ex-gradcam-bottom
# :::
# *Investigate.* If guided backpropagation does not read the linear layer, what does it read? Randomize another part of the network, for example
# `features.stage1`, and find one that it notices.
#
# :::{dropdown} Hint
# Whose edges and colors does the drawing show?
# :::
#
# :::{exercise-end}
# :::
#
# :::{solution-start} ex-gradcam-bottom
# :class: dropdown
# :::

# %% tags=["solution"]
below = randomized(gap, "features.stage1", here.seeds[0])
noticed = similarity(drawings[0][:, 0], edges(below, two[:, :1])[:, 0])
check("guided backprop: first stage random", noticed, at_most=0.9)

# %% [markdown]
# The first convolutions. Without their edges and colors the drawing is largely another one; without the layer that knows the classes it was the
# same. It shows what the network sees first, not what it concludes.
#
# :::{solution-end}
# :::
#
# ## Summary
#
# - The mean gradient of a score is a weight for each channel; with it, every network has class activation maps.
# - On pooled linear heads Grad-CAM is CAM, divided by the number of positions and rectified.
# - Sharp pictures and class-specific pictures are different things. Ask every map whether it would notice another class, or another network.
# - No single measure settles which map is right. Say which one you used, and what the blind center gets under it.
# - The forward pass is the only real cost: the graph begins at the layer.
#
# The paper's localization on the ILSVRC validation set (VGG-16, error in percent, lower is better; **the paper's numbers, not ours**).
# c-MWP is contrastive marginal winning probability, the map of excitation backprop {cite}`zhang2016excitation`: a probability is
# passed down from layer to layer along positive weights, and the same with the class weights negated is subtracted.
#
# | method | top-1 loc. | top-5 loc. | top-1 class. | top-5 class. |
# |---|---|---|---|---|
# | Backprop | 61.12 | 51.46 | 30.38 | 10.89 |
# | c-MWP | 70.92 | 63.04 | 30.38 | 10.89 |
# | Grad-CAM | 56.51 | 46.41 | 30.38 | 10.89 |
# | CAM (VGG-16-GAP) | 57.20 | 45.14 | 33.40 | 12.20 |
