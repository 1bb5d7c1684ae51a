"""Where networks run: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""

from __future__ import annotations

import importlib.metadata

from tratto.core.errors import OptionError, UnavailableError

#: How a user mends two packages that overwrite each other's files.
MEND = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"


def check_device(device: str) -> str:
    """Return a device as it was given.

    Raises
    ------
    OptionError
        If it is none of ``auto``, ``cpu``, ``cuda`` and ``cuda:N``.

    Examples
    --------
    >>> check_device("cuda:1")
    'cuda:1'
    """
    if device in ("auto", "cpu", "cuda") or (device.startswith("cuda:") and device[5:].isdecimal()):
        return device
    raise OptionError(f"device must be auto, cpu, cuda or cuda:N, got {device!r}")


def torch_device(device: str) -> str:
    """Return the device of PyTorch that is meant; ``auto`` is a GPU if there is one.

    Raises
    ------
    OptionError
        If it is none.
    UnavailableError
        If a GPU was asked for and PyTorch finds none.
    """
    import torch

    found: bool = torch.cuda.is_available()
    if check_device(device) == "auto":
        return "cuda" if found else "cpu"
    if device != "cpu" and not found:
        raise UnavailableError(f"device {device} was asked for, and torch finds no GPU here; use --device cpu")
    return device


def onnx_providers(device: str, able: tuple[str, ...]) -> list[tuple[str, dict[str, str]]]:
    """Return the execution providers of ONNX Runtime for a device, first the one that is meant.

    Parameters
    ----------
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    able : tuple of str
        Kinds of devices that the network may run on, as its card says: ``"cpu"``, ``"cuda"``.

    Raises
    ------
    OptionError
        If it is no device, or the card does not allow it.
    UnavailableError
        If a GPU was asked for that this ONNX Runtime cannot use; the message says how to mend it.
    """
    import onnxruntime as ort

    cpu: tuple[str, dict[str, str]] = ("CPUExecutionProvider", {})
    if check_device(device) == "cpu":
        return [cpu]
    here = "CUDAExecutionProvider" in ort.get_available_providers()
    if device == "auto" and not (here and "cuda" in able):
        return [cpu]
    if "cuda" not in able:
        raise OptionError(f"this network runs on {' and '.join(able)} only, not on {device}")
    if not here:
        raise UnavailableError(f"device {device} was asked for: {_why_no_cuda()}")
    number = device.partition(":")[2] or "0"
    return [("CUDAExecutionProvider", {"device_id": number, "use_tf32": "0"}), cpu]


def _why_no_cuda() -> str:
    there = [name for name in ("onnxruntime", "onnxruntime-gpu") if _installed(name)]
    if len(there) == 2:
        return f"onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files; run: {MEND}"
    if there == ["onnxruntime-gpu"]:
        return "onnxruntime-gpu finds no GPU or no CUDA libraries here; use --device cpu"
    return f"the ONNX Runtime that is installed has no CUDA; run: pip install 'tratto[cuda]' && {MEND}"


def _installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
