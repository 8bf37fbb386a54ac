# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m training check-prompts MODEL -o OUT`: does the model do what it is asked.

Every prompt of the suite is made with several seeds at the model's own sampling, and every
predicate looks at every motion: at those of its own prompts (the pass rate), at all others (the
base rate: a check that most motions pass proves nothing), and at those that asked for the other
side. OUT gets `checks.md` and `checks.json`. With `--real DATASET` the same predicates look at real
clips, and at what the model's VQ-VAE makes of them: what is lost there, no GPT brings back.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.errors import InputError, OutputError
from t2m_blender.engine.features import features_to_joints
from t2m_blender.engine.files import new_file
from t2m_blender.engine.generate import generate_batch, load_model
from t2m_blender.engine.writing import sampling_of
from training.checks.predicates import is_plausible, starts_naturally
from training.checks.seen import Seen
from training.checks.suite import KINDS, NONSENSE, Check, read_suite
from training.data.dataset import Dataset, read_dataset

Features = NDArray[np.float32]
Generate = Callable[[Sequence[str], Sequence[int]], list[Seen]]


@dataclass(frozen=True, eq=False)
class Asked:
    """One prompt and its motions.

    Attributes:
        check: whose prompt it is; None for nonsense.
        prompt: as asked.
        kind: one of `KINDS`; empty for nonsense.
        motions: one a seed.
        passed: [checks, seeds] what every predicate of the suite says of them.
    """

    check: Check | None
    prompt: str
    kind: str
    motions: list[Seen]
    passed: np.ndarray[Any, np.dtype[np.bool_]]


def ask(
    generate: Generate,
    seeds: int,
    suite: Sequence[Check],
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Asked]:
    """Makes all prompts of the checks, `seeds` times each; every check looks at every motion."""
    wanted: list[tuple[Check | None, str, str]] = [
        (check, prompt, kind) for check in suite for kind, prompt in check.asked
    ]
    wanted += [(None, prompt, "") for prompt in NONSENSE]
    asked = []
    for done, (check, prompt, kind) in enumerate(wanted):
        if on_progress:
            on_progress(done, len(wanted))
        motions = generate([prompt] * seeds, range(seeds))
        passed = np.array([[other.passes(seen) for seen in motions] for other in suite])
        asked.append(Asked(check, prompt, kind, motions, passed))
    if on_progress:
        on_progress(len(wanted), len(wanted))
    return asked


def summarised(asked: Sequence[Asked], suite: Sequence[Check]) -> dict[str, Any]:
    """Rates of every check, of natural starts and of plausible motions."""
    rows = []
    for number, check in enumerate(suite):
        own = [a for a in asked if a.check == check]
        others = [a for a in asked if a.check and a.check.predicate != check.predicate]
        opposite = [
            a for a in asked
            if a.check and check.side and a.check.predicate == check.predicate
            and a.check.side not in ("", check.side)
        ]  # fmt: skip
        rows.append(
            {
                "name": check.name,
                "target": check.target,
                **{kind: _rate([a for a in own if a.kind == kind], number) for kind in KINDS},
                "other_side": _rate(opposite, number) if opposite else None,
                "base_rate": _rate(others, number) if others else None,
                "natural_start": _share(starts_naturally, own),
                "each": {a.prompt: float(a.passed[number].mean()) for a in own},
            }
        )
    sensible = [a for a in asked if a.check]
    return {
        "checks": rows,
        "seeds": len(asked[0].motions),
        "natural_start": _share(starts_naturally, sensible),
        "plausible": _share(is_plausible, sensible),
        "nonsense": {
            a.prompt: {
                "plausible": _share(is_plausible, [a]),
                "natural_start": _share(starts_naturally, [a]),
            }
            for a in asked
            if a.check is None
        },
    }


def real_rates(
    dataset: Dataset, suite: Sequence[Check], rebuild: Callable[[Features], Features]
) -> dict[str, dict[str, Any]]:
    """What every check says of its hand-picked real clips, as they are and rebuilt, and of others.

    `rebuild` takes and gives features [T, D]; the other clips are the captioned ones.
    """

    def seen_of(features: Features) -> Seen:
        return Seen.of(features_to_joints(features.astype(np.float64), dataset.skeleton))

    picked = {clip_id for check in suite for clip_id in check.real}
    clips = [c for c in dataset.clips if c.id in picked or (c.captions and not c.mirrored)]
    seen = {clip.id: seen_of(dataset.features[clip.id]) for clip in clips}
    rebuilt = {i: seen_of(rebuild(dataset.features[i])) for i in sorted(picked & set(seen))}
    rates = {}
    for check in suite:
        ids = [i for i in check.real if i in seen]
        own = [check.passes(seen[i]) for i in ids]
        others = [
            check.passes(seen[c.id])
            for c in clips
            if not c.mirrored and check.is_other(c.id, c.captions)
        ]
        rates[check.name] = {
            "picked": len(own),
            "picked_pass": float(np.mean(own)) if own else None,
            "rebuilt_pass": float(np.mean([check.passes(rebuilt[i]) for i in ids]))
            if own
            else None,
            "others": len(others),
            "others_pass": float(np.mean(others)) if others else None,
        }
    return rates


def markdown(summary: dict[str, Any]) -> str:
    """The summary as a table for people."""
    real = summary.get("real", {})
    head = ["check", "target", "prompts", "paraphrases", "of others", "as typed", "other side"]
    head += ["base rate", "natural start"]
    head += ["real clips", "rebuilt", "other real clips"] if real else []
    lines = [
        f"Motions that pass, {summary['seeds']} seeds a prompt at the model's own sampling.",
        "",
        "| " + " | ".join(head) + " |",
        "|" + " --- |" * len(head),
    ]
    for row in summary["checks"]:
        cells = [row["name"], _percent(row["target"])]
        cells += [_percent(row[k]) for k in (*KINDS, "other_side", "base_rate")]
        cells.append(_percent(row["natural_start"]))
        if real:
            rates = real[row["name"]]
            cells.append(f"{_percent(rates['picked_pass'])} of {rates['picked']}")
            cells += [_percent(rates["rebuilt_pass"]), _percent(rates["others_pass"])]
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        f"Natural starts: {_percent(summary['natural_start'])}; plausible motions: "
        f"{_percent(summary['plausible'])}.",
        "",
        "| nonsense prompt | plausible | natural start |",
        "| --- | --- | --- |",
    ]
    for prompt, rates in summary["nonsense"].items():
        cells = [prompt, _percent(rates["plausible"]), _percent(rates["natural_start"])]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _rate(asked: Sequence[Asked], number: int) -> float:
    return float(np.mean([a.passed[number].mean() for a in asked]))


def _share(says: Callable[[Seen], bool], asked: Sequence[Asked]) -> float:
    return float(np.mean([says(seen) for a in asked for seen in a.motions]))


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `check-prompts`."""
    parser.add_argument("model", help="a model file, or the name of one in the extension")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="folder for checks.md and checks.json"
    )
    parser.add_argument("--seeds", type=int, default=16, help="motions a prompt (16)")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="these checks of the suite alone"
    )
    parser.add_argument("--guidance", type=float, help="other than the model's own")
    parser.add_argument("--temperature", type=float, help="other than the model's own")
    parser.add_argument("--real", type=Path, help="a prepared dataset: also look at its real clips")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def run(args: argparse.Namespace) -> int:
    """Runs `check-prompts`; returns the exit status."""
    if args.seeds < 1:
        raise InputError(f"--seeds is {args.seeds}; give 1 or more.")
    names = [check.name for check in read_suite()]
    for unknown in (name for name in args.only if name not in names):
        raise InputError(
            f"The suite has no check '{unknown}'; it has: {'; '.join(names)}. Names go apart, "
            "those of several words in quotes."
        )
    suite = [check for check in read_suite() if not args.only or check.name in args.only]
    model = load_model(args.model)

    def generate(prompts: Sequence[str], seeds: Sequence[int]) -> list[Seen]:
        made = generate_batch(
            prompts,
            model=model,
            seeds=seeds,
            seconds=[None] * len(prompts),
            guidance=args.guidance,
            temperature=args.temperature,
        )
        return [Seen.of(one.motion.joints) for one in made]

    def show(done: int, total: int) -> None:
        print(f"\r{done} of {total} prompts", end="" if done < total else "\n", file=sys.stderr)

    summary = summarised(ask(generate, args.seeds, suite, None if args.quiet else show), suite)
    summary["model"], summary["sha256"] = str(args.model), model.checkpoint.sha256
    if args.real:
        from training.candidate import Candidate

        rebuilder = Candidate(str(args.model), model, sampling_of(model)).rebuilder
        summary["real"] = real_rates(read_dataset(args.real), suite, rebuilder.rebuild)
    text = markdown(summary)
    try:
        args.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{args.output} cannot be made ({error.strerror}).") from None
    for name, content in (("checks.md", text), ("checks.json", json.dumps(summary, indent=1))):
        with new_file(args.output / name) as file:
            file.write(content.encode())
    print(text)
    return 0
