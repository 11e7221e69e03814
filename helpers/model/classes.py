"""Names for class numbers."""

from functools import cache

from helpers.model.reference import ImageNetInfo


def class_name(class_id: int) -> str:
    """The first name of an ImageNet-1k class, 0 to 999, from timm's list; raises IndexError outside it."""
    if not 0 <= class_id < 1000:
        raise IndexError(f"class {class_id}: ImageNet-1k has the classes 0 to 999; give one of them")
    return str(_imagenet().index_to_description(class_id)).split(",")[0]


@cache
def _imagenet() -> ImageNetInfo:
    return ImageNetInfo("imagenet-1k")
