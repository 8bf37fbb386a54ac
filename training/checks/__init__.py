# SPDX-License-Identifier: GPL-3.0-or-later
"""Physical prompt checks: does a motion do what was asked, as far as joints can tell."""
