"""Losses of likeness: what judges the pictures of an enlarger, and what its checkpoints keep of them."""

import json
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from tratto.core.errors import InputError, MissingWeights, OptionError  # noqa: E402
from tratto_lab.training.config import Data, Optim, Run  # noqa: E402
from tratto_lab.training.judges import CriticNet, Judges  # noqa: E402
from tratto_lab.training.loop import HeldOut, build_network, run  # noqa: E402

TINY = Run(
    "judged",
    "span",
    4,
    {"scale": 2, "width": 6, "sigma_width": 4},
    batch=1,
    data=Data(patch=32, text_share=0.0),
    optim=Optim(lr=1e-3, warmup=1, fft=0.0, adversarial=0.1),
    save_every=2,
    log_every=1,
)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def losses_of(folder):
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return {r["step"]: r["loss"] for r in rows if "loss" in r}


def test_a_critic_learns_to_tell_blurred_pictures_from_sharp_ones():
    judges = Judges(replace(TINY, optim=Optim(adversarial=1.0, critic_lr=2e-3)), torch.device("cpu"))
    draw = torch.Generator().manual_seed(0)
    for _ in range(60):
        sharp = torch.rand(4, 3, 32, 32, generator=draw)
        blurred = torch.nn.functional.avg_pool2d(sharp, 3, 1, 1)
        loss = judges.loss(blurred.requires_grad_(), sharp)
    assert float(judges.critic(sharp).detach().mean()) > float(judges.critic(blurred).detach().mean()) + 0.5
    slope = torch.autograd.grad(loss, blurred)[0]  # the network is told where to go ...
    assert float(slope.abs().max()) > 0
    assert all(p.requires_grad for p in judges.critic.parameters())  # ... and the critic goes on learning
    assert tuple(CriticNet()(sharp).shape) == (4, 1, 4, 4)


def test_a_run_that_was_stopped_goes_on_with_the_same_critic(photos, pack, tmp_path):
    whole = losses_of(run(TINY, photos, tmp_path / "whole", pack))
    run(TINY, photos, tmp_path / "parts", pack, stop_after=2)
    assert losses_of(run(TINY, photos, tmp_path / "parts", pack)) == whole
    plain = replace(TINY, optim=replace(TINY.optim, adversarial=0.0))
    assert losses_of(run(plain, photos, tmp_path / "plain", pack)) != whole
    with pytest.raises(InputError):  # a checkpoint without a critic
        run(replace(TINY, steps=6), photos, tmp_path / "plain", pack)


def test_likeness_pulls_and_is_checked_by_another_network(networks, photos, pack, tmp_path):
    judged = replace(TINY, steps=1, optim=replace(TINY.optim, adversarial=0.0, perceptual=1.0))
    plain = replace(judged, optim=replace(judged.optim, perceptual=0.0))
    found = [losses_of(run(r, photos, tmp_path / str(k), pack))[1] for k, r in enumerate((judged, plain))]
    assert found[0] > found[1]
    checks = HeldOut(photos, judged)
    from tratto_lab.training.loop import Ema

    network = build_network(judged)
    values = checks.measure(Ema(network, 0.5), network)
    assert set(values) == {"bicubic", "bicubic LPIPS", "within_one_sigma"}
    assert values["bicubic LPIPS"] > 0


def test_likeness_needs_its_weights(cache):
    with pytest.raises(MissingWeights):
        Judges(replace(TINY, optim=Optim(perceptual=1.0)), torch.device("cpu"))


@pytest.mark.parametrize("change", [{"network": "inpainter"}, {"train_only": "sigma"}, {"data": Data(patch=16)}])
@pytest.mark.parametrize("loss", ["perceptual", "adversarial"])
def test_what_makes_no_picture_is_not_judged(change, loss):
    with pytest.raises(OptionError):
        replace(TINY, optim=Optim(**{loss: 0.1}), **change)
