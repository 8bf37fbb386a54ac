# SPDX-License-Identifier: GPL-3.0-or-later
"""The model card's figures: `python docs/scripts/card.py` writes them into docs/model-card.md.

They come from docs/model/, where nothing is typed by hand: what is named on the command line is
brought there first, as text.

    python docs/scripts/card.py --dataset DATA --stage1 RUN ... --stage2 RUN ... --ladder FOLDER \\
        --checks FOLDER --nearest FOLDER --compared "LABEL=FOLDER" ...

    clips.csv        every clip of the dataset, what was made of it, and its licence
    stage1.jsonl     log of train-vqvae
    sharper.jsonl    log of stage 1 learning on
    decoder.jsonl    log of its decoder alone
    stage2.jsonl     log of train-gpt
    longer.jsonl     log of stage 2 learning on
    last.jsonl       and once more
    wordings.jsonl   and with more wordings
    sentences.jsonl  and with more again
    nearer.jsonl     and with sentences of people that are nearer to the table's
    balanced.jsonl   and with fewer people who are seated from the start
    distilled.jsonl  and without guidance
    reread.jsonl     and what that misread more often
    later.jsonl      and with later ends
    text.jsonl       log of train-text
    bolder.jsonl     and of one that minds the captions themselves less
    ladder.json      of evaluate
    checks.json      of check-prompts
    nearest.json     of nearest
    compared.json    what other settings gave: figures of the checks.json or log.jsonl in FOLDER

In the page each block of figures stands between `<!-- NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# a script of a checkout, not a package
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from docs.scripts.card_clips import CLIPS, clip_tables, write_clips
from docs.scripts.gallery_items import items
from t2m_blender.engine.checkpoint import read_checkpoint
from t2m_blender.engine.model import MODELS
from training.checks.run import markdown as checks_table
from training.checks.suite import read_suite

DOCS = Path(__file__).resolve().parents[1]
MODEL = DOCS / "model"
PAGE = DOCS / "model-card.md"
_LOGS = (
    *("stage1", "sharper", "decoder", "stage2", "longer", "last"),
    *("wordings", "sentences", "nearer", "balanced", "distilled", "reread", "later"),
    *("text", "bolder"),
)
_REPORTS = ("ladder", "checks", "nearest")
_COPIED = {name: ("log.jsonl", f"{name}.jsonl") for name in _LOGS} | {
    name: (f"{name}.json", f"{name}.json") for name in _REPORTS
}
_SHOWN = 3  # pictures of what the model does best, and of what it does worst


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    lines = [header, ["---"] + ["--:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def read(name: str) -> Any:
    """A JSON file of docs/model."""
    return json.loads((MODEL / name).read_text(encoding="utf-8"))


def model_block() -> str:
    """What the file says of itself."""
    path = MODELS / "default.safetensors"
    model = read_checkpoint(path)
    vqvae, gpt, sampling = model.vqvae, model.gpt, model.sampling
    changes = model.text_changes
    rank = f" with changes of rank {min(next(iter(changes.values())).shape)}" if changes else ""
    tokens = f"{vqvae.get('levels', 1)} x {vqvae['codebook_size']}"
    rows = [
        ("file", f"`t2m_blender/models/{path.name}`, {path.stat().st_size / 1e6:.1f} MB"),
        ("sha256", f"`{model.sha256}`"),
        ("licence", model.licence),
        ("stage 1", f"width {vqvae['width']}, codes (levels x size) {tokens}"),
        ("stage 2", f"{gpt['blocks']} blocks of width {gpt['width']}, {gpt['heads']} heads"),
        ("text", f"{model.text_encoder}{rank}, up to {gpt['word_limit']} words"),
        ("sampling", ", ".join(f"{name} {value:g}" for name, value in sampling.items())),
        ("made of", model.origin),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def training_block() -> str:
    """What the logs say."""
    rows = []
    logs = [stage for stage in _LOGS if (MODEL / f"{stage}.jsonl").is_file()]
    for stage in logs:
        lines = [json.loads(line) for line in _lines(f"{stage}.jsonl")]
        judged = [name for line in lines for name in line if name.startswith("val_")]
        for name in dict.fromkeys(judged):
            values = {line["step"]: line[name] for line in lines if name in line}
            best = max if "accuracy" in name or "used" in name else min
            step = best(values, key=values.get)
            last = max(values)
            rows.append(
                (
                    f"[{stage}](model/{stage}.jsonl)",
                    name,
                    f"{values[step]:.3g}",
                    step,
                    f"{values[last]:.3g}",
                    last,
                )
            )
    return table(("log", "figure", "best", "at step", "last", "at step"), rows)


def ladder_block() -> str:
    """R-Precision and FID beside real motion, and what an animator sees."""
    ladder = read("ladder.json")
    names = list(next(iter(ladder["rows"].values())))
    names += [n for row in ladder["rows"].values() for n in row if n not in names]
    rows = [
        (label, *(_interval(row.get(name), 3) for name in dict.fromkeys(names)))
        for label, row in ladder["rows"].items()
    ]
    seen = ladder["quality"]
    figures = dict.fromkeys(name for row in seen.values() for name in row)
    floor = float(np.mean(ladder["noise_floor"]))
    text = [
        f"{ladder['clips']} clips, {ladder['captions']} captions of the split {ladder['split']}, "
        f"{ladder['repeats']} repeats; [95 % of bootstrap draws of the clips]. Halves of the real "
        f"clips are {floor:.3f} apart in FID.",
        "",
        table(("", *dict.fromkeys(names)), rows),
        "",
        table(
            ("", *seen),
            ((name, *(_interval(row.get(name), 1) for row in seen.values())) for name in figures),
        ),
    ]
    return "\n".join([*text, "", *_ratios(ladder)])


def _ratios(ladder: Mapping[str, Any]) -> list[str]:
    """Generated beside real, a line each."""
    real, *others = ladder["rows"]
    top = "R-Precision top 3"
    said = []
    for label in others:
        share = ladder["rows"][label][top]["value"] / ladder["rows"][real][top]["value"]
        said.append(f"- {top} of {label}: {100 * share:.0f} % of that of real motion.")
    for label, row in ladder["quality"].items():
        if not label.endswith(", finished"):
            continue
        for name in ("foot skate, % of frames", "jitter, m/s³", "below the floor, mm"):
            times = row[name]["value"] / ladder["quality"][real][name]["value"]
            said.append(f"- {name.split(',')[0]} of {label}: {times:.2f} times that of real clips.")
    return said


def checks_block() -> str:
    """How many checks hold, and all of them."""
    checks = read("checks.json")
    rows = checks["checks"]
    reached = [row for row in rows if row["prompts"] >= row["target"]]
    behind = [100 * (row["prompts"] - row["paraphrases"]) for row in rows]
    sided = [row for row in rows if row["other_side"] is not None]
    text = [
        f"{len(reached)} of {len(rows)} checks reach their target; on average "
        f"{_mean(rows, 'prompts'):.0f} % of the motions pass, and {_mean(rows, 'paraphrases'):.0f} "
        f"% of those for paraphrases ({sum(b > 15 for b in behind)} checks lose more than 15 "
        f"points there), {_mean(rows, 'others'):.0f} % for sentences of others and "
        f"{_mean(rows, 'typed'):.0f} % for what another one typed. "
        f"Where a side is asked for, {_mean(sided, 'prompts'):.0f} % show it, and "
        f"{_mean(sided, 'other_side'):.0f} % of the motions that were asked for the other side.",
        "",
        checks_table(checks).strip(),
    ]
    return "\n".join(text)


def examples_block() -> str:
    """Pictures of the checks that pass most and least often."""
    rates = {row["name"]: row["prompts"] for row in read("checks.json")["checks"]}
    pictures = {item.check.name: item for item in items() if item.check}
    ranked = sorted(read_suite(), key=lambda check: -rates[check.name])
    text = []
    for title, chosen in (("Best", ranked[:_SHOWN]), ("Worst", ranked[-_SHOWN:])):
        for check in chosen:
            item = pictures[check.name]
            text += [
                f"{title}: **{item.prompt}**, {100 * rates[check.name]:.0f} % of seeds pass",
                "",
                f"![{item.prompt}](gallery/{item.file})",
                "",
            ]
    return "\n".join(text).strip()


def nearest_block() -> str:
    """Distances to the train split."""
    nearest = read("nearest.json")
    rows = [
        (label, row["clips"], *(f"{row[p]:.0f}" for p in ("p1", "p10", "p50", "p90")))
        for label, row in nearest.items()
        if isinstance(row, dict)
    ]
    return table(("millimetres a joint", "clips", "1 %", "10 %", "median", "90 %"), rows)


def compared_block() -> str:
    """What other settings gave."""
    if not (MODEL / "compared.json").is_file():
        return "Nothing was compared for this model."
    rows = read("compared.json")
    names = list(dict.fromkeys(name for row in rows for name in row["figures"]))
    return table(
        ("", *names),
        ((row["label"], *(row["figures"].get(name, "") for name in names)) for row in rows),
    )


def figures_of(folder: Path) -> dict[str, str]:
    """What is compared of one setting: figures of its checks, or of its stage 1.

    Raises:
        SystemExit: The folder has neither.
    """
    found = {}
    if (folder / "checks.json").is_file():
        checks = json.loads((folder / "checks.json").read_text(encoding="utf-8"))
        rows = checks["checks"]
        reached = sum(row["prompts"] >= row["target"] for row in rows)
        sided = [row for row in rows if row["other_side"] is not None]
        found = {
            "checks at target": f"{reached} of {len(rows)}",
            "seeds": str(checks["seeds"]),
            "prompts": f"{_mean(rows, 'prompts'):.0f} %",
            "paraphrases": f"{_mean(rows, 'paraphrases'):.0f} %",
            **{
                label: f"{_mean(rows, kind):.0f} %"
                for label, kind in (("of others", "others"), ("as typed", "typed"))
                if kind in rows[0]
            },
            "right side": f"{_mean(sided, 'prompts'):.0f} %",
            "wrong side": f"{_mean(sided, 'other_side'):.0f} %",
            "natural starts": f"{100 * checks['natural_start']:.0f} %",
        }
    if (folder / "log.jsonl").is_file():
        lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
        values = {row["step"]: row for row in map(json.loads, lines) if "val_mpjpe_mm" in row}
        if values:
            best = min(values, key=lambda step: values[step]["val_mpjpe_mm"])
            error = values[best]["val_mpjpe_mm"]
            found["val MPJPE, mm"] = f"{error:.1f} at step {best:,}"
    if not found:
        sys.exit(f"{folder} has no checks.json, and no log.jsonl of train-vqvae.")
    return found


def _lines(name: str) -> list[str]:
    return (MODEL / name).read_text(encoding="utf-8").splitlines()


def _mean(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    return 100 * float(np.mean([row[name] for row in rows])) if rows else 0.0


def _interval(estimate: Mapping[str, float] | None, digits: int) -> str:
    if estimate is None:
        return ""
    value, low, high = (f"{estimate[k]:.{digits}f}" for k in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def data_block() -> str:
    """Clips and hours by what was made of them and by licence."""
    with (MODEL / CLIPS).open(encoding="utf-8", newline="") as file:
        return clip_tables(list(csv.DictReader(file)), table)


BLOCKS: dict[str, Callable[[], str]] = {
    "model": model_block,
    "data": data_block,
    "training": training_block,
    "ladder": ladder_block,
    "checks": checks_block,
    "examples": examples_block,
    "nearest": nearest_block,
    "compared": compared_block,
}


def filled(page: str) -> str:
    """The page with every block written anew.

    Raises:
        SystemExit: A block of the page has no figures, or figures have no block.
    """
    found = re.findall(r"<!-- (\w+) -->\n.*?<!-- end -->", page, re.DOTALL)
    if sorted(found) != sorted(BLOCKS):
        sys.exit(f"The page's blocks are {', '.join(found)}; it needs {', '.join(BLOCKS)}.")
    for name in found:
        text = f"<!-- {name} -->\n{BLOCKS[name]()}\n<!-- end -->"
        page = re.sub(
            rf"<!-- {name} -->\n.*?<!-- end -->", lambda _, text=text: text, page, flags=re.DOTALL
        )
    return page


def collect(options: argparse.Namespace) -> None:
    """Brings what is named into docs/model."""
    MODEL.mkdir(exist_ok=True)
    if options.dataset:
        write_clips(options.dataset, MODEL / CLIPS)
    for name, (source, target) in _COPIED.items():
        folder = getattr(options, name)
        if folder:
            text = (folder / source).read_text(encoding="utf-8")
            if name in ("checks", "nearest"):  # they tell the path of the model as it was given
                content = json.loads(text)
                text = json.dumps(content | {"model": Path(content["model"]).name}, indent=1) + "\n"
            (MODEL / target).write_text(text, encoding="utf-8")
    if options.compared:
        pairs = [given.rpartition("=") for given in options.compared]
        rows = [{"label": label, "figures": figures_of(Path(folder))} for label, _, folder in pairs]
        text = json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
        (MODEL / "compared.json").write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", type=Path, help="that the model was trained on")
    for name, (source, _) in _COPIED.items():
        parser.add_argument(f"--{name}", type=Path, help=f"folder of {source}")
    parser.add_argument("--compared", action="append", metavar="LABEL=FOLDER")
    collect(parser.parse_args())
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
