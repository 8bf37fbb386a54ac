# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads the 90 trials of docs/custom-model.md: `python docs/examples/cmu/fetch.py FOLDER`.

Three people of the CMU Graphics Lab Motion Capture Database, 41 MB; free for all uses, but the
motion itself may not be resold. What is there already is not fetched again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from urllib.request import urlopen

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="is made; 'prepare cmu' reads it")
    parser.add_argument("--url", default="http://mocap.cs.cmu.edu/subjects", help="another place")
    options = parser.parse_args()
    trials = json.loads((HERE / "trials.json").read_text(encoding="utf-8"))
    files = [row["file"] for row in trials.values()]
    people = dict.fromkeys(file.partition("/")[0] for file in files)
    files += [f"{person}/{person}.asf" for person in people]
    for done, file in enumerate(files, start=1):
        target = options.folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            try:
                with urlopen(f"{options.url}/{file}") as answer:
                    content = answer.read()
            except OSError as error:
                sys.exit(f"\n{file} cannot be fetched ({error}). Run it again: the others stay.")
            target.write_bytes(content)
        print(f"\r{done} of {len(files)}", end="", flush=True)
    print()
    for name in ("trials.json", "pairs.json"):
        shutil.copyfile(HERE / name, options.folder / name)


if __name__ == "__main__":
    main()
