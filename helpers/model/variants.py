"""The six EfficientViTs of the paper (Table 1), under the names timm gives them."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """One model's plan, stage by stage; `kernels` belong to heads: head i of every stage uses kernels[i]."""

    name: str
    widths: tuple[int, int, int]
    depths: tuple[int, int, int]
    heads: tuple[int, int, int]
    kernels: tuple[int, int, int, int]

    @property
    def short(self) -> str:
        """The paper's letter and number, for narrow tables: M5."""
        return self.name.removeprefix("efficientvit_").upper()

    @property
    def title(self) -> str:
        """The paper's spelling, for tables and pictures: EfficientViT-M5."""
        return f"EfficientViT-{self.short}"


class UnknownModel(ValueError):
    """A model name that is not one of the six, nor one of timm's."""


TIMM = "timm/"  # before the name of any other of timm's classifiers


# Widths, depths, heads: paper Table 1. Kernels: microsoft/Cream, classification/model/build.py.
VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("efficientvit_m0", (64, 128, 192), (1, 2, 3), (4, 4, 4), (5, 5, 5, 5)),
        Variant("efficientvit_m1", (128, 144, 192), (1, 2, 3), (2, 3, 3), (7, 5, 3, 3)),
        Variant("efficientvit_m2", (128, 192, 224), (1, 2, 3), (4, 3, 2), (7, 5, 3, 3)),
        Variant("efficientvit_m3", (128, 240, 320), (1, 2, 3), (4, 3, 4), (5, 5, 5, 5)),
        Variant("efficientvit_m4", (128, 256, 384), (1, 2, 3), (4, 4, 4), (7, 5, 3, 3)),
        Variant("efficientvit_m5", (192, 288, 384), (1, 3, 4), (3, 3, 4), (7, 5, 3, 3)),
    )
}

POCKET = Variant("pocket", (32, 64, 96), (1, 2, 3), (4, 4, 4), (5, 5, 5, 5))
"""M0 with every width halved, small enough for a laptop; chapter 04 trains it on ten classes of drawings."""

STEM_DIVISOR = 8  # the stem's first convolution has an eighth of the first stage's width
INPUT_SIZE = 224  # pixels, all of them
WINDOW = 7  # tokens, of attention; published code, all stages of all six models
PATCH = 16  # pixels of a token's side
SIZES = (128, 640)  # pixels: below, the last map is no window; above, a learner's memory ends


def variant(name: str) -> Variant:
    """The variant called `name`; raises UnknownModel with the valid names, and knows MIT's namesakes."""
    if name in VARIANTS:
        return VARIANTS[name]
    close = difflib.get_close_matches(name, VARIANTS, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    if name.startswith(("efficientvit_b", "efficientvit_l")):
        hint = " (efficientvit_b* and efficientvit_l* are MIT's EfficientViT, another network)"
    choose = f"choose one of {', '.join(VARIANTS)}"
    if name.startswith(TIMM):
        raise UnknownModel(f"{name} goes through deploy and its steps, not through this: {choose}")
    raise UnknownModel(f"unknown model {name!r}{hint}: {choose}, or {TIMM}NAME for another of timm's")


def check_size(name: str, image_size: int) -> None:
    """Raises ValueError for pixels that one of the six cannot take, and for a model that has its own size."""
    if name not in VARIANTS:
        raise ValueError(f"image_size is for {', '.join(VARIANTS)}: leave it out, {name} has its own")
    low, high = SIZES
    if image_size % (2 * PATCH) or not low <= image_size <= high:
        raise ValueError(f"image_size {image_size}: give a multiple of {2 * PATCH} from {low} to {high}")


def check_plan(
    widths: Sequence[int],
    depths: Sequence[int],
    heads: Sequence[int],
    kernels: Sequence[int] = VARIANTS["efficientvit_m5"].kernels,
) -> None:
    """Raises ValueError with the number to change for a plan that cannot be built."""
    if not len(widths) == len(depths) == len(heads) >= 1:
        raise ValueError(
            f"{len(widths)} widths, {len(depths)} depths, {len(heads)} heads: give one of each per stage"
        )
    for name, values in (("width", widths), ("depth", depths), ("heads", heads)):
        if min(values) < 1:
            raise ValueError(f"{name} {min(values)} is below 1: give positive whole numbers")
    for width, count in zip(widths, heads, strict=True):
        if width % count:
            raise ValueError(f"width {width} does not divide among {count} heads: take a multiple of {count}")
    if widths[0] % STEM_DIVISOR:
        raise ValueError(f"first width {widths[0]} is no multiple of {STEM_DIVISOR}, which the stem needs")
    if max(heads) > len(kernels):
        raise ValueError(f"{max(heads)} heads need as many kernels, not {len(kernels)}: give more kernels")
