"""Put a person's face into another picture of herself: candidates, consent, and what says that it is synthetic."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import tratto

PORTRAIT = Path(__file__).parent / "faces" / "astronaut.jpg"


def other_picture() -> np.ndarray:
    """Return her second picture: mirrored, leaning by 10 degrees, in dim and warm light."""
    with Image.open(PORTRAIT) as portrait:
        turned = portrait.transpose(Image.Transpose.FLIP_LEFT_RIGHT).rotate(10, Image.Resampling.BICUBIC)
    light = (np.asarray(turned, np.float32) / 255) ** 1.4 * np.float32([1.0, 0.85, 0.7])
    return np.rint(255 * light).astype(np.uint8)


def main() -> int:
    """Return 0 when the result verifies and is called synthetic."""
    result = tratto.reface(PORTRAIT, character=other_picture(), consent="NASA, who published the portrait", k_global=4)
    step = result.receipt["steps"][0]["params"]
    for tried in step["candidates"]:
        sys.stdout.write(f"{tried['number']:2} {tried['stage']:6} {tried['potential']:.2f} {tried['scores']}\n")
    sys.stdout.write(f"the best: {step['winner']}\n")
    with tempfile.TemporaryDirectory() as folder:
        saved = tratto.save(result, Path(folder) / "portrait.png", source=PORTRAIT)
        verdict = tratto.verify(saved.output)
        told = [reason for reason in verdict.reasons if "synthetic face" in reason]
        sys.stdout.write(f"verify: {verdict.word}; {told[0] if told else 'nothing said'}\n")
        return 0 if verdict.word == "authentic" and told else 1


if __name__ == "__main__":
    raise SystemExit(main())
