"""Model cards for people: Markdown from the TOML files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tratto.models.card import ModelCard


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_value(v) for v in value)
    return str(value).replace("|", "\\|").replace("\n", " ")


def _table(title: str, rows: Mapping[str, Any]) -> list[str]:
    if not rows:
        return []
    return ["", f"| {title} | |", "| --- | --- |", *(f"| {k} | {_value(v)} |" for k, v in rows.items())]


def render_card(card: ModelCard) -> str:
    """Return one card as Markdown."""
    use = "yes" if card.commercial_use else "**no**"
    facts = {
        "capability": card.capability,
        "scale": card.scale or "",
        "licence": card.licence,
        "commercial use": use,
        "runs on": card.backend,
        "training data": card.training_data,
        "made by": card.command,
        "paper": card.paper,
        "tile, overlap, multiple": f"{card.tile}, {card.overlap}, {card.multiple}" if card.tile else "",
        "border": "" if card.border is None else str(card.border),
        "value range": card.value_range,
        "used by": card.used_by,
    }
    lines = [f"## {card.id}", "", "| | |", "| --- | --- |"]
    lines += [f"| {k} | {_value(v)} |" for k, v in facts.items() if v not in ("", None)]
    lines += _table("measured quality", card.quality) + _table("measured speed", card.speed)
    if card.limits:
        lines += ["", "Limits:", "", *(f"- {limit}" for limit in card.limits)]
    return "\n".join(lines) + "\n"


def render_cards(cards: list[ModelCard]) -> str:
    """Return all cards as one Markdown page."""
    head = "# Model cards\n\nRendered from `src/tratto/models/cards/*.toml` by `python -m tratto.models.render`.\n\n"
    return head + "\n".join(render_card(c) for c in cards)


if __name__ == "__main__":
    import sys

    from tratto.models.store import all_cards

    sys.stdout.write(render_cards(list(all_cards().values())))
