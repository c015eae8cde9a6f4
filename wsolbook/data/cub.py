"""CUB-200-2011: 200 kinds of birds, one box a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from wsolbook.data.formats import pixels, read_keyed
from wsolbook.data.images import read_mask
from wsolbook.data.pictures import Loading, Pictures, find_root

COUNTS = {"train": 5994, "test": 5794}
LISTS = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt", "bounding_boxes.txt")


class CUB(Pictures):
    """CUB-200-2011 in its official layout.

    The far corner of a box is x + width, y + height as in the evaluation protocol of Choe et al. 2020, one
    pixel beyond the object but never beyond the picture: equal to the published lists for all 11,788.

    Args:
        root: the folder CUB_200_2011, or the one that holds it.
        split: "train" (5,994 pictures) or "test" (5,794).
        masks: evaluation masks from the separate segmentation archive (folder `segmentations` beside
            images.txt or beside the root): pixels that at least this share of annotators marked, in (0, 1];
            None carries no masks.
        **options: see `wsolbook.data.pictures.Loading`.

    Raises:
        OSError: when a list is missing; naming it.
        ValueError: on an unknown option, or lists that contradict each other.
    """

    has_boxes = True

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        *,
        masks: float | None = None,
        **options: Unpack[Loading],
    ) -> None:
        if split not in COUNTS:
            raise ValueError(f'split must be "train" or "test", got {split!r}')
        if masks is not None and not 0 < masks <= 1:
            raise ValueError(f"masks must be a share of annotators in (0, 1], got {masks}")
        self.root = find_root(root, ("CUB_200_2011",), LISTS, "CUB-200-2011")
        self.classes = tuple(name for [name] in read_keyed(self.root / "classes.txt", 1, str).values())
        self.share = masks
        self.has_masks = masks is not None
        names = read_keyed(self.root / "images.txt", 1, str)
        labels = read_keyed(self.root / "image_class_labels.txt", 1, int)
        boxes = read_keyed(self.root / "bounding_boxes.txt", 4, pixels)
        splits = read_keyed(self.root / "train_test_split.txt", 1, str)
        if not names.keys() == labels.keys() == boxes.keys() == splits.keys():
            raise ValueError(f"{self.root}: the lists {', '.join(LISTS)} do not name the same images")
        if not all(1 <= label <= len(self.classes) for [label] in labels.values()):
            raise ValueError(
                f"{self.root / 'image_class_labels.txt'}: a class that classes.txt does not name"
            )
        if strangers := {value for [value] in splits.values()} - {"0", "1"}:
            raise ValueError(
                f"{self.root / 'train_test_split.txt'}: 1 is train, 0 is test, nothing is {min(strangers)}"
            )
        self.ids = [key for key in names if splits[key] == [str(int(split == "train"))]]
        self.names = [names[key][0] for key in self.ids]
        self.numbers = torch.tensor([labels[key][0] - 1 for key in self.ids], dtype=torch.long)
        self.rectangles = torch.tensor([boxes[key] for key in self.ids], dtype=torch.float64).reshape(-1, 4)
        super().__init__(**options)

    def __len__(self) -> int:
        return len(self.ids)

    def path(self, index: int) -> Path:
        """Return where picture `index` is."""
        return self.root / "images" / self.names[index]

    def labels(self, index: int) -> Int[Tensor, " k"]:
        """Return the kind of bird in picture `index`."""
        return self.numbers[index : index + 1]

    def boxes(self, index: int) -> Int[Tensor, "k 4"]:
        """Return the bird's box, truncated to whole pixels."""
        return corners_of(self.rectangles[index : index + 1])

    def box_classes(self, index: int) -> Int[Tensor, " k"]:
        """Return the kind of bird in the box."""
        return self.labels(index)

    def mask(self, index: int) -> UInt8[Tensor, "h w"]:
        """Return the bird's mask: class + 1 where at least the share `masks` of annotators marked it."""
        inside = Path(self.names[index]).with_suffix(".png")
        folders = [self.root / "segmentations", self.root.parent / "segmentations"]
        folder = next((f for f in folders if f.is_dir()), folders[0])
        agreement = read_mask(folder / inside)
        share = self.share if self.share is not None else 0.5
        bird = agreement >= share * 255
        return bird.to(torch.uint8) * (int(self.numbers[index]) + 1)


def corners_of(rectangles: Float[Tensor, "n 4"]) -> Int[Tensor, "n 4"]:
    """Turn x, y, width, height, as in bounding_boxes.txt, into corners, truncated to whole pixels."""
    return torch.cat([rectangles[:, :2], rectangles[:, :2] + rectangles[:, 2:]], dim=1).long()
