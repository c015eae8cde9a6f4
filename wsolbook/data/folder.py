"""Your own pictures: a folder for each class."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

import torch
from jaxtyping import Int
from torch import Tensor

from wsolbook.data.images import SUFFIXES
from wsolbook.data.pictures import Loading, Pictures, require_folder


class Folder(Pictures):
    """Pictures of one's own: `root/CLASS/anything.jpg`, at any depth below the class.

    Args:
        root: holds one folder for each class.
        **options: see `wsolbook.data.pictures.Loading`.

    Raises:
        OSError: when `root` is missing, or holds no class folder with a picture.
    """

    def __init__(self, root: str | Path, **options: Unpack[Loading]) -> None:
        root = require_folder(Path(root), "picture folder")
        self.classes = tuple(sorted(f.name for f in root.iterdir() if f.is_dir() and f.name[0] != "."))
        self.entries = [
            (path, number)
            for number, name in enumerate(self.classes)
            for path in sorted((root / name).rglob("*"))
            if path.suffix.lower() in SUFFIXES and path.is_file()
        ]
        if not self.entries:
            raise FileNotFoundError(f"{root}: no picture in a folder named after its class")
        super().__init__(**options)

    def __len__(self) -> int:
        return len(self.entries)

    def path(self, index: int) -> Path:
        """Return where picture `index` is."""
        return self.entries[index][0]

    def labels(self, index: int) -> Int[Tensor, " k"]:
        """Return the class of picture `index`."""
        return torch.tensor([self.entries[index][1]])
