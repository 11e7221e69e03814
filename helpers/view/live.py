"""Live pictures: a second output after a static figure, which takes its place where scripts run.

On a code host and without JavaScript the static figure stays: it must be complete without its live form. (Of
a notebook that is not trusted, JupyterLab shows neither.) Each live picture is a file `live/NAME.js` that
defines `draw(root, data)`.
"""

import html
import json
from pathlib import Path
from typing import Any

from IPython.display import display

SCRIPTS = Path(__file__).with_name("live")


def show_live(name: str, *, data: Any, alt: str) -> None:
    """Displays the live picture `name`; call it straight after `show` of the static one.

    `data` is what JSON can hold; `alt` says in a sentence what is shown and how to act on it.
    """
    words = {"text/html": live_html(name, data=data, alt=alt), "text/plain": f"[live {name}] {alt}"}
    display(words, raw=True, metadata={"live": name})


def live_html(name: str, *, data: Any, alt: str) -> str:
    """An element that stays hidden and empty until its script has drawn into it."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    script = "\n".join((SCRIPTS / f"{file}.js").read_text(encoding="utf-8") for file in (name, "show"))
    return (
        f'<div class="live" id="live-{name}" role="group" aria-label="{html.escape(alt)}" hidden'
        " data-lm-suppress-shortcuts>\n"  # JupyterLab's own keys would leave the picture
        # Within JSON's strings \u003c is "<": so nothing in them ends the element or opens a comment.
        f'<script type="application/json">{text.replace("<", chr(92) + "u003c")}</script>\n'
        f"<script>(() => {{\n{script}\n}})()</script>\n</div>"
    )
