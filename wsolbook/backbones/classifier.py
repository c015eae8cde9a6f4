"""The network of the CAM paper: feature maps, global pooling, one linear layer."""

from __future__ import annotations

from typing import Any, Literal, get_args

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from wsolbook.backbones.trunk import Trunk
from wsolbook.types import Batch, Network

Pool = Literal["gap", "gmp"]
Loss = Literal["softmax", "sigmoid"]


class Classifier(Network):
    """Classify images by one linear layer over globally pooled feature maps.

    `wsolbook.backbones.build` makes one.

    Attributes:
        features: the trunk: images to feature maps `(n, K, h, w)`.
        pool: `"gap"`, the mean over the positions, or `"gmp"`, the maximum.
        linear: pooled features to logits.
        heads: what `head` may be.
        settings: the arguments of `build` that made this network, without the weights.
    """

    method = "cam"
    heads: tuple[str, ...] = get_args(Pool)
    features: Trunk

    def __init__(self, trunk: Trunk, settings: dict[str, Any]) -> None:
        super().__init__()
        self.settings = settings
        self.pool: Pool = settings["head"]
        self.features = trunk
        self.dropout = nn.Dropout(settings["dropout"])
        self.linear = nn.Linear(trunk.channels, settings["classes"])
        if trunk.identity:
            nn.init.eye_(self.linear.weight)
            self.linear.requires_grad_(False)
        else:
            nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c"]:
        """Return the logits."""
        maps = self.features(images)
        pooled = maps.mean((-2, -1)) if self.pool == "gap" else maps.amax((-2, -1))
        return self.linear(self.dropout(pooled))

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Return the classification loss."""
        return {"classification": self.classification(self(batch.images), batch.labels)}

    def classification(self, logits: Float[Tensor, "n c"], labels: Float[Tensor, "n c"]) -> Float[Tensor, ""]:
        """Return the loss of logits.

        Softmax cross-entropy counts every class present in an image alike (for one class an image, the
        usual form); the sigmoid form is binary cross-entropy, averaged over images and classes.
        """
        if self.settings["loss"] == "sigmoid":
            return binary_cross_entropy_with_logits(logits, labels)
        return cross_entropy(logits, labels / labels.sum(1, keepdim=True))

    def maps(
        self, images: Float[Tensor, "n 3 h w"], classes: Int[Tensor, "n"] | Int[Tensor, "n k"]
    ) -> Float[Tensor, "n u v"] | Float[Tensor, "n k u v"]:
        """Return the raw class activation map of each requested class."""
        from wsolbook.cam import cam

        values = cam(self, images, classes).values
        return values[:, 0] if classes.ndim == 1 else values
