# SPDX-License-Identifier: GPL-3.0-or-later
"""Published results on the test splits of HumanML3D and KIT-ML, to stand beside our own.

They were measured with the published evaluator and compare with nothing that another one measured.
From T2M-GPT (Zhang et al., CVPR 2023, tables 1 and 2) and the papers of the other models.
"""

from __future__ import annotations

from .ladder import DIVERSITY, FID, MM_DIST, MODALITY, R_PRECISION

_COLUMNS = (*R_PRECISION, FID, MM_DIST, DIVERSITY, MODALITY)

PAPER_ROWS: dict[str, dict[str, tuple[float | None, ...]]] = {
    "humanml3d": {
        "real motion": (0.511, 0.703, 0.797, 0.002, 2.974, 9.503, None),
        "T2M-GPT, VQ-VAE": (0.501, 0.692, 0.785, 0.070, 3.072, 9.593, None),
        "T2M-GPT, tau = 0": (0.417, 0.589, 0.685, 0.140, 3.730, 9.844, 3.285),
        "T2M-GPT, tau = 0.5": (0.491, 0.680, 0.775, 0.116, 3.118, 9.761, 1.856),
        "T2M-GPT, tau ~ U[0, 1]": (0.492, 0.679, 0.775, 0.141, 3.121, 9.722, 1.831),
        "MDM (as its authors corrected it)": (0.418, 0.604, 0.707, 0.489, 3.63, 9.45, 2.87),
        "MotionDiffuse": (0.491, 0.681, 0.782, 0.630, 3.113, 9.410, 1.553),
        "MoMask": (0.521, 0.713, 0.807, 0.045, 2.958, 9.620, 1.241),
    },
    "kit": {
        "real motion": (0.424, 0.649, 0.779, 0.031, 2.788, 11.08, None),
        "T2M-GPT, VQ-VAE": (None, None, None, 0.472, None, None, None),
        "T2M-GPT, tau = 0.5": (0.402, 0.619, 0.737, 0.717, 3.053, 10.86, 1.912),
        "T2M-GPT, tau ~ U[0, 1]": (None, None, 0.745, 0.514, None, 10.921, 1.570),
    },
}


def paper_rows(dataset: str) -> dict[str, dict[str, float]]:
    """Label -> figures, of the papers on this dataset; empty where it is not one of theirs."""
    return {
        label: {name: value for name, value in zip(_COLUMNS, row, strict=True) if value is not None}
        for label, row in PAPER_ROWS.get(dataset, {}).items()
    }
