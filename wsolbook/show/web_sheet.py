"""The contact sheet of explained photographs: a page whose pictures load as they come in sight."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment

from wsolbook.files import atomic

PAGE = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")


def write_sheet(
    path: Path, title: str, subtitle: str, methods: Sequence[str], records: Iterable[Mapping[str, Any]]
) -> None:
    """Write the page, one record after the other, so that memory does not grow with their number.

    Args:
        path: of the page; the files that records name are relative to its folder.
        title: headline.
        subtitle: settings, in one line.
        methods: in the order of the columns.
        records: of the photographs, as `wsolbook.show.collection.Collection.records` returns them.

    Raises:
        OSError: when the file cannot be written.
    """
    pages = Environment(autoescape=True, trim_blocks=True)
    pages.filters |= {"link": lambda file: quote(os.fsencode(file)), "percent": "{:.1%}".format}
    content = {"title": title, "subtitle": subtitle, "methods": methods, "records": map(_rows, records)}
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", errors="replace") as file:
        file.writelines(pages.from_string(PAGE).generate(content))


def _rows(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with its maps by class, in the order they came."""
    classes = dict.fromkeys((each["class_name"], each["score"]) for each in record["maps"])
    rows = {key: [each for each in record["maps"] if each["class_name"] == key[0]] for key in classes}
    return {**record, "rows": rows}
