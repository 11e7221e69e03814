"""The table of known failures: each documented text finds its advice, and only there."""

import pytest

from helpers.logs.advice import KNOWN_FAILURES, Where, advise, find


@pytest.mark.parametrize(
    ("where", "text", "word"),
    [
        ("build", "KeyError('dont support LRN opr in AXOPS/ONNXOPS/CUSTOM_OPS')", "operator list"),
        ("build", "KeyError: 'dont support AxQuantizedGemm opr in AXOPS/ONNXOPS/CUSTOM_OPS'", "alpha"),
        ("build", "\"Swish, {'alpha': 1.0} get opr failed\"", "Sigmoid"),
        ("build", "RuntimeError(\"LeakyRelu convert error: 'alpha'\")", "attribute"),
        (
            "build",
            "But var.dtype = <DataType.UINT16: 4> vs expect_type = <DataType.FP32: 1>",
            "layer_configs",
        ),
        ("build", "AssertionError('ocm alloc 4096')", "on-chip"),
        ("build", "Op of name(x) doesn't exist in model", "quant_axmodel.json"),
        ("build", 'Message type "X" has no field named "y"', "preflight"),
        ("build", "'>' not supported between instances of 'list' and 'int'", "highest_mix_precision"),
        ("build", "AxSnake, AxSin builder or naive_builder should be set", "Mul(x, x)"),
        ("build", "x\nKilled\ny", "memory"),
        ("run", "[Engine] The model type {2} is not allowed with npu mode {1}.", "-v 0"),
        ("run", "[Engine] When npu was inited as {0}, only affinity {0b001 ~ 0b001} was allowed.", "-a 1"),
        (
            "run",
            "[Engine] Init engine with mode { 1 } failed, NPU has already inited to mode{ 0 }.",
            "Another",
        ),
        (
            "run",
            "The specified running batch {4} is larger than model max compiled batch {1}",
            "static_batch_sizes",
        ),
        ("run", "The input data size is not matched with tensor {name: x, size: 1}.", "batch 1"),
        ("run", "[Engine] Get Model type failed.", "older"),
        ("run", "[Engine] Allocate memory failed. Create context failed.", "CMM"),
        ("run", "AX_ENGINE_CreateHandle failed", "load"),
        ("run", "[ERROR] Run model failed{0x8030070C}", "again"),
        ("run", "[ERROR] Run model failed.", "U8"),
        ("run", "Segmentation fault", "class count"),
        ("run", "Input file image(x.jpg) is not exist, please check it.", "path"),
        ("run", "need option: --model", "command line"),
        ("run", "Killed", "memory"),
    ],
)
def test_a_known_failure_finds_its_advice(where: Where, text: str, word: str) -> None:
    advice = advise(text, where)
    assert advice is not None and word in advice


def test_unknown_failures_get_none() -> None:
    assert advise("something else went wrong", "build") is None
    assert advise("something else went wrong", "run") is None


def test_a_builds_crash_is_not_explained_by_the_boards_reasons() -> None:
    assert find("Segmentation fault", "build") is None


def test_every_advice_is_whole_and_none_is_hidden_by_a_copy() -> None:
    for advices in KNOWN_FAILURES.values():
        assert len({advice.pattern.pattern for advice in advices}) == len(advices)
        for advice in advices:
            assert advice.meaning.endswith(".") and advice.action.endswith(".") and advice.source
