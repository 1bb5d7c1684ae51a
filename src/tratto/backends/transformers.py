"""Networks that look at pictures, as they are published, run by transformers from folders on this machine.

Depth (DPT, which MiDaS 3 is; Depth Anything; ZoeDepth) and captions (LLaVA, of which JoyCaption is one). Nothing here
asks the network for anything, no code from a folder is run, and weights are safetensors; pickles are refused where the
folder is found (:mod:`tratto.models.folders`). Pictures are prepared here as the folder's ``preprocessor_config.json``
states, so that no further library is needed.

* Ranftl et al. 2021, "Vision Transformers for Dense Prediction".
* Yang et al. 2024, "Depth Anything V2".
* Bhat et al. 2023, "ZoeDepth: Zero-shot Transfer by Combining Relative and Metric Depth".
* Liu et al. 2023, "Visual Instruction Tuning".
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import MissingExtra, OptionError, UnavailableError, WeightMismatch
from tratto.models.folders import ModelFolder, read_json

Float = NDArray[np.float32]

NEEDS = ("torch", "transformers", "safetensors")
#: Model types of ``config.json`` that estimate depth, and those that see and speak.
DEPTH_TYPES = ("dpt", "depth_anything", "zoedepth")
SPEAKING_TYPES = ("llava",)
#: Longest caption, in tokens.
MOST_TOKENS = 300
# of pictures with no statement of their own; sides beyond this are a mistake in a folder
_LARGEST = 2048


def missing_transformers(what: str) -> MissingExtra | None:
    """Return why these networks cannot be run here, or None. Imports nothing heavy."""
    if any(importlib.util.find_spec(name) is None for name in NEEDS):
        return MissingExtra(what, "diffusion")
    return None


def model_type(folder: Path) -> str:
    """Return what kind of network a folder holds, from its ``config.json``."""
    return str(
        read_json(folder / "config.json", "a folder in the published layout has a config.json").get("model_type")
    )


@contextlib.contextmanager
def quiet(path: Path, what: str) -> Iterator[None]:
    """Turn what the libraries raise about a broken folder into one of our errors, and keep them quiet."""
    import transformers

    log = transformers.utils.logging
    before, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    except (OptionError, UnavailableError):
        raise
    except Exception as e:  # safetensors, tokenizers and torch have errors of their own without a common base
        raise WeightMismatch(f"{path} cannot be used as {what}: {' '.join(str(e).split())[:300]}") from e
    finally:
        log.set_verbosity(before)
        if bars:
            log.enable_progress_bar()


def _check_complete(info: Mapping[str, Any], path: Path) -> None:
    """Refuse weights that do not fill the network: what is missing would be drawn at random."""
    lost = sorted(info.get("missing_keys") or ())
    wrong = sorted(str(k) for k in info.get("mismatched_keys") or ())
    if lost or wrong:
        raise WeightMismatch(f"the weights in {path} do not fill the network: {', '.join((lost + wrong)[:3])} ...")


def load_network(folder: ModelFolder, name: str, kinds: Sequence[str], what: str, dtype: Any = None) -> Any:
    """Return a network of transformers, ready to answer.

    Parameters
    ----------
    folder : ModelFolder
        Verified, with ``config.json`` and the weights.
    name : str
        Of the class.
    kinds : sequence of str
        Model types of ``config.json`` that it takes.
    what : str
        For errors: "a depth network".
    dtype : Any
        None: float32.

    Raises
    ------
    OptionError
        If the folder holds another kind of network.
    WeightMismatch
        If it cannot be opened, or its weights do not fill it.
    """
    kind = model_type(folder.path)
    if kind not in kinds:
        raise OptionError(f"{folder.path} holds a network of type {kind}; expected {' or '.join(kinds)}")
    import torch
    import transformers

    with quiet(folder.path, what):
        network, info = getattr(transformers, name).from_pretrained(
            folder.path,
            local_files_only=True,
            use_safetensors=True,
            dtype=dtype or torch.float32,
            output_loading_info=True,
        )
        _check_complete(info, folder.path)
    return network.eval()


def library() -> str:
    """Return names and versions of what runs these networks."""
    import torch
    import transformers

    return f"transformers {transformers.__version__}, torch {torch.__version__}"


class DepthNetwork:
    """A depth network of transformers.

    Parameters
    ----------
    folder : ModelFolder
        Verified, with ``config.json``, ``preprocessor_config.json`` and the weights.

    Raises
    ------
    OptionError
        If the folder holds another kind of network.
    WeightMismatch
        If it cannot be opened.
    """

    def __init__(self, folder: ModelFolder) -> None:
        self._network = load_network(folder, "AutoModelForDepthEstimation", DEPTH_TYPES, "a depth network")
        import torch

        self.folder, self._torch = folder, torch
        self._preparation = preparation(folder.path)
        config = self._network.config
        self.metric = config.model_type == "zoedepth" or getattr(config, "depth_estimation_type", "") == "metric"
        self._widened = bool(read_json(folder.path / "preprocessor_config.json", "").get("do_pad", False))

    def estimate(self, picture: Float) -> Float:
        """Return what the network says of a picture, (H, W) float32 at the picture's size.

        Inverse depth without unit (nearer is larger); metres where :attr:`metric`.
        """
        import cv2

        height, width = picture.shape[:2]
        # ZoeDepth errs at the rim, so its pictures are mirrored there first, by as much as its authors do
        rim, side = (int((v / 2) ** 0.5 * 3) if self._widened else 0 for v in (height, width))
        rim, side = min(rim, height - 1), min(side, width - 1)
        seen = np.pad(picture, ((rim, rim), (side, side), (0, 0)), "reflect") if rim or side else picture
        pixels = prepared(seen, self._preparation)
        with self._torch.inference_mode(), quiet(self.folder.path, "a depth network"):
            out = self._network(pixel_values=self._torch.from_numpy(pixels)).predicted_depth
        values = np.asarray(out.float().numpy()).reshape(out.shape[-2:])
        whole = cv2.resize(values, (seen.shape[1], seen.shape[0]), interpolation=cv2.INTER_CUBIC)
        return np.ascontiguousarray(whole[rim : rim + height, side : side + width], np.float32)


class SpeakingNetwork:
    """A LLaVA network of transformers: sees one picture and answers in words.

    Greedy decoding: equal pictures and questions give equal answers on one machine.
    """

    def __init__(self, folder: ModelFolder) -> None:
        what = "a network that sees and speaks"
        self._network = load_network(folder, "LlavaForConditionalGeneration", SPEAKING_TYPES, what, "auto")
        import torch
        from transformers import AutoTokenizer

        self.folder, self._torch = folder, torch
        self._preparation = preparation(folder.path)
        with quiet(folder.path, what):
            self._tokenizer = AutoTokenizer.from_pretrained(folder.path, local_files_only=True)

    @property
    def precision(self) -> str:
        """What the arithmetic is done in."""
        return {"torch.bfloat16": "bf16", "torch.float16": "fp16"}.get(str(self._network.dtype), "fp32")

    def ask(self, picture: Float, question: str, system: str = "") -> str:
        """Return the answer to a question about a picture.

        Parameters
        ----------
        picture : (H, W, 3) float32 in [0, 1]
            Encoded sRGB, of any size.
        question : str
            In the language that the network speaks; it is asked as it stands.
        system : str
            What the network is told about itself before, if its chat template has a place for that.
        """
        torch, config = self._torch, self._network.config
        token = int(getattr(config, "image_token_index", None) or config.image_token_id)
        pixels = prepared(picture, self._preparation)
        with torch.inference_mode(), quiet(self.folder.path, "a network that sees and speaks"):
            mark = self._tokenizer.convert_ids_to_tokens(token)
            ids = self._tokenizer(self._prompt(question, system, mark), add_special_tokens=False)["input_ids"]
            start = [] if self._tokenizer.bos_token_id in (None, *ids[:1]) else [self._tokenizer.bos_token_id]
            count = _image_tokens(config)
            full = [j for i in [*start, *ids] for j in ([token] * count if i == token else [i])]
            entry = torch.tensor([full])
            out = self._network.generate(
                input_ids=entry,
                attention_mask=torch.ones_like(entry),
                pixel_values=torch.from_numpy(pixels).to(self._network.dtype),
                max_new_tokens=MOST_TOKENS,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                pad_token_id=self._tokenizer.pad_token_id or self._tokenizer.eos_token_id,
            )
            said = self._tokenizer.decode(out[0, len(full) :], skip_special_tokens=True)
        return " ".join(said.split())

    def _prompt(self, question: str, system: str, mark: str) -> str:
        """Return the text of the conversation, with the picture's mark in it exactly once."""
        plain = f"USER: {mark}\n{question} ASSISTANT:"
        if not self._tokenizer.chat_template:
            return plain
        talk = [{"role": "system", "content": system}] if system else []
        made = ""
        for content in (question, f"{mark}\n{question}"):  # some templates place the mark themselves
            turns = [*talk, {"role": "user", "content": content}]
            made = str(self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
            if made.count(mark) == 1:
                return made
        raise OptionError(f"the chat template in {self.folder.path} does not place one picture")


def _image_tokens(config: Any) -> int:
    """Return how many places a picture takes: the patches, and the class token where the network keeps it."""
    vision = config.vision_config
    patches = (int(vision.image_size) // int(vision.patch_size)) ** 2
    has_class = vision.model_type == "clip_vision_model"
    first_dropped = config.vision_feature_select_strategy == "default"
    return patches + int(has_class) - int(first_dropped)


def preparation(
    folder: Path, mean: Sequence[float] = (0.5,) * 3, deviation: Sequence[float] = (0.5,) * 3
) -> dict[str, Any]:
    """Return how a folder wants its pictures: size, multiple, mean, deviation.

    Parameters
    ----------
    folder : Path
        Holds ``preprocessor_config.json``.
    mean, deviation : three floats
        What holds where the folder does not say.

    Raises
    ------
    OptionError
        If ``preprocessor_config.json`` is missing or makes no sense.
    """
    path = folder / "preprocessor_config.json"
    given = read_json(path, "it says how a picture is prepared for the network")
    size = given.get("size", 384)
    if isinstance(size, Mapping):
        high = size.get("height", size.get("shortest_edge", 384))
        wide = size.get("width", high)
    else:
        high = wide = size
    mean, deviation = given.get("image_mean", mean), given.get("image_std", deviation)
    multiple = given.get("ensure_multiple_of", 1)
    numbers = [high, wide, multiple, *mean, *deviation]
    ok = len(mean) == len(deviation) == 3 and all(isinstance(v, int | float) and v == v for v in numbers)
    if not ok or not (1 <= high <= _LARGEST and 1 <= wide <= _LARGEST and multiple >= 1 and min(deviation) > 0):
        raise OptionError(f"{path} makes no sense: size {size!r}, mean {mean!r}, deviation {deviation!r}")
    return {
        "high": int(high),
        "wide": int(wide),
        "multiple": int(multiple),
        "keep": bool(given.get("keep_aspect_ratio", False)),
        "mean": np.asarray(mean, np.float32),
        "deviation": np.asarray(deviation, np.float32),
    }


def prepared(picture: Float, how: Mapping[str, Any]) -> Float:
    """Return a picture as a network wants it, (1, 3, h, w) float32.

    Parameters
    ----------
    picture : (H, W, 3) float32 in [0, 1]
        Encoded sRGB, of any size.
    how : mapping
        From :func:`preparation`. With ``keep`` the sides keep their ratio: the one that has to change less is fitted.
    """
    import cv2

    high, wide, multiple = int(how["high"]), int(how["wide"]), int(how["multiple"])
    if how["keep"]:
        scales = (high / picture.shape[0], wide / picture.shape[1])
        scale = min(scales, key=lambda s: abs(1 - s))
        high, wide = round(picture.shape[0] * scale), round(picture.shape[1] * scale)
    high, wide = (max(multiple, round(v / multiple) * multiple) for v in (high, wide))
    smaller = high * wide < picture.shape[0] * picture.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    small = np.clip(cv2.resize(np.ascontiguousarray(picture), (wide, high), interpolation=method), 0, 1)
    normal = (small - how["mean"]) / how["deviation"]
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None], np.float32)
