"""Tracebacks and documentation show a public name where it is imported from, not where it is defined."""

from __future__ import annotations


def show_public_path(module: str, *names: object) -> None:
    """Say of each class and function that it lives in ``module``; other values have no place to say so."""
    for name in names:
        if getattr(name, "__module__", "").startswith("trio_jobs."):
            name.__module__ = module
