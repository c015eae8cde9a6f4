"""The dense CRF against loops, closed forms, numbers of the C++ reference, and itself where installed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from wsolbook.maps import resize
from wsolbook.refine.crf import PRESETS, Constants, dense_crf, mean_field

PSA = PRESETS["psa"]
SMALL = PSA.scaled(1 / 10)


def picture(n=1, height=9, width=12, seed=0):
    """Two surfaces with noise: bytes."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.arange(width).expand(n, 3, height, width)
    light = torch.where(x < width // 2, 60.0, 170.0)
    return (light + 8 * torch.randn(n, 3, height, width, generator=generator)).clamp(0, 255).byte()


def scores(n=1, labels=3, height=9, width=12, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, labels, height, width, generator=generator, dtype=torch.float64).softmax(1)


def as_networks_make(labels, height, width, seed=1):
    """Scores of a grid an eighth as fine, resized: neighbors differ little, unlike in noise."""
    return resize(scores(1, labels, height // 8, width // 8, seed).float(), (height, width))


def by_loops(p, image, constants):
    """The exact mean field of one picture, a pair of pixels at a time."""
    _, height, width = p.shape
    pixels = [(y, x) for y in range(height) for x in range(width)]
    colors = [image[:, y, x].tolist() for y, x in pixels]
    messages = []
    for wide, weight, paint in (
        (constants.near, constants.near_weight, math.inf),
        (constants.far, constants.far_weight, constants.color),
    ):
        kernel = [
            [
                math.exp(-(math.dist(a, b) ** 2) / wide**2 / 2 - math.dist(c, d) ** 2 / paint**2 / 2)
                for b, d in zip(pixels, colors, strict=True)
            ]
            for a, c in zip(pixels, colors, strict=True)
        ]
        degree = [sum(row) for row in kernel]
        messages.append(
            [
                [weight * k / math.sqrt(m * n) for k, n in zip(row, degree, strict=True)]
                for row, m in zip(kernel, degree, strict=True)
            ]
        )
    q = p.flatten(1) / p.flatten(1).sum(0)
    for _ in range(constants.iterations):
        energies = p.flatten(1).log()
        for message in messages:
            energies = energies + torch.stack(
                [sum(w * q[:, j] for j, w in enumerate(row)) for row in message], 1
            )
        q = energies.softmax(0)
    return q.view_as(p)


def test_exact_equals_loops():
    p, image = scores(height=2, width=3), picture(height=2, width=3)
    constants = Constants(1.2, 3.0, 2.0, 50.0, 4.0, iterations=2)
    torch.testing.assert_close(
        dense_crf(p, image, constants, exact=True)[0], by_loops(p[0], image[0], constants)
    )


def test_equals_numbers_of_the_reference():
    """Computed by pydensecrf2 1.1: labels 0 to 2 at five pixels."""
    y, x, c = torch.meshgrid(torch.arange(8), torch.arange(10), torch.arange(3), indexing="ij")
    image = ((37 * x + 11 * y * (c + 1) + 5 * x * y) % 256).byte().permute(2, 0, 1)[None]
    p = (1.0 + (3 * x + 5 * y + 7 * c * x) % 11).permute(2, 0, 1)[None]
    found = dense_crf(p / p.sum(1, keepdim=True), image, Constants(2.0, 1.0, 20.0, 30.0, 1.5, 5))
    expected = torch.tensor(
        [
            [0.304173, 0.353812, 0.342015],
            [0.43213, 0.111347, 0.456522],
            [0.517081, 0.285633, 0.197286],
            [0.591996, 0.100361, 0.307643],
            [0.527027, 0.29741, 0.175563],
        ]
    )
    torch.testing.assert_close(found[0][:, [0, 1, 3, 5, 7], [0, 4, 9, 2, 6]].T, expected, atol=2e-5, rtol=0)


@pytest.mark.peers
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("labels", "seed"), [(2, 0), (5, 1)])
def test_equals_the_reference(preset, labels, seed):
    reference = pytest.importorskip("pydensecrf.densecrf")
    constants = PRESETS[preset]
    p, image = as_networks_make(labels, 40, 56, seed), picture(1, 40, 56, seed)
    crf = reference.DenseCRF2D(56, 40, labels)
    crf.setUnaryEnergy(np.ascontiguousarray(-p[0].clamp(1e-5, 1).log().flatten(1).numpy()))
    crf.addPairwiseGaussian(sxy=constants.near, compat=constants.near_weight)
    colors = np.ascontiguousarray(image[0].permute(1, 2, 0).numpy())
    crf.addPairwiseBilateral(
        sxy=constants.far, srgb=constants.color, rgbim=colors, compat=constants.far_weight
    )
    expected = torch.from_numpy(np.array(crf.inference(constants.iterations))).view(labels, 40, 56)
    torch.testing.assert_close(dense_crf(p, image, constants)[0], expected, atol=2e-5, rtol=0)


def test_the_lattice_is_near_the_exact_mean_field():
    p, image = as_networks_make(3, 24, 32), picture(1, 24, 32)
    ours, exact = (dense_crf(p, image, PSA.scaled(1 / 12), exact=e) for e in (False, True))
    assert (ours - exact).abs().mean() < 0.04
    assert (ours.argmax(1) == exact.argmax(1)).float().mean() > 0.92


@pytest.mark.parametrize("exact", [False, True])
class TestBothFilters:
    def test_one_label_is_certain(self, exact):
        found = dense_crf(torch.full((1, 1, 9, 12), 0.2), picture(), SMALL, exact=exact)
        torch.testing.assert_close(found, torch.ones(1, 1, 9, 12))

    def test_without_weights_the_scores_are_only_normalized(self, exact):
        p = 0.5 * scores()
        still = replace(SMALL, near_weight=0.0, far_weight=0.0)
        torch.testing.assert_close(dense_crf(p, picture(), still, exact=exact), 2 * p)
        torch.testing.assert_close(dense_crf(p, picture(), replace(SMALL, iterations=0), exact=exact), 2 * p)

    def test_nothing_to_prefer_stays_so(self, exact):
        p, image = torch.full((1, 4, 9, 12), 0.25), torch.full((1, 3, 9, 12), 90.0)
        torch.testing.assert_close(dense_crf(p, image, SMALL, exact=exact), p)

    def test_a_factor_common_to_all_labels_changes_nothing(self, exact):
        p = scores()
        factor = 0.1 + 0.9 * torch.rand(1, 1, 9, 12, dtype=torch.float64)
        found = [dense_crf(s, picture(), SMALL, exact=exact) for s in (p, p * factor)]
        torch.testing.assert_close(*found)
        torch.testing.assert_close(mean_field(-p.log(), picture(), SMALL, exact=exact), found[0])

    def test_labels_may_be_renamed(self, exact):
        p, order = scores(), torch.tensor([2, 0, 1])
        found = dense_crf(p[:, order], picture(), SMALL, exact=exact)
        torch.testing.assert_close(found, dense_crf(p, picture(), SMALL, exact=exact)[:, order])

    def test_many_labels_sum_to_one(self, exact):
        found = dense_crf(scores(labels=21), picture(), SMALL, exact=exact)
        torch.testing.assert_close(found.sum(1), torch.ones(1, 9, 12, dtype=torch.float64))

    def test_the_batch_equals_the_single_pictures(self, exact):
        p, images = scores(3), picture(3)
        singles = [dense_crf(p[i : i + 1], images[i : i + 1], SMALL, exact=exact) for i in range(3)]
        torch.testing.assert_close(dense_crf(p, images, SMALL, exact=exact), torch.cat(singles))

    def test_one_picture_for_all_maps_equals_one_for_each(self, exact):
        p, image = scores(3), picture()
        found = dense_crf(p, image, SMALL, exact=exact)
        torch.testing.assert_close(found, dense_crf(p, image.expand(3, -1, -1, -1), SMALL, exact=exact))
        assert (found[0] - found[1]).abs().max() > 0.1

    def test_labels_that_are_not_present_take_no_part(self, exact):
        p, images = scores(2, 5), picture(2)
        present = torch.tensor([[True, False, True, False, True], [True, False, False, True, False]])
        found = dense_crf(p, images, SMALL, present, exact)
        assert (found[~present] == 0).all()
        for i in range(2):
            alone = dense_crf(p[i : i + 1, present[i]], images[i : i + 1], SMALL, exact=exact)
            torch.testing.assert_close(found[i : i + 1, present[i]], alone)

    def test_one_pixel_sees_itself(self, exact):
        p = torch.tensor([0.3, 0.6, 0.1], dtype=torch.float64)
        q = p
        for _ in range(10):
            q = (p.log() + (PSA.near_weight + PSA.far_weight) * q).softmax(0)
        found = dense_crf(p.view(1, 3, 1, 1), torch.full((1, 3, 1, 1), 7, dtype=torch.uint8), exact=exact)
        torch.testing.assert_close(found.flatten(), q)

    def test_gradients(self, exact):
        constants = Constants(1.0, 0.5, 2.0, 60.0, 1.0, iterations=2)
        image, energies = picture(height=2, width=3), scores(1, 2, 2, 3).requires_grad_()
        assert torch.autograd.gradcheck(lambda e: mean_field(e, image, constants, exact=exact), (energies,))

    def test_zeros_count_as_the_floor(self, exact):
        p = torch.zeros(1, 2, 9, 12)
        p[:, 0, :, :6] = p[:, 1, :, 6:] = 1
        found = dense_crf(p, picture(), SMALL, exact=exact)
        torch.testing.assert_close(found, dense_crf(p.clamp(1e-5), picture(), SMALL, exact=exact))
        assert torch.equal(found.argmax(1), p.argmax(1))


def test_borders_move_to_where_the_color_changes():
    p = torch.full((1, 2, 16, 16), 0.3)
    p[:, 0, :, :6], p[:, 1, :, 6:] = 0.7, 0.7
    image = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    image[..., 8:] = 200
    found = dense_crf(p, image, PSA.scaled(16 / 500)).argmax(1)
    assert torch.equal(found, (image[:, 0] > 0).long())


def test_bytes_and_numbers_are_the_same_picture_and_types_are_kept():
    p, image = scores().float(), picture()
    assert torch.equal(dense_crf(p, image, SMALL), dense_crf(p, image.float(), SMALL))
    assert dense_crf(p.bfloat16(), image, SMALL).dtype == torch.bfloat16


def test_presets_are_those_of_the_papers():
    named = {
        "psa": Constants(3.0, 3.0, 80.0, 13.0, 10.0, 10),
        "sec": Constants(3.0, 3.0, 80.0, 13.0, 10.0, 10),
        "irn": Constants(3.0, 3.0, 50.0, 5.0, 10.0, 10),
        "deeplab-v1": Constants(3.0, 3.0, 140.0, 5.0, 5.0, 10),
        "deeplab-v2": Constants(1.0, 3.0, 67.0, 3.0, 4.0, 10),
    }
    assert named == PRESETS
    assert PSA.scaled(0.5) == Constants(1.5, 3.0, 40.0, 13.0, 10.0, 10)


@pytest.mark.parametrize(
    ("p", "image", "message"),
    [
        (2 * scores(), picture(), "must be in 0 to 1, got"),
        (-scores(), picture(), "must be in 0 to 1, got"),
        (scores() * math.nan, picture(), "holds nan"),
        (scores(), picture(width=11), "need as many pictures of that size"),
        (scores(), picture(2), "need as many pictures of that size"),
        (scores(4), picture(2), "need as many pictures of that size"),
        (scores(), picture() / 255, "colors must be in 0 to 255"),
        (scores(), picture().float() - 128, "colors must be in 0 to 255"),
        (scores(height=0), picture(height=0), "there is no pixel"),
        (scores(labels=0), picture(), "no label present"),
    ],
)
def test_refuses_bad_input(p, image, message):
    with pytest.raises(ValueError, match=message):
        dense_crf(p, image, SMALL)


def test_refuses_a_picture_without_labels_and_constants_that_are_no_gaussian():
    with pytest.raises(ValueError, match="no label present; background counts as one"):
        dense_crf(scores(), picture(), SMALL, torch.zeros(1, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="widths must be positive"):
        PSA.scaled(0.0)
    with pytest.raises(ValueError, match="weights and iterations must not be negative"):
        replace(PSA, far_weight=-1.0)
