# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources of motion and captions, and `prepare`, the one door to a dataset."""
