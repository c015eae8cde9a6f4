"""What the figures that answer the reader share: a widget in a live notebook, and its twin in a page.

The twin is one HTML fragment that holds the figure's state and its code, so that the rendered book, a page
opened from disk and a notebook without a kernel show the same figure.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

try:
    from anywidget import AnyWidget
except ModuleNotFoundError as error:
    raise ImportError("interactive figures need anywidget: pip install 'wsolbook[book]'") from error

ROOM = Path(__file__).parent
LONGEST = 320  # side in pixels of the pictures in a page
TWIN = """\
<style>
.bd-content div.cell_output .text_html:has(> .wsol-explorer) {{ background: none !important; padding: 0 }}
</style>
<div class="wsol-explorer" id="{id}"><script type="application/json">{state}</script>
<p>An interactive figure: open this page with JavaScript, or run the notebook.</p></div>
<script type="module">
{module}
mount("{id}");
</script>
"""


def joined(*names: str) -> str:
    """Return one module made of those of this folder, with the styles that they name, ready for a page."""
    parts = [(ROOM / f"{name}.mjs").read_text(encoding="utf-8") for name in (*names, "page")]
    whole = re.sub(r'^import .*"\./\w+\.mjs";\n', "", "\n".join(parts), flags=re.MULTILINE)
    return re.sub(r"^(\w+\.css)", lambda m: (ROOM / m[1]).read_text("utf-8"), whole, flags=re.MULTILINE)


def twin(kind: str, state: Mapping[str, Any], module: str) -> str:
    """Return the HTML fragment of a figure's state, named by its kind and by what it shows."""
    text = json.dumps(state, separators=(",", ":"), sort_keys=True).replace("<", "\\u003c")
    name = f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    return TWIN.format(id=name, state=text, module=module)


def as_base64(content: bytes | UInt8[Tensor, "*n h w"]) -> str:
    """Write bytes as a page stores them."""
    stored = content.cpu().contiguous().numpy().tobytes() if isinstance(content, Tensor) else content
    return base64.b64encode(stored).decode()


def data_url(picture: Float[Tensor, "3 h w"]) -> str:
    """Encode a picture: small ones exactly, large ones as JPEG of at most `LONGEST` pixels."""
    pixels = (picture.detach().cpu().clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
    image = Image.fromarray(np.ascontiguousarray(pixels.numpy()))
    image.thumbnail((LONGEST, LONGEST))
    kind, options = ("png", {"optimize": True}) if max(image.size) <= 96 else ("jpeg", {"quality": 85})
    file = io.BytesIO()
    image.save(file, kind, **options)
    return f"data:image/{kind};base64,{as_base64(file.getvalue())}"


class Figure(AnyWidget):
    """Base of the widgets.

    Attributes:
        kind: what the figure is.
        shown: names of the traits that a page stores.
    """

    kind: ClassVar[str]
    shown: ClassVar[tuple[str, ...]]

    def html(self) -> str:
        """Return the static twin: one HTML fragment that needs no kernel, no network and no other file."""
        return twin(self.kind, {name: getattr(self, name) for name in self.shown}, str(self._esm))

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({"text/plain": repr(self)}, {})
        return {**data, "text/html": self.html()}, metadata
