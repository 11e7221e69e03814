"""Names of ImageNet's classes."""

import pytest

from helpers.model.reference import class_name


def test_a_class_has_its_first_name():
    assert class_name(0) == "tench"
    assert class_name(281) == "tabby"  # "tabby, tabby cat" in the list
    assert class_name(999) == "toilet tissue"


@pytest.mark.parametrize("class_id", [-1, 1000])
def test_a_number_that_is_no_class_is_refused(class_id: int):
    with pytest.raises(IndexError):
        class_name(class_id)
