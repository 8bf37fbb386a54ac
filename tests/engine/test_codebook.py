# SPDX-License-Identifier: GPL-3.0-or-later
"""The paper's four ways for codes to learn, each by hand on three rows and two codes."""

from __future__ import annotations

import pytest
import torch

from t2m_blender.engine.codebook import Codebook, make_codebook

ROWS = [1.0, 2.0, 3.0]  # all nearer to the code 0 than to the code 10


def stepped(quantiser: str, *, training: bool = True) -> tuple[Codebook, torch.Tensor, float]:
    """A codebook of 0 and 10 after one batch: itself, the commitment loss and the perplexity."""
    book = make_codebook(quantiser, 2, 1, 0.5).train(training)
    with torch.no_grad():
        book.codes.copy_(torch.tensor([[0.0], [10.0]]))
        if quantiser.startswith("ema"):
            book.code_sums.copy_(book.codes)
        book.begun.fill_(True)
    encoded = torch.tensor(ROWS, requires_grad=True).view(1, 1, 3)
    chosen, commitment, perplexity = book(encoded)
    assert chosen.flatten().tolist() == [0.0, 0.0, 0.0]  # as they were when they were chosen
    return book, commitment, float(perplexity.detach())


@pytest.mark.parametrize(("quantiser", "unused"), [("ema_reset", 2.0), ("ema", 10.0)])
def test_codes_by_moving_averages(quantiser: str, unused: float) -> None:
    """Half of what was and half of this batch: (0 + 6) / 2 over (1 + 3) / 2 for the used one.

    The other's count falls to 0.5, under 1: it goes to the batch's second row, or stays.
    """
    book, commitment, perplexity = stepped(quantiser)
    assert book.code_counts.tolist() == [2.0, 0.5]
    assert book.code_sums.flatten().tolist() == [3.0, 5.0]
    assert book.codes.flatten().tolist() == [1.5, unused]
    assert abs(float(commitment.detach()) - 14 / 3) < 1e-6
    assert abs(perplexity - 1.0) < 1e-5
    assert not list(book.parameters())


@pytest.mark.parametrize(("quantiser", "unused"), [("reset", 2.0), ("plain", 10.0)])
def test_codes_by_gradient(quantiser: str, unused: float) -> None:
    """Both sides of the distance count 14 / 3; the used code is drawn by 2 (0 - 1 - 2 - 3) / 3."""
    book, commitment, _ = stepped(quantiser)
    assert book.codes.flatten().tolist() == [0.0, unused]
    assert abs(float(commitment.detach()) - 28 / 3) < 1e-6
    commitment.backward()
    assert isinstance(book.codes, torch.nn.Parameter)
    assert book.codes.grad is not None
    assert torch.allclose(book.codes.grad.flatten(), torch.tensor([-4.0, 0.0]))


@pytest.mark.parametrize("quantiser", ["ema_reset", "ema", "reset", "plain"])
def test_validation_moves_nothing(quantiser: str) -> None:
    book, _, _ = stepped(quantiser, training=False)
    assert book.codes.flatten().tolist() == [0.0, 10.0]


@pytest.mark.parametrize("quantiser", ["ema_reset", "ema", "reset", "plain"])
def test_the_first_batch_supplies_the_codes(quantiser: str) -> None:
    book = make_codebook(quantiser, 2, 1, 0.5).train()
    book(torch.tensor(ROWS).view(1, 1, 3))
    # codes 1 and 2 were chosen by 1 and by 2, 3: averages move, with both counts at 1 or more
    expected = [1.0, (2.0 + 5.0) / 3.0] if quantiser.startswith("ema") else [1.0, 2.0]
    assert torch.allclose(book.codes.detach().flatten(), torch.tensor(expected))
    few = make_codebook(quantiser, 8, 1, 0.5).train()
    few(torch.tensor(ROWS).view(1, 1, 3))
    # three rows, repeated with a little noise; each chosen code moves by less than the noise
    distance = (few.codes.detach() - torch.tensor(ROWS)).abs().amin(dim=1)
    assert float(distance.max()) < 0.1
    assert len(few.codes.detach().unique()) == 8


@pytest.mark.parametrize("quantiser", ["ema_reset", "ema", "reset", "plain"])
def test_16_bits_around_it_do_not_reach_the_codes(quantiser: str) -> None:
    """1000.5 and 1001.5 are one number in bfloat16."""
    book = make_codebook(quantiser, 2, 1, 0.99).train()
    with torch.no_grad():
        book.codes.copy_(torch.tensor([[1000.5], [1001.5]]))
        book.begun.fill_(True)
    with torch.autocast("cpu", torch.bfloat16):
        assert book.eval()(torch.tensor([[[1001.4, 1000.6]]]))[0].flatten().tolist() == [
            1001.5,
            1000.5,
        ]
