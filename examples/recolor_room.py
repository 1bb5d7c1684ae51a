"""Repaint a wall from Python in three ways, and print how exactly each meets its colour."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import tratto

PICTURES = Path(__file__).parent / "room"


def main() -> int:
    """Return 0 when every written result verifies and replays bit by bit."""
    room, wall = PICTURES / "room.jpg", PICTURES / "room_wall.png"
    jobs = {
        "seen": {"color": "#4f7d86"},
        "paint": {"color": "#f2f0ea", "match": "paint", "was": "#b9a58c"},
        "dark": {"color": "#1d1d1f"},
    }
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for name, fields in jobs.items():
            result = tratto.recolor(room, mask=wall, **fields)
            scores = result.records[0].scores
            saved = tratto.save(result, Path(folder) / f"{name}.png", source=room)
            word, tier = tratto.verify(saved.output).word, tratto.replay(saved.output).tier
            off = scores["seen_lab_distance"]
            sys.stdout.write(f"{name}: as seen {off:.2f} CIELAB from {fields['color']}, {word}, tier {tier}\n")
            good = good and word == "authentic" and tier == "A"
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
