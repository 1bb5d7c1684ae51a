"""Which of our own networks a step names."""

from tratto.core.capability import Use
from tratto.steps.denoise import Denoise


def named(step, provider):
    return step.named((Use("restorer", provider),)).params


def test_our_own_providers_get_the_network_for_the_damage():
    assert named(Denoise(damage="jpeg"), "tratto") == {"network": "jpeg"}
    assert named(Denoise(), "tratto-openvino") == {"network": "noise"}
    assert named(Denoise(damage="jpeg", params={"network": "noise"}), "tratto") == {"network": "noise"}
    assert named(Denoise(damage="jpeg", params={"sigma": 4}), "nlm") == {"sigma": 4}
