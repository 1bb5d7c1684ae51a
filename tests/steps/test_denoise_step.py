"""Which of our own networks a step names."""

from tratto.steps.denoise import Denoise


def test_our_own_providers_get_the_network_for_the_damage():
    assert Denoise(damage="jpeg").by("tratto").params == {"network": "jpeg"}
    assert Denoise().by("tratto-openvino").params == {"network": "noise"}
    assert Denoise(damage="jpeg", params={"network": "noise"}).by("tratto").params == {"network": "noise"}
    assert Denoise(damage="jpeg", params={"sigma": 4}).by("nlm").params == {"sigma": 4}
