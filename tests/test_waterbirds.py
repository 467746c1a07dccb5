"""Waterbirds: official splits and groups, boxes and masks, and what is said of a broken copy."""

import csv
import hashlib
import io
import random
import shutil
import tarfile
from dataclasses import replace

import loopback
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

import align
from align import metrics
from align.cli import app
from align.config import Config
from align.data import join, waterbirds
from align.data.boxes import box_masks
from align.data.layouts import GROUPS
from align.data.layouts import WATERBIRDS as LAYOUT
from align.experiment import Experiment
from align.methods import METHODS
from alignbook import groups
from alignbook.getting import download, install, manifest
from alignbook.show import show

TINY = Config(
    method="groupdro", epochs=2, batch_size=6, warmup=0, head_start=0, irm_anneal=0, augment=False
)
FOLDERS = LAYOUT.folders
COLUMNS = ("img_id", "img_filename", "y", "split", "place", "place_filename")


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def write(path, columns, rows):
    with open(path, "w", newline="") as file:
        table = csv.DictWriter(file, columns)
        table.writeheader()
        table.writerows(rows)


def make(folder, each=3):
    """A small copy in the official layout: `each` pictures of every group in every split."""
    rows, boxes = [], []
    for number in range(each * 12):
        split, group = number % 3, number // 3 % 4
        y, place = group // 2, group % 2
        name = f"{y:03}.Bird/Bird_{number:04}.jpg"
        colour = (40 * y + 10 * split, 60 * place, number)
        save(folder / name, Image.new("RGB", (24, 16), colour))
        values = (number, name, y, split, place, "/o/ocean/1.jpg")
        rows.append(dict(zip(COLUMNS, values, strict=True)))
        boxes.append(dict(img_filename=name, x=0.25, y=0.5, width=0.5, height=0.25))
    write(folder / "metadata.csv", COLUMNS, rows)
    write(folder / "boxes.csv", tuple(boxes[0]), boxes)
    return rows, boxes


@pytest.fixture
def root(tmp_path):
    make(tmp_path / FOLDERS[0])
    return tmp_path


def load(root, **options):
    return align.load("waterbirds", root, size=8, progress=False, **options)


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def change(root, file="metadata.csv", **values):
    """Change one row of a table: the fifth."""
    path = root / FOLDERS[0] / file
    rows = read(path)
    rows[4] |= values
    write(path, tuple(rows[0]), rows)


def test_splits_groups_and_boxes_are_the_official_ones(root):
    benchmark = load(root)
    assert benchmark.domains == ("train", "val", "test") and benchmark.training_split == "train"
    assert benchmark.classes == ("landbird", "waterbird") and not benchmark.missing
    for number, domain in enumerate(benchmark):
        assert domain.group_names == GROUPS and domain.split_by == "image"
        assert domain.groups.bincount().tolist() == [3, 3, 3, 3]
        assert torch.equal(domain.labels, domain.groups // 2)
        for image, label, group, file in zip(
            domain.images, domain.labels, domain.groups, domain.files, strict=True
        ):
            red, green, blue = image.float().mean((1, 2)).tolist()
            assert red == pytest.approx(40 * label + 10 * number, abs=6)
            assert green == pytest.approx(60 * (group % 2), abs=6)
            assert blue == pytest.approx(int(file[-8:-4]), abs=6)
        assert domain.masks.sum((1, 2)).tolist() == [4 * 2] * 12
        assert domain.masks[0, 4:6, 2:6].min() == 1


def test_only_training_images_carry_their_groups_as_environments(root):
    benchmark = load(root)
    assert torch.equal(benchmark["train"].environments, benchmark["train"].groups)
    assert benchmark["val"].environments is None and benchmark["test"].environments is None


def test_environments_are_the_places_alone_where_asked(root):
    by_place = align.load("waterbirds", root, size=16, environments="places", progress=False)
    assert torch.equal(by_place["train"].environments, by_place["train"].groups % 2)
    assert by_place["train"].environment_count == 2
    with pytest.raises(ValueError, match="nothing by 'birds'; choose among groups, places"):
        align.load("waterbirds", root, environments="birds")


@pytest.mark.parametrize("name", FOLDERS)
def test_every_copy_of_the_folder_is_found(tmp_path, name):
    make(tmp_path / name, each=1)
    found = [load(place)["test"].fingerprint() for place in (tmp_path, tmp_path / name)]
    assert found[0] == found[1]


def test_official_splits_are_trained_on_whole_whatever_the_seed(root):
    splits = {}
    for seed in (0, 1):
        one = Experiment("waterbirds", "train", Config(method="erm", seed=seed), {"size": 16})
        splits[seed] = one.split(one.data(root))
    training, tests = splits[0]
    assert len(training) == 12 and list(tests) == ["val", "test"]
    assert splits[1][0].fingerprint() == training.fingerprint()
    assert one.data(root).test_domains == ("val", "test")
    world = align.load("toy-vlcs", n=5, size=16)
    assert world.test_domains == world.domains and not world.training_split
    for wrong in ({"source": "val"}, {"source": "", "target": "test"}):
        one = Experiment(**({"benchmark": "waterbirds", "source": "", "config": TINY} | wrong))
        with pytest.raises(ValueError, match="has official splits .* expected source 'train'"):
            one.split(load(root))


def test_shares_are_those_of_the_training_split(tmp_path):
    rows, _ = make(tmp_path / FOLDERS[1])
    rows = [row for row in rows if not (row["split"] == 0 and row["y"] > row["place"])]
    write(tmp_path / FOLDERS[1] / "metadata.csv", COLUMNS, rows)
    (tmp_path / FOLDERS[1] / "boxes.csv").unlink()
    benchmark = load(tmp_path)
    assert benchmark["test"].group_shares == pytest.approx((1 / 3, 1 / 3, 0, 1 / 3))
    assert benchmark["test"].masks is None
    assert "no boxes.csv" in benchmark.missing[0]


def test_masks_from_a_folder_are_for_training_and_boxes_stay_the_truth(root):
    whole = load(root)
    for file in whole["train"].files:
        mask = np.zeros((16, 24), np.uint8)
        mask[:, :12] = 255
        save((root / "own" / file).with_suffix(".png"), Image.fromarray(mask))
    benchmark = load(root, masks="own")
    assert benchmark["train"].masks.mean((1, 2)).tolist() == [0.5] * 12
    assert torch.equal(benchmark["test"].masks, whole["test"].masks)
    assert all(domain.masks is None for domain in load(root, masks=None))
    one = Experiment("waterbirds", "train", TINY, {"size": 8, "masks": "own"})
    assert one.data(root)["train"].fingerprint() == benchmark["train"].fingerprint()
    (root / "own" / benchmark["train"].files[2]).with_suffix(".png").unlink()
    with pytest.raises(ValueError, match="1 of 12 pictures are without a mask in .*own, the first"):
        load(root, masks="own")
    left = load(root, masks="own", on_error="skip")
    assert len(left["train"]) == 11 and "without a mask" in left.missing[0]
    with pytest.raises(FileNotFoundError, match="no masks found in .*elsewhere: expected"):
        load(root, masks="elsewhere")


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("metadata.csv", {"y": "2"}, "line 6: y is '2' .* expected 0 .landbird., 1 .waterbird."),
        ("metadata.csv", {"place": "sea"}, "line 6: place is 'sea' .* expected 0 .land."),
        ("metadata.csv", {"split": "3"}, "line 6: split is '3' .* 2 .test."),
        ("metadata.csv", {"img_filename": "../a.jpg"}, "line 6: .* expected a name inside the"),
        ("metadata.csv", {"img_filename": "000.Bird/Bird_0000.jpg"}, "is named twice"),
        ("boxes.csv", {"img_filename": "000.Bird/b.jpg"}, "line 6: .* is not in metadata.csv"),
        ("boxes.csv", {"img_filename": "000.Bird/Bird_0000.jpg"}, "has a box already"),
        ("boxes.csv", {"x": "1.25"}, "line 6: the box 1.25, .* does not lie in its picture"),
        ("boxes.csv", {"x": "-0.2"}, "does not lie in its picture"),
        ("boxes.csv", {"height": "0.7"}, "does not lie in its picture"),
        ("boxes.csv", {"width": "0"}, "does not lie in its picture"),
        ("boxes.csv", {"width": "nan"}, "does not lie in its picture"),
        ("boxes.csv", {"y": "top"}, "does not lie in its picture"),
    ],
)
def test_a_table_that_is_wrong_is_refused_in_one_sentence(root, file, values, message):
    change(root, file, **values)
    with pytest.raises(ValueError, match=message) as raised:
        load(root)
    assert "\n" not in str(raised.value)


def test_a_box_that_overshoots_a_little_is_cut_to_the_picture(root):
    change(root, "boxes.csv", x="-0.05", width="1.1")
    file = "000.Bird/Bird_0004.jpg"
    domain = load(root)["val"]
    assert domain.masks[domain.files.index(file)].sum() == 8 * 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "has no column img_filename"),
        (b"img_filename,y\n", "has no column place, split"),
        (b"img_filename,y,place,split\n", "has no rows"),
        (b"img_filename,y,place,split\na.jpg,0\n", "line 2: the row is cut off"),
        (b"\xff\xfe\x00\x01", "is no table of comma-separated values"),
    ],
)
def test_a_file_that_is_no_table_is_refused(root, text, message):
    (root / FOLDERS[0] / "metadata.csv").write_bytes(text)
    with pytest.raises(ValueError, match=message):
        load(root)


@pytest.mark.parametrize("masks", ["boxes", None])
def test_a_table_without_a_row_of_a_split_is_refused(root, masks):
    """An empty split came out as an error of tensors, and only when it was asked for."""
    folder = root / FOLDERS[0]
    for file in ("metadata.csv", "boxes.csv"):
        rows = read(folder / file)
        write(folder / file, tuple(rows[0]), [row for n, row in enumerate(rows) if n % 3])
    with pytest.raises(ValueError, match="metadata.csv has no row with split 0 .train., expected"):
        load(root, masks=masks)
    left = load(root, masks=masks, domains=["val", "test"])
    assert [len(domain) for domain in left] == [12, 12]


def test_where_no_picture_would_be_left_none_is_to_be_skipped(root):
    for file in load(root)["val"].files:
        (root / FOLDERS[0] / file).unlink()
    for on_error in ("raise", "skip"):
        with pytest.raises(ValueError, match="12 of 12 pictures are not there") as raised:
            load(root, on_error=on_error)
        assert "on_error" not in str(raised.value)
    for file in load(root, domains=["train"])["train"].files:
        (root / FOLDERS[0] / file).write_bytes(b"no picture")
    assert load(root, domains=["train"], on_error="skip")["train"].masks.shape == (0, 8, 8)


def test_pictures_that_are_missing_broken_or_of_another_size_are_named(root):
    gone, broken = "000.Bird/Bird_0001.jpg", "000.Bird/Bird_0002.jpg"
    (root / FOLDERS[0] / gone).unlink()
    with pytest.raises(ValueError, match=f"Waterbirds val: 1 of 12 .* not there, .* {gone}"):
        load(root)
    (root / FOLDERS[0] / broken).write_bytes(b"no picture")
    benchmark = load(root, on_error="skip")
    assert [len(domain) for domain in benchmark] == [12, 11, 11]
    assert gone in benchmark.missing[0] and broken in benchmark.missing[1]
    for domain in benchmark:  # labels, groups and boxes still belong to their pictures
        assert torch.equal(domain.labels, domain.groups // 2)
        names = [int(file[:3]) for file in domain.files]
        assert domain.labels.tolist() == names
    file = benchmark["train"].files[3]
    for name in benchmark["train"].files:
        side = (16, 24) if name != file else (24, 24)
        mask = Image.fromarray(np.full(side, 255, np.uint8))
        save((root / "own" / name).with_suffix(".png"), mask)
    with pytest.raises(
        ValueError, match="its mask .* is 24x24 pixels for an upright image of 24x16"
    ):
        load(root, masks="own", domains=["train"])


def test_where_nothing_lies_the_way_to_get_it_is_said(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="run `align data get waterbirds --root"):
        load(tmp_path)
    monkeypatch.delenv("ALIGN_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="pass root=DIR or set ALIGN_DATA=DIR"):
        load(None)
    with pytest.raises(ValueError, match="has no split 'night'; choose among train, val, test"):
        load(tmp_path, domains=["night"])


def test_groups_are_told_apart_in_what_is_measured(root):
    """A classifier that looks at the background alone is right where bird and place agree."""
    domain = load(root)["test"]

    def by_place(images):
        wet = images[:, 1].mean((1, 2)) > 30 / 255
        return torch.stack([~wet, wet], 1).float()

    shares = (0.7, 0.1, 0.05, 0.15)
    domain = replace(domain, group_shares=shares)
    found = align.evaluate(by_place, domain, max_explained=0)
    assert list(found["accuracy_per_group"]) == list(GROUPS)
    assert list(found["accuracy_per_group"].values()) == [1, 0, 0, 1]
    assert (found["worst_group"], found["mean_group"]) == (0, 0.5)
    assert found["accuracy_adjusted"] == pytest.approx(0.85)
    plain = replace(domain, group_names=None, group_shares=None)
    assert "worst_group" not in align.evaluate(by_place, plain, max_explained=0)


@settings(deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=40),
    st.lists(st.floats(0.01, 1), min_size=4, max_size=4),
)
def test_group_accuracies_are_means_of_their_groups(pairs, weights):
    groups = torch.tensor([group for group, _ in pairs])
    correct = torch.tensor([right for _, right in pairs])
    shares = [weight / sum(weights) for weight in weights]
    found = metrics.group_accuracies(correct, groups, ("a", "b", "c", "d"), shares)
    each = {
        name: correct[groups == number].double().mean().item()
        for number, name in enumerate("abcd")
        if (groups == number).any()
    }
    assert found["accuracy_per_group"] == each
    assert found["worst_group"] == min(each.values()) <= found["mean_group"]
    if len(each) < 4:  # a group that was trained on and is not tested leaves it undefined
        assert "accuracy_adjusted" not in found
    else:
        by_hand = sum(s * a for s, a in zip(shares, each.values(), strict=True))
        assert found["accuracy_adjusted"] == pytest.approx(by_hand)
    # Where the test set is made up as the training set is, adjusted and plain are the same.
    own = (groups.bincount(minlength=4) / len(groups)).tolist()
    found = metrics.group_accuracies(correct, groups, ("a", "b", "c", "d"), own)
    assert found["accuracy_adjusted"] == pytest.approx(correct.double().mean().item())


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.tuples(*[st.floats(0, 0.5)] * 2, *[st.floats(0.01, 0.5)] * 2), st.integers(1, 24))
def test_a_box_covers_its_share_of_the_mask(box, size):
    mask = box_masks(torch.tensor([box], dtype=torch.float64), size)[0]
    assert mask.mean().item() == pytest.approx(box[2] * box[3], abs=1e-9)
    assert 0 <= mask.min() and mask.max() <= 1 + 1e-9


def test_joined_splits_keep_their_groups_apart(root):
    benchmark = load(root)
    both = join([benchmark["train"], benchmark["val"]])
    assert both.group_names == (*(f"train: {n}" for n in GROUPS), *(f"val: {n}" for n in GROUPS))
    assert both.groups.bincount().tolist() == [3] * 8
    assert join([benchmark["val"]] * 2).group_names is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"group_names": ("a",)}, "groups run from 0 to 3, expected 0 to 0 for the 1 group_names"),
        ({"group_names": ("a", "a", "b", "c")}, "expected different names"),
        ({"groups": None}, "has group_names and no groups, expected int64"),
        ({"group_names": None}, "has group_shares and no group_names, expected both or neither"),
        ({"group_shares": (0.5, 0.5)}, "2 group_shares that sum to 1, expected 4 that sum to 1"),
        ({"group_shares": (0.5, 0.5, 0.5, 0.5)}, "4 group_shares that sum to 2, expected"),
    ],
)
def test_named_groups_that_do_not_fit_together(root, changes, message):
    with pytest.raises(ValueError, match=message):
        replace(load(root)["train"], **changes)


def test_only_methods_that_ask_for_groups_see_them(root):
    """Other groups change what GroupDRO and IRM learn, and nothing of any other method."""
    domain = align.load("waterbirds", root, size=16, progress=False)["train"]
    other = replace(domain, environments=(domain.environments + 1) // 2)
    told = set()
    for method in ("erm", "mixup", "irm", "groupdro", "sgt", "dre", "cgc", "guided", "align"):
        config = replace(TINY, method=method)
        weights = []
        for one in (domain, other):
            run = align.train(method, one, config=config, device="cpu", progress=False)
            weights.append(run.classifier.linear.weight.detach())
        if not torch.equal(*weights):
            told.add(method)
    assert told == {name for name, kind in METHODS.items() if kind.reads_environments}


def test_the_complete_benchmark_is_the_published_one(real_data):
    if not (real_data / "waterbirds" / "metadata.csv").is_file():
        pytest.skip(f"no Waterbirds in {real_data}")
    metadata = waterbirds.Metadata.read(real_data / "waterbirds" / "metadata.csv")
    for split, row in LAYOUT.counts.items():
        assert metadata.counts(split) == tuple(row.values())
    benchmark = load(real_data, domains=["val"])
    assert len(benchmark["val"]) == sum(LAYOUT.counts["val"].values()) and not benchmark.missing
    assert 0.3 < benchmark["val"].masks.mean() < 0.4  # boxes


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "RETRIES", 2)
    monkeypatch.setattr(random, "uniform", lambda low, high: 0.0)
    monkeypatch.delenv("ALIGN_DATA", raising=False)
    with loopback.serve() as running:
        yield running


@pytest.fixture
def published(server, tmp_path, monkeypatch):
    """A small Waterbirds in the authors' archive, at `/a` and `/b` of the server."""
    make(tmp_path / "source" / FOLDERS[0])
    (tmp_path / "source" / FOLDERS[0] / "boxes.csv").unlink()
    # Long enough to be cut: random bytes do not compress, and the carrier takes half a MiB a time.
    noise = random.Random(0).randbytes(1_500_000)
    (tmp_path / "source" / FOLDERS[0] / "read me.txt").write_bytes(noise)
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz", compresslevel=1) as archive:
        archive.add(tmp_path / "source" / FOLDERS[0], FOLDERS[0])
    counts = {split: dict.fromkeys(GROUPS, 3) for split in waterbirds.SPLITS}
    monkeypatch.setattr(install, "WATERBIRDS", replace(LAYOUT, counts=counts))
    mirrors = tuple(download.Mirror(server.url(path)) for path in ("/a", "/b"))
    archive = replace(install.WATERBIRDS_ARCHIVE, mirrors=mirrors, bytes=len(body.getvalue()))
    monkeypatch.setattr(install, "WATERBIRDS_ARCHIVE", archive)
    server.routes["/a"] = server.routes["/b"] = body.getvalue()
    return server


def test_the_archive_is_got_from_either_address_and_its_hash_recorded(published, tmp_path):
    root = tmp_path / "data"
    body = published.routes["/a"]
    published.routes["/a"] = None
    found = install.get("waterbirds", root, progress=False)
    assert [path for path, _ in published.asked][-1] == "/b"
    assert found.total == 36 and found.counts["val"]["waterbird on land"] == 3
    expected = {f"{FOLDERS[0]}.tar.gz": f"sha256:{hashlib.sha256(body).hexdigest()}"}
    assert found.archives == expected
    assert manifest.Manifest.read(root / "waterbirds.manifest.json") == found
    assert install.finding(found, root).notes == () and len(load(root)["test"]) == 12
    assert not list(root.rglob("*.txt"))
    # What is there is used as it is.
    published.asked.clear()
    assert install.get("waterbirds", root, progress=False).fingerprint == found.fingerprint
    assert published.asked == []
    # Another archive under the same name is not taken for the recorded one.
    shutil.rmtree(root / FOLDERS[0])
    published.routes["/b"] = body + b"\0"
    with pytest.raises(download.DownloadError, match="another hash than the archive"):
        install.get("waterbirds", root, progress=False)
    published.routes["/a"] = body
    assert install.get("waterbirds", root, progress=False).archives == expected


def test_a_download_that_was_cut_is_carried_on(published, tmp_path):
    published.routes["/a"] = loopback.cut_once(published.routes["/a"], 1_200_000)
    assert install.get("waterbirds", tmp_path / "data", progress=False).total == 36
    assert published.ranges() == ["bytes=1048576-"]


def test_an_archive_that_is_not_whole_is_refused_and_nothing_is_left(
    published, tmp_path, monkeypatch
):
    counts = {split: dict.fromkeys(GROUPS, 4) for split in waterbirds.SPLITS}
    monkeypatch.setattr(install, "WATERBIRDS", replace(LAYOUT, counts=counts))
    with pytest.raises(ValueError, match="another set of images .* 12 of 16 images .landbird on"):
        install.get("waterbirds", tmp_path / "data", progress=False)
    assert not (tmp_path / "data" / FOLDERS[0]).exists()


def test_check_counts_every_group_and_names_what_is_missing(published, tmp_path):
    root = tmp_path / "data"
    install.get("waterbirds", root, progress=False)
    output = CliRunner().invoke(app, ["data", "check", "waterbirds", "--root", str(root)])
    assert output.exit_code == 0 and "complete" in output.stdout
    assert all(name in output.stdout for name in GROUPS)
    gone = load(root)["val"].files[0]
    (root / FOLDERS[0] / gone).unlink()
    output = CliRunner().invoke(app, ["data", "check", "waterbirds", "--root", str(root)])
    assert output.exit_code == 1
    assert "val: 11 of 12 images (landbird on land 2 of 3)" in output.stdout
    assert f"1 pictures that metadata.csv names are not there: {gone}" in output.stdout
    assert "run `align data get waterbirds" in output.stdout
    change(root, y="7")
    output = CliRunner().invoke(app, ["data", "check", "waterbirds", "--root", str(root)])
    assert output.exit_code == 1 and "line 6: y is '7'" in output.stdout


def look(root):
    """The exit status of `align data check waterbirds`, and what it says."""
    done = CliRunner().invoke(app, ["data", "check", "waterbirds", "--root", str(root)])
    return done.exit_code, done.stdout


@pytest.fixture
def whole(root, monkeypatch):
    """A small copy that has all pictures that are expected of it."""
    counts = {split: dict.fromkeys(GROUPS, 3) for split in waterbirds.SPLITS}
    monkeypatch.setattr(install, "WATERBIRDS", replace(LAYOUT, counts=counts))
    return root


def test_check_says_what_there_is_of_boxes(whole):
    path = whole / FOLDERS[0] / "boxes.csv"
    code, said = look(whole)
    assert code == 0 and "complete\n  boxes.csv: a box for each of 36 pictures\n" in said
    path.unlink()
    code, said = look(whole)  # the archive has none: that is nothing wrong
    (sentence,) = (line for line in said.splitlines() if "boxes.csv" in line)
    assert code == 0 and "  complete\n" in said and "there is no boxes.csv" in sentence
    for lacking in ('masks="boxes"', "evidence inside", "reliance on the background"):
        assert lacking in sentence
    # `get`, which used the copy that is there, says the same of it.
    words = ["data", "get", "waterbirds", "--root", str(whole)]
    assert sentence in CliRunner().invoke(app, words).stdout


def test_check_counts_boxes_that_are_refused_and_pictures_without_one(whole):
    rows = read(path := whole / FOLDERS[0] / "boxes.csv")
    rows[1] |= {"x": "0.9"}
    rows[2] |= {"height": "nan"}
    rows[4] |= {"img_filename": "000.Bird/other.jpg"}
    write(path, tuple(rows[0]), [*rows[:-2], rows[0]])
    code, said = look(whole)
    assert code == 1 and "  complete\n" not in said
    for sentence in (
        f"the box does not lie in its picture: 2, the first in {path}, line 3: {{}}Bird_0001.jpg",
        f"not in metadata.csv: 1, the first in {path}, line 6: {{}}other.jpg",
        f"that has a box already: 1, the first in {path}, line 36: {{}}Bird_0000.jpg",
        "pictures without a box that can be used: 5 of 36, the first is {}Bird_0001.jpg",
        "correct boxes.csv, or move it away",
    ):
        assert sentence.format("000.Bird/") in said
    assert "align data get" not in said  # which brings no boxes
    path.write_text("img_filename,x\n")
    code, said = look(whole)
    assert code == 1 and "boxes.csv has no column y, width, height" in said


def test_what_a_message_says_that_check_counts_it_counts(whole):
    """It was said of boxes and of masks too, and only missing pictures were counted."""
    rows = read(path := whole / FOLDERS[0] / "boxes.csv")
    write(path, tuple(rows[0]), rows[1:])
    with pytest.raises(ValueError, match="1 of 12 pictures are without a box.*data check") as one:
        load(whole)
    assert "first is 000.Bird/Bird_0000.jpg" in str(one.value)
    assert (
        "without a box that can be used: 1 of 36, the first is 000.Bird/Bird_0000.jpg"
        in (look(whole)[1])
    )
    (whole / "own").mkdir()
    with pytest.raises(ValueError, match="without a mask in .*; add them$") as raised:
        load(whole, masks="own")
    assert "data check" not in str(raised.value)


def test_published_rows_say_who_was_told_the_groups():
    found = groups.published()
    table = found.frame()
    assert len(table) == len(found.rows) == len({row.method for row in found.rows})
    # The network is the same in every row, so it stands once, under the table.
    assert "network" not in table
    note = show(table).note
    assert note.startswith(f"Published: {found.backbone}, {found.size} px; [T] is second hand")
    assert found.source in note
    assert found.source and all(row.paper for row in found.rows)
    erm, best = (table.loc["published [T]"].loc[name] for name in ("ERM", "GroupDRO"))
    assert (erm["group labels in training"], best["group labels in training"]) == (
        "none",
        "training split",
    )
    untold = [row.worst_group for row in found.rows if row.training == "none"]
    told = [row.worst_group for row in found.rows if row.training != "none"]
    assert max(told) > max(untold)  # the best was told; not all who were told are above the rest
    with pytest.raises(
        ValueError, match="training is 'some', expected one of none, training split"
    ):
        replace(found.rows[0], training="some")


def test_a_table_can_say_who_was_told_the_groups_here():
    def one(method, **metrics_):
        return {"config": Config(method=method).used(), "metrics": {"test": metrics_}}

    named = {"accuracy_per_group": {"a": 1.0}}
    assert groups.told(one("groupdro", **named)) and groups.told(one("irm", **named))
    assert not groups.told(one("erm", **named)) and not groups.told(one("groupdro"))
    said = groups.note([one(name, **named) for name in ("irm", "erm", "groupdro", "irm")])
    assert said == "Told each training picture's group: GroupDRO, IRM."
    assert groups.note([one("erm", **named)]) == "Told each training picture's group: no row."
    assert groups.note([one("erm"), one("irm")]) == groups.note([]) == ""
