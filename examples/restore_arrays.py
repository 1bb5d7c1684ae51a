"""Restore a picture from Python, look at what was done, write it, check it, undo it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import tratto

PICTURE = Path(__file__).parent / "pictures" / "cat.jpg"


def main() -> int:
    """Return 0 when the written result verifies and the original comes back byte for byte."""
    seen = tratto.inspect(PICTURE)
    sys.stdout.write(f"JPEG quality {seen.jpeg_quality.value:.0f} ({seen.jpeg_quality.basis})\n")
    result = tratto.restore(PICTURE, strength=0.9)
    sys.stdout.write(f"{100 * float((result.edit_map > 0).mean()):.1f} % of the pixels changed\n")
    with tempfile.TemporaryDirectory() as folder:
        saved = tratto.save(result, Path(folder) / "cat.png", source=PICTURE)
        verdict = tratto.verify(saved.output)
        sys.stdout.write(f"verify: {verdict.word}\n")
        back = tratto.revert(saved.bundle, Path(folder) / "back.jpg")
        same = back.read_bytes() == PICTURE.read_bytes()
        sys.stdout.write(f"original back, byte for byte: {same}\n")
        return 0 if same and verdict.word == "authentic" else 1


if __name__ == "__main__":
    raise SystemExit(main())
