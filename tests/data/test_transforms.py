import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from wsolbook.data.augment import (
    AUGMENTATIONS,
    VIEWS,
    apply,
    center_crop,
    color_jitter,
    random_crop,
    random_flip,
    random_long_side,
    random_resized_crop,
    random_scale,
    short_side,
)
from wsolbook.data.counters import generator
from wsolbook.data.cub import CUB
from wsolbook.data.transforms import (
    MEAN,
    STD,
    boxes_of,
    from_network,
    sample,
    stacked,
    to_bytes,
    to_network,
    warp_boxes,
)

BOXES = torch.tensor([[2, 1, 9, 4], [0, 0, 0, 0], [39, 19, 39, 19]])


def scene(width=40, height=20):
    """A picture whose mask and boxes are visible in it: red where the mask is 1."""
    mask = torch.zeros(height, width, dtype=torch.uint8)
    mask[1:5, 2:10] = 1
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = mask.numpy() * 255
    pixels[..., 1] = np.arange(width) * 5
    return sample(Image.fromarray(pixels), BOXES.clamp(max=min(width, height) - 1), mask)


class Fixed:
    """Steps draw from a torch generator; seeds are searched for the draw that a test needs."""

    @staticmethod
    def flipping(value):
        for seed in range(100):
            g = torch.Generator().manual_seed(seed)
            if (torch.rand((), generator=g) < 0.5) == value:
                return torch.Generator().manual_seed(seed)
        raise AssertionError


def test_normalize_and_back():
    images = torch.rand(2, 3, 4, 5)
    seen = to_network(images)
    for c in range(3):
        torch.testing.assert_close(seen[:, c], (images[:, c] - MEAN[c]) / STD[c])
    torch.testing.assert_close(from_network(seen), images)


def picture_of(sample):
    return F.to_dtype(sample["image"], torch.float32, scale=True).as_subclass(torch.Tensor)


def test_every_byte_is_the_same_network_input_however_it_gets_there():
    pictures = torch.arange(256, dtype=torch.uint8).expand(3, 2, 256)
    seen = to_network(pictures)
    by_row = (pictures[0, 0].float() / 255 - torch.tensor(MEAN)[:, None]) / torch.tensor(STD)[:, None]
    assert torch.equal(seen[:, 0], by_row)
    assert torch.equal(to_network(pictures.float() / 255), seen)
    assert torch.equal(to_bytes(seen), pictures)


def test_pictures_travel_as_bytes_unless_one_holds_fractions():
    whole, padded = scene(8, 8), random_crop(scene(6, 4), generator(0, 0, 1), size=8)
    assert torch.equal(stacked([whole, whole])[1], whole["image"].as_subclass(torch.Tensor))
    expected = torch.stack([to_network(picture_of(whole)), to_network(picture_of(padded))])
    torch.testing.assert_close(stacked([whole, padded]), expected, rtol=0, atol=1e-6)


def test_flip_moves_everything_as_the_formula_says():
    before = scene()
    after = random_flip(before, Fixed.flipping(True))
    assert torch.equal(picture_of(after), picture_of(before).flip(-1))
    assert torch.equal(after["mask"], before["mask"].flip(-1))
    x0, y0, x1, y1 = BOXES.clamp(max=19).unbind(1)
    assert torch.equal(boxes_of(after), torch.stack([39 - x1, y0, 39 - x0, y1], 1).float())
    same = random_flip(before, Fixed.flipping(False))
    assert torch.equal(picture_of(same), picture_of(before))


def test_flipping_is_as_likely_as_asked():
    before = scene(4, 4)
    flipped = sum(
        not torch.equal(random_flip(before, generator(0, 0, i), p=0.25)["image"], before["image"])
        for i in range(400)
    )
    assert 70 <= flipped <= 130  # mean 100, standard deviation 8.7


def test_center_crop_moves_everything_as_the_formula_says():
    before = scene()
    after = center_crop(before, generator(0, 0, 0), size=10)
    assert torch.equal(picture_of(after), picture_of(before)[:, 5:15, 15:25])
    assert torch.equal(after["mask"], before["mask"][5:15, 15:25])
    # 15 left and 5 up, cut at the border: the box at (19, 19) lies below the window, without height
    assert boxes_of(after)[2].tolist() == [4, 10, 4, 9]
    inside = sample(Image.new("RGB", (40, 20)), torch.tensor([[17, 6, 30, 9]]))
    assert boxes_of(center_crop(inside, generator(0, 0, 0), size=10)).tolist() == [[2, 1, 9, 4]]


@pytest.mark.parametrize("seed", range(8))
def test_random_crop_keeps_picture_mask_and_box_together(seed):
    after = random_crop(scene(), generator(seed, 0, 0), size=15)
    seen = picture_of(after)[0] > 0.5
    assert torch.equal(seen, after["mask"] == 1)
    x0, y0, x1, y1 = boxes_of(after)[0].long().tolist()
    expected = torch.zeros(15, 15, dtype=torch.bool)
    expected[y0 : y1 + 1, x0 : x1 + 1] = True
    assert torch.equal(seen, expected)


def test_random_crop_reaches_every_offset():
    columns = torch.arange(40).repeat(20, 1).to(torch.uint8)
    picture = Image.fromarray(columns.numpy()).convert("RGB")
    starts = {
        int(random_crop(sample(picture), generator(0, 0, i), size=15)["image"][0, 0, 0]) for i in range(400)
    }
    assert starts == set(range(26))


def test_padding_is_zero_for_the_network_and_ignored_in_masks():
    before = scene(6, 4)
    after = random_crop(before, generator(0, 0, 1), size=8)
    seen = to_network(picture_of(after))
    outside = after["mask"] == 255
    assert outside.sum() == 64 - 24
    assert (seen[:, outside] == 0).all()
    assert (picture_of(after)[:, ~outside].reshape(3, 4, 6) == picture_of(before)).all()
    corner = outside.logical_not().nonzero()[0]
    assert boxes_of(after)[0, :2].tolist() == [corner[1] + 2, corner[0] + 1]


@pytest.mark.parametrize(("size", "short"), [((40, 20), 20), ((20, 40), 10), ((31, 17), 34)])
def test_short_side(size, short):
    after = short_side(sample(Image.new("RGB", size)), generator(0, 0, 0), size=short)
    factor = short / min(size)
    assert after["image"].shape[-2:] == (round(size[1] * factor), round(size[0] * factor))


def test_long_side_stays_within_its_range_and_reaches_its_ends():
    lengths = [
        random_long_side(sample(Image.new("RGB", (8, 4))), generator(0, 0, i), 10, 13)["image"].shape[-1]
        for i in range(60)
    ]
    assert set(lengths) == {10, 11, 12, 13}


def test_scale_stays_within_its_range():
    widths = [
        random_scale(sample(Image.new("RGB", (100, 100))), generator(0, 0, i), 0.7, 1.3)["image"].shape[-1]
        for i in range(60)
    ]
    assert 70 <= min(widths) < 80
    assert 120 < max(widths) <= 130


def test_area_crop_of_everything_is_a_warp():
    before = scene()
    after = random_resized_crop(before, generator(0, 0, 0), 12, area=(1.0, 1.0), aspect=(2.0, 2.0))
    expected = v2.functional.resize(before["image"], [12, 12])
    assert torch.equal(after["image"], expected)


def test_scaling_a_box_scales_its_edges():
    after = short_side(scene(), generator(0, 0, 0), size=40)
    assert boxes_of(after)[0].tolist() == [4, 2, 19, 9]
    assert set(after["mask"].unique().tolist()) == {0, 1}
    assert (after["mask"] == 1).sum() == 4 * 32


def test_jitter_of_nothing_is_nothing_and_of_something_stays_in_range():
    before = scene()
    none = color_jitter(before, generator(0, 0, 0), 0.0, 0.0, 0.0, 0.0)
    assert (none["image"].int() - before["image"].int()).abs().max() <= 1
    some = color_jitter(before, generator(0, 0, 0), 0.3, 0.3, 0.3, 0.1)
    assert not torch.equal(some["image"], before["image"])
    assert torch.equal(some["mask"], before["mask"])


def test_warp_truncates_as_the_protocol_does():
    boxes = torch.tensor([[60, 27, 385, 331]])
    assert warp_boxes(boxes, (500, 336), (224, 224)).tolist() == [[26, 18, 172, 220]]
    assert warp_boxes(boxes, (224, 224), (224, 224)).tolist() == boxes.tolist()


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("size", [(40, 20), (9, 70)])
def test_every_augmentation_makes_its_crop_and_repeats_itself(name, size):
    steps = AUGMENTATIONS[name](32)
    picture = sample(Image.new("RGB", size, (1, 200, 30)))
    once, again = (picture_of(apply(steps, picture, generator(3, 1, 4))) for _ in range(2))
    assert once.shape == (3, 32, 32)
    assert torch.equal(once, again)


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_makes_its_size(name):
    assert picture_of(apply(VIEWS[name](32), scene(), generator(0, 0, 0))).shape == (3, 32, 32)


def test_generators_differ_in_each_of_their_numbers():
    draws = {
        tuple(torch.rand(4, generator=generator(*key)).tolist())
        for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 2, 0), (2, 0, 0), (-1, 0, 0)]
    }
    assert len(draws) == 7


@pytest.fixture
def birds(cub_tree):
    noise = np.random.default_rng(0).integers(0, 255, (20, 40, 3), dtype=np.uint8)
    for path in (cub_tree / "images").glob("*/*.jpg"):
        Image.fromarray(noise).save(path, quality=95)
    return cub_tree


def test_augmentation_depends_on_seed_epoch_and_index_only(birds):
    data = CUB(birds, "test", size=16, augment="resnet", seed=5)
    both = data.batch([0, 1], epoch=2).images
    assert torch.equal(data.batch([1], epoch=2).images[0], both[1])
    assert torch.equal(data.batch([1, 0], epoch=2).images.flip(0), both)
    again = CUB(birds, "test", size=16, augment="resnet", seed=5)
    assert torch.equal(again.batch([0, 1], epoch=2).images, both)
    # the two pictures are the same file content: only the index tells them apart
    assert not torch.equal(both[0], both[1])
    assert not torch.equal(data.batch([0], epoch=3).images[0], both[0])
    other = CUB(birds, "test", size=16, augment="resnet", seed=6)
    assert not torch.equal(other.batch([0], epoch=2).images[0], both[0])


def test_workers_change_nothing(birds):
    data = CUB(birds, "test", size=16)
    here = data.batch([0, 1], epoch=1).images
    loader = torch.utils.data.DataLoader(
        [0, 1],
        batch_size=2,
        num_workers=2,
        collate_fn=lambda index: data.batch(index, epoch=1),
        multiprocessing_context="fork",
    )
    assert torch.equal(next(iter(loader)).images, here)


def test_global_generators_are_untouched(birds):
    # Python's own generator cannot be watched here: the type checker of the tests draws from it.
    states = (torch.get_rng_state(), np.random.get_state()[1].copy())  # noqa: NPY002
    for name in AUGMENTATIONS:
        data = CUB(birds, "test", size=16, augment=name)
        data.batch([0, 1], epoch=0)
        data.batch([0, 1])
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002


def test_global_generators_do_not_matter(birds):
    data = CUB(birds, "test", size=16, augment="affinity-cam")
    torch.manual_seed(0)
    first = data.batch([0], epoch=0).images
    torch.manual_seed(1)
    assert torch.equal(data.batch([0], epoch=0).images, first)
