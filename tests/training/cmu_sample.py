# SPDX-License-Identifier: GPL-3.0-or-later
"""A few trials of every layout, unpacked once for all tests that read them."""

from __future__ import annotations

import functools
import json
import tarfile
import tempfile
from pathlib import Path

TRIALS = (
    "02_01",  # AMC, walk
    "02_04",  # AMC, jump
    "09_01",  # AMC, a run of 25 frames
    "16_17",  # AMC, walks and turns left
    "16_23",  # AMC, the first frame is broken
    "29_03",  # AMC, the little teapot: right hand on the hip, left arm up
    "91_47",  # AMC, jumps and turns
    "07_02",  # AMC, walk, of the val or test split
    "06_06",  # cgspeed, walks backward
    "07_12",  # cgspeed, two broken frames after the T-pose
    "13_39",  # Daz, jump
    "131_01",  # Chest2
)


_PLACE = tempfile.TemporaryDirectory(prefix="t2m-cmu-sample-")


@functools.cache
def unpack_sample(shared: Path, trials: tuple[str, ...] = TRIALS) -> Path:
    """A source folder of trials as `prepare` takes it: trials.json, pairs.json, NN/. Read only."""
    folder = Path(tempfile.mkdtemp(dir=_PLACE.name))
    cmu = shared / "data" / "cmu"
    table = json.loads((cmu / "trials.json").read_text())
    table = {name: table[name] for name in trials}
    pairs = [p for p in json.loads((cmu / "pairs.json").read_text()) if p["trial"] in table]
    wanted = {row["file"] for row in table.values()}
    wanted |= {f"{f.split('/')[0]}/{f.split('/')[0]}.asf" for f in wanted if f.endswith(".amc")}
    wanted = {f"cmu/{path}" for path in wanted}
    with tarfile.open(cmu / "cmu.tar.xz") as archive:
        for member in archive:
            if member.name in wanted:
                archive.extract(member, folder, filter="data")
                wanted.discard(member.name)
            if not wanted:
                break
    assert not wanted
    (folder / "trials.json").write_text(json.dumps(table))
    (folder / "pairs.json").write_text(json.dumps(pairs))
    return folder
