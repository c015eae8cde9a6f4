"""Write page numbers into the contents of the printed book: Chromium knows them only when all is printed.

An entry of the contents is a link; its frame says where the number stands, its goal which one it is.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

from pypdf import PageObject, PdfReader, PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

SIZE = 9  # points
DIGIT = 0.556 * SIZE  # width of a digit of Helvetica
ABOVE = 0.6 * SIZE  # from the lower edge of an entry to its baseline
FONT = DictionaryObject(
    {
        NameObject("/Type"): NameObject("/Font"),
        NameObject("/Subtype"): NameObject("/Type1"),
        NameObject("/BaseFont"): NameObject("/Helvetica"),
    }
)


def numbered(content: bytes, mark: str) -> bytes:
    """Return a PDF in which each link to a place that begins with `mark` ends in the number of its page."""
    reader = PdfReader(io.BytesIO(content))
    pages = {place: reader.get_destination_page_number(d) for place, d in reader.named_destinations.items()}
    writer = PdfWriter(io.BytesIO(content), incremental=True)  # what Chromium wrote stays as it is
    for page in writer.pages:
        found = [(right, low, pages[goal] + 1) for goal, right, low in entries(page) if mark in goal]
        if found:
            page.merge_page(overlay(page, found))
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def entries(page: PageObject) -> Iterator[tuple[str, float, float]]:
    """Yield where each link of a page leads inside the PDF, and the lower right corner of its frame."""
    for note in page.get("/Annots", []):
        link = note.get_object()
        if "/Dest" in link:
            x, y, other_x, other_y = map(float, link["/Rect"])
            yield str(link["/Dest"]), max(x, other_x), min(y, other_y)


def overlay(page: PageObject, numbers: list[tuple[float, float, int]]) -> PageObject:
    """Return a page with nothing but numbers, each left of and above its place; none is read aloud."""
    drawn = [
        f"BT /F {SIZE} Tf {x - DIGIT * len(str(n)):.2f} {y + ABOVE:.2f} Td ({n}) Tj ET" for x, y, n in numbers
    ]
    stream = DecodedStreamObject()
    stream.set_data("\n".join(["/Artifact BMC", *drawn, "EMC"]).encode())
    above = PageObject.create_blank_page(width=page.mediabox.width, height=page.mediabox.height)
    above[NameObject("/Contents")] = stream
    fonts = DictionaryObject({NameObject("/F"): FONT})
    above[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    return above
