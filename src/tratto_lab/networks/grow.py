"""A trained U-Net as the beginning of a larger one that computes the same function.

Growing a network without changing what it computes is Net2Net's idea (Chen et al. 2016, arXiv 1511.05641): nothing that
was learned is lost, and what is new begins to learn from where the old network stopped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from tratto.core.errors import OptionError
from tratto_lab.networks.restorer import ResidualBlock, RestorerUNet


def grow(weights: Mapping[str, Tensor], network: RestorerUNet) -> list[str]:
    """Give a network the weights of a smaller one, so that it returns the same picture.

    Blocks that a level has more of begin as the identity. Where the network has one level more, the old bottleneck is
    split over the encoder and the decoder of what was the coarsest level, and what comes back from the new one begins
    at zero.

    Parameters
    ----------
    weights : mapping of str to Tensor
        State of a :class:`RestorerUNet` with the same entry and the same widths at the levels it has.
    network : RestorerUNet
        Is changed.

    Returns
    -------
    list of str
        The parameters that had no model in `weights`, by name.

    Raises
    ------
    OptionError
        If the network has fewer levels or blocks, or other widths.

    Examples
    --------
    >>> from tratto_lab.networks.restorer import UNetConfig
    >>> small = RestorerUNet(UNetConfig(widths=(8, 16), encoder=(1,), bottleneck=2, decoder=(1,)))
    >>> large = RestorerUNet(UNetConfig(widths=(8, 16, 24), encoder=(2, 1), bottleneck=1, decoder=(2, 1)))
    >>> new = grow(small.state_dict(), large)
    >>> "ups.0.weight" in new, len(new) < len(large.state_dict())
    (False, True)
    """
    levels = len({m[1] for k in weights if (m := re.match(r"downs\.(\d+)\.", k))})
    extra = len(network.config.widths) - 1 - levels
    if extra not in (0, 1):
        raise OptionError(f"a U-Net of {levels + 1} levels can grow by no or one level; {extra} more were asked for")
    named: dict[str, Tensor] = {k: v for k, v in weights.items() if not k.startswith("bottleneck.")}
    deep = {k[len("bottleneck.") :]: v for k, v in weights.items() if k.startswith("bottleneck.")}
    if extra:
        half = (1 + max((int(k.partition(".")[0]) for k in deep), default=-1) + 1) // 2
        for key, value in deep.items():
            number, _, rest = key.partition(".")
            side, at = ("encoders", int(number)) if int(number) < half else ("decoders", int(number) - half)
            named[f"{side}.{levels}.{at}.{rest}"] = value
    else:
        named |= {f"bottleneck.{k}": v for k, v in deep.items()}
    state = network.state_dict()
    for key, value in named.items():
        if key not in state or state[key].shape != value.shape:
            have = tuple(state[key].shape) if key in state else "nothing"
            raise OptionError(f"the larger network has {have} where the smaller has {key} {tuple(value.shape)}")
    network.load_state_dict(named, strict=False)
    fresh = sorted(set(state) - set(named))
    with torch.no_grad():
        for name, block in network.named_modules():
            # of a new level nothing comes back at first, whatever its blocks do
            behind = bool(extra) and name.startswith("bottleneck.")
            if isinstance(block, ResidualBlock) and f"{name}.first.weight" in fresh and not behind:
                block.second.weight.zero_()
        if extra:
            up = network.ups[levels]
            up.weight.zero_()  # type: ignore[operator]
            up.bias.zero_()  # type: ignore[operator]
    return fresh
