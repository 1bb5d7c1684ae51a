import math
from dataclasses import replace

import pytest

from tratto.core.errors import OptionError
from tratto.core.inspection import Estimate, Inspection, OctaveNoise, Opinion, Trait
from tratto.tasks.findings import findings
from tratto.tasks.restore import RestoreOptions, mild_share, plan, table_scale


def inspection(noise=0.5, quality=None, blur=0.8, upscale=1.0):
    none = Estimate(None, "not measurable")
    return Inspection(
        100,
        80,
        "rgb",
        8,
        "png",
        Estimate(noise, "estimated") if noise is not None else none,
        (noise or 0.0,) * 3,
        (),
        Estimate(quality, "exact") if quality is not None else none,
        0,
        Estimate(blur, "estimated") if blur is not None else none,
        Estimate(upscale, "estimated") if upscale is not None else none,
        0.0,
        0.0,
    )


def test_a_clean_picture_is_left_alone():
    recipe = plan(RestoreOptions(), inspection())
    assert recipe.steps == ()
    assert "left alone" in recipe.reasons[0]


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        (inspection(noise=12), "noise: sigma 12.0"),
        (inspection(quality=40), "quality 40"),
    ],
)
def test_each_damage_is_named_and_treated(facts, word):
    recipe = plan(RestoreOptions(strength=0.7, seed=3), facts)
    assert [s.name for s in recipe.steps] == ["denoise"]
    assert word in recipe.reasons[0]
    assert recipe.steps[0].strength == 0.7
    assert recipe.seed == 3


def test_force_and_a_stated_sigma_override_the_inspection():
    assert [s.name for s in plan(RestoreOptions(force=True), inspection()).steps] == ["denoise"]
    assert plan(RestoreOptions(noise_sigma=0), inspection(noise=20)).steps == ()
    told = plan(RestoreOptions(noise_sigma=15), inspection())
    assert told.steps[0].noise_sigma == 15
    assert "(stated)" in told.reasons[0]


def test_a_noisy_picture_is_cleaned_before_it_is_enlarged():
    assert [s.name for s in plan(RestoreOptions(scale=2), inspection(noise=9)).steps] == ["denoise", "upscale"]
    assert [s.name for s in plan(RestoreOptions(scale=2), inspection()).steps] == ["upscale"]
    named = plan(RestoreOptions(scale=4, provider="realesrgan"), inspection(noise=9))
    assert [s.name for s in named.steps] == ["upscale"]
    assert named.steps[0].provider == "realesrgan"


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        ("auto", None),
        ("tratto", None),
        ("tratto-openvino", None),
        ("bicubic", "not removed: bicubic only enlarges"),
        ("lanczos", "not removed: lanczos only enlarges"),
        ("waifu2x", "not removed beforehand: waifu2x was named"),
        ("realesrgan", "not removed beforehand: realesrgan was named"),
    ],
)
def test_what_a_named_provider_leaves_in_is_said(provider, words):
    recipe = plan(RestoreOptions(scale=2, provider=provider), inspection(noise=9))
    said = [r for r in recipe.reasons if r.startswith("not removed")]
    assert [w.startswith(words) for w in said] == ([] if words is None else [True])
    assert (len(recipe.steps) == 2) == (words is None)
    clean = plan(RestoreOptions(scale=2, provider=provider), inspection())
    assert not any("not removed" in r for r in clean.reasons)


def test_nothing_measurable_means_left_alone():
    assert plan(RestoreOptions(), inspection(None, None, None, None)).steps == ()


def test_earlier_enlargement_is_said():
    assert any("2 times" in r for r in plan(RestoreOptions(scale=2), inspection(upscale=2.0)).reasons)


@pytest.mark.parametrize(
    "bad",
    [
        {"scale": 5},
        {"strength": 1.2},
        {"strength": float("nan")},
        {"noise_sigma": -1},
        {"noise_sigma": float("inf")},
        {"kernel": "sinc"},
        {"seed": -1},
        {"typo": 1},
    ],
)
def test_bad_options_name_themselves(bad):
    with pytest.raises(OptionError, match=next(iter(bad))) as caught:
        RestoreOptions(**bad)
    assert "Input should be" not in str(caught.value)
    assert "Value error" not in str(caught.value)


def test_every_bad_option_is_told():
    with pytest.raises(OptionError) as caught:
        RestoreOptions(scale=9, strength=-1)
    assert str(caught.value) == "scale must be 1, 2, 3 or 4, got 9; strength must be a number from 0 to 1, got -1"


@pytest.mark.parametrize(
    ("noise", "quality", "told", "want"),
    [
        (0.0, 40, None, "jpeg"),
        (5.0, 90, None, "jpeg"),  # fine texture often reads as this much
        (11.0, 90, None, "real"),
        (13.0, 60, None, "real"),
        (13.0, 40, None, "jpeg"),
        (13.0, None, None, "noise"),
        (13.0, 95, None, "noise"),
        (1.0, 85, 20.0, "real"),
        (20.0, 85, 0.0, "jpeg"),
    ],
)
def test_the_network_is_chosen_by_what_outweighs(noise, quality, told, want):
    facts = replace(inspection(noise=noise, quality=quality), jpeg_grid=(3, 5) if quality else None)
    step = plan(RestoreOptions(noise_sigma=told), facts).steps[0]
    assert step.damage == want
    assert step.grid == ((3, 5) if want == "jpeg" else (0, 0))


def test_a_picture_that_is_only_soft_is_deblurred_by_as_much_as_was_measured():
    recipe = plan(RestoreOptions(strength=0.7), inspection(blur=1.64))
    assert [s.name for s in recipe.steps] == ["deblur"]
    assert recipe.steps[0].provider == "wiener"
    assert recipe.steps[0].params == {"blur": 1.64}
    assert recipe.steps[0].strength == 0.7
    assert recipe.reasons == ("blur: edges 1.6 pixels soft (estimated)",)


def test_blur_stays_where_sharpening_would_bring_worse_back():
    noisy = plan(RestoreOptions(), inspection(noise=12, blur=1.7))
    assert [s.name for s in noisy.steps] == ["denoise"]
    assert any("blur stays" in r for r in noisy.reasons)
    large = plan(RestoreOptions(scale=2), inspection(blur=1.7))
    assert [s.name for s in large.steps] == ["upscale"]
    assert any("enlarged with" in r for r in large.reasons)
    grown = plan(RestoreOptions(), inspection(blur=1.7, upscale=2.0))
    assert grown.steps == ()
    assert any("left alone" in r for r in grown.reasons)


def test_the_filter_for_blur_can_be_named():
    named = plan(RestoreOptions(provider="wiener", params={"blur": 1.2}), inspection(noise=9))
    assert named.steps[0].params == {"blur": 1.2}
    assert plan(RestoreOptions(provider="nlm"), inspection(blur=1.7)).steps[0].name == "denoise"


def test_grain_that_single_pixels_do_not_show_is_spoken_of():
    def reasons(noise, error, grain, read=1.0, **options):
        said = Opinion(Trait(noise, error), grain, Trait(0.0, 0.1), "network 0123")
        return " / ".join(plan(RestoreOptions(**options), replace(inspection(noise=read), opinion=said)).reasons)

    grain = Trait(1.3, 0.1)
    told = reasons(9.0, 1.5, grain)
    assert "9 of 255 over 1.3" in told
    assert "left alone" in told
    assert "grain:" not in reasons(9.0, 4.5, grain)  # it is not sure
    assert "grain:" not in reasons(4.0, 0.5, grain)  # too little
    assert "grain:" not in reasons(9.0, 1.5, None)
    assert "grain:" not in reasons(9.0, 1.5, Trait(0.1, 0.1))  # white noise that compression has taken
    assert "grain:" not in reasons(9.0, 1.5, grain, read=8.0)  # single pixels show it: noise like any other
    assert "grain:" in reasons(9.0, 1.0, grain, read=4.0)
    assert "noise: sigma 4.0" in reasons(9.0, 1.0, grain, read=4.0)
    soft = replace(inspection(noise=1.0, blur=2.0), opinion=Opinion(Trait(9.0, 1.0), grain, Trait(1.0, 0.1), "n 01"))
    assert plan(RestoreOptions(), soft).steps == ()  # sharpening would bring the grain out
    assert plan(RestoreOptions(), inspection(noise=1.0, blur=2.0)).steps
    assert "grain:" not in reasons(9.0, 1.5, grain, noise_sigma=0)  # the user said otherwise
    assert "no noise" in reasons(0.5, 0.2, None)


def test_fine_texture_is_not_noise_where_a_network_sees_none():
    def planned(read, noise, error=0.5, **options):
        said = Opinion(Trait(noise, error), None, Trait(0.0, 0.1), "network 0123")
        return plan(RestoreOptions(**options), replace(inspection(noise=read), opinion=said))

    left = planned(4.0, 0.0)
    assert left.steps == ()
    assert "fine texture" in " / ".join(left.reasons)
    assert planned(4.0, 0.0, noise_sigma=4).steps  # told
    assert planned(4.0, 3.5).steps
    assert planned(4.0, 1.5, error=1.5).steps  # it is not sure
    assert planned(13.0, 0.0).steps  # too much for texture
    assert planned(4.0, 0.0, force=True).steps
    flat = replace(
        inspection(noise=4.0),
        noise_curve=((0.5, 4.0),),
        opinion=Opinion(Trait(0.0, 0.1), None, Trait(0.0, 0.1), "network 0123"),
    )
    assert plan(RestoreOptions(), flat).steps  # it was measured in a flat area: that is noise
    assert plan(RestoreOptions(), inspection(noise=4.0)).steps  # no opinion


@pytest.mark.parametrize(
    ("quality", "noise", "network"),
    [
        (20, 19, "jpeg"),
        (40, 10, "jpeg"),
        (40, 12, "real"),
        (55, 7, "jpeg"),
        (60, 1, "jpeg"),
        (60, 2, "real"),
        (90, 1, "jpeg"),
        (90, 2, "real"),
        (95, 4, "noise"),
    ],
)
def test_noise_that_outlives_compression_has_its_own_network(quality, noise, network):
    """By the network's opinion or by what the user states, whatever is left of it in single pixels."""
    said = Opinion(Trait(noise, 0.5), None, Trait(0.0, 0.1), "network 0123")
    seen = replace(inspection(noise=3.0, quality=quality), opinion=said)
    assert plan(RestoreOptions(), seen).steps[0].damage == network
    assert plan(RestoreOptions(noise_sigma=noise), inspection(noise=3.0, quality=quality)).steps[0].damage == network
    assert plan(RestoreOptions(noise_sigma=0, force=True), replace(seen, noise_curve=())).steps[0].damage == (
        "noise" if quality == 95 else "jpeg"
    )


def test_the_reasons_say_which_network_a_noisy_compressed_picture_gets_and_why():
    def reasons(read, noise, quality=60, **options):
        said = Opinion(Trait(noise, 0.5), None, Trait(0.0, 0.1), "network 0123")
        return plan(RestoreOptions(**options), replace(inspection(noise=read, quality=quality), opinion=said)).reasons

    def told(*words, given):
        return any(all(w in r for w in words) for r in given)

    assert told("sigma 20.0", "real noise", "JPEG", given=reasons(9.0, 20.0))
    assert told("sigma 4.0 before compression", "JPEG", given=reasons(4.0, 4.0, 50))
    assert told("network for JPEG", given=reasons(0.5, 0.5))
    assert told("sigma 15 as stated", "real noise", "JPEG", given=reasons(4.0, 4.0, noise_sigma=15))
    assert not any("network" in r for r in reasons(9.0, 20.0, params={"network": "jpeg"}))
    assert not any("network for" in r for r in reasons(9.0, 20.0, provider="nlm"))
    assert not any("network for" in r for r in plan(RestoreOptions(), inspection(noise=9.0)).reasons)


def test_the_grid_is_kept_for_the_network_for_jpeg_traces_that_is_asked_for_by_hand():
    seen = replace(inspection(noise=20, quality=60), jpeg_grid=(3, 5))
    assert plan(RestoreOptions(), seen).steps[0].damage == "real"
    assert plan(RestoreOptions(), seen).steps[0].grid == (0, 0)
    assert plan(RestoreOptions(params={"network": "jpeg"}), seen).steps[0].grid == (3, 5)
    assert plan(RestoreOptions(params={"network": "noise"}), inspection(quality=20)).steps[0].grid == (0, 0)


@pytest.mark.parametrize(
    ("quality", "luma", "shares"),
    [
        (90, (0.4, 0.7, 0.5, 0.3), [("real", 1.0), ("jpeg", 0.25)]),  # what is even under a compression is noise
        (90, (0.2, 0.4, 0.3, 0.3), [("jpeg", 0.25)]),
        (75, (0.8, 1.5, 1.1, 1.2), [("real", 1.0), ("jpeg", 0.5)]),
        (50, (0.8, 1.5, 1.1, 1.2), [("jpeg", 1.0)]),
        (75, (3.0, 4.2, 3.0, 1.2), [("real", 0.35), ("jpeg", 0.5)]),  # the network reads less: it may be texture
    ],
)
def test_noise_under_compression_is_taken_first_and_then_the_traces(quality, luma, shares):
    said = Opinion(Trait(1.0, 0.5), None, Trait(0.0, 0.1), "network 0123")
    seen = replace(inspection(noise=0.5, quality=quality), opinion=said, octaves=octaves(luma), jpeg_grid=(3, 5))
    recipe = plan(RestoreOptions(), seen)
    steps = networks(recipe)
    real = shares[0][0] == "real"
    # what the octaves show goes first, to the share in which the noise is believed
    strong = math.hypot(*luma[:3]) > 3.5
    assert [s.strength for s in recipe.steps if s.provider == "dct"] == [shares[0][1]] * (real and not strong)
    assert any("2 and 4" in r for r in plan(RestoreOptions(), seen).reasons) == real
    assert any("outlived" in sentence for sentence in findings(seen)) == real  # none is taken that was not told
    assert [(s.damage, s.strength) for s in steps] == shares
    assert [s.grid for s in steps] == [(3, 5) if damage == "jpeg" else (0, 0) for damage, _ in shares]
    assert [s.strength for s in networks(plan(RestoreOptions(force=True), seen))] == [1.0] * len(shares)
    assert len(plan(RestoreOptions(params={"network": "real"}), seen).steps) == 1
    assert len(plan(RestoreOptions(provider="nlm"), seen).steps) == 1
    assert [s.name for s in networks(plan(RestoreOptions(scale=2), seen))] == ["denoise"] * len(shares) + ["upscale"]


@pytest.mark.parametrize(
    ("luma", "colour", "read", "network"),
    [
        ((8.7, 4.5, 2.2, 1.1), 0.67, 15.0, "noise"),  # white, a channel each
        ((8.7, 4.5, 2.2, 1.1), 1.0, 9.0, "real"),  # of one colour: grain
        ((3.0, 4.0, 3.5, 3.0), 0.67, 3.5, "real"),  # spread
        ((8.7, 4.5, 2.2, 1.1), 0.67, 5.0, "real"),  # single pixels show too little of it
        ((0.0, 0.0, 0.0, 0.0), 0.67, 9.0, "noise"),  # nothing is known but what single pixels show
    ],
)
def test_white_noise_has_its_own_network(luma, colour, read, network):
    seen = replace(inspection(noise=read), octaves=octaves(luma, colour=colour))
    assert networks(plan(RestoreOptions(noise_sigma=read), seen))[0].damage == network


@pytest.mark.parametrize(("quality", "read", "network"), [(40, 20, "jpeg"), (60, 5, "jpeg"), (60, 8, "real")])
def test_without_an_opinion_single_pixels_say_which_network(quality, read, network):
    assert plan(RestoreOptions(), inspection(noise=read, quality=quality)).steps[0].damage == network


def test_tables_are_scaled_as_libjpeg_does():
    assert [table_scale(q) for q in (10, 25, 50, 75, 100)] == pytest.approx([5, 2, 1, 0.5, 0])


@pytest.mark.parametrize(
    ("luma", "even", "told"),
    [
        ((1.0, 2.0, 1.6, 9.0), (True, True, True, True), (1.25, 2.5, 2.0)),
        ((4.0, 2.0, 3.0, 9.0), (False, True, False, True), (2.5, 2.5, 2.5)),  # what is uneven may be texture
        ((0.1, 0.2, 0.3, 9.0), (True, True, True, True), None),  # too little
    ],
)
def test_noise_goes_by_octaves_before_the_network(luma, even, told):
    seen = replace(inspection(noise=9), octaves=octaves(luma, even))
    first = plan(RestoreOptions(grain="remove"), seen).steps[0]
    if told is None:
        assert first.provider != "dct"
    else:
        assert list(first.params.values()) == pytest.approx(told)
    printed = replace(seen, octaves=replace(seen.octaves, screen=3.0))
    assert all(s.provider != "dct" for s in plan(RestoreOptions(grain="remove", force=True), printed).steps)
    assert all(s.provider == "nlm" for s in plan(RestoreOptions(provider="nlm"), seen).steps)


def test_octaves_go_unasked_only_where_they_are_surely_noise():
    def taken(luma, **more):
        seen = replace(inspection(noise=9), octaves=octaves(luma, colour=0.67), **more)
        return any(s.provider == "dct" for s in plan(RestoreOptions(), seen).steps)

    assert taken((1.0, 2.0, 1.6, 1.0))
    assert not taken((3.0, 6.0, 4.8, 3.0))  # strong: the network knows it
    assert not taken((1.0, 2.0, 1.6, 1.0), opinion=Opinion(Trait(0.0, 0.1), None, Trait(0.0, 0.1), "n 01"))


def test_the_provider_for_octaves_takes_what_was_measured_unless_it_is_told():
    seen = replace(inspection(noise=9), octaves=octaves((4.0, 4.0, 4.0, 4.0), colour=0.67))
    for named, told in (({}, [5.0, 5.0, 5.0]), ({"noise2": 7.0}, [5.0, 7.0, 5.0])):
        (step,) = plan(RestoreOptions(provider="dct", params=named), seen).steps
        assert list(step.params.values()) == told
    unknown = plan(RestoreOptions(provider="dct"), inspection(noise=9))
    assert unknown.steps[0].params == {}
    assert "noise1" in reasons_of(unknown)
    cleaned = plan(RestoreOptions(scale=4, grain="remove"), seen)
    assert [s.provider for s in cleaned.steps] == ["dct", "auto", "auto"]
    assert "5 of 255 at 1 pixel" in reasons_of(cleaned)


def networks(recipe):
    """The steps of a recipe that are networks."""
    return [s for s in recipe.steps if s.provider != "dct"]


def octaves(luma, even=(True, True, True, True), colour=1.0, **more):
    """Octaves whose channels are luma divided by ``colour``."""
    return OctaveNoise(tuple(luma), (tuple(v / colour for v in luma),) * 3, even, **more)


def reasons_of(recipe):
    return " / ".join(recipe.reasons)


def test_nothing_is_sharpened_where_the_calm_parts_are_not_calm():
    quiet = octaves((0.2, 0.2, 0.3, 0.5))
    assert [s.name for s in plan(RestoreOptions(), replace(inspection(blur=1.7), octaves=quiet)).steps] == ["deblur"]
    for loud in (octaves((1.0, 0.5, 0.3, 0.2)), octaves((0.5, 1.0, 0.3, 0.2), (False,) * 4)):
        left = plan(RestoreOptions(), replace(inspection(blur=1.7), octaves=loud))
        assert left.steps == ()
        assert "the blur stays" in reasons_of(left)
    assert plan(RestoreOptions(), inspection(noise=None, blur=1.7)).steps == ()
    assert plan(RestoreOptions(), inspection(quality=96, blur=1.7)).steps == ()
    sure = Opinion(Trait(0.1, 0.1), None, Trait(0.0, 0.2), "n 01")
    assert plan(RestoreOptions(), replace(inspection(blur=1.7), opinion=sure)).steps == ()


def test_the_filter_for_blur_is_told_the_noise_by_octave():
    seen = replace(inspection(blur=1.7), octaves=octaves((0.2, 0.3, 0.4, 0.5)))
    known = {"blur": 1.7, "noise1": 0.2, "noise2": 0.3, "noise4": 0.4, "noise8": 0.5}
    assert plan(RestoreOptions(), seen).steps[0].params == known


@pytest.mark.parametrize("asked", [{"force": True}, {"noise_sigma": 10}])
def test_force_and_a_stated_sigma_clean_and_do_not_sharpen(asked):
    (step,) = plan(RestoreOptions(**asked), inspection(blur=1.8)).steps
    assert (step.name, step.damage, step.limit, step.strength) == ("denoise", "noise", None, 1.0)


def test_noise_that_is_spread_is_seen_and_taken_only_as_far_as_it_was_measured():
    camera = octaves((1.0, 1.2, 1.0, 0.8), colour=0.6)
    recipe = plan(RestoreOptions(), replace(inspection(noise=0.6), octaves=camera))
    (step,) = networks(recipe)
    assert (step.damage, step.limit) == ("real", pytest.approx(camera.sigma, abs=0.01))
    assert recipe.steps[0].provider == "dct"
    assert recipe.steps[0].limit == step.limit
    fine = octaves((1.6, 0.8, 0.4, 0.2), colour=0.6)  # single pixels would show it
    assert plan(RestoreOptions(), replace(inspection(noise=1.8), octaves=fine)).steps == ()
    uneven = replace(camera, even=(False, False, True, True))
    assert plan(RestoreOptions(), replace(inspection(noise=0.6), octaves=uneven)).steps == ()
    (faint,) = plan(RestoreOptions(), inspection(noise=3.0)).steps
    assert faint.limit == 3.75
    (plain,) = plan(RestoreOptions(), inspection(noise=9.0)).steps
    assert plain.limit is None


def test_what_is_uneven_in_the_calmest_parts_is_texture():
    uneven = octaves((2.0, 3.0, 4.0, 5.0), (False, False, False, False))
    assert plan(RestoreOptions(), replace(inspection(noise=3.5), octaves=uneven)).steps == ()
    assert plan(RestoreOptions(), replace(inspection(noise=6.0), octaves=uneven)).steps
    none = Opinion(Trait(0.0, 0.1), None, Trait(0.0, 0.1), "n 01")
    flat = replace(inspection(noise=6.0), octaves=uneven, opinion=none, noise_curve=((0.5, 6.0),))
    assert plan(RestoreOptions(), flat).steps == ()


def test_calm_parts_without_noise_say_that_the_rest_is_texture():
    none = Opinion(Trait(0.0, 0.1), None, Trait(0.0, 0.1), "n 01")
    seen = replace(inspection(noise=9.9), opinion=none, noise_curve=((0.5, 9.9),))
    assert plan(RestoreOptions(), replace(seen, octaves=octaves((0.3, 0.3, 0.2, 0.1)))).steps == ()
    assert plan(RestoreOptions(), replace(seen, octaves=octaves((5.6, 2.9, 1.4, 0.7)))).steps
    said = replace(none, noise=Trait(9.0, 0.5))  # somebody else sees it
    assert plan(RestoreOptions(), replace(seen, opinion=said, octaves=octaves((0.3, 0.3, 0.2, 0.1)))).steps


def test_texture_is_no_witness_of_noise_that_is_spread():
    none = Opinion(Trait(0.5, 1.5), None, Trait(0.0, 0.1), "n 01")
    grown = octaves((6.9, 6.1, 8.9, 11.3), (True, True, False, True))
    seen = replace(inspection(noise=5.7), opinion=none, octaves=grown, noise_curve=())
    assert plan(RestoreOptions(), seen).steps == ()
    assert plan(RestoreOptions(), replace(seen, noise_curve=((0.5, 5.7),))).steps


def test_a_print_screen_is_left_alone_and_named():
    printed = replace(inspection(noise=31.0), octaves=octaves((30, 19, 2, 0), (False,) * 4, screen=2.66))
    left = plan(RestoreOptions(), printed)
    assert left.steps == ()
    assert "2.7 pixels" in reasons_of(left)
    assert "sigma 31" not in reasons_of(left)
    assert plan(RestoreOptions(noise_sigma=10), printed).steps
    assert plan(RestoreOptions(force=True), printed).steps
    assert [s.name for s in plan(RestoreOptions(scale=2), printed).steps] == ["upscale"]


@pytest.mark.parametrize(("grain", "strength"), [("keep", None), ("reduce", 0.5), ("remove", 1.0)])
def test_grain_of_film_is_the_users_choice(grain, strength):
    film = replace(inspection(noise=1.5), octaves=octaves((2.0, 3.0, 2.0, 1.0)))
    recipe = plan(RestoreOptions(grain=grain), film)
    if strength is None:
        assert recipe.steps == ()
        assert "sigma 4.1" in reasons_of(recipe)
    else:
        assert [(s.strength, s.damage, s.limit) for s in networks(recipe)] == [(strength, "real", None)]
        assert [(s.strength, s.limit) for s in recipe.steps if s.provider == "dct"] == [(strength, None)]
    assert "grain of film" in reasons_of(recipe)
    colours = replace(film, octaves=octaves((2.0, 3.0, 2.0, 1.0), colour=0.7))
    assert plan(RestoreOptions(), colours).steps  # of a camera


@pytest.mark.parametrize(("quality", "share"), [(20, 1.0), (55, 1.0), (65, 0.75), (75, 0.5), (90, 0.25), (92, 0.25)])
def test_mild_compression_gets_part_of_the_effect(quality, share):
    seen = replace(inspection(quality=quality), octaves=octaves((0, 0.3, 0, 0)))
    assert mild_share(quality) == pytest.approx(share)
    (step,) = plan(RestoreOptions(strength=0.8), seen).steps
    assert step.strength == pytest.approx(0.8 * share, abs=1e-3)
    assert plan(RestoreOptions(force=True), seen).steps[0].strength == 1.0


def test_a_picture_of_one_tint_is_cleaned_as_a_grey_one():
    tint = (0.1, 0.9, 0.0, 0.0, 0.8, 0.0, 0.0, 0.6, 0.0)
    seen = replace(inspection(noise=12), octaves=octaves((10, 5, 2.5, 1.2), tint=tint))
    assert networks(plan(RestoreOptions(), seen))[0].tint == tint
    assert plan(RestoreOptions(provider="nlm"), seen).steps[0].tint == ()


def test_specks_are_spoken_of():
    seen = octaves((15, 10, 9, 0), (False, True, False, False), specks=0.04)
    assert "4.0 %" in reasons_of(plan(RestoreOptions(), replace(inspection(noise=11), octaves=seen)))


def test_a_soft_photograph_is_deblurred_and_a_noisy_one_is_not():
    import cv2
    import numpy as np
    from skimage import data

    import tratto

    clean = data.astronaut()[:320, :320]
    soft = cv2.GaussianBlur(clean, (0, 0), 1.6)
    done = tratto.restore(soft)
    assert [r.step for r in done.records] == ["deblur"]

    def error(a):
        return np.square(np.asarray(a, float) - clean).mean()

    assert error(done.image.pixels) < 0.8 * error(soft)
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(size=soft.shape), (0, 0), 0.7)
    noisy = np.round(np.clip(soft + noise / noise.std() * 3, 0, 255)).astype(np.uint8)
    assert "deblur" not in [r.step for r in tratto.restore(noisy).records]
