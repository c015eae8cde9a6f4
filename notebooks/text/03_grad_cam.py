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
# *30 minutes to read, about a minute to run on two processor cores. Before this: {doc}`02_cam`.*
#
# Afterwards you will be able to
#
# - say why CAM needs a special head and Grad-CAM does not, and prove that they agree where both exist;
# - write Grad-CAM in eight lines, and name the trap in which such lines are caught;
# - explain why {term}`guided backpropagation` is sharp and says little about the class, and test any method for that;
# - choose the layer, read a counterfactual map, and get the maps of many classes from one forward pass.

# %%
from collections import OrderedDict

import matplotlib.pyplot as plt
import torch
from torch import nn

import wsolbook
from wsolbook import check, check_close, maps
from wsolbook.backbones import build
from wsolbook.cam import (
    backprop, cam, grad_cam, grad_cam_of, guided_backprop, guided_grad_cam, occlusion,
    record,
)
from wsolbook.data import critters
from wsolbook.data.transforms import to_network
from wsolbook.metrics import part_evidence, part_importance, rank_agreement
from wsolbook.show.figures import overlay, show_images
from wsolbook.training import Optim, Schedule, TrainConfig, train
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
# Here is a small one of that kind. Its convolutions are those of the last chapter. Its head is two linear layers with a
# ReLU between them. The training loop asks a network for its loss and for what it may see in training, so it gets both.

# %%
class DeepHead(nn.Sequential):
    """Convolutions, then two linear layers, as VGG ends in three."""

    supervision = Supervision()  # sees the labels of images and nothing else

    def __init__(self, classes):
        trunk = build("tiny", classes=classes, weights="critters").features
        head = nn.Sequential(
            nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(128 * 16, 64), nn.ReLU(inplace=True), nn.Linear(64, classes),
        )
        super().__init__(OrderedDict(trunk=trunk, head=head))

    def loss(self, batch):
        logits = self(batch.images)
        return {"classification": nn.functional.cross_entropy(logits, batch.labels)}

# %%
train_set = critters.Critters(n=1500, split="train")
test_set = critters.Critters(n=200, split="test")
test = test_set.batch(range(len(test_set)))
x, true, pictures = test.images, test.labels.argmax(1), test_set.images / 255

# %%
deep = DeepHead(8)
settings = TrainConfig(
    epochs=3, batch_size=32, optim=Optim(lr=0.02), schedule=Schedule("cosine")
)
_ = train(deep, train_set, settings, seed=here.seed)

with torch.no_grad():
    check("accuracy", (deep(x).argmax(1) == true).float().mean(), at_least=0.9)
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
# | $A^k$ | `A` | `(n, K, u, v)` | activations of the chosen layer |
# | $y^c$ | `score` | `(n,)` | score of the class, before the {term}`softmax` |
# | $\partial y^c / \partial A^k_{ij}$ | `G` | `(n, K, u, v)` | {term}`gradient` of the score |
# | $\alpha_k^c$ | `alpha` | `(n, K)` | weight of a channel |
# | $L^c$ | `L` | `(n, u, v)` | Grad-CAM |
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
with torch.no_grad():
    A = deep.trunk(x[:16])
A.requires_grad_(True)
score = deep.head(A).gather(1, true[:16, None]).sum()
(G,) = torch.autograd.grad(score, A)

alpha = G.mean((2, 3))
L = torch.einsum("nk,nkuv->nuv", alpha, A.detach()).relu()
print("A", tuple(A.shape), " alpha", tuple(alpha.shape), " L", tuple(L.shape))

# %% [markdown]
# Three details deserve a second look. The scores of the batch are *summed* before the backward pass: no picture has an
# influence on another, so each gets its own gradient. It is `autograd.grad` and not `backward`, so no parameter's
# `.grad` is written to. And the trunk ran without a graph, so the expensive part of the network costs
# what it costs at inference.
#
# ## The same with `wsolbook`

# %%
r = grad_cam(deep, x[:16], true[:16], layer="trunk")
check_close("package = from scratch", r.values[:, 0], L)

gap = build("tiny", classes=8, weights="critters")
a, b = cam(gap, x[:16], 3), grad_cam(gap, x[:16], 3)
Z = a.values.shape[-2] * a.values.shape[-1]
check_close("Z times Grad-CAM = ReLU of CAM", Z * b.values, a.values.relu())
print("layer found by rule:", grad_cam(deep, x[:1]).layer, "and", b.layer)

# %% [markdown]
# If the forward pass is yours, in a training loop or inside a captioning model, `record` follows it. The network runs
# without a graph up to the layer, and with one after it. When the block ends, nothing of it is left on the model.

# %%
with record(deep, "trunk") as tape:
    logits = deep(x[:16])

check_close("tape = function", grad_cam_of(tape, logits, true[:16]).values, r.values)
print("hooks left:", sum(len(m._forward_hooks) for m in deep.modules()))


# %% [markdown]
# ## The trap
#
# Search the web for Grad-CAM, and you will find some version of the next cell. A hook keeps what it
# saw, the gradient is taken, both are multiplied. On many networks it is right.

# %%
def careless_grad_cam(model, layer, images, classes):
    """Return Grad-CAM, with luck."""
    seen = {}
    keep = lambda m, i, out: seen.update(A=out.detach(), out=out)  # noqa: E731
    hook = layer.register_forward_hook(keep)
    score = model(images).gather(1, classes[:, None]).sum()
    hook.remove()
    (gradient,) = torch.autograd.grad(score, seen["out"])
    return torch.einsum("nk,nkuv->nuv", gradient.mean((2, 3)), seen["A"]).relu()


# %% [markdown]
# Now let the layer be followed by an in-place ReLU, as almost every layer of torchvision's networks is. Both networks
# below compute the same function with the same weights.

# %%
def small(inplace):
    """Return one network; its ReLU works in place or not."""
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3), nn.ReLU(inplace), nn.AdaptiveAvgPool2d(4), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(128, 8)).eval()


# %%
nets = small(inplace=False), small(inplace=True)
good, bad = (careless_grad_cam(net, net[0], x[:8], true[:8]) for net in nets)
ours = [grad_cam(net, x[:8], true[:8], "0").values[:, 0] for net in nets]

check_close("out of place, careless = ours", good, ours[0])
check_close("in place, ours = ours out of place", ours[1], ours[0])
check("in place, error of the careless map / its peak",
      (bad - ours[0]).abs().max() / ours[0].max(), at_least=0.1)

# %% [markdown]
# One of the maps is wrong, and nothing said so: no error, no warning. The hook kept the tensor, not a copy. The ReLU then wrote
# over it, and what should have been the output of a convolution, negative values and all, was the output of the ReLU.
# Well-known libraries have this defect: of three that `benchmarks/peers.py` compares on the network above, grad-cam 1.5.7 and torchcam 0.5.0
# return another map for the in-place twin, and captum 0.9.0 returns the same. The cure is one `clone`.
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
# Only positive gradients through positive activations survive, and the picture becomes as crisp as an etching. Multiply it
# with the Grad-CAM of the class, resized to the pixels, and you have **Guided Grad-CAM**: the sharpness of one, the place of
# the other. For a look at all three we need a network with a pooled head again; it is that of the last chapter.

# %%
from wsolbook.show.figures import etching

sharp_model = build("tiny", classes=8, weights="critters")
_ = train(sharp_model, train_set, settings, seed=here.seed)

# %% [markdown]
# Two pictures side by side make one with two answers, as in the last chapter.

# %%
words = ("fox", "frog")
classes = torch.tensor([[test_set.classes.index(word) for word in words]])
pair = torch.cat([pictures[(true == c).nonzero()[0, 0]] for c in classes[0]], dim=-1)
z = to_network(pair)[None]
print("picture", tuple(z.shape), " classes", classes.tolist())

# %% mystnb={"image": {"alt": "Two rows for the words fox and frog over a picture of a fox beside a frog. Grad-CAM glows on the named animal alone. Guided backpropagation draws both animals in both rows. Guided Grad-CAM draws the named animal."}, "figure": {"caption": "One picture, two questions. Left: Grad-CAM is silent on the animal that was not asked for. Middle: guided backpropagation draws it too, fainter. Right: their product.", "name": "fig-gradcam-guided"}}
heat = grad_cam(sharp_model, z, classes).values[0]
lines = guided_backprop(sharp_model, z, classes).values[0]
both = guided_grad_cam(sharp_model, z, classes).values[0]
rows = [
    panel for k in (0, 1)
    for panel in (overlay(pair, heat[k]), etching(lines[k]), etching(both[k]))
]
kinds = ("Grad-CAM", "guided backprop", "their product")
titles = [f"{kind}, “{word}”" for word in words for kind in kinds]
show_images(rows, titles, columns=3, width=2.7)
plt.show()


# %% [markdown]
# The etchings are beautiful, and each contains both animals. The one that was asked for is stronger, since its
# score reacts more; but the other is there, face and all, in the same lines, where Grad-CAM leaves it
# dark. How similar are the answers to two different questions? Take the true class of each test picture and a wrong one. For a
# method that knows the class, the two maps should have little in common.

# %%
def similarity(a, b):
    """Mean rank correlation of pairs of maps, positions as the things to rank."""
    return float(rank_agreement(a.flatten(1), b.flatten(1)).nanmean())


# %%
other = (true + 4) % 8
asked = torch.stack([true, other], dim=1)
guided = guided_backprop(sharp_model, x, asked).values.abs().sum(2)
class_maps = cam(sharp_model, x, asked).values

check("guided backprop: true against another class",
      similarity(guided[:, 0], guided[:, 1]), at_least=0.5)
check("CAM: true against another class",
      similarity(class_maps[:, 0], class_maps[:, 1]), at_most=0.3)


# %% [markdown]
# ### A sanity check for any method
#
# Adebayo and colleagues {cite}`adebayo2018sanity` proposed a harder question. Replace the network's weights by random numbers. A map that
# explains the network must change; a map that does not is a drawing of the picture, whatever it is called.
# We randomize from the top: first the linear layer, then the last stage of convolutions as well.

# %%
def randomized(model, *names):
    """Return a copy of a network with some of its modules initialized anew."""
    twin = build("tiny", classes=8)
    twin.load_state_dict(model.state_dict())
    torch.manual_seed(1)
    for name in names:
        for module in twin.get_submodule(name).modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    return twin.eval()


# %%
kept = {}
for removed in (("linear",), ("linear", "features.stage4")):
    twin = randomized(sharp_model, *removed)
    old, new = (grad_cam(m, x, true).values[:, 0] for m in (sharp_model, twin))
    drawing = guided_backprop(twin, x, true).values[:, 0].abs().sum(1)
    kept["Grad-CAM", removed] = similarity(old, new)
    kept["guided", removed] = similarity(guided[:, 0], drawing)

# %%
top, deeper = ("linear",), ("linear", "features.stage4")
check("Grad-CAM, linear layer random", kept["Grad-CAM", top], at_most=0.5)
check("Grad-CAM, last stage random too", kept["Grad-CAM", deeper], at_most=0.5)
check("guided, linear layer random", kept["guided", top], at_least=0.8)
check("guided, last stage random too", kept["guided", deeper], at_least=0.8)

# %% [markdown]
# The numbers are rank correlations with the map of the trained network; 1 means that nothing has changed. Grad-CAM
# notices at once that the class weights are gone. Guided backpropagation draws the same picture of a network
# that cannot tell a fox from a frog any more. What it shows is the *picture*, as the first layers see it: edges, eyes,
# outlines. It is an edge detector with good taste, and as evidence about a decision it is worth nothing by
# itself. The product with Grad-CAM inherits the place from the one and the taste from the other, so read the place only.
#
# ## Does it agree with what the network really uses?
#
# The paper holds its maps against {term}`occlusion <occlusion sensitivity>`: slide a gray patch over the picture, and see how far the score falls
# {cite}`zeiler2014visualizing`. It reports a rank correlation of 0.254 for Grad-CAM, 0.208 for CAM and 0.168 for guided
# backpropagation on photographs (the paper's numbers). An occluded picture is a strange picture, though; and our
# world has something better, scenes drawn again without a part. We ask both.

# %%
drops = occlusion(sharp_model, x, true, patch=16, stride=8).values[:, 0]



def drawn_without(part):
    """Draw the test pictures again, with one part of every animal gone."""
    scenes = [s.without(part) for s in test_set.scenes]
    return to_network(critters.render(scenes, here.size).images)


# %%
without = {part: drawn_without(part) for part in critters.PARTS}
fall = torch.stack(list(part_importance(sharp_model, x, without, true).values()), dim=1)

# %%
methods = {
    "Grad-CAM": grad_cam(sharp_model, x, true).values[:, 0],
    "guided backprop": guided[:, 0],
    "gradient": backprop(sharp_model, x, true).values[:, 0],
}
with_occlusion, with_cause = {}, {}
for name, value in methods.items():
    full = maps.resize(value, 64)
    with_occlusion[name] = similarity(maps.resize(full, 8), maps.resize(drops, 8))
    agreement = rank_agreement(part_evidence(full, test_set.parts), fall)
    with_cause[name] = float(agreement.nanmean())

# %% mystnb={"image": {"alt": "Bars of three methods, Grad-CAM, guided backprop and the gradient: rank agreement with occlusion on the left, with the removal of parts on the right."}, "figure": {"caption": "Rank agreement with two kinds of truth: what a patch covers, and what is not drawn.", "name": "fig-gradcam-truth"}}
figure, axes = plt.subplots(1, 2, figsize=(7.6, 2.4), layout="constrained", sharex=True)
sides = (("with occlusion", with_occlusion), ("with removed parts", with_cause))
for axis, (title, found) in zip(axes, sides, strict=True):
    axis.barh(list(found), list(found.values()), color="#0072B2")
    axis.set_title(title)
    axis.axvline(0, color="black", lw=0.8)
axes[1].set_yticks([])
plt.show()

# %% [markdown]
# Read the two sides apart. Occlusion asks about every place in a picture, and removal about three large parts. The left side repeats the order of the paper: Grad-CAM agrees best with occlusion. The right side is a warning about measures. Asked
# only to *rank* head, body and limbs, all methods do well, and the one that failed the sanity check is no exception: heads have the
# strongest edges in these pictures, and an edge detector finds them. A drawing can be right for the wrong reason. That is why the sanity
# check came first.
#
# ## Which layer?
#
# The question that users of every library ask first. The method allows any layer, so look at several.

# %% mystnb={"image": {"alt": "One critter and its Grad-CAM at four depths. Early layers respond to edges all over the picture; the last one glows on the head alone."}, "figure": {"caption": "The same score explained at four depths of the network.", "name": "fig-gradcam-layers"}}
layers = ["trunk.stage1", "trunk.stage2", "trunk.stage3", "trunk.stage4"]
at = [grad_cam(deep, x[2:3], true[2:3], layer).values[0, 0] for layer in layers]
panels = [pictures[2], *(overlay(pictures[2], value) for value in at)]
sizes = [f"stage {i}, {len(value)} × {len(value)}" for i, value in enumerate(at, 1)]
show_images(panels, ["picture", *sizes], width=1.6)
plt.show()

# %% [markdown]
# The first stages pick out a few pixels, and which ones has little to do with the question. Early layers see edges and colors, whose mean gradient says little about a species; the weights $\alpha_k^c$ are means over the whole
# picture, and only in the last layers does a channel stand for one thing. **Take the last layer that still has positions.** That is what
# `grad_cam` does when no layer is named, and it tells you which it took.
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

# %% mystnb={"image": {"alt": "A picture with three animals, and one Grad-CAM for each species, glowing on the animal in question; the last panel shows evidence against the first species, glowing on the others."}, "figure": {"caption": "Three maps from one forward pass, and a counterfactual: what speaks against the first of the three.", "name": "fig-gradcam-multi"}}
three = torch.cat([pictures[(true == c).nonzero()[1, 0]] for c in (1, 4, 6)], dim=-1)
z3, ask = to_network(three)[None], torch.tensor([[1, 4, 6]])
pro = grad_cam(sharp_model, z3, ask).values[0]
contra = grad_cam(sharp_model, z3, 1, counterfactual=True).values[0, 0]

names = [test_set.classes[c] for c in (1, 4, 6)]
panels = [overlay(three, m) for m in (*pro, contra)]
titles = [*(f"“{name}”" for name in names), f"against “{names[0]}”"]
show_images(panels, titles, columns=2, width=3.4)
plt.show()

# %% [markdown]
# The {term}`counterfactual <counterfactual explanation>` map is the same formula with the gradient negated: regions whose removal would *raise* the score.
# The map and its counterfactual never overlap, and their difference is the sum before the ReLU. Both are
# identities, so check them.

# %%
against = grad_cam(deep, x[:16], true[:16], "trunk", counterfactual=True).values[:, 0]
signed = torch.einsum("nk,nkuv->nuv", alpha, A.detach())
check_close("map x counterfactual = 0", L * against, torch.zeros_like(L))
check_close("map - counterfactual = signed sum", L - against, signed)

# %% [markdown]
# ## When it fails, and what the paper does not say
#
# **One number for a channel.** The weight $\alpha_k^c$ is the same at all positions, as if the channel meant the same everywhere. In the last layer of a
# classifier that is nearly true. In earlier layers, and in networks whose head reads positions, as ours does, it is an approximation, and the map is then no
# decomposition of the score: its mean says nothing about the logit. CAM had that guarantee, and Grad-CAM gives it up for generality.
#
# **The threshold again.** For its boxes the paper keeps what lies above 15 % of the maximum, where CAM keeps what lies above 20 %. The two rows
# of its table that are half a point apart were thus cut at different levels. How much such a choice can move is the
# subject of {doc}`01_measuring_a_map`.
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
# **Guided backpropagation depends on how ReLU is spelled.** Implementations that exchange modules never see a ReLU that is written as a
# function. On GoogLeNet, whose 57 ReLUs are all functions, grad-cam 1.5.7 and captum 0.9.0 silently return the plain gradient
# (`benchmarks/peers.py` again). `wsolbook` watches the calls, not the modules.
#
# ## Exercises
#
# :::{exercise-start}
# :label: ex-gradcam-softmax
# :::
# Compute Grad-CAM for the *probability* of the true class: pass a function in place of `classes`. How large are these raw maps, compared
# with those for the logit, on pictures that the network is sure of?
# :::{exercise-end}
# :::
#
# :::{solution-start} ex-gradcam-softmax
# :class: dropdown
# :::

# %% tags=["solution"]
probability = lambda out: out.softmax(1).gather(1, true[:16, None])[:, 0]  # noqa: E731
faint = grad_cam(deep, x[:16], probability, "trunk").values[:, 0]
ratio = faint.amax((1, 2)) / L.amax((1, 2)).clamp(min=1e-9)
check("peak of probability / peak of logit, median", ratio.median(), at_most=0.25)

# %% [markdown]
# The factor $p(1 - p)$ at work. The more certain the network, the fainter its explanation, which is the opposite of what one wants.
#
# :::{solution-end}
# :::
#
# :::{exercise-start}
# :label: ex-gradcam-free
# :::
# Show that multiplying the logits by a positive number changes no normalized map, and that *adding* the same number to all logits changes no map
# at all. Which of the two is true for the probability?
# :::{exercise-end}
# :::
#
# :::{solution-start} ex-gradcam-free
# :class: dropdown
# :::

# %% tags=["solution"]
plain = lambda out: out.gather(1, true[:16, None])[:, 0]  # noqa: E731
tripled = lambda out: 3 * plain(out)  # noqa: E731
moved = lambda out: plain(out + 5)  # noqa: E731
base, three_times, shifted = (
    grad_cam(deep, x[:16], f, "trunk").values[:, 0] for f in (plain, tripled, moved)
)
same = maps.normalize(three_times), maps.normalize(base)
check_close("tripled logits, normalized", *same)
check_close("moved logits", shifted, base)

# %% [markdown]
# The gradient is linear in the score, and a constant has none. The probability is unmoved by the shift, since softmax does not see it, and is
# changed by the factor, which makes the network more certain.
#
# :::{solution-end}
# :::
#
# ## Summary
#
# - The mean gradient of a score is a weight for each channel; with it, every network has class activation maps.
# - On pooled linear heads Grad-CAM is CAM, divided by the number of positions and rectified.
# - Sharp pictures and class-specific pictures are different things. Ask every map whether it would notice another class, or another network.
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
