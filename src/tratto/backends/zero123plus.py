"""Zero123++: six views of an object in one picture (Shi et al. 2023, "Zero123++"), without code of the folder.

What makes it more than Stable Diffusion is small and stands here: the U-Net looks at the picture of the object first,
made as noisy as the views are, and what its attentions to itself read there is read along with the views (*reference
attention*); CLIP's embedding of the picture is added to that of the empty text, in a ramp; latents and pictures are
scaled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tratto.backends.diffusion import quiet as quiet_diffusion
from tratto.backends.diffusion import read_options
from tratto.backends.transformers import preparation, prepared, quiet
from tratto.core.errors import OptionError, WeightMismatch
from tratto.models.folders import ModelFolder, read_json

Float = NDArray[np.float32]
#: Rows and columns of the views in the picture that is made.
ROWS, COLUMNS = 3, 2


class Bank:
    """What the attentions read in the picture of the object, by their names, until they read it along."""

    def __init__(self) -> None:
        self.writes = False
        self.kept: dict[str, Tensor] = {}


class ReferenceAttention:
    """An attention to itself that reads the picture of the object along."""

    def __init__(self, inner: Any, bank: Bank, name: str) -> None:
        self.inner, self.bank, self.name = inner, bank, name

    def __call__(self, attn: nn.Module, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Attend; hidden states are (N, L, C)."""
        if self.bank.writes:
            self.bank.kept[self.name] = hidden_states
            return self.inner(attn, hidden_states, *args, **kwargs)
        context = torch.cat([hidden_states, self.bank.kept.pop(self.name)], dim=1)
        kwargs.pop("encoder_hidden_states", None)
        return self.inner(attn, hidden_states, context, *args[1:], **kwargs)


@dataclass(eq=False)
class Zero123PlusBackend:
    """The parts of the published pipeline.

    Attributes
    ----------
    folder : ModelFolder
        What it was opened from; named in records and errors.
    unet, vae, text, words, vision, scheduler
        Parts of diffusers and transformers.
    ramp : (L,) tensor
        How much of the picture's embedding each place of the text's gets.
    bank : Bank
        Keeps what attention saw of the picture, for the views to look at.
    """

    folder: ModelFolder
    unet: Any
    vae: Any
    text: Any
    words: Any
    vision: Any
    scheduler: Any
    ramp: Tensor
    bank: Bank
    device: str = "cpu"

    @classmethod
    def load(cls, folder: ModelFolder, device: str = "cpu") -> Zero123PlusBackend:
        """Open a folder in the published layout.

        Raises
        ------
        OptionError, WeightMismatch
            If it is none, or broken.
        """
        from diffusers import AutoencoderKL, EulerAncestralDiscreteScheduler, UNet2DConditionModel
        from diffusers.models.attention_processor import AttnProcessor2_0
        from transformers import CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

        index = read_json(folder.path / "model_index.json", "a pipeline has one")
        ramp = index.get("ramping_coefficients")
        if not isinstance(ramp, list) or not all(isinstance(v, int | float) for v in ramp) or not ramp:
            raise OptionError(f"{folder.path} is no Zero123++: its model_index.json has no ramping_coefficients")
        local = read_options(folder)
        path = folder.path
        with quiet_diffusion(), quiet(path, "a Zero123++ pipeline"):
            unet = UNet2DConditionModel.from_pretrained(path / "unet", **local)
            vae = AutoencoderKL.from_pretrained(path / "vae", **local)
            text = CLIPTextModel.from_pretrained(path / "text_encoder", **local)
            vision = CLIPVisionModelWithProjection.from_pretrained(path / "vision_encoder", **local)
            words = CLIPTokenizer.from_pretrained(path / "tokenizer", local_files_only=True)
            scheduler = EulerAncestralDiscreteScheduler.from_pretrained(
                path / "scheduler", local_files_only=True, timestep_spacing="trailing"
            )
            if vision.config.projection_dim != text.config.hidden_size or len(ramp) != words.model_max_length:
                raise WeightMismatch(f"{path}: text and picture encoder do not fit each other")
        for module in (unet, vae, text, vision):
            module.float().eval().to(device)
        bank = Bank()
        plain = AttnProcessor2_0()
        processors = {
            name: ReferenceAttention(plain, bank, name) if name.endswith("attn1.processor") else plain
            for name in unet.attn_processors
        }
        unet.set_attn_processor(processors)
        ramps = torch.tensor(ramp, dtype=torch.float32)
        return cls(folder, unet, vae, text, words, vision, scheduler, ramps, bank, device)

    @property
    def side(self) -> int:
        """Side of a view in pixels: 320 with the published weights."""
        return int(preparation(self.folder.path / "feature_extractor_vae")["high"])

    @property
    def factor(self) -> int:
        """Pixels of a latent's side."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    def run(
        self, picture: Float, seed: int, steps: int = 28, guidance: float = 4.0,
        progress: Callable[[int, int], None] | None = None,
    ) -> Float:  # fmt: skip
        """Return six views of an object, (6, H, W, 3) in [0, 1], on grey.

        Parameters
        ----------
        picture : (H, H, 3) float32 in [0, 1]
            The object on grey, square.
        seed : int
            Noise is drawn on the CPU.
        steps : int
            Of the sampler.
        guidance : float
            1 = none.
        progress : callable or None
            ``progress(done, total)``; raising stops.
        """
        noise = torch.Generator("cpu").manual_seed(seed)

        def drawn(like: Any) -> Tensor:
            return torch.randn(tuple(like), generator=noise).to(self.device)

        with torch.inference_mode(), quiet_diffusion():
            own = self._latents(picture, drawn)
            seen = preparation(self.folder.path / "feature_extractor_clip")
            embedding = self.vision(pixel_values=torch.from_numpy(prepared(picture, seen)).to(self.device)).image_embeds
            ids = self.words(
                "", padding="max_length", max_length=self.words.model_max_length, return_tensors="pt"
            ).input_ids
            empty = self.text(ids.to(self.device))[0]  # (1, L, D)
            context = empty + embedding[:, None] * self.ramp.to(self.device)[None, :, None]
            if guidance > 1:
                own = torch.cat([self._latents(np.full_like(picture, 0.5), drawn), own])
                context = torch.cat([empty, context])
            self.scheduler.set_timesteps(steps)
            times = self.scheduler.timesteps
            views = drawn((1, 4, ROWS * self.side // self.factor, COLUMNS * self.side // self.factor))
            views = views * self.scheduler.init_noise_sigma
            for i, t in enumerate(times):
                if progress is not None:
                    progress(i, len(times))
                asked = self.scheduler.scale_model_input(views, t)
                noisy = self.scheduler.add_noise(own, drawn(own.shape), t.reshape(1).repeat(len(own)))
                self._look(self.scheduler.scale_model_input(noisy, t), t, context)
                guessed = self.unet(asked.repeat(len(own), 1, 1, 1), t, encoder_hidden_states=context).sample
                if guidance > 1:
                    without, with_ = guessed.chunk(2)
                    guessed = without + guidance * (with_ - without)
                views = self.scheduler.step(guessed, t, views, generator=noise).prev_sample
            made = self.vae.decode((views / 0.75 + 0.22) / self.vae.config.scaling_factor).sample
        if progress is not None:
            progress(len(times), len(times))
        whole = (made[0].float().cpu().numpy().transpose(1, 2, 0) / 0.5 * 0.8) / 2 + 0.5
        if not np.isfinite(whole).all():
            raise WeightMismatch(f"{self.folder.name}: the model returned what is no number")
        side = self.side
        cells = whole.clip(0, 1).reshape(ROWS, side, COLUMNS, side, 3).transpose(0, 2, 1, 3, 4)
        return np.ascontiguousarray(cells.reshape(-1, side, side, 3), np.float32)

    def _look(self, noisy: Tensor, t: Tensor, context: Tensor) -> None:
        """Have the U-Net look at the picture of the object, and keep what its attentions read."""
        self.bank.kept.clear()
        self.bank.writes = True
        try:
            self.unet(noisy, t, encoder_hidden_states=context)
        finally:
            self.bank.writes = False

    def _latents(self, picture: Float, drawn: Callable[[Any], Tensor]) -> Tensor:
        """Return the latents of a picture; not scaled, as the network was trained."""
        shown = prepared(picture, preparation(self.folder.path / "feature_extractor_vae"))
        found = self.vae.encode(torch.from_numpy(shown).to(self.device)).latent_dist
        return found.mean + found.std * drawn(found.mean.shape)
