"""RetinaNet's loss: what is in each box, and where it ends. Weights as the authors trained (mmdet 2.x)."""

from torch import Tensor
from torch.nn import functional

from helpers.detect.boxes import IGNORED
from helpers.model.reference import sigmoid_focal_loss


def focal(logits: Tensor, labels: Tensor) -> Tensor:
    """Focal loss, summed: `logits` [n, classes], `labels` [n], of which BACKGROUND is none and IGNORED out.

    Every class is a yes or no of its own (sigmoid). What is right already hardly counts: of tens of
    thousands of anchors all but a few are background.
    """
    counted = labels != IGNORED
    logits, labels = logits[counted], labels[counted]
    # BACKGROUND, -1, falls on a column that is cut off
    wanted = functional.one_hot(labels % (logits.shape[1] + 1), logits.shape[1] + 1)[:, :-1].to(logits)
    lost: Tensor = sigmoid_focal_loss(logits, wanted, alpha=0.25, gamma=2, reduction="sum")
    return lost


def losses(logits: Tensor, deltas: Tensor, labels: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Focal loss of the classes and L1 of the boxes, each over the number of anchors that have an object.

    `logits` [batch, n, classes] and `deltas` [batch, n, 4] from the network, `labels` [batch, n] and `wanted`
    [batch, n, 4] as `boxes.targets` makes them. Their sum is what training lowers.
    """
    positive = labels >= 0
    number = positive.sum().clamp(min=1)
    classes = focal(logits.flatten(0, 1), labels.flatten())
    boxes = (deltas[positive] - wanted[positive]).abs().sum()
    return classes / number, boxes / number
