"""Sphinx configuration: Markdown through MyST, no theme beyond Sphinx's own."""

from __future__ import annotations

project = "catalog"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "alabaster"
myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3
