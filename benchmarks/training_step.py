# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast a training step of each stage is, beside the reference's way of doing the same.

    python -m benchmarks.training_step DATASET [--config embedded] [-o results]

The other side is a plain loop after T2M-GPT's published training scripts, written for this
comparison: samples are cut, normalised and stacked one by one, codes are counted by a one-hot
matrix, every caption goes through the text encoder again at every step, tokens are padded to the
longest sequence that the network can read, and the loss and the accuracy of stage 2 are computed
clip by clip. Networks, sizes, optimiser, text encoder and machine are the same. Both sides take
turns, so that other work on the machine slows them alike.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from t2m_blender.engine.codebook import AveragedCodebook
from t2m_blender.engine.configs import GPTConfig, VQVAEConfig
from t2m_blender.engine.features import feature_columns
from t2m_blender.engine.generate import MODELS
from t2m_blender.engine.gpt import GPT, TextCondition
from t2m_blender.engine.text import TextEncoder
from t2m_blender.engine.vqvae import VQVAE
from training.captioned_tokens import CaptionedTokens, tokenised
from training.config import Config, Optimisation, network_config, read_config
from training.data.dataset import Dataset, read_dataset
from training.reconstruction import ReconstructionLoss
from training.train_gpt import foretold, token_loss
from training.train_vqvae import Windows

Step = Callable[[np.random.Generator], Tensor]


def main() -> None:
    """Measures, then prints or writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="dataset made by prepare")
    parser.add_argument("--config", default="embedded")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=15, help="steps of each side (15)")
    parser.add_argument("-o", "--output", type=Path, help="folder for training_step.json and .md")
    arguments = parser.parse_args()
    config, dataset = read_config(arguments.config), read_dataset(arguments.data)
    device = torch.device(arguments.device)
    vqvae, rows = measure_stage_1(config, dataset, device, arguments.rounds)
    rows |= measure_stage_2(config, dataset, device, arguments.rounds, vqvae)
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {arguments.device}",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "config": config.name,
        "clips": len(dataset.clips),
        "rounds": arguments.rounds,
        "seconds": rows,
    }
    text = as_markdown(result)
    print(text)
    if arguments.output:
        arguments.output.mkdir(exist_ok=True)
        (arguments.output / "training_step.json").write_text(json.dumps(result, indent=1) + "\n")
        (arguments.output / "training_step.md").write_text(text)


def measure_stage_1(
    config: Config, dataset: Dataset, device: torch.device, rounds: int
) -> tuple[VQVAE, dict[str, list[float]]]:
    """Seconds of a step of stage 1, ours and the reference's way; and a network that has begun."""
    sizes = network_config(
        VQVAEConfig, config.vqvae_network, feature_size=dataset.skeleton.feature_size
    )
    settings = config.vqvae
    network = VQVAE(sizes).to(device)
    windows = Windows(dataset, "train", settings.window)
    measure = ReconstructionLoss(settings, dataset, device)

    def ours(generator: np.random.Generator) -> Tensor:
        batch = torch.from_numpy(windows.draw(settings.batch_size, generator)).to(device)
        rebuilt, commitment, _ = network(batch)
        return measure(rebuilt, batch, commitment)[0]

    plain = VQVAE(sizes).to(device)
    for book in (plain.codebook, *plain.refinements):
        assert isinstance(book, AveragedCodebook)
        book.__class__ = OneHotCodebook
    clips = [dataset.features[clip.id] for clip in dataset.split("train")]
    clips = [clip for clip in clips if len(clip) >= settings.window]
    positions = feature_columns(dataset.skeleton)["positions"]

    def reference(generator: np.random.Generator) -> Tensor:
        samples = []
        for index in generator.integers(len(clips), size=settings.batch_size):
            start = generator.integers(len(clips[index]) - settings.window + 1)
            cut = clips[index][start : start + settings.window]
            samples.append(torch.from_numpy((cut - dataset.mean) / dataset.std))
        batch = torch.stack(samples).to(device)
        rebuilt, commitment, _ = plain(batch)
        loss = functional.smooth_l1_loss(rebuilt, batch)
        velocity = functional.smooth_l1_loss(rebuilt[..., positions], batch[..., positions])
        return loss + settings.position_weight * velocity + settings.commitment_weight * commitment

    sides = {"stage 1, ours": (network, ours), "stage 1, reference": (plain, reference)}
    return network.eval(), timed(sides, settings, rounds)


class OneHotCodebook(AveragedCodebook):
    """Counts and sums by a matrix of ones and zeros [K, rows]."""

    @torch.no_grad()
    def _move(self, rows: Tensor, chosen: Tensor, counts: Tensor) -> None:
        one_hot = torch.zeros(len(self.codes), len(rows), device=rows.device)
        one_hot.scatter_(0, chosen[None], 1.0)
        self.code_sums.lerp_(one_hot @ rows, 1.0 - self.decay)
        self.code_counts.lerp_(one_hot.sum(dim=-1), 1.0 - self.decay)
        in_use = (self.code_counts >= 1.0)[:, None]
        averages = self.code_sums / self.code_counts[:, None]
        self.codes.copy_(torch.where(in_use, averages, self._replacements(rows)))


def measure_stage_2(
    config: Config, dataset: Dataset, device: torch.device, rounds: int, vqvae: VQVAE
) -> dict[str, list[float]]:
    """Seconds of a step of stage 2: ours, the reference's way, and with nothing kept at all."""
    encoder = TextEncoder.load(MODELS / f"{config.model.text_encoder}.safetensors")
    sizes = network_config(
        GPTConfig,
        config.gpt_network,
        codebook_size=vqvae.config.codebook_size,
        levels=vqvae.config.levels,
        text_size=encoder.feature_size,
    )
    settings = config.gpt
    samples = CaptionedTokens(dataset, "train", vqvae, encoder, sizes)
    clips = [clip for clip in dataset.split("train") if clip.captions]
    network, plain, bare = (GPT(sizes).to(device) for _ in range(3))

    def ours(generator: np.random.Generator) -> Tensor:
        batch = samples.draw(settings, generator).to(device)
        logits = foretold(network, batch.inputs, batch.text, batch.targets)
        return token_loss(logits, batch.targets, mean_over=settings.mean_over)[0]

    def loop(gpt: GPT, generator: np.random.Generator, keep_tokens: bool) -> Tensor:
        captions, rows = [], []
        for index in generator.integers(len(clips), size=settings.batch_size):
            clip = clips[index]
            captions.append(clip.captions[generator.integers(len(clip.captions))])
            if keep_tokens:
                tokens = samples.tokens[index][generator.integers(len(samples.tokens[index]))]
            else:
                step = vqvae.config.frames_per_token
                frames = (dataset.features[clip.id] - dataset.mean) / dataset.std
                frames = frames[: min(len(frames) // step, sizes.token_limit) * step]
                tokens = tokenised(vqvae, [frames])[0]
            if generator.integers(3) == 0:
                tokens = tokens[1:] if generator.integers(2) else tokens[:-1]
            rows.append(tokens)
        words = sizes.word_limit or encoder.token_limit
        text = encoder.encode(captions, words, batch_size=32)
        condition = TextCondition(
            torch.from_numpy(text.pooled).to(device),
            torch.from_numpy(text.tokens[:, : sizes.word_limit]).to(device),
            torch.from_numpy(text.mask[:, : sizes.word_limit]).to(device),
        )
        target = torch.full((len(rows), sizes.token_limit + 1, sizes.levels), sizes.pad)
        for i, row in enumerate(rows):
            target[i, : len(row)] = torch.from_numpy(row)
            target[i, len(row), 0] = sizes.end
        target = target.to(device)
        given = target[:, :-1].clamp(max=sizes.codebook_size - 1)
        given[..., 0] = target[:, :-1, 0]
        chance = generator.random() if settings.corruption < 0 else settings.corruption
        keep = torch.bernoulli(torch.full(given.shape[:2], 1.0 - chance, device=device)).bool()
        noise = torch.randint_like(given, sizes.codebook_size)
        hidden = gpt.read(torch.where(keep[..., None], given, noise), condition)
        levels = [gpt.head(hidden)]
        if sizes.levels > 1:
            below = target.clamp(max=sizes.codebook_size - 1)
            levels += gpt.refine(hidden, below).unbind(-2)
        loss, right = torch.zeros((), device=device), 0
        for i, row in enumerate(rows):
            for level, logits in enumerate(levels):
                count = len(row) + (level == 0)
                foretold, wanted = logits[i, :count], target[i, :count, level]
                loss = loss + functional.cross_entropy(foretold, wanted) / len(rows)
                if level == 0:
                    chances = torch.softmax(foretold, dim=-1)
                    drawn = torch.distributions.Categorical(chances).sample()
                    right += int((drawn == wanted).sum())
        return loss

    sides = {
        "stage 2, ours": (network, ours),
        "stage 2, reference": (plain, lambda generator: loop(plain, generator, True)),
        "stage 2, nothing kept": (bare, lambda generator: loop(bare, generator, False)),
    }
    return timed(sides, settings, rounds)


def timed(
    sides: dict[str, tuple[nn.Module, Step]], settings: Optimisation, rounds: int
) -> dict[str, list[float]]:
    """Seconds of each side's steps, taken in turns; the first of each is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    optimisers = {
        name: torch.optim.AdamW(network.parameters(), lr=1e-4, betas=settings.betas)
        for name, (network, _) in sides.items()
    }
    for turn in range(rounds + 1):
        for name, (network, step) in sides.items():
            network.train()
            generator = np.random.default_rng(turn)
            begun = now(network)
            loss = step(generator)
            optimisers[name].zero_grad(set_to_none=True)
            loss.backward()
            optimisers[name].step()
            if turn:
                seconds[name].append(now(network) - begun)
    return seconds


def now(network: nn.Module) -> float:
    """The time when all that was asked of the device is done."""
    if next(network.parameters()).device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def as_markdown(result: dict[str, Any]) -> str:
    """The result as a table: medians, the middle half, and ratios of medians."""
    seconds: dict[str, Sequence[float]] = result["seconds"]
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    lines = [
        "# A training step",
        "",
        f"{result['machine']}, torch {result['torch']}, {result['threads']} threads, load "
        f"{result['load']}; settings '{result['config']}', {result['clips']} clips; "
        f"{result['rounds']} steps of each, in turns.",
        "",
        "| | median, ms | middle half, ms | ours is faster by |",
        "|---|--:|--:|--:|",
    ]
    for name, values in seconds.items():
        low, _, high = statistics.quantiles(values, n=4)
        ratio = medians[name] / medians[f"{name[:7]}, ours"]
        lines.append(
            f"| {name} | {1000 * medians[name]:.0f} | {1000 * low:.0f} to {1000 * high:.0f} "
            f"| {ratio:.2f} |"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
