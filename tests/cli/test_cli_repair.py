import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil
from typer.testing import CliRunner

from tratto.cli.main import app

run = CliRunner()


@pytest.fixture
def photo(tmp_path):
    y, x = np.mgrid[0:90, 0:110]
    px = np.stack([128 + 60 * np.sin(x / 6), 120 + 50 * np.cos(y / 9), 0 * x + 90], -1)
    path = tmp_path / "photo.png"
    Pil.fromarray(np.rint(px).astype(np.uint8)).save(path)
    return path


def values(path):
    return np.asarray(Pil.open(path))


def test_draw_then_repair_then_verify(photo, tmp_path):
    mask = tmp_path / "damage.png"
    line = ["mask", "draw", str(photo), "-o", str(mask), "--line", "10,20 90,60:4", "--disc", "70,70:6"]
    done = run.invoke(app, [*line, "--json"])
    assert done.exit_code == 0, done.output
    (told,) = json.loads(done.stdout)
    assert (told["width"], told["height"]) == (110, 90)
    assert told["share"] == pytest.approx((values(mask) > 0).mean(), abs=1e-5)
    assert values(mask)[70, 70] == 255
    assert values(mask)[40, 50] == 255
    assert values(mask)[5, 5] == 0
    done = run.invoke(app, ["repair", str(photo), "-o", str(tmp_path / "out"), "--mask", str(mask), "--json"])
    assert done.exit_code == 0, done.output
    after = values(tmp_path / "out" / "photo.png")
    np.testing.assert_array_equal(after[values(mask) == 0], values(photo)[values(mask) == 0])
    assert run.invoke(app, ["verify", str(tmp_path / "out" / "photo.png")]).exit_code == 0
    done = run.invoke(app, ["replay", str(tmp_path / "out" / "photo.png")])
    assert done.exit_code == 0
    assert "tier A" in done.stdout


def test_a_folder_with_a_sound_picture_is_no_failure(photo, tmp_path):
    folder, masks = tmp_path / "scans", tmp_path / "masks"
    for path in (folder, masks):
        path.mkdir()
    for name, top in (("sound", 0), ("torn", 255)):
        (folder / f"{name}.png").write_bytes(photo.read_bytes())
        mask = np.zeros((90, 110), np.uint8)
        mask[10:16, 10:40] = top
        Pil.fromarray(mask).save(masks / f"{name}.png")
    done = run.invoke(app, ["repair", str(folder), "-o", str(tmp_path / "o"), "--mask", str(masks), "--json"])
    assert done.exit_code == 0, done.output
    states = {Path(row["source"]).stem: row["status"] for row in json.loads(done.stdout)}
    assert states == {"sound": "nothing", "torn": "done"}
    assert not (tmp_path / "o" / "sound.png").exists()
    line = ["repair", str(folder / "sound.png"), "-o", str(tmp_path / "p"), "--mask", str(masks / "sound.png")]
    assert run.invoke(app, line).exit_code == 2


def test_a_dry_run_names_the_step(photo, tmp_path):
    mask = tmp_path / "m.png"
    run.invoke(app, ["mask", "draw", str(photo), "-o", str(mask), "--box", "10,10 20,20"])
    done = run.invoke(app, ["repair", str(photo), "-o", str(tmp_path / "o"), "--mask", str(mask), "--dry-run"])
    assert done.exit_code == 0
    assert "inpaint" in done.stdout
    assert not (tmp_path / "o").exists()


def test_repair_without_mask_or_in_forensic_mode_is_refused(photo, tmp_path):
    done = run.invoke(app, ["repair", str(photo), "-o", str(tmp_path / "o")])
    assert done.exit_code == 2
    assert "--mask" in done.output
    mask = tmp_path / "m.png"
    run.invoke(app, ["mask", "draw", str(photo), "-o", str(mask), "--box", "10,10 20,20"])
    done = run.invoke(app, ["repair", str(photo), "-o", str(tmp_path / "o"), "--mask", str(mask), "--forensic"])
    assert done.exit_code == 7


def test_painted_copy_shapes_file_and_erasing(photo, tmp_path):
    painted = values(photo).copy()
    painted[30:40, 20:50] = (255, 0, 0)
    Pil.fromarray(painted).save(tmp_path / "painted.png")
    (tmp_path / "s.json").write_text(
        json.dumps(
            [
                {"kind": "box", "points": [[60, 60], [69, 69]]},
                {"kind": "box", "points": [[20, 30], [24, 39]], "erase": True},
            ]
        )
    )
    mask = tmp_path / "m.png"
    line = ["mask", "draw", str(photo), "-o", str(mask), "--marked", str(tmp_path / "painted.png")]
    done = run.invoke(app, [*line, "--shapes", str(tmp_path / "s.json")])
    assert done.exit_code == 0, done.output
    want = np.zeros((90, 110), bool)
    want[30:40, 25:50] = True
    want[60:70, 60:70] = True
    np.testing.assert_array_equal(values(mask) > 0, want)


def test_masks_are_changed_and_combined_one_by_one_and_by_class(photo, tmp_path):
    def draw(path, box):
        path.parent.mkdir(exist_ok=True)
        assert run.invoke(app, ["mask", "draw", str(photo), "-o", str(path), "--box", box]).exit_code == 0

    classes = tmp_path / "classes"
    draw(classes / "crack.png", "10,10 19,19")
    draw(classes / "stain.png", "40,40 49,49")
    grown = run.invoke(app, ["mask", "grow", str(classes), "-o", str(tmp_path / "grown"), "--by", "1"])
    assert grown.exit_code == 0, grown.output
    assert (values(tmp_path / "grown" / "crack.png") > 0).sum() == 144
    both = run.invoke(app, ["mask", "union", str(tmp_path / "grown"), "-o", str(tmp_path / "all.png")])
    assert both.exit_code == 0, both.output
    assert (values(tmp_path / "all.png") > 0).sum() == 288
    left = ["mask", "subtract", str(tmp_path / "all.png"), str(classes / "stain.png"), "-o", str(tmp_path / "rim.png")]
    assert run.invoke(app, left).exit_code == 0
    assert (values(tmp_path / "rim.png") > 0).sum() == 188
    by_name = ["mask", "subtract", str(tmp_path / "grown"), str(classes), "-o", str(tmp_path / "rims")]
    assert run.invoke(app, by_name).exit_code == 0
    assert (values(tmp_path / "rims" / "crack.png") > 0).sum() == 44
    common = ["mask", "intersect", str(tmp_path / "all.png"), str(classes / "stain.png"), "-o", str(tmp_path / "c.png")]
    assert run.invoke(app, common).exit_code == 0
    np.testing.assert_array_equal(values(tmp_path / "c.png"), values(classes / "stain.png"))
    for name, extra in (("shrink", ["--by", "1"]), ("feather", ["--width", "4"]), ("invert", [])):
        line = ["mask", name, str(classes / "crack.png"), "-o", str(tmp_path / f"{name}.png"), *extra]
        assert run.invoke(app, line).exit_code == 0
    assert (values(tmp_path / "shrink.png") > 0).sum() == 64
    assert set(np.unique(values(tmp_path / "feather.png"))) > {0, 255}
    np.testing.assert_array_equal(values(tmp_path / "invert.png"), 255 - values(classes / "crack.png"))


def test_nothing_is_replaced_unasked(photo, tmp_path):
    mask = tmp_path / "m.png"
    line = ["mask", "draw", str(photo), "-o", str(mask), "--box", "1,1 5,5"]
    assert run.invoke(app, line).exit_code == 0
    assert run.invoke(app, line).exit_code == 4
    assert run.invoke(app, [*line, "--overwrite"]).exit_code == 0
    same = run.invoke(app, ["mask", "grow", str(mask), "-o", str(mask), "--overwrite"])
    assert same.exit_code == 4
    assert "input" in same.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "nothing to draw"),
        (["--disc", "5"], "--disc takes"),
        (["--box", "1,2"], "2 points"),
        (["--line", "a,b"], "--line takes"),
    ],
)
def test_wrong_drawings_are_told_in_one_line(photo, tmp_path, options, words):
    done = run.invoke(app, ["mask", "draw", str(photo), "-o", str(tmp_path / "m.png"), *options])
    assert done.exit_code == 2
    assert words in done.output


def test_find_proposes_masks_or_says_what_is_missing(photo, tmp_path, monkeypatch):
    import tratto.providers.damage as detector

    def scratched(self, rgb, kinds=()):
        probabilities = {name: np.zeros(rgb.shape[:2], np.float32) for name in (*detector.CLASSES, "any")}
        probabilities["scratch"][20:23, 5:60] = 0.96
        probabilities["stain"][50:60, 50:60] = 0.4
        probabilities["stain"][55, 55] = 0.9  # sure enough for a threshold of 0.3, not for one of 0.5
        return probabilities

    monkeypatch.setattr(detector.NetworkDetector, "find", scratched)
    done = run.invoke(app, ["mask", "find", str(photo), "-o", str(tmp_path / "found"), "--json"])
    assert done.exit_code == 0, done.output
    assert sorted(p.name for p in (tmp_path / "found").iterdir()) == ["all.png", "scratch.png"]
    assert (values(tmp_path / "found" / "all.png") > 0).sum() == 3 * 55
    lower = ["mask", "find", str(photo), "-o", str(tmp_path / "more"), "--threshold", "0.3"]
    assert run.invoke(app, lower).exit_code == 0
    assert (values(tmp_path / "more" / "stain.png") > 0).sum() == 100
    assert run.invoke(app, [*lower, "--threshold", "1.5", "--overwrite"]).exit_code == 2
    again = ["mask", "find", str(photo), "-o", str(tmp_path / "more"), "--overwrite"]
    assert run.invoke(app, again).exit_code == 0
    assert sorted(p.name for p in (tmp_path / "more").iterdir()) == [
        "all.png",
        "scratch.png",
    ]  # no earlier find's stain


def test_find_removes_no_input_and_nothing_before_it_can_write(photo, tmp_path, monkeypatch):
    import tratto.providers.damage as detector

    def scratched(self, rgb, kinds=()):
        probabilities = {name: np.zeros(rgb.shape[:2], np.float32) for name in (*detector.CLASSES, "any")}
        probabilities["scratch"][20:23, 5:60] = 0.97
        return probabilities

    monkeypatch.setattr(detector.NetworkDetector, "find", scratched)
    folder = tmp_path / "masks"
    folder.mkdir()
    picture = folder / "crack.png"  # a picture that is called as a mask would be
    with Pil.open(photo) as opened:
        opened.convert("RGB").save(picture)
    (folder / "stain.png").write_bytes(picture.read_bytes())
    done = run.invoke(app, ["mask", "find", str(picture), "-o", str(folder), "--overwrite"])
    assert done.exit_code == 0, done.output
    assert sorted(p.name for p in folder.iterdir()) == ["all.png", "crack.png", "scratch.png"]
    assert f"{folder / 'stain.png'} is removed" in done.output.replace("\n", "")
    picture.rename(folder / "scratch.png")  # a mask would take its place
    (folder / "stain.png").write_text("kept")
    (folder / "all.png").unlink()
    done = run.invoke(app, ["mask", "find", str(folder / "scratch.png"), "-o", str(folder), "--overwrite"])
    assert done.exit_code == 4
    assert sorted(p.name for p in folder.iterdir()) == ["scratch.png", "stain.png"]
    (folder / "scratch.png").rename(tmp_path / "photo.png")
    (folder / "stain.png").unlink()
    (folder / "stain.png").mkdir()
    line = ["mask", "find", str(tmp_path / "photo.png"), "-o", str(folder), "--overwrite"]
    assert run.invoke(app, line).exit_code == 0
    lowest = [*line, "--threshold", "1e-50", "--kind", "scratch"]
    assert run.invoke(app, lowest).exit_code == 0
    assert sorted(p.name for p in folder.iterdir()) == ["all.png", "scratch.png", "stain.png"]


def test_a_folder_in_the_way_of_a_mask_is_seen_before_any_mask_is_replaced(photo, tmp_path, monkeypatch):
    import tratto.providers.damage as detector

    def folds(self, rgb, kinds=()):
        return {name: np.full(rgb.shape[:2], name == "fold", np.float32) for name in (*detector.CLASSES, "any")}

    monkeypatch.setattr(detector.NetworkDetector, "find", folds)
    (tmp_path / "found" / "all.png").mkdir(parents=True)
    (tmp_path / "found" / "fold.png").write_bytes(b"mine")
    done = run.invoke(app, ["mask", "find", str(photo), "-o", str(tmp_path / "found"), "--overwrite"])
    assert done.exit_code == 4
    assert "all.png" in done.output
    assert (tmp_path / "found" / "fold.png").read_bytes() == b"mine"


@pytest.mark.parametrize(("option", "value"), [("--score", "0.5"), ("--classes", "crack")])
def test_what_only_an_own_model_has_is_refused_without_one(photo, tmp_path, option, value):
    done = run.invoke(app, ["mask", "find", str(photo), "-o", str(tmp_path / "found"), option, value])
    assert done.exit_code == 2
    assert option in done.output
    assert not (tmp_path / "found").exists()


def test_kinds_that_a_person_sees_are_told_to_the_finder(photo, tmp_path, monkeypatch):
    import tratto.providers.damage as detector

    told = []

    def listening(self, rgb, kinds=()):
        told.append(tuple(kinds))
        return {name: np.zeros(rgb.shape[:2], np.float32) for name in (*detector.CLASSES, "any")}

    command = ["mask", "find", str(photo), "-o", str(tmp_path / "found"), "--kind", "scratch"]
    assert run.invoke(app, [*command, "--kind", "hole"]).exit_code == 2
    assert not (tmp_path / "found").exists()
    monkeypatch.setattr(detector.NetworkDetector, "find", listening)
    assert run.invoke(app, [*command, "--kind", "fold"]).exit_code == 0
    assert told == [("scratch", "fold")]
    mine = run.invoke(app, [*command, "--model", "mine.onnx"])
    assert mine.exit_code == 2
    assert "--kind" in mine.output


def test_find_without_weights_is_unavailable(photo, tmp_path, monkeypatch):
    import tratto.providers.damage as detector

    monkeypatch.setattr(detector, "CARD", "no-such-network")
    done = run.invoke(app, ["mask", "find", str(photo), "-o", str(tmp_path / "found")])
    assert done.exit_code == 5
    assert "tratto mask draw" in done.output
    assert "--model" in done.output
    done = run.invoke(app, ["repair", str(photo), "-o", str(tmp_path / "o"), "--mask", "auto"])
    assert done.exit_code == 5
    assert "tratto mask draw" in done.output
    assert not (tmp_path / "found").exists()


def test_damage_sheet_is_drawn(photo, tmp_path):
    done = run.invoke(app, ["data", "damage", str(photo), "-o", str(tmp_path / "sheet.png"), "--toned"])
    assert done.exit_code == 0, done.output
    assert values(tmp_path / "sheet.png").shape[1] == 4 * 306 + 6
    assert run.invoke(app, ["data", "damage", str(photo), "-o", str(photo)]).exit_code == 4


@pytest.mark.parametrize("command", ["damage", "preview"])
def test_sheets_show_a_picture_upright_and_leave_no_folder_for_one_that_cannot_be_read(photo, tmp_path, command):
    lying = tmp_path / "lying.png"
    with Pil.open(photo) as whole:
        upright = whole.convert("RGB")
        exif = Pil.Exif()
        exif[274] = 6  # the camera was turned: a viewer turns what is stored clockwise
        upright.transpose(Pil.Transpose.ROTATE_90).save(lying, exif=exif)
        upright.save(tmp_path / "upright.png")
    for name in ("lying", "upright"):
        line = ["data", command, str(tmp_path / f"{name}.png"), "-o", str(tmp_path / f"{name}-sheet.png")]
        assert run.invoke(app, line).exit_code == 0
    np.testing.assert_array_equal(values(tmp_path / "lying-sheet.png"), values(tmp_path / "upright-sheet.png"))
    (tmp_path / "no.png").write_text("no picture")
    for bad in ("no.png", "missing.png"):
        done = run.invoke(app, ["data", command, str(tmp_path / bad), "-o", str(tmp_path / "new/sheet.png")])
        assert done.exit_code != 0
        assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("command", ["damage", "preview"])
def test_sheets_lose_nothing(photo, tmp_path, command):
    def draw(name, *more):
        return run.invoke(app, ["data", command, str(photo), "-o", str(tmp_path / name), *more])

    (tmp_path / "mine.png").write_bytes(b"mine")
    refused = draw("mine.png")
    assert refused.exit_code == 4
    assert "--overwrite" in refused.stderr
    assert (tmp_path / "mine.png").read_bytes() == b"mine"
    assert draw("sheet.jpg").exit_code == 2
    assert not (tmp_path / "sheet.jpg").exists()
    assert draw(str(photo), "--overwrite").exit_code == 4
    assert draw("mine.png", "--overwrite").exit_code == 0
    assert (tmp_path / "mine.png").read_bytes()[:4] == b"\x89PNG"


def test_eval_repair_writes_its_table(photo, tmp_path):
    folder = tmp_path / "clean"
    folder.mkdir()
    (folder / "a.png").write_bytes(photo.read_bytes())
    line = ["eval", "repair", str(folder), "--method", "auto", "--method", "telea", "--holes", "thin"]
    done = run.invoke(app, [*line, "-o", str(tmp_path / "report")])
    assert done.exit_code == 0, done.output
    assert "| thin | tratto repair |" in (tmp_path / "report" / "report.md").read_text()
    rows = json.loads((tmp_path / "report" / "report.json").read_text())["rows"]
    assert [r["changed_outside"] for r in rows] == [0, 0]


def class_folder(tmp_path, names=("crack", "stain")):
    folder = tmp_path / "masks"
    folder.mkdir()
    for k, name in enumerate(names):
        mask = np.zeros((90, 110), np.uint8)
        mask[10 + 30 * k : 14 + 30 * k, 20:60] = 255
        Pil.fromarray(mask).save(folder / f"{name}.png")
    return folder


def test_a_folder_of_classes_and_passes_on_the_command_line(photo, tmp_path):
    folder = class_folder(tmp_path)
    line = ["repair", str(photo), "-o", str(tmp_path / "out"), "--method", "plate", "--json"]
    done = run.invoke(app, [*line, "--mask", str(folder), "--caption", "A wall"])
    assert done.exit_code == 0, done.output
    (told,) = json.loads(done.stdout)
    receipt = json.loads((Path(told["bundle"]) / "receipt.json").read_text())
    assert [p["class"] for p in receipt["mask"]["parts"]] == ["crack", "stain"]
    assert receipt["steps"][0]["params"]["caption"] == "A wall"
    line[3] = str(tmp_path / "two")
    done = run.invoke(app, [*line, "--mask", str(folder / "crack.png"), "--mask", str(folder / "stain.png")])
    assert done.exit_code == 0, done.output
    (told,) = json.loads(done.stdout)
    assert [s["params"]["mask"] for s in told["steps"]] == ["pass-1", "pass-2"]
    assert len(told["mask"]) == 2


def test_a_folder_of_masks_for_other_pictures_is_no_folder_of_classes(photo, tmp_path):
    folder = class_folder(tmp_path, ("other", "another"))
    done = run.invoke(app, ["repair", str(photo), "-o", str(tmp_path / "out"), "--mask", str(folder)])
    assert done.exit_code == 3
    assert "no mask for" in done.output
    for wrong in (["--mask", ""], ["--mask", "auto", "--mask", str(folder)]):
        done = run.invoke(app, ["repair", str(photo), "-o", str(tmp_path / "out"), *wrong])
        assert done.exit_code == 2


def found_by_a_network(monkeypatch):
    import tratto.providers.damage as detector

    def scratched(self, rgb, kinds=()):
        probabilities = {name: np.zeros(rgb.shape[:2], np.float32) for name in (*detector.CLASSES, "any")}
        probabilities["scratch"][20:23, 5:60] = 0.6
        probabilities["scratch"][21, 30] = 0.97
        probabilities["crack"][20:23, 5:60] = 0.9
        return probabilities

    model = {"id": "tratto-damage", "sha256": "0" * 64, "licence": "Apache-2.0", "commercial_use": True}
    monkeypatch.setattr(detector.NetworkDetector, "find", scratched)
    monkeypatch.setattr(
        detector, "detector_facts", lambda info: {"provider": "tratto", "library": "onnxruntime 1", "models": [model]}
    )


def test_repair_with_a_mask_that_a_network_proposed_says_so(photo, tmp_path, monkeypatch):
    found_by_a_network(monkeypatch)
    line = ["repair", str(photo), "-o", str(tmp_path / "out"), "--mask", "auto", "--method", "plate", "--json"]
    done = run.invoke(app, line)
    assert done.exit_code == 0, done.output
    (told,) = json.loads(done.stdout)
    assert any("proposed by" in w for w in told["warnings"])
    bundle = Path(told["bundle"])
    mask = json.loads((bundle / "receipt.json").read_text())["mask"]
    assert mask["found_by"]["provider"] == "tratto"
    assert mask["found_by"]["threshold"] == 0.5
    assert [(p["class"], p["pixels"]) for p in mask["parts"]] == [("scratch", 3 * 55)]  # a crack is sure nowhere
    assert "nobody is known" in (bundle / "report.html").read_text()
    assert run.invoke(app, ["verify", str(bundle)]).exit_code == 0
    assert run.invoke(app, ["replay", str(bundle)]).exit_code == 0
    line[3] = str(tmp_path / "none")
    done = run.invoke(app, [*line, "--threshold", "0.9"])
    assert done.exit_code == 2
    assert "nothing is repaired" in done.output


def yolo(path, names):
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    # one find: centre 16, 8, 16 wide, 8 high, class 1 at 0.9, the first prototype at +9, the second at -9
    rows = np.array([[16, 8, 16, 8, 0.1, 0.9, 1.0, 0.0]], np.float32).T[None]
    prototypes = np.stack([np.full((8, 8), 9.0), np.full((8, 8), -9.0)]).astype(np.float32)[None]
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
            helper.make_node("Add", ["rows", "zero"], ["output0"]),
            helper.make_node("Add", ["prototypes", "zero"], ["output1"]),
        ],
        "yolo",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 32, 32])],
        [
            helper.make_tensor_value_info("output0", TensorProto.FLOAT, list(rows.shape)),
            helper.make_tensor_value_info("output1", TensorProto.FLOAT, list(prototypes.shape)),
        ],
        [
            numpy_helper.from_array(rows, "rows"),
            numpy_helper.from_array(prototypes, "prototypes"),
            numpy_helper.from_array(np.float32(0), "nothing"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    if names:
        entry = model.metadata_props.add()
        entry.key, entry.value = "names", names
    onnx.save(model, path)
    return path


def test_find_with_a_yolo_model_of_ones_own(tmp_path):
    photo = tmp_path / "square.png"
    Pil.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(photo)
    model = yolo(tmp_path / "mine.onnx", "{0: 'crack', 1: 'spray/paint'}")
    line = ["mask", "find", str(photo), "-o", str(tmp_path / "found"), "--model", str(model), "--json"]
    done = run.invoke(app, line)
    assert done.exit_code == 0, done.output
    assert sorted(p.name for p in (tmp_path / "found").iterdir()) == ["all.png", "spray-paint.png"]
    want = np.zeros((64, 64), np.uint8)
    want[8:24, 16:48] = 255  # the box at twice the network's scale
    np.testing.assert_array_equal(values(tmp_path / "found" / "spray-paint.png")[9:23, 17:47], want[9:23, 17:47])
    assert (values(tmp_path / "found" / "all.png") > 0).sum() == pytest.approx(16 * 32, abs=60)
    line[4] = str(tmp_path / "weak")
    assert run.invoke(app, [*line, "--score", "0.95"]).exit_code == 0
    assert values(tmp_path / "weak" / "all.png").max() == 0
    from tratto.core.errors import OptionError
    from tratto_lab.evaluation.damage import DamagePlan, evaluate_damage, yolo_detector

    with pytest.raises(OptionError, match=r"mine\.onnx"):
        evaluate_damage(tmp_path, yolo_detector(model), DamagePlan(kinds_known=True))


def test_models_that_cannot_be_used_are_told(photo, tmp_path):
    nameless = yolo(tmp_path / "nameless.onnx", "")
    line = ["mask", "find", str(photo), "-o", str(tmp_path / "f"), "--model"]
    done = run.invoke(app, [*line, str(nameless)])
    assert done.exit_code == 2
    assert "--classes" in done.output
    assert run.invoke(app, [*line, str(nameless), "--classes", "crack, stain"]).exit_code == 0
    assert (tmp_path / "f" / "stain.png").is_file()
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    assert run.invoke(app, [*line, str(broken)]).exit_code == 3
    assert run.invoke(app, [*line, str(tmp_path / "nowhere.onnx")]).exit_code == 3


def test_a_drawn_mask_that_would_be_empty_is_a_mistake(photo, tmp_path):
    out = tmp_path / "m.png"
    done = run.invoke(app, ["mask", "draw", str(photo), "-o", str(out), "--box", "500,500 900,900"])
    assert done.exit_code == 2
    assert "110x90" in done.output
    done = run.invoke(app, ["mask", "draw", str(photo), "-o", str(out), "--marked", str(photo)])
    assert done.exit_code == 2
    assert "does not differ" in done.output
    done = run.invoke(app, ["mask", "draw", str(photo), "-o", str(out), "--line", "1,2,3:4"])
    assert '"x,y x,y ...:width"' in done.output
    assert not out.exists()


def test_hidden_files_beside_masks_are_no_masks(photo, tmp_path):
    folder = tmp_path / "masks"
    run.invoke(app, ["mask", "draw", str(photo), "-o", str(folder / "crack.png"), "--box", "10,10 20,20"])
    (folder / "._crack.png").write_bytes(b"\0\5\x16\7")
    done = run.invoke(app, ["mask", "grow", str(folder), "-o", str(tmp_path / "grown"), "--by", "1"])
    assert done.exit_code == 0, done.output
    assert [p.name for p in (tmp_path / "grown").iterdir()] == ["crack.png"]


def test_a_folder_that_cannot_be_made_is_one_line(photo, tmp_path):
    below = photo / "x"  # a file is no folder
    for command in (
        ["mask", "draw", str(photo), "-o", str(below / "m.png"), "--box", "1,1 5,5"],
        ["describe", str(photo), "-o", str(below)],
        ["eval", "repair", str(photo.parent), "--out", str(below)],
    ):
        done = run.invoke(app, command)
        assert done.exit_code == 4, (command, done.output)
        assert "used as a folder" in done.output


@pytest.mark.parametrize("method", ["auto", "plate", "telea", "patch"])
def test_nothing_is_filled_from_nothing(photo, tmp_path, method):
    mask = tmp_path / "m.png"
    Pil.fromarray(np.full((90, 110), 255, np.uint8)).save(mask)
    done = run.invoke(app, ["repair", str(photo), "-o", str(tmp_path / "o"), "--mask", str(mask), "--method", method])
    assert done.exit_code == 2
    assert "whole picture" in done.output
    assert not (tmp_path / "o" / "photo.png").exists()


def test_a_caption_that_is_too_long_is_not_told_whole(photo, tmp_path):
    mask = tmp_path / "m.png"
    run.invoke(app, ["mask", "draw", str(photo), "-o", str(mask), "--box", "10,10 20,20"])
    line = ["repair", str(photo), "-o", str(tmp_path / "o"), "--mask", str(mask), "--caption", "x" * 6000]
    done = run.invoke(app, line)
    assert done.exit_code == 2
    assert "6002 characters" in done.output
    assert len(done.output) < 300


def test_damage_is_looked_for_in_the_upright_picture(tmp_path, monkeypatch):
    import tratto.providers.damage as detector
    from tratto.imaging.opening import open_picture
    from tratto.jobs import Job
    from tratto.tasks.masks import find_masks

    rng = np.random.default_rng(0)
    image = Pil.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8))
    exif = Pil.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    seen = []

    def corner(self, rgb, kinds=()):
        seen.append(rgb.shape[:2])
        probabilities = {name: np.zeros(rgb.shape[:2], np.float32) for name in (*detector.CLASSES, "any")}
        probabilities["scratch"][:5, :8] = 0.97  # the upper left of what a viewer shows
        return probabilities

    monkeypatch.setattr(detector.NetworkDetector, "find", corner)
    image = open_picture(tmp_path / "turned.png")
    masks, _ = find_masks(image, 0.5, Job().services())
    assert seen == [(60, 40)]
    stored = masks["scratch"].values
    assert stored.shape == (40, 60)
    assert (stored > 0).sum() == 40
    assert stored[-8:, :5].all()  # turned by a quarter to the right when shown


def test_masks_of_a_folder_are_what_repair_takes(photo, tmp_path, monkeypatch):
    found_by_a_network(monkeypatch)
    scans = tmp_path / "scans"
    (scans / "box").mkdir(parents=True)
    for name in ("one.png", "box/two.png", "box/two.bmp"):
        with Pil.open(photo) as opened:
            opened.convert("RGB").save(scans / name)
    (scans / "broken.png").write_bytes(b"no picture")
    line = ["mask", "find", str(scans), "-o", str(tmp_path / "masks"), "--overlay", str(tmp_path / "shown")]
    done = run.invoke(app, line)
    assert done.exit_code == 8, done.output
    made = {str(p.relative_to(tmp_path / "masks")) for p in (tmp_path / "masks").rglob("scratch.png")}
    assert made == {"one/scratch.png", "box/two.png/scratch.png", "box/two.bmp/scratch.png"}
    with Pil.open(tmp_path / "shown" / "one.png") as opened, Pil.open(photo) as before:
        shown, was = np.asarray(opened), np.asarray(before.convert("RGB"))
    assert (shown != was).any(axis=2).sum() == 3 * 55
    (scans / "broken.png").unlink()
    line = ["repair", str(scans), "-o", str(tmp_path / "out"), "--mask", str(tmp_path / "masks"), "--keep-extension"]
    done = run.invoke(app, [*line, "--method", "plate"])
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "out").rglob("two.*.png"))) == 2


def test_nothing_found_means_nothing_written(photo, tmp_path, monkeypatch):
    import tratto.providers.damage as detector
    from tratto.tasks.masks import NOTHING

    def clean(self, rgb, kinds=()):
        return {name: np.zeros(rgb.shape[:2], np.float32) for name in (*detector.CLASSES, "any")}

    monkeypatch.setattr(detector.NetworkDetector, "find", clean)
    masks, out = tmp_path / "masks", tmp_path / "out"
    done = run.invoke(app, ["mask", "find", str(photo), "-o", str(masks)])
    assert done.exit_code == 0
    assert NOTHING in done.output
    for mask in ("auto", str(masks)):
        done = run.invoke(app, ["repair", str(photo), "-o", str(out), "--mask", mask])
        assert done.exit_code == 2
        assert NOTHING in done.output.replace("\n", " ")
        assert not out.exists()


def test_found_masks_grow_by_their_rim_unless_told(tmp_path, monkeypatch):
    import tratto.providers.damage as detector

    picture = np.full((120, 160, 3), 90, np.uint8)
    picture[50:62] = 200
    Pil.fromarray(picture).save(tmp_path / "print.png")

    def tight(self, rgb, kinds=()):
        probabilities = {name: np.zeros(rgb.shape[:2], np.float32) for name in (*detector.CLASSES, "any")}
        probabilities["fold"][53:59, 20:140] = 0.97
        return probabilities

    monkeypatch.setattr(detector.NetworkDetector, "find", tight)
    for given, least, most in (([], 10 * 120, 16 * 130), (["--grow", "0"], 6 * 120, 6 * 120)):
        out = tmp_path / f"out{len(given)}"
        line = ["repair", str(tmp_path / "print.png"), "-o", str(out), "--mask", "auto", "--method", "plate", *given]
        done = run.invoke(app, line)
        assert done.exit_code == 0, done.output
        assert least <= (values(out / "print.tratto" / "mask.png") > 0).sum() <= most
        facts = json.loads((out / "print.tratto" / "receipt.json").read_text())["mask"]["found_by"]
        assert facts["sizes"] == [[160, 120]]
        assert ("grown" in facts) is (not given)
    covered = ["mask", "find", str(tmp_path / "print.png"), "-o", str(tmp_path / "covered"), "--cover"]
    assert run.invoke(app, covered).exit_code == 0
    assert (values(tmp_path / "covered" / "fold.png") > 0).sum() >= 10 * 120


def test_repair_then_restore_has_one_chain_of_receipts(photo, tmp_path):
    rng = np.random.default_rng(0)
    noisy = np.clip(values(photo).astype(float) + rng.normal(0, 15, values(photo).shape), 0, 255).astype(np.uint8)
    Pil.fromarray(noisy).save(tmp_path / "noisy.png")
    mask = tmp_path / "m.png"
    run.invoke(app, ["mask", "draw", str(photo), "-o", str(mask), "--box", "40,40 50,44"])
    line = ["repair", str(tmp_path / "noisy.png"), "-o", str(tmp_path / "out"), "--mask", str(mask), "--then-restore"]
    foreseen = run.invoke(app, [*line, "--dry-run", "--json"])
    assert json.loads(foreseen.stdout)[0]["then"] == {
        "task": "restore",
        "picture": str(tmp_path / "out" / "noisy-repaired.png"),
    }
    done = run.invoke(app, [*line, "--json"])
    assert done.exit_code == 0, done.output
    out = tmp_path / "out"
    assert {p.name for p in out.glob("*.png")} == {"noisy.png", "noisy-repaired.png"}
    first = (out / "noisy-repaired.tratto" / "receipt.json").read_bytes()
    receipt = json.loads((out / "noisy.tratto" / "receipt.json").read_text())
    assert receipt["task"] == "restore"
    (parent,) = (out / "noisy.tratto" / "parents").iterdir()
    assert parent.read_bytes() == first
    for name in ("noisy.png", "noisy-repaired.png"):
        assert run.invoke(app, ["verify", str(out / name)]).exit_code == 0
    assert run.invoke(app, line).exit_code != 0  # nothing is replaced unasked
