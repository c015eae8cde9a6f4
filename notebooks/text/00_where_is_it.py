# %% [markdown]
# # Where is it?

# %% [markdown] tags=["launch"]
# [Open in Colab](https://colab.research.google.com/github/wsolbook/wsolbook/blob/main/notebooks/00_where_is_it.ipynb) · [Run on Binder](https://mybinder.org/v2/gh/wsolbook/wsolbook/main?labpath=notebooks%2F00_where_is_it.ipynb) · [Source text](https://github.com/wsolbook/wsolbook/blob/main/notebooks/text/00_where_is_it.py)

# %% tags=["colab", "remove-cell"]
import subprocess
import sys

if "google.colab" in sys.modules:  # wsolbook beside Colab's own torch and numpy
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "anywidget>=0.9.20", "jaxtyping>=0.2.30", "tyro>=0.9"], check=True)
    subprocess.run([*pip, "--no-deps", "git+https://github.com/wsolbook/wsolbook"], check=True)
    print("wsolbook is installed; torch and numpy are Colab's own")

# %% [markdown]
# *20 minutes to read, under a minute to run on two processor cores. You have trained a network with PyTorch
# once; nothing else is needed.*
#
# Afterwards you will be able to
#
# - state the problem of this book in one sentence, and say why anybody would want to solve it;
# - make pictures of *critters*, the small world in which the book does its experiments, and turn its knobs;
# - change one thing in a scene and leave every other pixel alone;
# - train a classifier on words alone, and see in one picture what it has learned about *where*.

# %%
import matplotlib.pyplot as plt
import torch

import wsolbook
from wsolbook import check, maps, results
from wsolbook.backbones import build
from wsolbook.cam import cam
from wsolbook.data import critters
from wsolbook.data.transforms import to_network
from wsolbook.metrics import BoxAccuracy
from wsolbook.show.figures import INK, draw_box, overlay, show_images
from wsolbook.training import Optim, Schedule, train

here = wsolbook.setup()

# %% [markdown]
# ## One word a picture
#
# Somebody shows you a thousand photographs of birds. Under each stands one word, the name of the species.
# Nobody ever points. After a while you can name a bird that you have not seen before; and you can also point
# at it, although pointing was never part of the lesson.
#
# This book is about machines that do the same. A network is trained with
# {term}`image-level labels <image-level label>` alone: for each picture, what is in it. Then it is asked
# *where*, and has to answer with a {term}`localization map`, one number for each pixel; with a
# {term}`bounding box`; or with the outline of the object. The field calls this
# {term}`weakly supervised object localization`, or WSOL, and where every pixel gets a class,
# {term}`weakly supervised semantic segmentation`, or WSSS.
#
# Why would one want that, when there are networks that learn from boxes and outlines? The first reason is the
# price of the labels. To say which of the 20 classes of PASCAL VOC {cite}`everingham2010voc` are in an image
# takes a person some twenty seconds; to outline them takes four minutes {cite}`bearman2016point`, and somebody who knows how. In
# medicine, in biology, on a factory floor, the word often exists already, in a report or a file name; nobody
# will ever draw the outlines.
#
# The second reason is trust. A map of the evidence is the first thing one wants to see of any classifier
# whose answers matter. Does it look at the lesion or at the ruler beside it? At the boat, or at the water that
# every picture of a boat happens to contain? The methods of this book were invented for localization, and they
# have become the most used instruments for looking into networks.
#
# Between the word and the outline lies a gap, and closing it has kept a field busy for ten years. A chapter on a method takes
# one paper, builds it whole, and asks what it really does. Each of the seven papers in this table has its chapter,
# {doc}`02_cam`, {doc}`03_grad_cam`, {doc}`04_gain`, {doc}`05_erasing`, {doc}`06_spg`, {doc}`07_seenet` and {doc}`08_affinitynet`.
#
# | idea | paper | what it adds |
# |---|---|---|
# | read the map off the classifier | CAM {cite}`zhou2016cam` | a map of the evidence, exactly |
# | for any network | Grad-CAM {cite}`selvaraju2017gradcam` | gradients as weights, no special head |
# | train the map itself | GAIN {cite}`li2018gain` | what is left after erasing must not look like the object |
# | erase and look again | ACoL {cite}`zhang2018acol` | a second classifier finds what the first left over |
# | let sure pixels teach unsure ones | SPG {cite}`zhang2018spg` | masks made on the way supervise earlier layers |
# | do not spread into the background | SeeNet {cite}`hou2018seenet` | erasing that stops at the border of the object |
# | let labels flow | AffinityNet {cite}`ahn2018affinitynet` | pixels that belong together share their class |

# %% [markdown]
# ## A world in which the truth is known
#
# Whether a map is good is hard to say with photographs. Benchmarks have boxes, sometimes outlines. They
# cannot tell which *part* of an object a network should have looked at, nor what it would have said, had
# the part not been there. So this book does its experiments in a small world of its own, in which
# everything is known because we draw it ourselves: the **critters**.

# %% mystnb={"image": {"alt": "Sixteen drawn animals in two rows, each column one species: fox, owl, frog, deer, rabbit, lion, duck, panda. Heads agree within a column. Both foxes have a fox's body; one owl has the body of a bird, the other a gray one with a long tail; one frog has flippers."}, "figure": {"caption": "The eight species, seen from near. Each column is one species: the heads agree; bodies, coats and landscapes may differ.", "name": "fig-where-species"}}
near = critters.scenes(n=200, seed=7, object_scale=(0.65, 0.75))
names = [scene.critters[0].species for scene in near]
of = {word: [i for i, n in enumerate(names) if n == word] for word in critters.MAIN}
shown = [near[of[word][k]] for k in (0, 1) for word in critters.MAIN]

drawn = critters.render(shown, size=256)
titles = [*critters.MAIN, *[""] * 8]
show_images(list(drawn.images), titles, columns=8, width=1.15)
plt.show()

# %% [markdown]
# One rule makes this world a laboratory. **The head tells the species; the body hints.** Half of the animals wear the body
# of their own species. For the others the kind of body, the coat and its pattern are drawn without a look at the species, and so
# there are frogs with the flippers of a seal and owls on the legs of a rabbit. The landscape tells nothing at all, unless we ask
# for it. Before any network has seen a picture we know where the evidence for its class is, and how much of it.
#
# And we know it for every pixel. A sample comes with everything that a benchmark has, and with one thing that
# hardly any has, the masks of the parts.

# %%
print("images", tuple(drawn.images.shape), "from 0 to 1")
print("labels", tuple(drawn.labels.shape), drawn.classes)
print("masks ", tuple(drawn.masks.shape), "0 is background")
print("parts ", tuple(drawn.parts.shape), critters.PARTS)
print("boxes ", len(drawn.boxes), "lists, the first:", drawn.boxes[0].tolist())

# %% mystnb={"image": {"alt": "Three rows of six: an animal with its bounding box; the mask of the animal, white on black; and its parts in three colors on light gray, head, body and limbs."}, "figure": {"caption": "What is known of every picture: box, mask, and parts (head orange, body blue, limbs pink). No training ever sees any of it.", "name": "fig-where-truth"}}
figure, axes = plt.subplots(3, 6, figsize=(8.4, 4.3), layout="constrained")
colors = torch.tensor([plt.matplotlib.colors.to_rgb(INK[p]) for p in critters.PARTS])
for i, column in enumerate(axes.T):
    picture = drawn.images[i].permute(1, 2, 0)
    parts = torch.einsum("phw,pc->hwc", drawn.parts[i].float(), colors)
    parts += 0.9 * ~drawn.parts[i].any(0)[..., None]
    panels = (picture, drawn.masks[i] > 0, parts)
    for axis, panel in zip(column, panels, strict=True):
        axis.imshow(panel, cmap="gray")
        axis.set_axis_off()
    draw_box(column[0], drawn.boxes[i][0], INK["truth"])
plt.show()

# %% [markdown]
# The parts divide the animal without remainder: each pixel of the mask belongs to exactly one.

# %%
together = drawn.parts.sum(1)
print("most parts that one pixel has:", int(together.max()))
print("parts together are the mask:  ", torch.equal(drawn.masks > 0, together.bool()))

# %% [markdown]
# ### A scene is a description first
#
# Pictures are drawn from descriptions, and the description is what one works with. It is a plain
# value: who stands where, wearing what, in which light.

# %%
scene = shown[0]
animal = scene.critters[0]
print(f"{animal.species}, body plan {animal.body.plan!r}, on {scene.background!r}")

# %% [markdown]
# So one thing in a scene can be changed, and the picture drawn again. Everything else stays as it is, to the last bit of
# the last pixel. Statisticians call such a change an {term}`intervention`, and it is worth more than any
# amount of looking: if the network's answer changes when only the head was removed, then the network used the head.

# %% mystnb={"image": {"alt": "The same scene five times: a fox in a forest as drawn, without its head, without its body, on water, and with the green body of a frog. Where the body was, a mushroom that stood behind it appears."}, "figure": {"caption": "One scene and four interventions. What appears behind a missing part is what was always there.", "name": "fig-where-interventions"}}
changed = {
    "as drawn": scene,
    "without the head": scene.without("head"),
    "without the body": scene.without("body"),
    "on water": scene.on("water"),
    "body of a frog": scene.with_body_of("frog"),
}
five = critters.render(list(changed.values()), size=256)
show_images(list(five.images), list(changed), width=1.6)
plt.show()

# %% [markdown]
# "To the last bit" is a strong word, so let us hold the world to it. Outside the region that the head
# covers, picture and picture without head must be equal as numbers.

# %%
whole, headless = five.images[0], five.images[1]
different = (whole != headless).any(0)
head = five.parts[0, 0]
near_head = torch.nn.functional.max_pool2d(head[None].float(), 5, 1, 2)[0] > 0

check("share of the pixels that changed", different.float().mean(), at_least=0.05)
beyond = different & ~near_head
print("of these, outside the head and its edge:", int(beyond.sum()))

# %% [markdown]
# Nothing in this world is stored. Picture number $i$ is a function of a seed and of $i$, so the first
# thousand pictures are the same whether they are drawn in one go or one at a time, today or next year,
# on a laptop or on a cluster.

# %%
at_once = critters.sample(n=6, seed=3).images
one_by_one = [critters.sample(n=1, seed=3, start=i).images for i in range(6)]
print("drawn at once = drawn one by one:", torch.equal(at_once, torch.cat(one_by_one)))

# %% [markdown]
# ### The knobs
#
# A world has settings, and they are what the later chapters turn. `object_scale` is the length of an animal in widths of the
# picture, somewhere between 0.3 and 0.75 if nothing else is said. `body_cue` is the probability that an animal wears the body of its
# own species, 0.5: at 0 the body says nothing about the class, at 1 as much as the head. `clutter` adds things that are no animals.
# And `missing_part`, 0.05, is the share of the animals in training pictures that lack a head, a body or limbs, so that a picture without
# one is not foreign to a network when an experiment asks about it. No test animal lacks any.

# %% mystnb={"image": {"alt": "Four rows of six pictures: animals so small that they take a fifth of the width; animals whose bodies match their heads, such as a brown owl with wings; pictures with one to four animals; and pictures in which both ducks are on water, while foxes and frogs are not."}, "figure": {"caption": "Four knobs. From above: small animals; bodies that always tell the species; one to four animals, as in PASCAL VOC; and a world in which ducks, and only ducks, come with water.", "name": "fig-where-knobs"}}
far = (0.15, 0.25)
rows = {
    f"object_scale={far}": critters.sample(6, size=256, object_scale=far),
    "body_cue=1": critters.sample(6, size=256, seed=4, body_cue=1.0),
    'preset="multi"': critters.sample(6, "multi", size=256),
    'preset="biased"': critters.sample(6, "biased", size=256, seed=2),
}
figure, axes = plt.subplots(4, 6, figsize=(8.4, 6.1), layout="constrained")
for line, (knob, sampled) in zip(axes, rows.items(), strict=True):
    for axis, image in zip(line, sampled.images, strict=True):
        axis.imshow(image.permute(1, 2, 0))
        axis.set_axis_off()
    line[0].set_title(knob, loc="left", family="monospace")
plt.show()

# %% [markdown]
# Three settings have names, because the papers need them again and again.
#
# | preset | one picture shows | stands for |
# |---|---|---|
# | `"single"` | one animal, one label | CUB-200-2011 {cite}`wah2011cub`, ILSVRC {cite}`russakovsky2015imagenet` |
# | `"multi"` | one to four animals, several labels | PASCAL VOC {cite}`everingham2010voc` |
# | `"biased"` | one animal; ducks, and only ducks, are on water | the boats and the water of GAIN {cite}`li2018gain` |
#
# Worlds for judging explanations have been drawn before. CLEVR-XAI {cite}`arras2022clevrxai` asks questions about
# colored solids, BAM {cite}`yang2019bam` pastes objects into scenes, and FunnyBirds {cite}`hesse2023funnybirds` renders birds with
# removable parts; we owe the idea of removing a part to it. Ours differs in what it is for: a thousand pictures are drawn in
# seconds on a laptop, its cues can be tuned, and it has all the labels that the methods of this book are trained with and measured by.
#
# ### Why these settings
#
# Whoever draws a world can turn it until the favorite method looks good. So here is how `"single"` was set: by four
# conditions, on class activation mapping (CAM) alone, before any other method of the book was run in it. {term}`MaxBoxAccV2` and {term}`PxAP` are scores
# from 0 to 100 that the next chapter takes apart; the *center* is a bell curve in the middle of the picture, which never looks at it.
#
# | condition | asked for |
# |---|---|
# | a network names the animals, so that a bad map is not the fault of a bad classifier | at least 95 % |
# | CAM is ahead of the center | by 6 points of MaxBoxAccV2 and 15 of PxAP |
# | the true mask, drawn on the network's 8 × 8 grid, scores high, so that the grid limits nobody | at least 90 of MaxBoxAccV2 |
# | a network trained on pictures without heads names the species from bodies | 45 to 70 %, where guessing gives 12.5 % |
#
# Here is what was measured, three trainings and 500 pictures that they had not seen; `benchmarks/world.py` repeats it.

# %%
stored = results.load("world")["single"]
judged = {"CAM": stored["CAM"]}
judged |= {name: [stored[name]] for name in ("center", "true mask at 8x8")}
rows = [
    (name, *(results.spread([run[c] for run in runs]) for c in ("V2", "PxAP")))
    for name, runs in judged.items()
]
print(results.table(("three seeds", "MaxBoxAccV2", "PxAP"), rows), end="\n\n")
for named in ("top-1", "top-1, headless", "top-1, trained headless"):
    print(f"{named:24}{results.spread([run[named] for run in stored['CAM']])} %")

# %% [markdown]
# CAM's lead of eight points is close to that on ImageNet (62.4 against 52.5 in MaxBoxAccV2 {cite}`choe2020evaluating`). Draw the animals larger and nearer the
# middle, and the center wins: in such a world boxes can judge nobody. And there is much left to win. The grid could
# express more than fifty points beyond what CAM finds, and bodies alone, the last line, tell the species in more than half of the pictures.
#
# `"multi"` was set so that not looking costs clearly in segmentation as well: the {term}`mIoU` of CAM's masks is 36.3 ± 2.7, that of
# the center 23.5, and that of a map that calls all of the picture the object 10.9.
#
# ## First, the answer
#
# Now the experiment that the rest of the book explains. Fifteen hundred pictures and one word for each. A
# training batch in this package carries nothing else, which is all there is to {term}`weak supervision`; look what is in it.

# %%
train_set = critters.Critters(n=1500, size=here.size, split="train")
test_set = critters.Critters(n=400, size=here.size, split="test")

batch = train_set.batch([0, 1, 2], epoch=0)
print("images", tuple(batch.images.shape), " labels", tuple(batch.labels.shape))
print("boxes:", batch.boxes, " masks:", batch.masks)

# %% [markdown]
# The network is called `tiny`: four stages of convolutions, then an average over the picture, then one linear layer.
# It has seen animals before, though not these: as one takes ImageNet weights in practice, it starts from weights
# that were trained on thirty other species.

# %%
settings = here.config(
    epochs=2, batch_size=32, optim=Optim(lr=0.05), schedule=Schedule("cosine")
)


def trained(seed):
    """Train the network of this chapter; the seed decides all that is random in it."""
    torch.manual_seed(seed)
    model = build(here.backbone, classes=8, weights="critters").to(here.device)
    train(model, train_set, settings, seed=seed)
    return model


models = [trained(seed) for seed in here.seeds]

# %%
test = test_set.batch(range(len(test_set)))
x, true = test.images.to(here.device), test.labels.argmax(1)


def share_right(model, images):
    """Return the share of the test pictures that the network names rightly."""
    with torch.no_grad():
        return (model(images).argmax(1).cpu() == true).float().mean()


wrong = [1 - share_right(model, x) for model in models]
check("share of new animals that it names wrongly", wrong, at_most=0.05)

# %% [markdown]
# It can name them. Nobody has told it where they are. And yet a single line returns a map of the evidence for
# each name. The {doc}`chapter after next <02_cam>` derives that line; here is what it gives.

# %% mystnb={"image": {"alt": "Eight animals, one of each species, in two double rows: above as drawn, below with a heat map over it. The glow is brightest on or beside the head and fades over the body; around small animals it spreads into the landscape."}, "figure": {"caption": "What a classifier knows about *where*, after training on words. The maps were computed by class activation mapping; the network never saw a box or a mask.", "name": "fig-where-answer"}}
heats = [cam(model, x, true).values[:, 0].cpu() for model in models]
first = [int((true == c).nonzero()[0]) for c in range(8)]
pictures = critters.render([test_set.scenes[i] for i in first], size=256).images

glowing = [overlay(p, heats[0][i]) for p, i in zip(pictures, first, strict=True)]
above_below = [*pictures[:4], *glowing[:4], *pictures[4:], *glowing[4:]]
show_images(above_below, columns=4, width=1.9)
plt.show()

# %% [markdown]
# How can that be? Think of what the network has to do. It slides the same small detectors over the whole picture, and
# only at the very end does it average over all places. Some detector fires on the white rings around the eyes of an owl. It
# fires *where the eyes are*. The average forgets that place, but the grid that was averaged still had it, and nothing
# prevents us from looking there. A classifier of this kind is a localizer that throws its answer away at the last step.
#
# Two things can be seen in the picture above, and they are the two halves of the book.
#
# **It works.** The glow is on the animal. A network that was only ever asked *what* has kept track of *where*. Take the brightest point
# of each map. An arbitrary point of the picture lies on the animal once in seven times; this one nearly always does.

# %%
full_size = [maps.normalize(maps.resize(heat, here.size)) for heat in heats]
brightest = [m.flatten(1).argmax(1, keepdim=True) for m in full_size]
animal = (test_set.masks > 0).flatten(1)
on_it = [animal.gather(1, b).float().mean() for b in brightest]
check("share of brightest points that lie on the animal", on_it, at_least=0.7)

# %% [markdown]
# **It finds the wrong thing.** Or rather, it finds exactly what it was asked for: what tells a fox from a rabbit. That is the
# head. The body is mostly common property, and stays dimmer. Measure how much of each part glows.

# %%
def brightness(score_maps, part):
    where = test_set.parts[:, critters.PARTS.index(part)]
    return (score_maps * where).sum() / where.sum()


ratios = [brightness(m, "head") / brightness(m, "body") for m in full_size]
check("how much brighter the head is than the body", ratios, at_least=1.2)

# %% [markdown]
# Ask for the object, and this map answers with a head and its halo. Draw a box around the glow, cut where it suits the boxes best, and compare
# it with the true one by {term}`intersection over union`, 1 for equal boxes and 0 for boxes that do not meet. Nearly all reach 0.3. The usual
# bar for a hit is 0.5, and there most fall short. They are in the right place, but the glow hardly grows with the animal: it is too narrow
# for the large ones and, on a grid of 8 × 8, too wide for the small ones.

# %%
def hits(score_maps, bar):
    boxes = BoxAccuracy(contours="largest", iou=(bar,))
    boxes.update(score_maps, test.boxes)
    return boxes.compute()["acc"][bar]


loose, strict = ([hits(m, bar) for m in full_size] for bar in (0.3, 0.5))
check("percent of boxes with an IoU of 0.3", loose, at_least=75)
check("percent of boxes with an IoU of 0.5", strict, at_most=45)

# %% [markdown]
# {term}`Discriminative parts <discriminative part>` instead of whole objects: this is *the* problem of weak
# supervision. Note that it is no lack of training. The network is right nearly every time; more pictures or more epochs would make it more
# certain, and its evidence no larger. Note also that it is no defect of the map, as exercise 2 shows by an
# intervention. The trouble lies in the question. The papers of the book are ways around it: take the bright part away and
# look again ({term}`adversarial erasing`), teach the network about background, let labels flow from a
# confident pixel to its neighbors of the same kind ({term}`random walk`), and some more.
#
# ## How the book works
#
# Every chapter is a notebook that ran from top to bottom before it was printed, and runs again in our tests. Those on methods follow
# one order: a failure as a picture, the mathematics, the method from scratch in short cells, the same through
# the package `wsolbook`, an experiment with several seeds against the claim of the paper, and what goes wrong. Lines like the
# ticked ones above are *checks*: `check` prints its claim if it holds and stops the notebook if not. Trained numbers
# differ from machine to machine in their last digits, so no chapter prints them raw; what it prints must hold everywhere.
#
# Numbers that take longer than a notebook should are computed by `wsolbook reproduce` and
# stored with their provenance: command, commit, seeds, device. Where a chapter quotes a number of a paper, it says so.
#
# Two chapters are about no paper: {doc}`11_your_own` takes your network and your pictures, and {doc}`12_to_scale` the papers' own data.
#
# ## Exercises
#
# The {doc}`laboratory <../book/laboratory>` has a network in the page and asks four more questions to this chapter, each answered by a click.
#
# :::{exercise-start}
# :label: ex-where-chance
# :::
# A map that knows nothing can still be lucky. Put a box of 60 % of the picture's side in the middle of each picture. For which
# share of the test pictures is its {term}`IoU` with the true box at least 0.3, and at least 0.5? Compare with the boxes of the map.
#
# :::{dropdown} Hint
# `box_iou` compares boxes; one box in the middle serves for all pictures.
# :::
#
# :::{exercise-end}
# :::
#
# :::{solution-start} ex-where-chance
# :class: dropdown
# :::

# %% tags=["solution"]
from wsolbook.metrics import box_iou

edge = round(0.2 * here.size)
far = here.size - 1 - edge
middle = torch.tensor([[edge, edge, far, far]])
overlap = torch.tensor([float(box_iou(middle, b).max()) for b in test.boxes])
reached = {bar: (overlap >= bar).float().mean() for bar in (0.3, 0.5)}
check("share that reaches 0.3 without looking", reached[0.3], at_least=0.5)
check("share that reaches 0.5 without looking", reached[0.5], at_least=0.2)

# %% [markdown]
# A percentage means nothing beside no baseline. The blind box reaches 0.3 in two pictures of three, where the map reaches it in nearly all; but it
# reaches 0.5 in more than a quarter, and by that bar the map has no clear lead over not looking: {doc}`02_cam` counts over three trainings, and finds none. A method is worth the difference, no more. That is why its tables of maps have a row for the center.
#
# :::{solution-end}
# :::
#
# :::{exercise-start}
# :label: ex-where-cause
# :::
# Is it true that the network uses the head? Do not look at a map. Remove the head from each test scene and measure the
# {term}`accuracy` again; then remove the body instead.
#
# :::{dropdown} Hint
# `scene.without("head")` draws the scene again, and nothing else in it changes.
# :::
#
# :::{exercise-end}
# :::
#
# :::{solution-start} ex-where-cause
# :class: dropdown
# :::

# %% tags=["solution"]
def without(part):
    scenes = [scene.without(part) for scene in test_set.scenes]
    return to_network(critters.render(scenes, here.size, here.device).images)


headless, bodiless = without("head"), without("body")
right = [share_right(model, headless) for model in models]
check("accuracy without heads", right, at_most=0.5)
wrong = [1 - share_right(model, bodiless) for model in models]
check("share that it names wrongly without bodies", wrong, at_most=0.1)

# %% [markdown]
# Without the head the network is wrong about most animals. It is right in about three of ten pictures, and those of the table above, which had
# more pictures and epochs, in two fifths: more often than by guessing, for half of the bodies tell the truth, and less often than bodies allow, which the last
# line of that table states for networks that had nothing else.
# Without the body it hardly notices. This is a statement about causes, and no map was needed for it.
#
# :::{solution-end}
# :::
#
# :::{exercise-start}
# :label: ex-where-body
# :::
# *Predict.* Turn the knob `body_cue` to 1 for training and test. Does the map now cover the body? Guess before you run it.
#
# - [ ] Yes, the body is now as bright as the head
# - [ ] In part, and the head stays the brightest
# - [ ] No, nothing moves
#
# :::{dropdown} Hint
# How many clues does a network need until its loss is small?
# :::
#
# :::{exercise-end}
# :::
#
# :::{solution-start} ex-where-body
# :class: dropdown
# :::
# - [x] In part, and the head stays the brightest
#
# Give both `critters.Critters(n=1500, ...)` and the test set `body_cue=1.0`, and run the notebook again. The body is now
# as good a clue as the head, and it is larger. In our run the map did move: twice as many boxes reached an IoU of 0.5. But the head stayed the brightest part.
# Without heads this network is right in seven of ten pictures, without bodies in nearly all: one sufficient clue is enough to
# make the loss small, and the head remains the easier one. A map shows what a network uses, not what it could have
# used. Adversarial erasing is built upon that observation.
# :::{solution-end}
# :::
#
# :::{exercise-start}
# :label: ex-where-inside
# :::
# *Compute*, by hand. A box around the head lies inside the true box and has a quarter of its area. What is its {term}`IoU`? Which share of the true
# area must a box inside have to reach 0.5, and how large may a box that *contains* the true one be?
#
# :::{dropdown} Hint
# One box lies inside the other: what is their intersection, and what their union?
# :::
#
# :::{exercise-end}
# :::
#
# :::{solution-start} ex-where-inside
# :class: dropdown
# :::
# Inside, the intersection is the small box and the union the large one, so the IoU is the ratio of the areas: 0.25. It takes half of the area for 0.5,
# a box of the same shape with 71 % of each side. From outside it is the other way round, and the box may be twice as large. To miss half of
# the animal and to add as much ground again cost the same.
# :::{solution-end}
# :::
#
# ## Summary
#
# - Weakly supervised localization: train with one word a picture, answer *where*.
# - The critters are a world with known parts and known causes; a scene can be changed in one thing alone.
# - A classifier trained on words has a map of its evidence, for free. The map is right about the evidence, and the
#   evidence is a part of the object.
#
# Next: {doc}`01_measuring_a_map`, because a field whose methods lie a point or two apart should first know its ruler.
