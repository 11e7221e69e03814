"""`make lab`: JupyterLab on copies of the chapters in lab/, so that learning changes no tracked file."""

import json
import os
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

from helpers.artifacts import file_hash
from helpers.files import NOTEBOOKS, ROOT, here, in_words, replacing
from helpers.lab.notebooks import chapters

DESK = ROOT / "lab"
# JupyterLab's settings: nobody is asked about news, and no host for them or for a newer version.
QUIET = ROOT / "docs" / "jupyter"


def lay_out(desk: Path) -> None:
    """Copies the chapters to `desk`; what somebody changed there stays, and a newer one lies beside it."""
    desk.mkdir(exist_ok=True)
    shutil.copytree(NOTEBOOKS / "pictures", desk / "pictures", dirs_exist_ok=True)
    record = desk / ".laid-out.json"  # name: the SHA-256 of the chapter that was put here last
    laid: dict[str, str] = json.loads(record.read_text()) if record.is_file() else {}
    for chapter in chapters():
        copy, now, before = desk / chapter.name, file_hash(chapter), laid.get(chapter.name)
        laid[chapter.name] = now
        there = file_hash(copy) if copy.exists() else None
        if there and now in (there, before):
            continue
        if there not in (None, before):  # somebody changed it
            dated = datetime.fromtimestamp(chapter.stat().st_mtime)
            copy = copy.with_suffix(f".{dated:%Y-%m-%d-%H%M%S}.ipynb")
            print(f"You changed {chapter.name}, and it stays; the newer chapter is {here(copy)}")
        with replacing(copy) as beside:
            shutil.copyfile(chapter, beside)
    record.write_text(json.dumps(laid, indent=1) + "\n", encoding="utf-8")


def main(arguments: list[str]) -> None:
    """Becomes JupyterLab; `arguments` are for it."""
    lay_out(DESK)
    trust = [sys.executable, "-m", "jupyter", "trust", *map(str, DESK.glob("*.ipynb"))]
    subprocess.run(trust, stdout=subprocess.DEVNULL, check=True)  # else none of their figures is shown
    paths = [str(QUIET), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(paths)
    root = ["--allow-root"] if os.geteuid() == 0 else []
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", str(DESK), *root, *arguments])


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        sys.exit(f"lab: {in_words(error)}")
