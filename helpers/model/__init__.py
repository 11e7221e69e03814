"""What the network is: variants, weights, attention, cost.

timm imports torchvision, and a CPU build of torch beside a CUDA build of torchvision (what PyPI gives on
Linux) dies there with "operator torchvision::nms does not exist". Both operators only need a schema, so
they are declared here, before any `import timm`, and only where they are missing.
"""

import torch

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_LIBRARIES: list[torch.library.Library] = []  # a Library undoes its definitions when it is collected


def _declare_missing_torchvision_operators() -> None:
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name, schema in _SCHEMAS.items():
            if not hasattr(torch.ops.torchvision, name):
                library = torch.library.Library("torchvision", "FRAGMENT")
                library.define(schema)
                _LIBRARIES.append(library)


_declare_missing_torchvision_operators()
