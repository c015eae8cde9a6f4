"""Metrics, refinement and the world take tensors from where they are."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from wsolbook import maps as maps_of
from wsolbook.backbones import build
from wsolbook.data import critters
from wsolbook.evaluation import FromNetwork, center_gaussian, evaluate
from wsolbook.evaluation.frame import frame_boxes, frame_maps, frame_masks
from wsolbook.evaluation.labels import PseudoLabels, Segmented
from wsolbook.evaluation.tasks import (
    Boxes,
    Classification,
    LabelMaps,
    Localization,
    Parts,
    Pixels,
    Seeds,
)
from wsolbook.methods import METHODS
from wsolbook.metrics import BoxAccuracy, ConfusionMatrix, LocalizationError, PixelAP, SeedIoU
from wsolbook.metrics import parts as part
from wsolbook.metrics.boxes import box_above, box_iou
from wsolbook.metrics.classification import AveragePrecision, TopAccuracy
from wsolbook.refine import affinity
from wsolbook.refine.crf import PRESETS, dense_crf
from wsolbook.refine.pamr import pamr
from wsolbook.refine.proxy import proxy
from wsolbook.refine.pseudo_labels import Labeling
from wsolbook.refine.random_walk import random_walk
from wsolbook.refine.saliency import minimum_barrier


def on_card(shape, high=None):
    generator = torch.Generator().manual_seed(0)
    made = torch.rand(shape, generator=generator)
    return (made if high is None else (made * high).to(torch.uint8)).to("cuda")


affinity_net = partial(METHODS["affinity"], backbone="tiny", classes=8)
deeplab = partial(METHODS["deeplab"], backbone="tiny", classes=8)
BOXES = torch.tensor([[1, 2, 9, 9]])


def test_boxes(gpu):
    boxes = BOXES.to("cuda")
    one = on_card((12, 16))
    assert box_iou(box_above(one)[None], boxes).shape == (1, 1)
    assert frame_boxes(boxes, (12, 16)).tolist() == frame_boxes(BOXES, (12, 16)).tolist()
    metric = BoxAccuracy(thresholds=10)
    metric.update(on_card((1, 224, 224)), [boxes])
    assert metric.images == 1
    centered = center_gaussian((12, 16)) * on_card((12, 16)).cpu()
    assert centered.shape == (12, 16)


def test_pixels_and_seeds(gpu):
    scores, masks = on_card((2, 16, 16)), on_card((2, 16, 16), 3)
    for metric in (PixelAP(10), ConfusionMatrix(3)):
        first = masks if isinstance(metric, ConfusionMatrix) else scores
        metric.update(first, masks)
        assert metric.images == 2
    seeds = SeedIoU(2)
    seeds.update(on_card((1, 16, 16)), torch.tensor([1], device="cuda"), on_card((16, 16), 2))
    assert seeds.images == 1
    assert frame_masks(masks, 8).shape == (2, 8, 8)
    assert frame_maps(scores, 8).is_cuda
    for metric in (TopAccuracy(), AveragePrecision(4)):
        metric.update(on_card((2, 4)), torch.eye(4, device="cuda")[:2])
        assert metric.images == 2


def test_parts(gpu):
    scores, parts = on_card((2, 16, 16)), on_card((2, 3, 16, 16), 2).bool()
    assert set(part.part_coverage(scores, parts, 0.5)) == {*part.PARTS, "background"}
    assert part.best_threshold(scores, on_card((2, 16, 16), 2)) >= 0
    assert part.attention(scores, parts).shape == (2, 4)
    assert part.rank_agreement(on_card((2, 3)), on_card((2, 3))).shape == (2,)


def test_guesses(gpu):
    metric, boxes = LocalizationError(), BOXES.to("cuda")
    guesses, label = torch.tensor([[3]], device="cuda"), torch.tensor([3], device="cuda")
    metric.update(guesses, boxes[None], label, [boxes], known=boxes)
    assert metric.images == 1
    assert set(metric.compute().values()) == {0.0}


def test_importance_of_parts(gpu):
    net, images = build("tiny", classes=4).eval().to("cuda"), on_card((2, 3, 32, 32))
    fallen = part.part_importance(net, images, {"head": images}, torch.tensor([1, 2]))
    assert fallen["head"].tolist() == [0, 0]
    for metric in (part.Coverage(10), part.EvidenceShare()):
        metric.update(on_card((2, 16, 16)), on_card((2, 3, 16, 16), 2).bool())
        assert metric.images == 2


def test_proxies(gpu):
    standing_out = minimum_barrier(on_card((3, 16, 16)))
    found = proxy(on_card((2, 16, 16)), torch.tensor([3, 5], device="cuda"), standing_out, conflict=0.9)
    assert found.is_cuda
    assert set(found.unique().tolist()) <= {0, 3, 5, 255}


def test_refinement(gpu):
    images, soft = on_card((1, 3, 16, 16), 255), on_card((1, 3, 16, 16)).softmax(1)
    assert dense_crf(soft, images, PRESETS["psa"]).is_cuda
    assert pamr(soft, images).is_cuda
    near = affinity.affinities(on_card((1, 8, 16, 16)))
    assert random_walk(soft, near).is_cuda


def test_maps(gpu):
    scores = on_card((2, 4, 8, 8))
    for how in ("min-max", "max"):
        assert maps_of.normalize(scores, how).is_cuda
    assert maps_of.resize(scores, 16, "bicubic").is_cuda


NET = partial(build, "tiny", classes=8)
SINGLE, MULTI = critters.Critters(8, size=32), critters.Critters(8, "multi", size=32)
FRAMED = [Classification(), Boxes(), Pixels(), Parts()]


@pytest.mark.parametrize(
    ("source", "build_it", "data", "tasks", "copies"),
    [
        (partial(FromNetwork, logits=True), NET, SINGLE, FRAMED, 2),  # logits and maps
        (FromNetwork, NET, MULTI, [Seeds(8)], 1),
        (partial(FromNetwork, guesses=5), NET, SINGLE, [Localization()], 2),
        (partial(FromNetwork, order=tuple(range(7, -1, -1))), NET, MULTI, [Seeds(8)], 1),
        (partial(PseudoLabels, Labeling()), affinity_net, MULTI, [LabelMaps(8)], 2),  # maps and affinities
        (Segmented, deeplab, MULTI, [LabelMaps(8)], 1),
    ],
    ids=["framed", "seeds", "guesses", "order", "pseudo labels", "segmented"],
)
def test_evaluation_waits_for_the_copies_of_its_results_alone(
    source, build_it, data, tasks, copies, gpu, record_property, request
):
    """One more batch waits for nothing else; every picture is counted."""
    net = build_it().eval().to("cuda")
    found = []
    for pictures in (4, 8):
        some = critters.Critters.of(data.scenes[:pictures], 32)
        gpu.waits.clear()
        tallies = evaluate(source(net), some, tasks, batch_size=4)
        found.append(gpu.waits.copy())
        assert [t.total.images for t in tallies] == [pictures] * len(tasks)
    more = found[1] - found[0]
    assert sum(more.values()) <= copies, more
    record_property("waits", (f"a batch in evaluation, {request.node.callspec.id}", sum(more.values())))


def test_label_maps_are_made_on_the_device_as_on_the_processor(gpu):
    torch.manual_seed(0)
    net, batch = affinity_net().eval(), MULTI.batch(range(3))
    label = Labeling((4.0, 32.0), PRESETS["psa"].scaled(32 / 500))
    here = [said.values for said in PseudoLabels(label, net)(batch)]
    there = [said.values for said in PseudoLabels(label, net.to("cuda"))(batch)]
    differ = [(a != b).float().mean() for a, b in zip(here, there, strict=True)]
    assert max(differ) <= 0.01  # of pixels; a real card rounds otherwise
    with torch.no_grad():
        for weight in set(net.parameters()) - set(net.teacher.parameters()):
            weight.fill_(torch.nan)
    with pytest.raises(ValueError, match="affinities must be in 0 to 1"):
        PseudoLabels(label, net)(batch)


def test_what_is_wrong_with_a_map_is_said_as_on_the_processor(gpu):
    net = NET().eval().to("cuda")
    with torch.no_grad():
        net.linear.weight[3] = torch.nan
    with pytest.raises(ValueError, match="the weight of layer features is NaN or infinite"):
        evaluate(FromNetwork(net), MULTI, [Seeds(8)])
    with pytest.raises(ValueError, match=r"class [4-7] does not exist: the network has classes 0 to 3"):
        evaluate(FromNetwork(build("tiny", classes=4).eval().to("cuda")), MULTI, [Seeds(8)])
