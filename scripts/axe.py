"""axe-core, whose rules keep pages open to readers with a keyboard or a screen reader; fetched once with npm.

Where npm or the network is missing there is no axe, and the browser check says that it skipped it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from chapters import ROOT

VERSION = "4.14.1"
DIGEST = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
FOLDER = ROOT / "_build" / "axe"
SECONDS = 120  # that npm may take; without a network it tries for minutes
# What axe finds on the page that has it, a line for each rule. From disk it cannot read style sheets again.
RUN = """
axe.run(document, {resultTypes: ["violations"], preload: false}).then(({violations: all}) => all.map((rule) =>
  `${rule.id}: ${rule.help} (${rule.nodes.length} times, first at ${rule.nodes[0].target.join(" ")})`))"""


def source(folder: Path = FOLDER) -> str:
    """Return axe as one script, or nothing where it cannot be had.

    Raises:
        ValueError: naming the file, when it is not the release that is asked for.
    """
    script = folder / f"axe-{VERSION}.min.js"
    if not script.exists() and not fetch(script):
        return ""
    content = script.read_bytes()
    if hashlib.sha256(content).hexdigest() != DIGEST:
        raise ValueError(f"{script} is not axe-core {VERSION}: delete it, and it is fetched again")
    return content.decode()


def fetch(script: Path) -> bool:
    """Put the script of the release into a file, and tell whether npm could get it."""
    npm = shutil.which("npm")
    if npm is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", "--silent", f"axe-core@{VERSION}"]
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=SECONDS)
        except (subprocess.SubprocessError, OSError):
            return False
        with tarfile.open(Path(folder) / f"axe-core-{VERSION}.tgz") as archive:
            member = archive.extractfile("package/axe.min.js")
            script.parent.mkdir(parents=True, exist_ok=True)
            script.write_bytes(member.read() if member else b"")
    return True
