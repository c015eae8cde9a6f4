import numpy as np
import pytest
from PIL import Image
from trees import write

from wsolbook.cli import main
from wsolbook.data.cub import CUB
from wsolbook.data.fetch.prepare import write_ilsvrc_lists
from wsolbook.data.fetch.verify import verify
from wsolbook.data.voc import VOC
from wsolbook.show.contact_sheet import contact_sheet


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_sound_tree_has_no_problems(voc_tree, processes):
    findings = verify(VOC(voc_tree), expected=2, processes=processes)
    assert (findings.checked, findings.boxes, findings.masks, findings.problems) == (2, 4, 2, [])


def test_each_bad_file_is_named(voc_tree):
    data = VOC(voc_tree, "trainval", masks="SegmentationClass")
    jpeg = voc_tree / "JPEGImages" / "2007_000001.jpg"
    jpeg.write_bytes(jpeg.read_bytes()[:400])
    (voc_tree / "SegmentationClass" / "2007_000002.png").unlink()
    Image.new("L", (39, 20)).save(voc_tree / "SegmentationClass" / "2008_000003.png")
    findings = verify(data, expected=2913)
    assert [next(n for n in ("3 pictures", *data.ids) if n in p) for p in findings.problems] == [
        "3 pictures",
        "2007_000001",
        "2007_000002",
        "2008_000003",
    ]


def test_a_box_beyond_the_border_is_a_problem(cub_tree):
    (cub_tree / "bounding_boxes.txt").write_text("1 0.0 0.0 50.0 5.0\n2 0 0 41 20\n3 1 1 2 2\n")
    assert "a box beyond the border" in verify(CUB(cub_tree)).problems[0]
    assert verify(CUB(cub_tree, "test")).problems == []  # the official lists stick out by one pixel


def test_command_verify(voc_tree, capsys):
    assert main(["data", "verify", "voc2012", "--root", str(voc_tree), "--subset"]) == 0
    assert capsys.readouterr().out == "2 pictures, 4 boxes, 2 masks, 0 problems\n"
    assert main(["data", "verify", "voc2012", "--root", str(voc_tree)]) == 1
    assert "2 pictures, the official list has 1,464" in capsys.readouterr().out


def test_command_verify_counts_a_flipped_bit_of_picture_and_mask(voc_tree, capsys):
    jpeg = voc_tree / "JPEGImages" / "2007_000001.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (20, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(jpeg, format="PNG")  # formats are told by content, not by name
    for path in (jpeg, voc_tree / "SegmentationClass" / "2007_000002.png"):
        data = bytearray(path.read_bytes())
        data[data.index(b"IDAT") + 12] ^= 8
        path.write_bytes(data)
    assert main(["data", "verify", "voc2012", "--root", str(voc_tree), "--subset"]) == 1
    picture, mask, total = capsys.readouterr().out.splitlines()
    assert picture.startswith(f"{jpeg}: damaged")
    assert mask.startswith(f"{voc_tree}/SegmentationClass/2007_000002.png: damaged")
    assert total == "2 pictures, 4 boxes, 1 masks, 2 problems"


def test_command_verify_goes_on_after_a_bad_annotation(voc_tree, capsys):
    write(voc_tree / "Annotations" / "2007_000001.xml", "<html>log in</html>")
    (voc_tree / "JPEGImages" / "2007_000001.jpg").write_bytes(b"broken")
    (voc_tree / "Annotations" / "2007_000002.xml").unlink()
    assert main(["data", "verify", "voc2012", "--root", str(voc_tree), "--subset"]) == 1
    *problems, total = capsys.readouterr().out.splitlines()
    said = ["000001.jpg: not an image", "000001.xml: damaged annotation (it is <html>", "000002.xml"]
    assert [part in problem for part, problem in zip(said, problems, strict=True)] == [True] * 3
    assert total == "2 pictures, 0 boxes, 2 masks, 3 problems"


def test_command_verify_goes_on_in_ilsvrc(ilsvrc_tree, capsys):
    for path in (ilsvrc_tree / "Annotations" / "CLS-LOC" / "val").glob("*1.xml"):
        write(path, "<annotation></annotation>")
    assert (
        main(["data", "verify", "ilsvrc2012", "--root", str(ilsvrc_tree), "--split", "val", "--subset"]) == 1
    )
    problem, total = capsys.readouterr().out.splitlines()
    assert problem.endswith("ILSVRC2012_val_00000001.xml: holds no object")
    assert total == "2 pictures, 1 boxes, 0 masks, 1 problems"


def test_command_errors_are_one_sentence(tmp_path, capsys):
    assert main(["data", "verify", "cub", "--root", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("wsolbook: CUB-200-2011 not found: ")
    assert main(["data", "download", "ilsvrc2012", "--root", str(tmp_path)]) == 1
    assert "needs an account at image-net.org" in capsys.readouterr().err


def test_command_show(voc_tree, tmp_path, capsys):
    out = tmp_path / "sheets" / "sheet.png"
    arguments = ["--root", str(voc_tree), "--out", str(out), "--count", "9", "--size", "60"]
    assert main(["data", "show", "voc2012", *arguments]) == 0
    with Image.open(out) as sheet:
        assert sheet.size == (2 * 64 + 4, 60 + 14 + 8)
    assert "2 of 2 pictures" in capsys.readouterr().out


def test_contact_sheet_draws_boxes_and_masks(cub_tree):
    data = CUB(cub_tree, "test", size=40)
    sheet = np.asarray(contact_sheet(data, [1]))
    x0, y0, x1, y1 = (data.batch([1]).boxes or [])[0][0].tolist()
    green = (sheet == (0, 255, 136)).all(-1)
    rows, columns = green.nonzero()
    drawn = [columns.min(), rows.min(), columns.max(), rows.max()]
    assert np.abs(np.subtract(drawn, [x0, y0, x1, y1])).max() <= 1


def test_ilsvrc_lists_are_written_from_what_is_there(ilsvrc_tree):
    lists = ilsvrc_tree / "ImageSets" / "CLS-LOC"
    for name in ("train_cls", "train_loc", "val"):
        (lists / f"{name}.txt").unlink()
    write_ilsvrc_lists(ilsvrc_tree)
    assert (lists / "train_cls.txt").read_text() == "n01/n01_7 1\nn02/n02_7 2\nn03/n03_7 3\n"
    assert (lists / "train_loc.txt").read_text() == "n02/n02_7 1\n"
    assert (lists / "val.txt").read_text() == "ILSVRC2012_val_00000001 1\nILSVRC2012_val_00000002 2\n"


def test_download_unpacks_and_is_done_the_second_time(tmp_path, monkeypatch, capsys):
    import hashlib
    import tarfile

    from wsolbook.data.fetch import download

    write(tmp_path / "birds" / "a.txt", "bird")
    with tarfile.open(tmp_path / "a.tar", "w") as packed:
        packed.add(tmp_path / "birds", "birds")
    content = (tmp_path / "a.tar").read_bytes()
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.tar").write_bytes(content)
    entry = download.Archive(
        "a.tar", len(content), f"md5:{hashlib.md5(content).hexdigest()}", provides="birds"
    )
    monkeypatch.setitem(download.MANIFESTS, "cub", (entry,))
    assert main(["data", "download", "cub", "--root", str(root)]) == 0
    assert (root / "birds" / "a.txt").read_text() == "bird"
    capsys.readouterr()
    (root / "a.tar").unlink()
    assert main(["data", "download", "cub", "--root", str(root)]) == 0
    assert "is there already" in capsys.readouterr().out
