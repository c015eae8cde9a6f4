"""Damaged pictures, archives, lists and answers of servers: each is read as it was, or refused by name.

Where a format has no checksum, some damage cannot be seen: it is "read". Everything else that is neither
right nor refused in one sentence fails. The seed decides every case.
"""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import random
import shutil
import tarfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trees
from PIL import Image

from wsolbook.data.cub import CUB
from wsolbook.data.fetch.archives import extract
from wsolbook.data.fetch.download import Archive, fetch
from wsolbook.data.ilsvrc import ILSVRC
from wsolbook.data.images import read_gray, read_image
from wsolbook.data.voc import VOC
from wsolbook.data.wsolevaluation import WSOLEvaluation

# WSOLBOOK_CASES=1000 pytest -s tests/faults/test_reading.py attacks at length and shows the counts.
CASES = int(os.environ.get("WSOLBOOK_CASES", "25"))


def outcome(read: Callable[[], bool], name: str) -> str:
    """Say how a case ended; `read` tells whether what was read is what was there before the damage."""
    try:
        return "right" if read() else "wrong"
    except (OSError, ValueError) as error:
        said = str(error)
        return "refused" if name in said and "\n" not in said else f"riddle: {said[:200]}"
    except Exception as error:
        return f"traceback: {type(error).__name__}: {error}"[:200]


def damaged(data: bytes, chance: random.Random, kinds: str) -> bytes:
    """Flip a bit, cut, put zeros for the rest, leave some bytes out, or write others over them."""
    at, length = chance.randrange(len(data)), chance.randrange(1, 600)
    match chance.choice(kinds.split()):
        case "flip":
            return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
        case "cut":
            return data[:at]
        case "zeros":
            return data[:at] + bytes(len(data) - at)
        case "hole":
            return data[:at] + data[at + length :]
        case _:
            return data[:at] + chance.randbytes(length) + data[at + length :]


def show(what: str, found: Counter[str], *allowed: str) -> None:
    print(f"\n{what}: {sum(found.values())} cases, {dict(found)}")
    assert set(found) <= {"right", "refused", *allowed}
    assert found["refused"] > 0


@pytest.mark.parametrize(
    ("suffix", "options", "seen"),
    [
        ("png", {}, "flip cut zeros hole over"),
        ("jpg", {}, "cut zeros"),
        ("jpg", {"progressive": True}, "cut zeros"),
        ("webp", {"lossless": True}, "cut"),
        ("gif", {}, "cut"),
        ("bmp", {}, "cut"),
        ("ppm", {}, "cut"),
        ("tif", {"compression": "tiff_lzw"}, "cut zeros"),
        ("tif", {}, "cut"),
    ],
)
def test_pictures(tmp_path, suffix, options, seen):
    """Damage that a format can show is refused; the rest at least never ends in a traceback."""
    chance, path = random.Random(0), tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (24, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, **options)
    whole, expected = path.read_bytes(), np.asarray(read_image(path))
    found = Counter[str]()
    for case in range(CASES):
        kinds = seen if case % 2 else "flip cut zeros hole over"
        path.write_bytes(damaged(whole, chance, kinds))
        ended = outcome(lambda: np.array_equal(np.asarray(read_image(path)), expected), path.name)
        found["read" if ended == "wrong" and kinds != seen else ended] += 1
        ended = outcome(lambda: read_gray(path).numel() >= 0, path.name)
        assert ended in ("right", "refused"), ended
    show(f"pictures {suffix} {options}", found, "read")


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("mode", ["gz", "bz2", "xz", ""])
def test_archives(tmp_path, mode):
    """What a checksum covers is refused: all of a compressed archive, the headers of a plain one."""
    chance, path, out = random.Random(1), tmp_path / "a.tar", tmp_path / "out"
    with tarfile.open(path, f"w:{mode}") as packed:
        for i in range(6):
            info = tarfile.TarInfo(f"folder {i % 2}/{i}.bin")
            info.size = chance.randrange(1, 1500)
            packed.addfile(info, io.BytesIO(chance.randbytes(info.size)))
    whole = path.read_bytes()
    extract(path, out)
    expected, found = files_of(out), Counter[str]()

    def read() -> bool:
        extract(path, out)
        return files_of(out) == expected

    for _ in range(CASES):
        shutil.rmtree(out)
        out.mkdir()
        path.write_bytes(damaged(whole, chance, "flip cut zeros hole over" if mode else "flip cut hole"))
        ended = outcome(read, path.name)
        assert ended in ("right", "wrong") or os.listdir(out) == []
        same_names = files_of(out).keys() == expected.keys()
        found["read" if ended == "wrong" and not mode and same_names else ended] += 1
    show(f"archives {mode or 'tar'}", found, "read")


def wsol(root: Path) -> Path:
    for i in range(3):
        trees.picture(root / "images" / f"{i}.jpg", 64, 48)
    for name, line in (
        ("image_ids", "{0}.jpg"),
        ("class_labels", "{0}.jpg,{1}"),
        ("localization", "{0}.jpg,1,2,20,{0}9"),
    ):
        trees.write(root / "metadata" / f"{name}.txt", "\n".join(line.format(i, i % 2) for i in range(3)))
    return root


VALUES = ("", "-1", "x", "nan", "inf", "1e99", "9" * 30, "0", "\0", "é", "a/../b", "<b>")


def misspelt(text: str, chance: random.Random) -> str:
    """Change a word of a list or an annotation, drop it, or repeat or drop a line."""
    lines = text.replace("><", ">\n<").split("\n")
    at = chance.randrange(len(lines))
    match chance.randrange(4):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[at])
        case 2:
            lines[at] = lines[at][: chance.randrange(len(lines[at]) + 1)]
        case _:
            words = lines[at].replace(",", " , ").replace(">", "> ").replace("<", " <").split()
            if words:
                words[chance.randrange(len(words))] = chance.choice(VALUES)
            lines[at] = (" " if "," not in words else "").join(words)
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("build", "opened"),
    [
        (trees.voc, lambda root: VOC(root, size=8)),
        (trees.cub, lambda root: CUB(root, "test", size=8)),
        (trees.ilsvrc, lambda root: ILSVRC(root, "val", size=8)),
        (wsol, lambda root: WSOLEvaluation(root / "metadata", root / "images", size=8)),
    ],
)
def test_lists_and_annotations(tmp_path, build, opened):
    """What was read has one label or more a picture, and boxes inside it; a list may have become shorter."""
    chance, root, found = random.Random(2), build(tmp_path / "set"), Counter[str]()
    texts = sorted(p for p in root.rglob("*") if p.suffix in (".txt", ".xml"))

    def read() -> bool:
        data = opened(root)
        batch = data.batch(range(len(data)))
        corners = [box for boxes in batch.boxes or () for box in boxes.tolist()]
        assert (batch.labels.sum(1) > 0).all()
        assert all(0 <= x0 <= x1 < 8 and 0 <= y0 <= y1 < 8 for x0, y0, x1, y1 in corners)
        return True

    for _ in range(CASES):
        path = chance.choice(texts)
        whole = path.read_bytes()
        if chance.random() < 0.5:
            path.write_text(misspelt(whole.decode(), chance), encoding="utf-8")
        else:
            path.write_bytes(damaged(whole, chance, "flip cut zeros hole over"))
        found[outcome(read, root.name)] += 1
        path.write_bytes(whole)
    show(f"lists of {root.name}, {build.__name__}", found)


CONTENT = random.Random(3).randbytes(5000)
PAGE = b"<html>log in</html>"


class Liar(http.server.BaseHTTPRequestHandler):
    """Codes, pages, cut bodies and wrong headers, as the dice say; no wrong bytes under right headers."""

    chance: random.Random

    def do_GET(self):
        dice, asked = self.chance, self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and dice.random() < 0.8 else 0
        body, headers = CONTENT[start:], {"Content-Type": "application/x-tar"}
        headers["Content-Length"] = str(len(body))
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        match dice.randrange(8):
            case 0:
                body, headers = (
                    PAGE,
                    {"Content-Type": "text/html"} | dice.choice([{}, {"Content-Length": "19"}]),
                )
            case 1:
                body, headers["Content-Length"] = PAGE, str(len(PAGE))
            case 2:
                headers["Content-Range"] = dice.choice(
                    ["", "bytes */5000", "bytes 0-9/10", "bytes a-b/c", "bytes 1-2/5000"]
                )
            case 3:
                headers["Content-Length"] = dice.choice(["-1", "x", "99999999999999999999", "0"])
            case 4 | 5:
                body = body[: dice.randrange(len(body) + 1)]
        code = dice.choice([200, 206, 206, 206]) if start else dice.choice([200, 200, 200, 206])
        if dice.random() < 0.1:
            code = dice.choice([204, 302, 404, 416, 500, 503])
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def test_servers(tmp_path):
    """The file arrives whole, or the refusal names it and what is there is the beginning of it."""
    handler, found = type("Handler", (Liar,), {"chance": random.Random(4)}), Counter[str]()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/a.tar"
        entry = Archive("a.tar", len(CONTENT), f"sha256:{hashlib.sha256(CONTENT).hexdigest()}", url)
        whole, partial = tmp_path / "a.tar", tmp_path / "a.tar.partial"
        dice = random.Random(5)
        for _ in range(CASES):
            whole.unlink(missing_ok=True)
            partial.write_bytes(CONTENT[: dice.randrange(len(CONTENT))])
            before = partial.stat().st_size
            read = lambda: fetch(entry, tmp_path, attempts=2, wait=0.0).read_bytes() == CONTENT  # noqa: E731
            ended = outcome(read, "a.tar")
            if ended != "right":
                kept = partial.read_bytes() if partial.exists() else b""
                ended = ended if len(kept) >= before and CONTENT.startswith(kept) else f"lost: {ended}"
            found[ended] += 1
        server.shutdown()
        thread.join()
    show("servers", found)
