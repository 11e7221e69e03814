"""Names of ImageNet's classes."""

from helpers.model.reference import class_name


def test_a_class_has_its_first_name():
    assert class_name(0) == "tench"
    assert class_name(281) == "tabby"  # "tabby, tabby cat" in the list
    assert class_name(999) == "toilet tissue"
