"""Figures of the page of a comparison, and figures as SVG inside a page."""
