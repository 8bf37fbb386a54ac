# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources of motion and captions, and the one door `prepare` through which they become a dataset."""
