"""A light check of ICC profiles (ICC.1:2022, header); the profile itself is opaque and is never changed."""

from __future__ import annotations

from tratto.core.image import ColorMode

_SPACES = {
    ColorMode.GRAY: (b"GRAY",),
    ColorMode.RGB: (b"RGB ",),
    ColorMode.CMYK: (b"CMYK",),
    ColorMode.PALETTE: (b"RGB ",),
}


def profile_notes(profile: bytes | None, mode: ColorMode) -> list[str]:
    """Say what is wrong with a profile for a picture of this mode; an empty list means nothing.

    Parameters
    ----------
    profile : bytes or None
        As embedded; None: the picture has none, which is nothing wrong.
    mode : ColorMode
        Of the picture that it is meant for.

    Returns
    -------
    list of str
        At most one sentence.
    """
    if profile is None:
        return []
    if len(profile) < 132 or profile[36:40] != b"acsp":
        return ["the ICC profile is malformed (no ICC header); kept as it is"]
    if int.from_bytes(profile[:4], "big") != len(profile):
        return [f"the ICC profile says it has {int.from_bytes(profile[:4], 'big')} bytes and has {len(profile)}"]
    if profile[16:20] not in _SPACES[mode]:
        return [f"the ICC profile is for {profile[16:20].decode('latin-1').strip()!r}, the picture is {mode}"]
    return []
