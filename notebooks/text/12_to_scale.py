# %% [markdown]
# # To the paper's scale

# %% [markdown] tags=["launch"]
# [Open in Colab](https://colab.research.google.com/github/wsolbook/wsolbook/blob/main/notebooks/12_to_scale.ipynb) · [Run on Binder](https://mybinder.org/v2/gh/wsolbook/wsolbook/main?labpath=notebooks%2F12_to_scale.ipynb) · [Source text](https://github.com/wsolbook/wsolbook/blob/main/notebooks/text/12_to_scale.py)

# %% tags=["colab", "remove-cell"]
import subprocess
import sys

if "google.colab" in sys.modules:  # wsolbook beside Colab's own torch and numpy
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "anywidget>=0.9.20", "jaxtyping>=0.2.30", "tyro>=0.9"], check=True)
    subprocess.run([*pip, "--no-deps", "git+https://github.com/wsolbook/wsolbook"], check=True)
    print("wsolbook is installed; torch and numpy are Colab's own")

# %% [markdown]
# *35 minutes to read, half a minute to run on two processor cores. You need {doc}`01_measuring_a_map` for the
# metrics; no GPU, and no second training process either: what several would do is computed in one.*
#
# Afterwards you will be able to
#
# - run a recipe on a laptop, one GPU, eight GPUs or four machines, and say what stays equal and what does not;
# - prove with `==` that a training which was stopped and resumed is the training that was never stopped;
# - predict memory and time of a training from the network alone, before you rent anything;
# - name the places where scaling silently changes a result: the learning rate, batch normalization, padded
#   evaluation, the number format.

# %%
import signal
import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from statistics import median

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.utils.data import DistributedSampler
from torch.utils.flop_counter import FlopCounterMode

import wsolbook
from wsolbook import check, check_close, results
from wsolbook.backbones import build
from wsolbook.backbones.freeze import freeze_norms
from wsolbook.data import critters, sampling
from wsolbook.data.fetch import download
from wsolbook.data.sets import COUNTS
from wsolbook.metrics import PixelAP
from wsolbook.recipes import RECIPES
from wsolbook.show.figures import INK
from wsolbook.training import Optim, Stopped, load_checkpoint, train
from wsolbook.training.run import read_log
from wsolbook.types import Supervision

here = wsolbook.setup()

# %% [markdown]
# ## What should not change
#
# The chapters of this book train networks of 0.3 million weights on pictures of 64 pixels. The papers train some
# 20 million on pictures of 224 to 448, and ImageNet has 1.28 million of them. Between the two lies no other algorithm. It
# is one loop: take a batch, compute the {term}`gradient` of its mean loss, take a step. Everything that clusters
# add to it is a way to compute *the same step* somewhere else, and every bug of scaling is a way in which the
# step stopped being the same.
#
# So we state the contract first, and then test each clause:
#
# 1. A step is defined by a **batch of all processes together**. `batch_size` means that, always.
# 2. Which pictures are in it, and how they are augmented, depends on the seed and the number of the step. It does not
#    depend on processes, workers or restarts.
# 3. What does not fit into memory is done in parts. The parts add up to the same gradient.
# 4. A metric counts each picture once.
#
# Our subject is small: 96 critters of half the usual size, and the tiny network with its batch normalization frozen, as the recipes for
# photographs on two cores do (why, you will see in {ref}`ex-scale-norms`). `deterministic` asks for kernels that add up in the same
# order every time. Those of a processor do so anyway; many of a GPU do not, and without it the word *equal* below would be
# false there.

# %%
data = critters.Critters(n=96, size=here.size // 2)
settings = here.config(
    epochs=3, batch_size=32, optim=Optim(lr=0.02), log_every=1, deterministic=True
)


def fresh():
    """Return the same untrained network each time."""
    torch.manual_seed(here.seed)
    net = build(here.backbone, classes=8, weights="critters")
    freeze_norms(net)
    return net.train()


def same(a, b):
    """Tell whether two networks are equal to the last bit."""
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


# %% [markdown]
# ## A batch is a sum
#
# The loss of a batch of $B$ pictures is a mean, and the gradient of a mean is the mean of gradients. Cut the batch into
# parts $P_1, \dots, P_k$ of any sizes:
#
# $$
# \nabla \frac{1}{B} \sum_{i=1}^{B} \ell_i
# = \sum_{j=1}^{k} \frac{|P_j|}{B} \, \nabla \Big( \frac{1}{|P_j|} \sum_{i \in P_j} \ell_i \Big) .
# $$ (eq-scale-parts)
#
# If the parts come one after the other on one device, this is called **gradient accumulation**; if they come at the same time on
# several devices, **data parallelism**. The equation does not care. It does care about the weight
# $|P_j| / B$: code that divides by the number of parts is right only if all are of one size. The last batch of an epoch
# usually is not.
#
# A computer adds with rounding, so "the same gradient" needs a yardstick. We compare in double precision, on the processor. A mistake
# in the arithmetic is as large there as in single precision. Rounding is a billion times smaller, so whatever exceeds
# 1e-12 is a mistake.

# %%
LABELS = Supervision()  # and nothing else may be seen


class Double(nn.Module):
    """A network in double precision, for batches that come in single."""

    def __init__(self, net, supervision=LABELS):
        super().__init__()
        self.net, self.supervision = net.double(), supervision

    def loss(self, batch):
        pictures, labels = batch.images.double(), batch.labels.double()
        return self.net.loss(replace(batch, pictures=pictures, labels=labels))


def gradient(net, batch, share=1.0):
    """Return the gradient of `share` times the mean loss of a batch, in one row."""
    net.zero_grad()
    (share * net.loss(batch)["classification"]).backward()
    return torch.cat([p.grad.flatten() for p in net.parameters() if p.requires_grad])


net = Double(fresh())
whole = gradient(net, data.batch(range(64), 0))
parts = [range(0, 10), range(10, 37), range(37, 64)]
added = sum(gradient(net, data.batch(p, 0), len(p) / 64) for p in parts)
check_close("three uneven parts, weighted: the gradient of 64", added, whole, 1e-12)

# %% [markdown]
# The mistake is best seen with numbers that one can add up in the head: seven losses 0, 1, ..., 6, whose mean is
# 3, in parts of three and four.

# %%
losses = torch.arange(7.0)
first, second = losses[:3], losses[3:]
print("mean of all:          ", losses.mean().item())
print("mean of two means:    ", (first.mean() + second.mean()).item() / 2)
print("weighted by the parts:", (3 * first.mean() + 4 * second.mean()).item() / 7)

# %% [markdown]
# Several processes share a batch by turns: process $r$ of $w$ takes pictures $r, r + w, r + 2w, \dots$ of it, computes its part of
# equation {eq}`eq-scale-parts`, and all processes add up their gradients (an *all-reduce*). Then each takes the same
# step with the same sum, so their weights stay equal without ever being sent.

# %% mystnb={"image": {"alt": "Three rows of the same sixteen numbered pictures. With one process all have one color; with two processes ranks 0 and 1 alternate; with four processes ranks 0 to 3 repeat, and the batch is the same."}, "figure": {"caption": "One step of a training with batch size 16. The numbers are pictures, ranks and colors are processes. More processes divide the batch; they do not change it.", "name": "fig-scale-shares"}}
_, planned = sampling.batch_index(len(data), 16, seed=0, step=0)
figure, axes = plt.subplots(3, 1, figsize=(8, 2.5), layout="constrained")
for axis, world in zip(axes, (1, 2, 4), strict=True):
    owner = torch.arange(16) % world
    axis.imshow(owner[None], cmap="Set2", vmin=0, vmax=7, aspect="auto")
    for place, picture in enumerate(planned):
        label = f"{picture}\nrank {place % world}"
        axis.text(place, 0, label, ha="center", va="center", fontsize=8)
    axis.set(xticks=[], yticks=[0], yticklabels=[f"{world} proc."])
    axis.spines[:].set_visible(False)
plt.show()

# %%
alone = gradient(net, next(sampling.training_batches(data, 32, steps=range(1))))
for world in (2, 3):
    places = [{"steps": range(1), "rank": r, "world": world} for r in range(world)]
    shares = [next(sampling.training_batches(data, 32, **place)) for place in places]
    summed = sum(gradient(net, share, len(share) / 32) for share in shares)
    check_close(f"{world} processes: the gradient of one", summed, alone, 1e-12)

# %% [markdown]
# "Within 1e-12" and not "equal": floating-point sums depend on their order, and more processes add in another order. In single
# precision the difference starts at 1e-7, and over a whole training it grows, as {ref}`what-may-differ` shows. The test suite trains
# a smaller network for three epochs with one and with two real processes and finds losses and weights equal within
# 1e-5, relative. For long trainings nobody can promise that.
#
# ## When the batch grows: the learning rate
#
# As long as `batch_size` stays, nothing else has to change. That is our default, and the way to *reproduce* a paper. But a
# batch of 16 on 32 GPUs leaves half of them without a picture. To use them, the batch has to grow, and that is
# another training. The usual rule scales the learning rate by the same factor $k$, with a few epochs of
# {abbr}`warm-up (a rate that rises from near 0)` ([Goyal et al., 2017](https://arxiv.org/abs/1706.02677)):
#
# > $k$ times the batch, $k$ times the rate, $1/k$ of the steps.
#
# Why it works and where it ends shows on the smallest loss there is, $\frac{a}{2} w^2$. Take $k$ steps of rate
# $\eta$, then one step of rate $k\eta$:
#
# $$
# w \to (1 - \eta a)^k \, w \qquad \text{against} \qquad w \to (1 - k \eta a) \, w .
# $$
#
# To first order both are $1 - k\eta a$. The rule holds while $k \eta a \ll 1$, and beyond $k \eta a = 2$ the large step makes
# $w$ *grow*. Warm-up is there because $a$, the curvature, tends to be largest at the start.

# %% mystnb={"image": {"alt": "What remains of the weight, over the factor k. Many small steps fall smoothly toward zero. One large step follows the same curve for small k, reaches zero at k = 20, and falls below minus one at k = 40, where a shaded region says it diverges."}, "figure": {"caption": "The linear rule on a parabola with \u03b7a = 0.05. One step of k times the rate follows k small steps, for a while.", "name": "fig-scale-rule"}}
k = torch.arange(1, 49)
figure, axis = plt.subplots(figsize=(6, 2.7), layout="constrained")
axis.plot(k, (1 - 0.05) ** k, label="k steps of rate η")
axis.plot(k, 1 - 0.05 * k, "--", label="one step of rate kη")
axis.axhspan(-1.5, -1, color=INK["background"], alpha=0.25, lw=0, label="diverges")
axis.set(xlabel="k", ylabel="what remains of w", ylim=(-1.5, 1), xlim=(1, 48))
axis.legend(loc="center left", bbox_to_anchor=(0, 0.42))
plt.show()

# %% [markdown]
# Two warnings. With adaptive optimizers (Adam) the rule is closer to $\sqrt{k}$, since they divide by the size of the
# gradient. And the rule was found on ImageNet classification; nobody has shown that the *maps* survive it. Treat a larger batch
# as a new experiment with seeds of its own.
#
# ## Counters, not streams
#
# A usual loader draws the order of pictures, the crops and the mirror flips from one stream of random numbers. Whatever consumes a
# number earlier than yesterday, a second worker, a resumed epoch, a log line that draws a picture, shifts everything after
# it. We use counters: the order of epoch $e$ is a function of (seed, $e$), and the augmentation of picture $i$ of
# (seed, $e$, $i$). To know what step 100,000 will see, ask for it. And two workers that read ahead deliver the batches of
# none, to the bit, augmentation included.

# %%
print(*(sampling.order(10, seed=0, epoch=epoch) for epoch in range(3)), sep="\n")
epoch, planned = sampling.batch_index(1_281_167, 64, seed=0, step=100_000)
print(f"ILSVRC, step 100,000: in epoch {epoch}, {len(planned)} pictures")

steps = range(2, 6)  # from the middle of an epoch into the next
now = sampling.training_batches(data, 32, steps=steps, workers=0)
ahead = sampling.training_batches(data, 32, steps=steps, workers=2)
equal = [torch.equal(a.images, b.images) for a, b in zip(now, ahead, strict=True)]
print("with workers as without:", equal)

# %% [markdown]
# ### What a batch may carry
#
# In large code the ground truth is never far away, and a method that should learn from labels alone can read a mask by accident: its
# numbers get better, and nobody notices. So a method declares what it may see. `Supervision()` stands for
# labels; `Supervision(masks=24)` for the masks of 24 pictures besides, which a counter chooses, too. The loop hands out no more
# than that, through workers, parts and processes alike. Here is a network that looks at all it gets, for one epoch.

# %%
class Curious(Double):
    def loss(self, batch):
        masks = 0 if batch.masks is None else (batch.masks != 255).any((1, 2)).sum()
        print(f"  {len(batch)} labels, {int(masks)} masks, boxes: {batch.boxes}")
        return super().loss(batch)


for extra in (LABELS, Supervision(masks=24)):
    print(extra)
    _ = train(Curious(fresh(), extra), data, replace(settings, device="cpu", epochs=1))

# %% [markdown]
# A test trains every method of the book twice, the second time with nonsense for boxes and masks. One that declares labels alone must
# end with the same weights, to the bit.
#
# ### The drill
#
# Resuming is asking for a later range of steps. Here is the whole drill: one training of nine steps runs through. A second gets a
# SIGTERM, as a cluster sends before it takes a machine away; `train` finishes the step, saves, and raises
# `Stopped`. A third network knows nothing of this and continues from the file.

# %%
def power_cut(net):
    """Stand in for an evaluation; the machine is taken away during it."""
    signal.raise_signal(signal.SIGTERM)
    return {}


never_stopped = fresh()
history = train(never_stopped, data, settings)

home = tempfile.TemporaryDirectory()
run = Path(home.name) / "run"
try:
    _ = train(fresh(), data, settings, run=run, evaluate=power_cut)
except Stopped as stopped:
    print(stopped)

resumed = fresh()
rest = train(resumed, data, settings, run=run, resume="auto")

# %%
print("weights and statistics equal:", same(resumed, never_stopped))
print("losses equal:", rest.losses == history.losses[4:])
print([record["event"] for record in read_log(run) if record["event"] != "step"])
logged = [record["loss"] for record in read_log(run) if record["event"] == "step"]

# %% mystnb={"image": {"alt": "Loss over nine steps. A gray line for the training that ran through; open circles for the four steps before the stop and filled dots for the five after it. Circles and dots lie exactly on the line."}, "figure": {"caption": "Stopped after step 4, resumed from the file. Not close: equal.", "name": "fig-scale-resume"}}
every = range(1, len(logged) + 1)
figure, axis = plt.subplots(figsize=(6, 2.6), layout="constrained")
axis.plot(every, history.losses, color=INK["background"], label="never stopped")
axis.plot(every[:4], logged[:4], "o", mfc="white", color=INK["body"], label="stopped")
axis.plot(every[4:], logged[4:], "o", color=INK["truth"], label="resumed")
axis.set(xlabel="step", ylabel="loss", xticks=every)
axis.legend()
plt.show()

# %% [markdown]
# ### What is in the file
#
# Everything that the next step depends on, and nothing that could run code. There is no state of a random generator, of a
# loader or of a schedule, because with counters none of those has a state.

# %%
newest = sorted((run / "checkpoints").iterdir())[-1]
saved = load_checkpoint(newest)
kinds = (f"{key}: {type(value).__name__}" for key, value in saved.items())
print(newest.name, *kinds, sep="\n  ")

torn = newest.with_name("step-00000099.pt")
torn.write_bytes(newest.read_bytes()[:-1000])
try:
    load_checkpoint(torn)
except ValueError as error:
    print(type(error).__name__, "- with --resume auto the one before it is taken")
home.cleanup()

# %% [markdown]
# The file is written under a temporary name, flushed to the disk, and renamed, which is atomic: after a `kill -9` there is the old
# file or the new one. It is read with `weights_only=True`, because an ordinary pickle from a stranger may run any
# program on your machine.
#
# ## Evaluation counts each picture once
#
# Seven test pictures, three processes. The shares are uneven, 3, 2 and 2, and that is right.

# %%
test = critters.Critters(n=7, size=32, split="test")
for world in (2, 3):
    print(world, "processes:", end=" ")
    for rank in range(world):
        share = sampling.evaluation_batches(test, 2, rank=rank, world=world)
        print([i for batch in share for i in batch.index.tolist()], end=" ")
    print()

# %% [markdown]
# The sampler that ships with PyTorch makes shares of equal length, which training loops need when each process has to take
# part in every all-reduce. It does so by handing out some pictures twice, or by dropping some. Suppose that the network is right on
# pictures 0 and 1 alone.

# %%
right = {0, 1}
for drop in (False, True):
    options = {"shuffle": False, "drop_last": drop}
    seen = [
        i for rank in range(3) for i in DistributedSampler(range(7), 3, rank, **options)
    ]
    hits = Fraction(sum(i in right for i in seen), len(seen))
    print(f"drop_last={drop}: counted {sorted(seen)}, accuracy {hits}; true is 2/7")

# %% [markdown]
# With 50,000 pictures the error stays below a tenth of a point; on the few hundred of a small test set it does not
# ({ref}`ex-scale-padding`), and a result that depends on the number of GPUs cannot be compared with anybody's. Our metrics hold integer counts, so the sum over processes
# does not even depend on the order of addition. Averaging the *finished* metrics of three processes would be wrong a
# second time: {term}`PxAP` and {term}`mIoU` are not means over pictures.

# %%
maps, masks = data.images[:, 0] / 255, data.masks
whole, halves = PixelAP(), [PixelAP(), PixelAP()]
whole.update(maps, masks)
for rank, half in enumerate(halves):
    half.update(maps[rank::2], masks[rank::2])
averaged = (halves[0].compute() + halves[1].compute()) / 2
added = halves[0].merge(halves[1]).compute()
print("sum:", added == whole.compute(), " average:", averaged == whole.compute())


# %% [markdown]
# ## How much memory
#
# A training holds four things. With $P$ parameters in 4 bytes each, $m$ pictures at once, and $a$ bytes of
# *activations* that the forward pass of one picture keeps for the backward pass:
#
# $$
# \text{bytes} = \underbrace{4P}_{\text{weights}} + \underbrace{4P}_{\text{gradients}}
# + \underbrace{4P}_{\text{momentum}} + \; m \, a .
# $$ (eq-scale-memory)
#
# (Adam keeps two numbers for each parameter instead of one momentum.) Only $a$ takes thought. {term}`Backpropagation` through
# a convolution needs the convolution's input; through a ReLU its output, which is the next layer's input and
# the same memory; through max pooling its input and the place of each maximum, an 8-byte integer. For VGG-16 with its CAM head
# that can be added up by hand. PyTorch tells what it really keeps through `saved_tensors_hooks`. We ask it on the *meta* device, where tensors have shapes
# but no memory.

# %%
def kept_bytes(net, picture):
    """Count the bytes that autograd keeps of one forward pass, parameters left out."""
    own = {t.untyped_storage()._cdata for t in (*net.parameters(), *net.buffers())}
    kept = {}

    def note(tensor):
        kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        _logits = net(picture)
    return sum(s.nbytes() for key, s in kept.items() if key not in own)


def on_meta(name, side, **options):
    with torch.device("meta"):
        return build(name, **options).train(), torch.empty(1, 3, side, side)


# %%
side_and_channels = {224: [64] * 2, 112: [128] * 2, 56: [256] * 3, 28: [512] * 3}
last = 14**2 * (3 * 512 + 1024)  # three convolutions and the one that CAM adds
convolutions = sum(side**2 * sum(c) for side, c in side_and_channels.items()) + last
pools = sum((side // 2) ** 2 * c[-1] for side, c in side_and_channels.items())
by_hand = 4 * (3 * 224**2 + convolutions + pools + 1024) + 8 * pools
counted = kept_bytes(*on_meta("vgg16", 224))
print(f"by hand {by_hand:,}; counted {counted:,}")

# %% [markdown]
# Equal to the byte. The other networks branch, add and normalize, so we let PyTorch count. (Batch normalization keeps its input, too,
# which is why small ResNets hold as much as a large VGG.)

# %%
sides = {"vgg16": 224, "resnet50": 224, "inception_v3": 299, "mobilenet_v2": 224}
GB, rows, bars = 1e9, [], {}
for name, side in sides.items():
    net, picture = on_meta(name, side)
    with FlopCounterMode(display=False) as counter:
        net(picture)
    P = sum(p.numel() for p in net.parameters())
    a, flops = kept_bytes(net, picture), counter.get_total_flops()
    grid = net.features(picture).shape[-1]
    fits = [int((card * GB - 12 * P) // a) for card in (16, 24, 80)]
    figures = (f"{P / 1e6:.1f}", f"{a / 1e6:.0f}", f"{flops / 1e9:.1f}")
    rows.append((name, grid, *figures, *fits))
    bars[name] = [4 * P / GB] * 3 + [32 * a / GB]
header = ("network", "map", "M weights", "MB/picture", "GFLOP")
print(results.table((*header, "16 GB", "24 GB", "80 GB"), rows))

# %% [markdown]
# The last three columns are the most pictures that a card of that size could hold, were there nothing else. Kernels need
# working space as well, and the allocator leaves holes, so plan with three quarters. (Our Inception-v3 removes strides for the sake of its maps,
# see the second column. That costs six times the arithmetic of the plain one; a finer map is never free.)

# %% mystnb={"image": {"alt": "Stacked horizontal bars of gigabytes for four networks. Weights, gradients and momentum are thin slivers; activations, hatched, make up nearly all of each bar, most for Inception-v3."}, "figure": {"caption": "Memory of a training step in fp32 with 32 pictures at once. Almost all of it grows with the number of pictures, so halving that number nearly halves the need.", "name": "fig-scale-memory"}}
figure, axis = plt.subplots(figsize=(7, 2.4), layout="constrained")
left = torch.zeros(len(bars))
for k, what in enumerate(("weights", "gradients", "momentum", "activations")):
    width = torch.tensor([values[k] for values in bars.values()])
    look = {"hatch": "///", "ec": "white", "lw": 0} if what == "activations" else {}
    axis.barh(list(bars), width, left=left, label=what, **look)
    left += width
axis.set(xlabel="GB for 32 pictures", ylabel="network")
axis.invert_yaxis()
axis.legend()
plt.show()


# %% [markdown]
# ### Out of memory
#
# Where it does not fit, equation {eq}`eq-scale-parts` helps: `--micro-batch 8` holds eight pictures at once and adds up. And if you set nothing,
# one process that runs out of memory halves the micro-batch on its own and repeats the step. Here is a network that
# cannot take more than ten pictures, beside one that can.

# %%
class Cramped(Double):
    def loss(self, batch):
        if len(batch) > 10:
            raise torch.OutOfMemoryError("no room")
        return super().loss(batch)


roomy, cramped = Double(fresh()), Cramped(fresh())
for net in (roomy, cramped):
    _ = train(net, data, replace(settings, device="cpu"))
pairs = zip(cramped.parameters(), roomy.parameters(), strict=True)
apart = max((a - b).detach().abs().max() for a, b in pairs)
check("32 pictures in parts of 8, nine steps: largest difference", apart, at_most=1e-10)

# %% [markdown]
# Why double precision again? In single, the largest difference of a weight is 6e-8 after one step, one unit in the last place. After
# nine steps it was between 1e-7 and 3e-5, with seeds 0 to 4 on our machine. Nothing was lost on the way: rounding decided which of two
# almost equal activations a max pooling took, or on which side of zero a ReLU found its input, and from there on these were two
# trainings. If a difference shrinks with the precision, as here, it was rounding; if it stays, look for the bug.

# %% [markdown]
# ## How much time
#
# A convolution forward is one product; backward it is two, one for the gradient of its weights and one for that of its
# input. So a step costs three times the forward arithmetic, and a training of $N$ pictures seen costs
#
# $$
# \text{seconds} = \frac{3 \, F \, N}{\text{sustained FLOP per second}} .
# $$ (eq-scale-time)
#
# $F$ can be counted without computing anything. The denominator is yours: the data sheet gives a *peak*, and a training sustains a
# part of it, which you have to measure. The rate below is an example, and no measurement of ours.

# %%
RATE = 10e12  # FLOP per second that your card sustains: put yours in
rows = []
for name in ("cam-voc", "cam-cub", "cam-ilsvrc"):
    recipe = RECIPES[name]
    pictures = COUNTS[recipe.data.name][recipe.data.train]
    net, picture = on_meta(recipe.backbone, recipe.data.size, **recipe.settings())
    with FlopCounterMode(display=False) as counter:
        net(picture)
    steps, size = recipe.total_steps(pictures), recipe.batch_size
    total = 3 * counter.get_total_flops() * steps * size
    hours = total / RATE / 3600
    rows.append((name, steps, size, f"{total / 1e15:.0f}", f"{hours:.1f}"))
print(results.table(("recipe", "steps", "batch", "PFLOP", "hours at RATE"), rows))

# %% [markdown]
# Evaluation, and reading pictures that the processor cannot decode fast enough, come on top. `log.jsonl` in the run folder says
# how many images a second you really get.
#
# ## Half the digits
#
# `--precision bf16` runs forward and backward passes in 16 bits and keeps weights, gradients' sums and optimizer in 32. Activations
# need about half the memory, and matrix units are built to run it several times faster. What does it cost? The format has the range of
# fp32 and *eight* significant bits.

# %%
for dtype in (torch.float32, torch.bfloat16, torch.float16):
    i, name = torch.finfo(dtype), str(dtype).removeprefix("torch.")
    print(f"{name:9} 1 to the next number {i.eps:.1e}, largest {i.max:.1e}")

print("256 + 1 =", (torch.tensor(256.0).bfloat16() + 1).item())
print("1 + 0.003 =", (torch.tensor(1.0).bfloat16() + 0.003).item())
tiny = torch.tensor(1e-8)
print("1e-8 survives bf16:", bool(tiny.bfloat16() > 0), " fp16:", bool(tiny.half() > 0))

# %% [markdown]
# The second result says why weights stay in 32 bits: an update of 0.3 % of a weight would vanish, and updates are mostly smaller
# than that. The third says why fp16 needs its loss multiplied by a large number, so that small gradients do not become zero, and
# bf16 does not. For *maps* keep fp32, or at least compute the map itself in fp32: a map in bf16 has 128
# values between two powers of two, which makes plateaus, and {doc}`01_measuring_a_map` showed what a strict threshold does to
# those.
#
# ## What we measured, and what we did not
#
# Scaling was measured with one and two processes on a processor with two cores, one thread for each process, in five rounds, and
# stored in `results/scaling-cpu.json`. The table has pictures a second (lowest, median and highest round) and processor time
# for a picture, summed over the processes, mean and spread. The second table is of cards: pictures of 224 pixels a second in
# training, for each file `results/gpu-*.json`; its last column is the half-sized format that the card has.

# %%
record = results.load("scaling-cpu")
rows = []
for case in record["cases"]:
    world = case["processes"]
    rate, spent = case["images_per_second"], case["processor_ms_per_image"]
    rates = [f"{f(rate):.0f}" for f in (min, median, max)]
    rows.append(
        (f"{world} x {case['batch'] // world}", *rates, results.spread(spent, 2))
    )
header = ("processes x pictures", "lowest", "median", "highest", "processor ms")
print(results.table(header, rows), "\n")

unknown = "not measured"
files = sorted(results.folder().glob("gpu-*.json"))
cards = [results.load(file.stem) for file in files]
for card in cards or [{"training": {}, "provenance": {"device": "no card yet"}}]:
    rows = []
    for network in ("vgg16", "resnet50", "inception_v3", "resnet38"):
        found = card["training"].get(network, {}).items()
        rate = {kind: row["images_per_second"] for kind, row in found}
        half = rate.get("bf16", rate.get("fp16", unknown))
        whole = [rate.get(kind, unknown) for kind in ("fp32", "tf32")]
        rows.append((network, *whole, half))
    header = (card["provenance"]["device"], "fp32", "tf32", "bf16 or fp16")
    print(results.table(header, rows))

# %% [markdown]
# Read the first with care. The machine was not ours alone: other programs ran on the two cores (the file holds the load before the first
# round). One process was steady. Two processes at the same batch ranged from 0.7 to 1.8 times its speed. The likely reason: they wait for
# each other in every step, so whatever takes one of the cores away slows both. We did not separate that from other causes, so
# this is no clean measurement of scaling. Processor time, which others disturb less, is steadier. With two processes a picture costs 5 to 8 %
# more, for exchanging 1.2 MB of gradients in each step and the like. From that alone, two *free* cores could give at most about 1.9
# times the speed of one; that number is arithmetic, and only the best rounds came near it.
#
# **Where it says "not measured", we know of no speed on a GPU, and nothing here was measured on several machines.** The commands below
# are the ones that the code was written for, and the loop behind them is tested with two processes on a processor. The table is
# yours to fill: the first command writes such a file, with memory, share of the card's peak, Grad-CAM and chapters; the second
# prints a row for eight cards.
#
# ```bash
# python benchmarks/gpu.py --out results/gpu-t4.json
# python benchmarks/scaling.py --backbone vgg16 --size 224 --precision bf16 --processes 1 8
# ```
#
# ## The commands
#
# ### Pictures
#
# ```bash
# wsolbook data download voc2012 --root data     # 2.0 GB; resumes, checks the digest, unpacks
# wsolbook data download sbd --root data         # 1.4 GB, for the list trainaug
# wsolbook data prepare voc2012 --root data      # SBD's masks; needs scipy
# wsolbook data verify voc2012 --root data --split trainaug --processes 8
# wsolbook data download cub --root data
# wsolbook data prepare ilsvrc2012 --root data   # after you put its archives there: they need an account
# ```
#
# Plan for the archives and for their contents, which lie side by side until you delete the former.

# %%
for name, archives in download.MANIFESTS.items():
    size = sum(archive.size for archive in archives)
    hours = 8 * size / 100e6 / 3600
    print(f"{name:11} {size / GB:6.1f} GB of archives, {hours:5.2f} h at 100 Mbit/s")

# %% [markdown]
# ### One GPU
#
# Look before you leap: `--dry-run` prints settings, parameter groups, steps and memory, and creates nothing.
#
# ```bash
# wsolbook train --recipe cam-voc --data.root data --dry-run
# wsolbook train --recipe cam-voc --data.root data --precision bf16 --channels-last \
#     --workers 8 --resume auto
# wsolbook maps --weights runs/cam-voc/model.safetensors --out maps/cam-voc \
#     --data voc2012 --root data --split train --size 0 --scales 0.5 1.0 1.5 2.0 --flip
# wsolbook evaluate --maps maps/cam-voc --data voc2012 --root data --split train --metric miou
# wsolbook reproduce cam-voc --data.root data --seeds 0 1 2     # all of it, over seeds, into results/
# ```
#
# ### Eight GPUs, one machine
#
# Put a launcher in front; either one does. The batch is still that of the paper, two pictures a card.
#
# ```bash
# torchrun --standalone --nproc-per-node 8 -m wsolbook.cli \
#     train --recipe cam-voc --data.root data --precision bf16 --workers 4 --resume auto
# accelerate launch --multi_gpu --num_processes 8 -m wsolbook.cli \
#     train --recipe cam-voc --data.root data --precision bf16 --workers 4 --resume auto
# torchrun --standalone --nproc-per-node 8 -m wsolbook.cli \
#     maps --weights runs/cam-voc/model.safetensors --out maps/cam-voc --data voc2012 --root data
# ```
#
# Write `-m -- wsolbook.cli` if you add `--run FOLDER`: some versions of `torchrun` take that option for one of their own.
#
# ### Four machines
#
# The same line on each, with its number, and a folder that all of them see for `runs/`. With 32 processes the batch has to be at least
# 32; here it is 128 with a rate scaled by 8 and a warm-up. That is the new experiment of the section above.
#
# ```bash
# torchrun --nnodes 4 --nproc-per-node 8 --node-rank $N --master-addr $FIRST --master-port 29500 \
#     -m wsolbook.cli train --recipe cam-voc --data.root data --precision bf16 --workers 4 \
#     --batch-size 128 --optim.lr 0.8 --schedule.warmup 1 --resume auto
# ```
#
# Under Slurm, save this as `train.sh` and submit with `sbatch train.sh`. The signal comes two minutes before the time is up; the run
# saves, and the last line submits the job again, but only if the run was *stopped*: one that failed would fail again.
#
# ```bash
# #!/bin/bash
# #SBATCH --nodes=4 --ntasks-per-node=1 --gpus-per-node=8 --cpus-per-task=64
# #SBATCH --time=12:00:00 --signal=TERM@120 --open-mode=append
# export FIRST=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# srun --kill-on-bad-exit=0 bash -c 'torchrun --nnodes $SLURM_NNODES --nproc-per-node 8 \
#     --node-rank $SLURM_NODEID --master-addr $FIRST --master-port 29500 \
#     -m wsolbook.cli train --recipe cam-ilsvrc --data.root data/ILSVRC --precision bf16 \
#     --workers 6 --resume auto'
# tail -n 1 runs/cam-ilsvrc/log.jsonl | grep -q '"event": "stopped"' && sbatch train.sh
# ```
#
# ## When things break
#
# | what | what happens |
# |---|---|
# | SIGTERM, Ctrl-C | the step is finished and saved, exit code 75; `--resume auto` continues |
# | `kill -9`, power cut | the last checkpoint is whole; a torn one is passed over, and the log says so |
# | disk full while saving | an error; the last good file stays |
# | loss is NaN or infinite | stops before the step, names the pictures, saves the state if that is still finite |
# | out of memory, one process | micro-batch halves, same step, logged |
# | out of memory, several | an error: one process cannot repeat what the others wait for; set `--micro-batch` |
# | a picture cannot be read | an error that names it; `--data.on-error skip` leaves it out and logs it |
# | two runs, one folder | the second is refused |
# | a resumed run with other settings | refused, with the list of differences; workers and the like may change |
#
# ## What equality does not cover
#
# **Kernels.** `==` holds on the same machine, thread count and versions. GPUs add up in an order that changes from run to run unless
# told otherwise. `--deterministic` chooses ordered kernels where they exist and warns where not (some backward
# passes of pooling and resizing have none). It costs speed, and it does not make two *models* of card agree.
#
# **Batch normalization.** Equation {eq}`eq-scale-parts` assumes that the loss of a picture does not depend on its neighbors. Batch
# normalization breaks that: its mean is over the pictures that are *held together*. Micro-batches and
# processes change it, and the running statistics that are saved are those of the first process. VGG-16 has none; the recipes for MobileNetV2 freeze it; for
# GoogLeNet, ResNet-50 and Inception-v3 the part of a process is a setting like any other. Report it.
#
# **Dropout** is drawn by (seed, step, process), so it is repeatable, but two processes draw other masks than one.
#
# ## Exercises

# %% [markdown]
# ````{exercise-start} Batch normalization counts its company
# :label: ex-scale-norms
# ````
# *Predict.* Compare the gradient of 32 pictures with that of two halves, once with live batch normalization and once with frozen. What do
# you expect?
#
# - [ ] Halves add up to the whole with both
# - [ ] Only with frozen normalization
# - [ ] Only with live normalization
#
# :::{dropdown} Hint
# Which of the two looks at the other pictures of the batch?
# :::
#
# ````{exercise-end}
# ````

# %% [markdown] tags=["solution"]
# ````{solution-start} ex-scale-norms
# :class: dropdown
# ````
# - [x] Only with frozen normalization
#
# Frozen, the halves add up. Live, each half is normalized by its own mean, and the gradient is another one: not wrong, but not
# that of the batch.

# %% tags=["solution"]
live = build(here.backbone, classes=8, weights="critters").train()
for name, net in {"live": Double(live), "frozen": Double(fresh())}.items():
    whole = gradient(net, data.batch(range(32), 0))
    halves = [range(16), range(16, 32)]
    added = sum(gradient(net, data.batch(half, 0), 0.5) for half in halves)
    error = ((added - whole).norm() / whole.norm()).item()
    bound = {"at_least": 0.01} if name == "live" else {"at_most": 1e-10}
    check(f"{name}: relative difference", error, **bound)

# %% [markdown] tags=["solution"]
# ````{solution-end}
# ````

# %% [markdown]
# ````{exercise-start} How wrong can padding be?
# :label: ex-scale-padding
# ````
# $n$ pictures, $w$ processes, shares padded to equal length by repeating the first pictures. Derive the largest error of the accuracy, and
# check it for $n = 50{,}000$ on 32 processes and for our $n = 7$ on three.
#
# :::{dropdown} Hint
# It is worst where the network is right on exactly the pictures that are repeated.
# :::
#
# ````{exercise-end}
# ````

# %% [markdown] tags=["solution"]
# ````{solution-start} ex-scale-padding
# :class: dropdown
# ````
# The padded set has $n' = w \lceil n / w \rceil$ entries, $p = n' - n$ of them repeated. If the network is right on exactly those, it has
# $2p / n'$ instead of $p / n$. The error is $p\,(2n - n') / (n n') = p\,(n - p) / (n\,(n + p))$.

# %% tags=["solution"]
for n, world in ((50_000, 32), (7, 3)):
    padded = world * -(-n // world)
    repeated = padded - n
    error = Fraction(2 * repeated, padded) - Fraction(repeated, n)
    print(f"{n} pictures, {repeated} repeated: {100 * float(error):.3f} points")
    assert error == Fraction(repeated * (n - repeated), n * (n + repeated))

# %% [markdown] tags=["solution"]
# ````{solution-end}
# ````

# %% [markdown]
# ````{exercise-start} The price of agreeing
# :label: ex-scale-ring
# ````
# In a ring, each of $w$ processes sends $2\,\frac{w-1}{w}\,4P$ bytes to add up $P$ gradients. VGG-16 in the CAM form has 18.1 million
# parameters, with its original fully connected layers 138.4 million. How much does each process send in a step on 8 GPUs? And how
# many pictures must a card hold to compute as long as it sends, at 10 TFLOP a second and 10 GB a second?
#
# :::{dropdown} Hint
# A step of training takes about as long as three forward passes.
# :::
#
# ````{exercise-end}
# ````

# %% [markdown] tags=["solution"]
# ````{solution-start} ex-scale-ring
# :class: dropdown
# ````
# At these rates one or two pictures are enough for the CAM head, and the original needs ten. Removing the fully connected
# layers made the maps possible, and the network cheap to scale. In practice sending also overlaps with the backward pass.

# %% tags=["solution"]
per_picture = 3 * 31.6e9 / 10e12
for name, P in {"CAM head": 18.1e6, "original": 138.4e6}.items():
    sent = 2 * 7 / 8 * 4 * P
    pictures = sent / 10e9 / per_picture
    print(f"{name}: {sent / 1e6:.0f} MB a step, as long as {pictures:.1f} pictures")

# %% [markdown] tags=["solution"]
# ````{solution-end}
# ````

# %% [markdown]
# ````{exercise-start} Unequal shares
# :label: ex-scale-shares
# ````
# *Compute*, by hand. 32 pictures go to three processes: 11, 11 and 10. Each takes the mean over its own, and the gradients are averaged as if the shares
# were equal. What weight does each picture have? What should each process do instead?
#
# :::{dropdown} Hint
# How much of the mean of its process is one picture?
# :::
#
# ````{exercise-end}
# ````

# %% [markdown] tags=["solution"]
# ````{solution-start} ex-scale-shares
# :class: dropdown
# ````
# A picture of the first two has a third of 1/11, which is 1/33, one of the last 1/30: a tenth more, for standing in the shorter share. Let
# each process multiply its mean by its number of pictures over 32, and add up the gradients instead of averaging them: every picture has 1/32, as in this chapter.
# ````{solution-end}
# ````

# %% [markdown]
# ## Summary
#
# - A step belongs to a batch of all processes together. Parts of it, weighted by their size, add up to its gradient: in time
#   (accumulation) or in space (processes).
# - With counters instead of streams, workers and restarts change no bit. Resuming is asking for later steps.
# - A batch carries labels, and beyond them only what the method declares.
# - Compare in double precision: rounding shrinks with the digits, mistakes stay.
# - Memory is $12P + ma$ bytes with SGD, and $a$ can be counted; time is $3FN$ over a rate that you measure.
# - Keep the batch of the paper when you reproduce it. A larger batch with a larger rate is an experiment.
# - Count each test picture once, and add up counts, never percentages.
#
# **What next.** Take the recipe whose paper you care about, run `--dry-run`, and compare its memory line with equation
# {eq}`eq-scale-memory`. If you have a card, fill a row of the table. The protocol to report by is that of
# {cite:t}`choe2020evaluating`.
