"""What the documents say holds: links and anchors, commands, chapters; and both READMEs say the same."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml

from helpers.__main__ import PARSER
from helpers.files import DATA, ROOT
from helpers.lab import notebooks
from helpers.lab.evidence import harvest
from helpers.lab.parameters import check_parameters, from_words
from helpers.logs.parse_log import parse
from helpers.logs.records import BoardRun
from helpers.published import published

DOCUMENTS = sorted([*ROOT.glob("*.md"), ROOT / "data" / "images" / "CREDITS.md"])
CHAPTERS = notebooks.chapters()
ENGLISH, JAPANESE = ROOT / "README.md", ROOT / "README.ja.md"


def prose(path: Path) -> str:
    """The Markdown of a document, or of a notebook's cells."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = nbformat.reads(text, as_version=4).cells
        return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return text


def without_code(text: str) -> str:
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^    .*$|`[^`\n]*`", "", text, flags=re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, made as code hosts make them."""
    headings = re.findall(r"^#{1,6} (.+)$", re.sub(r"^```.*?^```", "", prose(path), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(path: Path) -> list[str]:
    """The relative links of a document that name no file, or an anchor that it does not have."""
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(prose(path))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name) if name else path
        if not file.exists() or (anchor and anchor not in anchors(file)):
            dead.append(target)
    return dead


def swallowed(text: str) -> list[str]:
    """Bare addresses that a code host links with the words behind them, for it reads on to a space."""
    prose = re.sub(r"\]\([^)\s]*\)|<[^>\s]*>", "", without_code(text))
    return [address for address in re.findall(r"(?:https?://|www\.)[^\s<]+", prose) if not address.isascii()]


@pytest.mark.parametrize("path", [*DOCUMENTS, *CHAPTERS], ids=lambda path: path.name)
def test_links_and_anchors_lead_somewhere_and_addresses_end_before_the_words_behind_them(path: Path):
    assert dead_links(path) == []
    assert swallowed(prose(path)) == []


@pytest.mark.parametrize("path", [*DOCUMENTS, *CHAPTERS], ids=lambda path: path.name)
def test_the_commands_exist(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    for name in ("my.pth", "board.log", "cat.jpg", "my_pictures"):
        Path(name).touch()  # a value that names no file is refused
    for start, command in re.findall(r"(.)python -m helpers ([^`\n]+)", prose(path)):
        words = shlex.split(command.split(" #")[0])
        if start == "`" and words[0] != "run":  # a mention: it may leave out what goes without saying
            with pytest.raises(SystemExit, match="0"):
                PARSER.parse_args([words[0], "--help"])
            says = capsys.readouterr().out
            assert [word for word in words if word.startswith("-") and word not in says] == [], command
        else:
            options = PARSER.parse_args(words)  # it ends the test if it does not know them
            if options.name == "run" and getattr(options, "chapter", "").isdecimal():
                notebook = notebooks.find(options.chapter)
                check_parameters(notebook, from_words(notebook, dict(options.parameters)))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)", prose(path))) <= targets


@pytest.mark.parametrize("readme", [ENGLISH, JAPANESE], ids=lambda path: path.name)
def test_a_readme_has_every_chapter(readme: Path):
    text = readme.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| [")]
    assert [re.search(r"\(notebooks/(.+?)\)", row)[1] for row in rows] == [path.name for path in CHAPTERS]


def test_the_readmes_have_the_same_parts():
    def parts(path: Path) -> dict[str, list[str] | list[int]]:
        text = path.read_text(encoding="utf-8")
        code = re.findall(r"^ {4,}(\S.*?)(?: +#.*)?$", text, re.MULTILINE)
        targets = {re.sub("^#.*", "#", target) for target in re.findall(r"\]\(([^)]+)\)", text)}
        links = sorted(targets - {"README.md", "README.ja.md"})
        tables = [block.count("\n|") for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)]
        headings = [len(marks) for marks in re.findall(r"^(#+) ", text, re.MULTILINE)]
        return {"headings": headings, "code": code, "links": links, "rows of tables": tables}

    english, japanese = parts(ENGLISH), parts(JAPANESE)
    # A paragraph within a list is indented too: only what looks like a command is compared.
    for found in (english, japanese):
        found["code"] = [
            line for line in found["code"] if re.match(r"make |python |sample_|\[!|\w+ += ", line)
        ]
    assert english == japanese


def evidence_of(number: str) -> tuple[list[dict[str, str]], list[dict[str, Any]]]:
    """The checks and results in the committed outputs of a chapter."""
    return harvest(json.loads(notebooks.find(number).read_text(encoding="utf-8")))


@pytest.mark.parametrize("readme", [ENGLISH, JAPANESE], ids=lambda path: path.name)
def test_what_was_found_is_what_is_committed(readme: Path):
    """Its ranges hold the measured ratios, which vary from run to run; its counts are exact."""
    found = re.split(r"^## ", readme.read_text(encoding="utf-8"), flags=re.MULTILINE)[1]
    ranges = [tuple(map(float, ends)) for ends in re.findall(r"(\d\.\d) ?(?:to|〜) ?(\d\.\d)", found)]
    rows = {(row["engine"], row["model"]): row["value"] for row in evidence_of("09")[1]}
    table = {(row["model"], row["npu"]): row["fps"] for row in published("ax650n_fps").rows}
    by_cores = [fps / table[model, "NPU1"] for (model, npu), fps in table.items() if npu == "NPU3"]

    def lead(engine: str) -> float:
        return rows[engine, "efficientvit_m5"] / rows[engine, "mobilenetv3_large_100"]

    measured = [[lead("PyTorch, 16 images")], [lead("ONNX Runtime, 1 image")], by_cores]
    for (low, high), ratios in zip(ranges, measured, strict=True):
        assert low <= round(min(ratios), 1) <= round(max(ratios), 1) <= high <= 1.6 * low

    one_core, three_cores = (table["efficientvit_m5", npu] for npu in ("NPU1", "NPU3"))
    log = DATA / "logs" / "sample_npu_classification_efficientvit_m5.log"
    latency = next(run for run in parse(log, source=log.name) if isinstance(run, BoardRun)).latency_ms
    checks, results = evidence_of("05")
    recipe = re.search(r"(\d+) operators → (\d+)", "\n".join(check["evidence"] for check in checks))
    left = next(row["value"] for row in results if row["quantity"] == "nodes after simplification")
    counts = (one_core, three_cores, 3 * one_core, *map(int, recipe.groups()), left)
    told = {f"{latency.avg:.2f}", *(f"{count:,}" for count in counts)}
    assert told <= set(re.findall(r"\d[\d.,]*\d", found))


def test_the_citation_names_this_release_and_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    paper = citation["preferred-citation"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    for readme in (ENGLISH, JAPANESE):
        entry = readme.read_text(encoding="utf-8")
        assert paper["doi"] in entry
        names = [f"{author['family-names']}, {author['given-names']}" for author in paper["authors"]]
        assert " and ".join(names) in entry
        assert f"{paper['start']}--{paper['end']}" in entry


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.name)
def test_each_chapter_has_the_map_that_says_where_it_is(chapter: Path):
    maps = re.findall(r"pictures/map-(\d\d)\.svg", prose(chapter))
    assert maps == [chapter.name[:2]]
