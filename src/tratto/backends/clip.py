"""CLIP, as it is published, run by transformers from a folder on this machine: how alike things are in meaning.

Nothing here asks the network for anything, no code from a folder is run, and weights are safetensors; pickles are
refused where the folder is found (:mod:`tratto.models.folders`).

* Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.backends.transformers import library, load_network, missing_transformers, preparation, prepared, quiet
from tratto.core.errors import OptionError
from tratto.models.folders import ModelFolder, find_folder

Float = NDArray[np.float32]

#: Model types of ``config.json`` that are CLIP.
CLIP_TYPES = ("clip",)
#: Pictures that go through the network at once.
BATCH = 16


def open_clip(folder: Path | str) -> ClipNetwork:
    """Open a CLIP network.

    Parameters
    ----------
    folder : path or str
        A folder in the layout its authors publish: ``config.json``, ``model.safetensors``,
        ``preprocessor_config.json`` and, for words, the tokenizer's files.

    Raises
    ------
    MissingExtra, MissingWeights, OptionError, UnsupportedFormat, WeightMismatch
    """
    missing = missing_transformers("scoring by CLIP")
    if missing is not None:
        raise missing
    return ClipNetwork(find_folder(str(folder), "part"))


class ClipNetwork:
    """A CLIP network of transformers; an :class:`~tratto.provenance.unsupported.Embedder`.

    Parameters
    ----------
    folder : ModelFolder
        A verified folder with ``config.json``, ``preprocessor_config.json`` and the weights of a CLIP network.

    Raises
    ------
    OptionError
        If the folder holds another kind of network.
    WeightMismatch
        If it cannot be opened, or its weights do not fill it.
    """

    def __init__(self, folder: ModelFolder) -> None:
        self._network = load_network(folder, "CLIPModel", CLIP_TYPES, "a CLIP network")
        import torch

        self.folder, self._torch = folder, torch
        self._preparation = preparation(folder.path)

    @property
    def name(self) -> str:
        """What a statement about a score names: folder, hash and libraries."""
        return f"{self.folder.reference}, {library()}"

    def embed(self, pictures: Sequence[Float]) -> Float:
        """Return the meaning of pictures.

        Parameters
        ----------
        pictures : sequence of (H, W, 3) float32 in [0, 1]
            Encoded sRGB, of any size; each is resized and cropped as the folder says.

        Returns
        -------
        (N, D) float32
            Rows of length 1.
        """
        out = []
        for start in range(0, len(pictures), BATCH):
            batch = np.concatenate([prepared(p, self._preparation) for p in pictures[start : start + BATCH]])
            with self._torch.inference_mode(), quiet(self.folder.path, "a CLIP network"):
                seen = self._network.vision_model(pixel_values=self._torch.from_numpy(batch)).pooler_output
                out.append(self._network.visual_projection(seen).float().numpy())
        return _of_length_one(np.concatenate(out))

    def embed_words(self, words: str) -> Float:
        """Return the meaning of words, (D,) float32 of length 1.

        Raises
        ------
        OptionError
            If the folder holds no tokenizer. (The library would make an empty one up and say nothing.)
        """
        path = self.folder.path
        whole, parts = path / "tokenizer.json", (path / "vocab.json", path / "merges.txt")
        if not whole.is_file() and not all(p.is_file() for p in parts):
            raise OptionError(f"{path} holds no tokenizer: expected tokenizer.json, or vocab.json and merges.txt")
        from transformers import AutoTokenizer

        with self._torch.inference_mode(), quiet(self.folder.path, "a tokenizer of CLIP"):
            tokenizer = AutoTokenizer.from_pretrained(self.folder.path, local_files_only=True, trust_remote_code=False)
            most = int(self._network.config.text_config.max_position_embeddings)
            tokens = tokenizer([words], return_tensors="pt", truncation=True, max_length=most)
            seen = self._network.text_model(
                input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
            ).pooler_output
            return np.asarray(_of_length_one(self._network.text_projection(seen).float().numpy())[0])


def _of_length_one(rows: NDArray[Any]) -> Float:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, 1e-12), np.float32)
