"""What a user should know about those who did a step, in words."""

from __future__ import annotations

from tratto.core.capability import ProviderInfo


def provider_notes(info: ProviderInfo, fast: bool = False) -> tuple[str, ...]:
    """Return what a user should know about a provider: invented detail, stand-ins, licences, a speed it does not have.

    Parameters
    ----------
    info : ProviderInfo
        Of the opened provider.
    fast : bool
        Whether lower precision was allowed.
    """
    notes = []
    if info.generative:
        notes.append(
            f"{info.provider} invents detail: what it adds was never in the picture. Not for examination or evidence"
        )
    if info.stand_in:
        notes.append(f"{info.provider} is a stand-in: {info.stand_in}")
    notes.extend(
        f"the weights of {m.id} are licensed {m.licence}: no commercial use"
        for m in info.models
        if not m.commercial_use
    )
    if fast and info.precision != "bf16":
        notes.append(
            f"fast changed nothing: {info.provider} computes in {info.precision} only; "
            "the provider tratto-openvino has bf16"
        )
    return tuple(notes)
