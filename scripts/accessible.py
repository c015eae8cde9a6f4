"""Mend what the theme and Sphinx write so that axe finds no fault with it: names, landmarks, lists."""

from __future__ import annotations

import re

# A name unlike the visible words misleads who speaks to the browser; tips on drawings become names.
CHANGES = {
    r'(<button class="btn search-button-field[^>]*?) aria-label="Search"': r"\1",
    r'(<i class="theme-switch [^>]*?) title="[^"]*"': r"\1",
    r'(<div id="pst-primary-sidebar") class': r'\1 role="navigation" aria-label="Book" class',
    r'role="doc-biblioentry"': 'role="listitem"',  # ARIA has taken the old role back
}
SIGNATURE = re.compile(r'<dt class="sig .*?</dt>', re.DOTALL)
# Parameters on lines of their own come as a list of definitions that defines nothing.
LINES = {"<dl>": '<span class="sig-lines">', "</dl>": "</span>", "<dd>": "<span>", "</dd>": "</span>"}


def mend(text: str) -> str:
    """Return the HTML of a built page with all of it mended; what is mended stays as it is."""
    for pattern, better in CHANGES.items():
        text = re.sub(pattern, better, text)
    return SIGNATURE.sub(lambda found: plain(found.group()), text)


def plain(signature: str) -> str:
    """Return a signature whose parameters stand on lines of their own without being a list."""
    for tag, other in LINES.items():
        signature = signature.replace(tag, other)
    return signature
