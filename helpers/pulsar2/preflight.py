"""Preflight: everything that can be known before `pulsar2 build`, one line per check."""

from pathlib import Path

import onnx

from helpers.finding import Finding
from helpers.graph.graph_file import GraphError, load
from helpers.pulsar2 import pulsar2_config
from helpers.pulsar2.archive_contents import ArchiveError, Contents, contents
from helpers.pulsar2.calibration import TYPICAL
from helpers.pulsar2.config_checks import EVERY, check_config
from helpers.pulsar2.graph_checks import check_graph, inputs, sizes
from helpers.pulsar2.pulsar2_config import BuildConfig, ConfigError
from helpers.pulsar2.pulsar2_quant import InputQuantConfig


def preflight(
    onnx_file: Path | str,
    config: BuildConfig | Path | str | None = None,
    calibration: Path | str | None = None,
) -> list[Finding]:
    """All findings for a graph, a configuration (as an object or a file) and a calibration archive.

    Without `calibration` the archives that the configuration names are looked up, in the current folder as
    the tool does, then beside the configuration. What is wrong with a file is a finding, not an exception.
    """
    model: onnx.ModelProto | None = None
    try:
        model = load(onnx_file)
        findings = check_graph(model)
        if findings[0].level == "fail":
            model = None  # what onnx's checker refuses is held against nothing else
    except GraphError as error:
        findings = [Finding("file", "fail", str(error))]
    read: BuildConfig | None = None
    folder = Path()
    if isinstance(config, BuildConfig):
        read = config
    elif config is not None:
        folder = Path(config).parent
        try:
            read = pulsar2_config.read(config)
        except ConfigError as error:
            problems = [str(problem) for problem in error.problems] or [str(error)]
            findings += [Finding("config", "fail", text) for text in problems]
    if read is not None:
        findings.append(Finding("config", "ok", f"{read.target_hardware}, {read.npu_mode}"))
        findings += check_config(read, model) if model else []
    if read is not None or calibration is not None:
        findings += _calibrations(read, calibration, folder, model)
    return findings


def _calibrations(
    config: BuildConfig | None, calibration: Path | str | None, folder: Path, model: onnx.ModelProto | None
) -> list[Finding]:
    """One finding per archive: the given one, else each that the configuration names."""
    entries = config.quant.input_configs if config else ()
    if config is not None and not entries:
        return [
            Finding("calibration", "fail", "quant.input_configs is empty: name the input and its archive")
        ]
    if calibration is None:
        return [_calibration(_find(entry.calibration_dataset, folder), entry, model) for entry in entries]
    given = Path(calibration)
    named = [entry for entry in entries if Path(entry.calibration_dataset).name == given.name]
    candidates = [*named, *entries]
    found = [_calibration(given, candidates[0] if candidates else None, model)]
    if entries and not named:
        others = ", ".join(entry.calibration_dataset for entry in entries)
        text = f"{given.name} was checked, the configuration names {others}: the build reads that one"
        found.append(Finding("calibration name", "warn", text))
    return found


def _find(dataset: str, folder: Path) -> Path:
    return Path(dataset) if Path(dataset).is_file() else folder / dataset


def _calibration(path: Path, entry: InputQuantConfig | None, model: onnx.ModelProto | None) -> Finding:
    """One archive against its entry in the configuration and the model's input, each where there is one."""
    try:
        held = contents(path)
    except ArchiveError as error:
        return Finding("calibration", "fail", str(error))
    kinds = {"Image": held.pictures.total(), "Numpy": held.arrays.total(), "Binary": len(held.others)}
    kinds["NumpyObject"] = kinds["Numpy"]
    wanted = entry.calibration_format if entry else "Image" if held.pictures else "Numpy"
    count, everything = kinds[wanted], kinds["Image"] + kinds["Numpy"] + kinds["Binary"]
    if not count or count < everything:
        text = f"{count} of {everything} members are of the format {wanted}: {_described(held)}"
        return Finding("calibration", "fail", f"{path.name}: {text}; chapter 07 makes one")
    if problem := _misfit(held, wanted, entry, model):
        return Finding("calibration", "fail", f"{path.name}: {problem}")
    if odd := sorted(set(held.modes) - {"RGB"}):
        return Finding("calibration", "warn", f"{path.name}: some pictures are {', '.join(odd)}, not RGB")
    if count < TYPICAL:
        text = f"{count} files, fewer than {TYPICAL}: the ranges found may be too narrow; add more"
        return Finding("calibration", "warn", f"{path.name}: {text}")
    if entry is not None and count < entry.calibration_size:
        text = f"{count} files, fewer than calibration_size {entry.calibration_size}: it uses what there is"
        return Finding("calibration", "warn", f"{path.name}: {text}")
    return Finding("calibration", "ok", f"{path.name}: {_described(held)}")


def _misfit(
    held: Contents, wanted: str, entry: InputQuantConfig | None, model: onnx.ModelProto | None
) -> str | None:
    """What does not fit the model's input; None when all does, or when that input is not known."""
    name = entry.tensor_name if entry else EVERY
    value = next((v for v in inputs(model) if name in (v.name, EVERY)), None) if model else None
    if value is None or not all(isinstance(size, int) for size in sizes(value)):
        return None
    shape = tuple(int(size) for size in sizes(value))
    if wanted == "Image" and len(shape) == 4:
        height, width = shape[1:3] if shape[3] in (1, 3) and shape[1] not in (1, 3) else shape[2:4]
        if other := [size for size in held.pictures if size != (width, height)]:
            return (
                f"pictures of {other[0][0]} × {other[0][1]}, the model takes {width} × {height}: Pulsar2 "
                "would stretch where the board crops; let chapter 07 make the archive"
            )
    dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name
    if wanted == "Numpy" and (strange := [array for array in held.arrays if array != (dtype, shape)]):
        return f"arrays {strange[0]}, the model takes {(dtype, shape)}: let chapter 07 make it"
    return None


def _described(held: Contents) -> str:
    pictures = [f"{number} pictures of {w} × {h}" for (w, h), number in held.pictures.items()]
    arrays = [f"{number} arrays {dtype} {list(shape)}" for (dtype, shape), number in held.arrays.items()]
    others = [f"{len(held.others)} others, such as {held.others[0]}"] if held.others else []
    return ", ".join([*(pictures + arrays)[:4], *others]) or "no files"
