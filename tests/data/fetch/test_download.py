import hashlib
import http.server
import io
import os
import shutil
import tarfile
import threading
from typing import ClassVar

import pytest
from trees import write

from wsolbook.data.fetch.archives import extract
from wsolbook.data.fetch.download import MANIFESTS, Archive, fetch

CONTENT = bytes(range(256)) * 4000


class Server(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; `cut` bytes a connection, or wrong bytes, headers or no ranges, as a test sets."""

    cut: int | None = None
    ranges = True
    status = 200
    body = CONTENT
    headers_instead: ClassVar[dict[str, str | None]] = {}
    log: list[str | None]

    def do_GET(self):
        asked = self.headers.get("Range")
        self.log.append(asked)
        if self.status != 200:
            self.send_error(self.status)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        rest = self.body[start:]
        self.send_response(206 if start else 200)
        told: dict[str, str | None] = {"Content-Length": str(len(rest))}
        if start:
            told["Content-Range"] = f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"
        for name, value in (told | self.headers_instead).items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(rest[: self.cut])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    handler = type("Handler", (Server,), {"log": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        handler.url = f"http://127.0.0.1:{running.server_port}/a.tar"
        yield handler
        running.shutdown()
        thread.join()


def archive(server, content=CONTENT, kind="sha256"):
    digest = hashlib.new(kind, content).hexdigest()
    return Archive("a.tar", len(content), f"{kind}:{digest}", server.url)


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_file_arrives_whole(server, tmp_path, kind):
    path = fetch(archive(server, kind=kind), tmp_path / "new")
    assert path.read_bytes() == CONTENT
    assert os.listdir(path.parent) == ["a.tar"]
    assert server.log == [None]
    fetch(archive(server, kind=kind), tmp_path / "new")
    assert server.log == [None]  # nothing is asked for again


def test_a_cut_connection_is_taken_up_where_it_broke(server, tmp_path):
    server.cut = 400_000
    assert fetch(archive(server), tmp_path, wait=0.0).read_bytes() == CONTENT
    assert server.log == [None, "bytes=400000-", "bytes=800000-"]


def test_a_later_call_goes_on_after_giving_up(server, tmp_path):
    server.cut = 100_000
    with pytest.raises(OSError, match=r"a\.tar: .*200,000 of 1,024,000 bytes are here, run again"):
        fetch(archive(server), tmp_path, attempts=2, wait=0.0)
    assert (tmp_path / "a.tar.partial").read_bytes() == CONTENT[:200_000]
    assert not (tmp_path / "a.tar").exists()
    server.cut = None
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT
    assert server.log[-1] == "bytes=200000-"


def test_an_interrupt_leaves_what_arrived(server, tmp_path, monkeypatch):
    class Bar:
        def __init__(self, **options): ...
        def __enter__(self):
            return self

        def __exit__(self, *exception): ...
        def update(self, count):
            raise KeyboardInterrupt

    monkeypatch.setattr("wsolbook.data.fetch.download.CHUNK", 50_000)
    with monkeypatch.context() as patch:
        patch.setattr("wsolbook.data.fetch.download.tqdm", Bar)
        with pytest.raises(KeyboardInterrupt):
            fetch(archive(server), tmp_path)
    have = (tmp_path / "a.tar.partial").stat().st_size
    assert 0 < have < len(CONTENT)
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT
    assert server.log == [None, f"bytes={have}-"]


def test_a_server_without_ranges_starts_over(server, tmp_path):
    server.ranges = False
    (tmp_path / "a.tar.partial").write_bytes(b"old" * 1000)
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT


def test_a_server_without_ranges_that_breaks_takes_nothing_away(server, tmp_path):
    (tmp_path / "a.tar.partial").write_bytes(CONTENT[:600_000])
    server.ranges, server.cut = False, 100
    with pytest.raises(OSError, match="600,000 of 1,024,000 bytes are here"):
        fetch(archive(server), tmp_path, attempts=1)
    assert (tmp_path / "a.tar.partial").read_bytes() == CONTENT[:600_000]


@pytest.mark.parametrize(
    ("headers", "body", "said"),
    [
        ({"Content-Type": "text/html; charset=utf-8"}, CONTENT, r"a page \(text/html\)"),
        ({"Content-Type": "application/xhtml+xml"}, b"<html>log in</html>", "a page"),
        ({"Content-Range": None}, CONTENT, "other bytes than those from 600,000 on"),
        ({"Content-Range": "bytes 0-423999/1024000"}, CONTENT, "other bytes"),
        ({"Content-Range": "bytes 600000-999/1000"}, CONTENT, "other bytes"),
        ({"Content-Range": "pages 1-2"}, CONTENT, "other bytes"),
        ({"Content-Length": "7"}, CONTENT, "7 bytes"),
    ],
)
def test_what_is_not_the_rest_of_the_file_is_not_appended(server, tmp_path, headers, body, said):
    (tmp_path / "a.tar.partial").write_bytes(CONTENT[:600_000])
    server.headers_instead, server.body = headers, body
    with pytest.raises(OSError, match=rf"a\.tar: http.* answers with {said}.*600,000 bytes .* are kept"):
        fetch(archive(server), tmp_path, wait=0.0)
    assert (tmp_path / "a.tar.partial").read_bytes() == CONTENT[:600_000]
    assert len(server.log) == 1
    server.headers_instead, server.body = {}, CONTENT
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("headers", [{"Content-Type": "text/html"}, {"Content-Length": "19"}])
def test_a_login_page_never_becomes_the_beginning_of_a_file(server, tmp_path, headers):
    server.headers_instead, server.ranges = headers, False
    server.body = b"<html>log in</html>"
    with pytest.raises(OSError, match="answers with"):
        fetch(archive(server), tmp_path)
    assert not (tmp_path / "a.tar.partial").exists()
    (tmp_path / "a.tar.partial").write_bytes(CONTENT[:9])
    with pytest.raises(OSError, match="answers with"):
        fetch(archive(server), tmp_path)
    assert (tmp_path / "a.tar.partial").read_bytes() == CONTENT[:9]


def test_an_answer_of_unknown_length_does_not_replace_what_is_here(server, tmp_path):
    server.headers_instead, server.ranges = {"Content-Length": None}, False
    assert fetch(archive(server), tmp_path / "new").read_bytes() == CONTENT
    (tmp_path / "a.tar.partial").write_bytes(CONTENT[:9])
    with pytest.raises(OSError, match="an unknown number of bytes"):
        fetch(archive(server), tmp_path)


def test_a_flipped_byte_is_an_error_and_not_kept(server, tmp_path):
    server.body = CONTENT[:500] + bytes([CONTENT[500] ^ 1]) + CONTENT[501:]
    with pytest.raises(OSError, match=r"a\.tar\.partial: sha256 is .*, the manifest says"):
        fetch(archive(server), tmp_path)
    assert os.listdir(tmp_path) == []
    server.body = CONTENT
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT


def test_a_flipped_byte_in_a_file_that_is_there(server, tmp_path):
    (tmp_path / "a.tar").write_bytes(b"\1" + CONTENT[1:])
    with pytest.raises(OSError, match=r"a\.tar: sha256 is"):
        fetch(archive(server), tmp_path)
    (tmp_path / "a.tar").write_bytes(CONTENT[:-1])
    with pytest.raises(OSError, match=r"a\.tar: 1,023,999 bytes, the manifest says 1,024,000"):
        fetch(archive(server), tmp_path)
    assert server.log == []


def test_a_refusal_is_not_repeated(server, tmp_path):
    server.status = 404
    with pytest.raises(OSError, match=r"a\.tar: HTTP Error 404"):
        fetch(archive(server), tmp_path, wait=0.0)
    assert len(server.log) == 1


def test_nobody_listens(tmp_path):
    nowhere = Archive("a.tar", 9, "md5:0", "http://127.0.0.1:9/a.tar")
    with pytest.raises(OSError, match=r"a\.tar: .*0 of 9 bytes"):
        fetch(nowhere, tmp_path, attempts=2, wait=0.0)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/a"])
def test_only_http(tmp_path, url):
    with pytest.raises(ValueError, match="neither http nor https"):
        fetch(Archive("a", 1, "md5:0", url), tmp_path)


def test_what_needs_an_account_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"ILSVRC2012_img_train\.tar needs an account"):
        fetch(MANIFESTS["ilsvrc2012"][0], tmp_path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_names_the_file(server, tmp_path):
    (tmp_path / "a.tar.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left.*a\.tar\.partial"):
        fetch(archive(server), tmp_path)


def test_a_read_only_folder_names_the_file(server, tmp_path, monkeypatch):
    def refuse(self, *arguments, **options):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(PermissionError, match=r"a\.tar\.partial"):
        fetch(archive(server), tmp_path)


def test_manifests_are_complete():
    for archives in MANIFESTS.values():
        for entry in archives:
            kind, _, digest = entry.digest.partition(":")
            assert len(digest) == {"md5": 32, "sha256": 64}[kind]
            assert entry.size > 1_000_000
            assert entry.url.startswith("https://") or not entry.url


def tar(path, *members, mode="w"):
    """Members are names of files, or tar infos."""
    with tarfile.open(path, mode) as packed:
        for member in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            info.size = 3 if info.isfile() else 0
            packed.addfile(info, io.BytesIO(b"abc"))
    return path


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_lands_where_it_should(tmp_path, mode):
    path = tar(
        tmp_path / "a.tar", special("top", tarfile.DIRTYPE), "top/x.txt", "./top/deep/y.txt", mode=mode
    )
    extract(path, tmp_path / "out")
    assert (tmp_path / "out/top/x.txt").read_text() == "abc"
    assert (tmp_path / "out/top/deep/y.txt").read_text() == "abc"
    assert os.listdir(tmp_path / "out") == ["top"]


def test_unpacking_joins_what_is_there(tmp_path):
    write(tmp_path / "out/top/old.txt", "old")
    write(tmp_path / "out/top/x.txt", "old")
    extract(tar(tmp_path / "a.tar", "top/x.txt"), tmp_path / "out")
    assert (tmp_path / "out/top/old.txt").read_text() == "old"
    assert (tmp_path / "out/top/x.txt").read_text() == "abc"


@pytest.mark.parametrize(
    "bad",
    [
        "../evil.txt",
        "a/../../evil.txt",
        "/evil.txt",
        "..\\evil.txt",
        "C:\\evil.txt",
        special("link", tarfile.SYMTYPE, "/etc/passwd"),
        special("inside", tarfile.SYMTYPE, "good.txt"),
        special("hard", tarfile.LNKTYPE, "good.txt"),
        special("pipe", tarfile.FIFOTYPE),
        special("device", tarfile.CHRTYPE),
    ],
    ids=lambda bad: getattr(bad, "name", bad),
)
def test_a_malicious_tar_is_refused_and_leaves_nothing(tmp_path, bad):
    path = tar(tmp_path / "a.tar", "good.txt", bad)
    write(tmp_path / "out" / "mine.txt", "mine")
    with pytest.raises(ValueError, match=r"a\.tar: refused, member"):
        extract(path, tmp_path / "out")
    assert os.listdir(tmp_path / "out") == ["mine.txt"]
    assert sorted(os.listdir(tmp_path)) == ["a.tar", "out"]


@pytest.mark.parametrize("mode", ["gz", "xz"])
def test_a_wrong_checksum_behind_the_last_member(tmp_path, mode):
    path = tar(tmp_path / f"a.tar.{mode}", *(f"{i}.txt" for i in range(200)), mode=f"w:{mode}")
    data = bytearray(path.read_bytes())
    index = 4 * int.from_bytes(data[-8:-4], "little") + 4  # in xz the checksum lies before index and footer
    data[-6 if mode == "gz" else -12 - index - 1] ^= 1
    path.write_bytes(data)
    with pytest.raises(OSError, match=rf"a\.tar\.{mode}: damaged archive"):
        extract(path, tmp_path / "out")
    assert os.listdir(tmp_path / "out") == []


def test_an_archive_larger_than_the_disk_is_refused(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=5)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ValueError, match=r"a\.tar: refused, it holds more than the 5 bytes"):
        extract(tar(tmp_path / "a.tar", "x", "y"), tmp_path / "out")
    assert os.listdir(tmp_path / "out") == []


def test_an_archive_larger_than_its_limit_is_refused(tmp_path, monkeypatch):
    path = tar(tmp_path / "a.tar", "x", "y")
    with pytest.raises(ValueError, match=r"a\.tar: refused, it holds more than the 700 bytes that it may"):
        extract(path, tmp_path / "out", limit=700)
    extract(path, tmp_path / "out", limit=1 << 20)
    assert sorted(os.listdir(tmp_path / "out")) == ["x", "y"]
    monkeypatch.setattr("wsolbook.data.fetch.archives.LEAST", 1000)
    bomb = tmp_path / "bomb.tar.gz"
    with tarfile.open(bomb, "w:gz") as packed:
        info = tarfile.TarInfo("zeros")
        info.size = 10_000_000
        packed.addfile(info, io.BytesIO(bytes(info.size)))
    assert bomb.stat().st_size * 500 < info.size
    with pytest.raises(ValueError, match=r"bomb\.tar\.gz: refused, it holds more than the"):
        extract(bomb, tmp_path / "new")
    assert os.listdir(tmp_path / "new") == []


def test_a_header_of_megabytes_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as packed:
        info = tarfile.TarInfo("x")
        info.pax_headers = {"comment": "a" * 3_000_000}
        packed.addfile(info)
    with pytest.raises(ValueError, match=r"a\.tar\.gz: refused, a header holds 3,0"):
        extract(tmp_path / "a.tar.gz", tmp_path / "out")


@pytest.mark.parametrize("damage", ["a wrong header", "a header of zeros", "cut between members"])
def test_a_plain_tar_that_ends_too_early(tmp_path, damage):
    path = tar(tmp_path / "a.tar", "x", "y", "z")
    data = bytearray(path.read_bytes())
    if damage == "a wrong header":
        data[1024] ^= 1
    elif damage == "a header of zeros":
        data[1024:1536] = bytes(512)
    else:
        del data[2048:]
    path.write_bytes(data)
    with pytest.raises(OSError, match=r"a\.tar: damaged archive"):
        extract(path, tmp_path / "out")
    assert os.listdir(tmp_path / "out") == []


def test_members_a_thousand_folders_deep_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a\.tar: refused, a member lies 1001 folders deep"):
        extract(tar(tmp_path / "a.tar", "d/" * 1000 + "x"), tmp_path / "out")


def test_damaged_archives_are_named_and_leave_nothing(tmp_path):
    whole = tar(tmp_path / "a.tar.gz", *(f"{i}.txt" for i in range(200)), mode="w:gz").read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OSError, match=r"a\.tar\.gz: damaged archive"):
        extract(tmp_path / "a.tar.gz", tmp_path / "out")
    with pytest.raises(ValueError, match=r"t\.tar: not a tar archive"):
        extract(write(tmp_path / "t.tar", "text"), tmp_path / "out")
    assert os.listdir(tmp_path / "out") == []
