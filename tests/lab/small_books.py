"""Small notebooks for the tests of the runner."""

from pathlib import Path

import nbformat

CHECKS = "from helpers.lab.evidence import check, record\ncheck('two is two', width == 2)"
RESULT = "record('width', width, 'px', model='m', engine='e', device='d', weights='w')"


def book(path: Path, *sources: str) -> Path:
    """A notebook of code cells; the first is its parameters cell."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells[0].metadata.tags = ["parameters"]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path
