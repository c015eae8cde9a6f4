"""In-place operations between map and logits: Grad-CAM differentiates them, CAM refuses them."""

import pytest
import torch
from problems import PROBLEMS, full_grad_cam

from wsolbook.cam import cam, grad_cam

CLASSES = torch.tensor([[0, 3, 1], [1, 1, 0]])


def centered(n, a):
    out = n.linear(a.mean((2, 3)))
    out -= out.mean(1, keepdim=True)
    return out


def negated(n, a):
    return n.linear(a.mean((2, 3))).neg_()


def shifted(n, a):
    h = a.mean((2, 3))
    h -= h.detach().mean(1, keepdim=True)
    return n.linear(h.relu_())


def shifted_view(n, a):
    pooled = torch.nn.functional.adaptive_avg_pool2d(a, 1)
    pooled.flatten(1).sub_(pooled.detach().mean(1, keepdim=True).flatten(1)).relu_()
    return n.linear(pooled.flatten(1))


def channels_negated(n, a):
    h = a.mean((2, 3))
    h.neg_()
    return h


def through_a_row(n, a):
    out = n.linear(a.mean((2, 3)))
    out[:, 0] = out[:, 1:].sum(1)
    return out


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (centered, "changes the scores after its linear layer"),
        (negated, "changes the scores after its linear layer"),
        (through_a_row, "changes the scores after its linear layer"),
        (shifted, "changes the pooled features before its linear layer"),
        (shifted_view, "changes the pooled features before its linear layer"),
        (channels_negated, "changes the pooled features in place"),
    ],
)
def test_in_place_operations_behind_the_pooling(head, reason, dtype):
    net, x = PROBLEMS["gap"].make().to(dtype), torch.randn(2, 3, 6, 6, dtype=dtype)
    net.head = head
    expected = full_grad_cam(net, "features", x, CLASSES)
    assert float(expected.max()) > 0
    torch.testing.assert_close(grad_cam(net, x, CLASSES, "features").values, expected)
    with pytest.raises(ValueError, match=reason):
        cam(net, x)


def overwritten(n, a):
    pooled = a.mean((2, 3))
    a.neg_()
    return n.linear(pooled)


def test_a_map_that_is_overwritten_after_it_was_pooled():
    net, x = PROBLEMS["gap"].make(), torch.randn(2, 3, 6, 6)
    expected = full_grad_cam(net, "features", x, CLASSES)
    net.head = overwritten
    torch.testing.assert_close(grad_cam(net, x, CLASSES, "features").values, expected)
    with pytest.raises(ValueError, match="writes over its map after pooling it"):
        cam(net, x)


def test_in_place_operations_before_the_pooling_do_no_harm():
    net, x = PROBLEMS["in-place ReLU module"].make(), torch.randn(2, 3, 6, 6)
    result = cam(net, x)
    sums = result.values.mean((2, 3)) + net.linear.bias[result.classes]
    torch.testing.assert_close(sums, net(x).gather(1, result.classes))
    with torch.inference_mode():
        torch.testing.assert_close(cam(net, x * 1).values, result.values)
