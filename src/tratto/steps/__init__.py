"""The verbs that tasks are made of, and the lazy table that finds them by name."""

from __future__ import annotations

from importlib import import_module

from tratto.core.errors import ReceiptError

_STEPS = {
    "deblur": ("tratto.steps.deblur", "Deblur"),
    "denoise": ("tratto.steps.denoise", "Denoise"),
    "describe": ("tratto.steps.describe", "Describe"),
    "diffuse": ("tratto.steps.diffuse", "Diffuse"),
    "enhance": ("tratto.steps.enhance", "Enhance"),
    "inpaint": ("tratto.steps.inpaint", "Inpaint"),
    "lift-photo": ("tratto.steps.lift_photo", "LiftPhoto"),
    "lift-views": ("tratto.steps.lift_views", "LiftViews"),
    "reconstruct": ("tratto.steps.reconstruct", "Reconstruct"),
    "reface": ("tratto.steps.reface", "Reface"),
    "repaint": ("tratto.steps.repaint", "Repaint"),
    "upscale": ("tratto.steps.upscale", "Upscale"),
}


def step_names() -> tuple[str, ...]:
    """Return the names of all steps."""
    return tuple(_STEPS)


def step_class(name: str) -> type:
    """Return the class of a step.

    Raises
    ------
    ReceiptError
        If no step has this name.
    """
    if name not in _STEPS:
        raise ReceiptError(f"no step is called {name!r}; this version knows {', '.join(_STEPS)}")
    module, cls = _STEPS[name]
    return getattr(import_module(module), cls)  # type: ignore[no-any-return]
