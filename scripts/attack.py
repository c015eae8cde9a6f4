"""Attack everything that comes from outside and count how each case ended.

python scripts/attack.py --cases 1000 [--only "weights" "saved maps"]
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from wsolbook.results import table

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from attacks import ATTACKS


def main() -> int:
    """Run the attacks, print a table and every finding; return 1 when there is any."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--only", nargs="*", default=list(ATTACKS), choices=list(ATTACKS))
    options = parser.parse_args()
    rows, findings = [], []
    for name in options.only:
        with TemporaryDirectory() as folder:
            os.chdir(folder)
            found = ATTACKS[name](Path(folder), options.cases)
            os.chdir("/")
        rows.append((name, found.total(), *map(found.pop, ("right", "refused"), (0, 0)), *unwanted(found)))
        findings += list(found)
    print(table(("attack", "cases", "right", "refused", "tracebacks", "wrong in silence", "riddles"), rows))
    print(*findings, sep="\n")
    return int(bool(findings))


def unwanted(found: Counter[str]) -> list[int]:
    """Count what must not be, by kind."""
    kinds = ("traceback", "wrong in silence", "riddle")
    return [sum(count for said, count in found.items() if said.startswith(kind)) for kind in kinds]


if __name__ == "__main__":
    sys.exit(main())
