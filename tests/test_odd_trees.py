"""Odd trees: what is not read shifts no label without a word; names are read as people do."""

import os
import shutil
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from align.data.folders import load_folder, load_pacs
from align.data.masks import load_weizmann
from align.explanation import pictures, read

CAFE = ("Caf\u00e9", "Cafe\u0301")
"""The same name with its accent as one sign, and as two."""


def save(path, grey=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4), grey).save(path, format="PNG")
    return path


def quiet(root, **options):
    return load_folder(root, **{"size": 4, "progress": False} | options)


@pytest.fixture(autouse=True)
def own_place(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("ALIGN_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def tree(tmp_path):
    """Two domains of three classes with two images each; the first class is the odd one."""
    root = tmp_path / "data"
    for domain in ("art", "photo"):
        for kind in ("ant", "bee", "cat"):
            for number in range(2):
                save(root / domain / kind / f"{number}.png")
    return root


def spoil(folder, how):
    """Make a class folder hold nothing that is read."""
    shutil.rmtree(folder)
    if how == "absent":
        return
    folder.mkdir()
    if how == "other types":
        save(folder / "a.webp")
        save(folder / "b.TIFF")
    elif how == "one deeper":
        save(folder / "train" / "a.png")
    elif how == "dangling":
        (folder / "a.png").symlink_to(folder / "gone.png")
    elif how == "dangling folder":
        folder.rmdir()
        folder.symlink_to(folder.parent / "gone")


EMPTY = {
    "other types": "1 .tiff, 1 .webp",
    "one deeper": "one folder deeper",
    "empty": "holds no images",
    "dangling folder": "",
}


@pytest.mark.parametrize("how", EMPTY)
def test_a_class_without_an_image_anywhere_is_refused_or_keeps_its_label(tree, how):
    for domain in ("art", "photo"):
        spoil(tree / domain / "ant", how)
    with pytest.raises(ValueError, match=r"class 'ant' has no image.*classes=.*on_error") as raised:
        quiet(tree)
    assert EMPTY[how] in str(raised.value) and "\n" not in str(raised.value)
    benchmark = quiet(tree, on_error="skip")
    assert benchmark.classes == ("ant", "bee", "cat")
    assert benchmark["art"].labels.tolist() == [1, 1, 2, 2]
    assert any("art: no images of ant" in said for said in benchmark.missing)
    assert quiet(tree, classes=["bee", "cat"]).classes == ("bee", "cat")


@pytest.mark.parametrize("how", [*EMPTY, "absent"])
def test_a_class_that_one_domain_lacks_shifts_no_label_and_is_named(tree, how):
    spoil(tree / "art" / "ant", how)
    benchmark = quiet(tree)
    assert benchmark.classes == ("ant", "bee", "cat")
    assert benchmark["art"].labels.tolist() == [1, 1, 2, 2]
    assert benchmark.missing[0] == "domain art: no images of ant"
    assert EMPTY.get(how, "").removeprefix("holds no images") in " ".join(benchmark.missing)


def test_pictures_of_other_types_beside_readable_ones_are_counted(tree):
    for name in ("a.webp", "b.HEIC", "notes.txt", ".hidden.webp", "Thumbs.db"):
        save(tree / "art" / "bee" / name)
    (said,) = quiet(tree).missing
    assert said == ("domain art: art/bee holds files of types that are not read (1 .heic, 1 .webp)")


def test_pictures_at_other_depths_are_named(tree):
    save(tree / "art" / "bee" / "more" / "a.jpg")
    save(tree / "art" / "loose.png")
    missing = quiet(tree).missing
    assert "domain art: pictures lie one folder deeper than they are read, in art/bee/more" in (
        missing
    )
    assert "domain art: 1 images in art itself belong to no class" in missing
    (tree / "art").rename(tree.parent / "away")
    shutil.rmtree(tree / "photo")
    for domain in ("x", "y"):
        save(tree / domain / "cat" / "train" / "a.png")
    with pytest.raises(FileNotFoundError, match="one folder deeper than they are read, in x/cat"):
        quiet(tree)


def test_a_link_to_a_picture_that_is_gone_is_an_unreadable_picture(tree):
    link = tree / "art" / "bee" / "9.png"
    link.symlink_to(tree / "unmounted" / "9.png")
    with pytest.raises(ValueError, match="1 of 7 images of 'art' cannot be read") as raised:
        quiet(tree)
    assert str(link) in str(raised.value)
    benchmark = quiet(tree, on_error="skip")
    assert len(benchmark["art"]) == 6 and str(link) in benchmark.missing[0]


def test_a_link_to_itself_stops_nothing_and_is_named(tree):
    whole = quiet(tree)
    for place in ("loop", "art/loop", "art/bee/loop", "art/bee/a.png"):
        (tree / place).symlink_to(tree / place)
    for place in ("back", "art/back", "art/bee/back"):
        (tree / place).symlink_to(tree)
    (tree / "art" / "here").symlink_to(".")
    benchmark = quiet(tree)
    assert benchmark.domains == whole.domains and benchmark.classes == whole.classes
    for domain in whole:
        assert benchmark[domain.name].fingerprint() == domain.fingerprint()
    said = " ".join(benchmark.missing)
    for place in ("loop", "art/loop", "art/bee/a.png", "back", "art/back", "art/here"):
        assert f"{place} is a link to itself" in said


def test_a_link_to_a_folder_elsewhere_is_read(tree):
    elsewhere = tree.parent / "elsewhere"
    (tree / "art" / "bee").rename(elsewhere)
    (tree / "art" / "bee").symlink_to(elsewhere)
    assert len(quiet(tree)["art"]) == 6 and quiet(tree).missing == ()


def test_masks_within_the_root_are_no_domain_and_make_no_classes(tree):
    for path in sorted(tree.rglob("*.png")):
        save(tree / "masks" / path.relative_to(tree), 255)
    benchmark = quiet(tree, masks=tree / "masks")
    assert benchmark.domains == ("art", "photo") and benchmark.missing == ()
    assert benchmark["art"].masks.min() == 1
    without = quiet(tree)
    assert without.classes == ("ant", "bee", "cat") and without.domains == ("art", "photo")
    assert "domain masks: no images" in without.missing


def test_a_name_in_two_spellings_is_one_class_one_domain_and_has_its_mask(tmp_path):
    composed, decomposed = CAFE
    root, masks = tmp_path / "data", tmp_path / "masks"
    save(root / "a" / composed / f"{composed}.png", 10)
    save(root / "a" / decomposed / "x.png", 20)
    save(root / decomposed / decomposed / f"{decomposed}.png", 30)
    save(root / composed / "bee" / "y.png", 40)
    save(root / "a" / "bee" / "z.png", 50)
    save(masks / "a" / decomposed / f"{decomposed}.png", 255)
    save(masks / "a" / composed / "x.png", 255)
    save(masks / composed / composed / f"{composed}.png", 255)
    save(masks / decomposed / "bee" / "y.png", 255)
    save(masks / "a" / "bee" / "z.png", 255)
    benchmark = quiet(root, masks=masks)
    assert benchmark.domains == (composed, "a") and benchmark.classes == (composed, "bee")
    assert benchmark["a"].labels.tolist() == [0, 0, 1]
    assert benchmark[decomposed] is benchmark[composed]
    assert benchmark[composed].images[:, 0, 0, 0].tolist() == [30, 40]
    assert all(domain.masks.min() == 1 for domain in benchmark)
    assert benchmark.missing == ()
    chosen = quiet(root, classes=[decomposed], domains=[decomposed])
    assert chosen.classes == (composed,) and len(chosen[composed]) == 1
    with pytest.raises(ValueError, match="different folder names"):
        quiet(root, classes=list(CAFE))


def test_a_tree_is_the_same_data_in_either_spelling(tmp_path):
    for form in ("NFC", "NFD"):
        for number, name in enumerate(("e", "\u00e9", "f", "z\u0301", "zz")):
            spelled = unicodedata.normalize(form, name)
            save(tmp_path / form / "d" / spelled / f"{spelled}.png", number)
            save(tmp_path / form / "d" / spelled / "f.png", 50 + number)
    first, second = (quiet(tmp_path / form) for form in ("NFC", "NFD"))
    assert first.classes == second.classes
    assert first["d"].fingerprint() == second["d"].fingerprint()


def test_human_masks_are_found_in_either_spelling_and_what_is_left_out_is_told(tmp_path):
    base = tmp_path / "masks" / "weizmann_horse"
    save(base / "images" / f"{CAFE[0]}.png")
    save(base / "masks" / f"{CAFE[1]}.png", 255)
    options = {"size": 4, "progress": False}
    horses = load_weizmann(tmp_path, **options)
    assert horses.masks.min() == 1 and horses.mask_source == "people"
    save(base / "images" / "b.png").write_bytes(b"")
    save(base / "masks" / "b.png")
    with pytest.warns(RuntimeWarning, match="b.png: the file is empty"):
        assert len(load_weizmann(tmp_path, on_error="skip", **options)) == 1


def test_published_layouts_name_what_is_passed_over(tmp_path):
    save(tmp_path / "PACS" / "photo" / "dog" / "a.png")
    save(tmp_path / "PACS" / "photo" / "dog" / "b.webp")
    pacs = load_pacs(tmp_path, domains=["photo"], size=4, progress=False)
    assert "PACS photo: photo/dog holds files of types that are not read (1 .webp)" in pacs.missing


@pytest.mark.parametrize("how", ["other types", "one deeper", "dangling", "loop"])
def test_masks_that_are_not_read_are_named(tree, how):
    masks = tree.parent / "masks"
    for path in sorted(tree.rglob("*.png")):
        save(masks / path.relative_to(tree), 255)
    spoil(masks / "art" / "bee", how)
    if how == "loop":
        (masks / "art" / "bee" / "0.png").symlink_to("0.png")
    told = {"other types": "1 .tiff, 1 .webp", "one deeper": "one folder deeper", "loop": "itself"}
    with pytest.raises(ValueError, match="2 of 6 images have no mask") as raised:
        quiet(tree, masks=masks)
    assert told.get(how, "art/bee/0.png") in str(raised.value)
    benchmark = quiet(tree, masks=masks, on_error="skip")
    assert benchmark["art"].labels.tolist() == [0, 0, 2, 2]
    for kind in ("ant", "cat"):
        spoil(masks / "art" / kind, "other types")
    said = " ".join(quiet(tree, masks=masks).missing)
    assert "no masks in" in said and ".webp" in said
    spoil(masks / "photo", "other types")
    with pytest.raises(FileNotFoundError, match="no masks found .*types that are not read"):
        quiet(tree, masks=masks)


def test_a_folder_to_explain_names_the_pictures_that_are_not_read(tmp_path):
    good, odd = save(tmp_path / "a.png"), tmp_path / "b.HEIC"
    odd.write_bytes(b"ftypheic")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "notes.txt").write_text("no picture")
    files = pictures([tmp_path])
    assert files == [good, odd]
    found = dict(read(files, 4))
    assert found[good].shape == (3, 4, 4) and "it is not one of JPEG" in found[odd]


STATES = ("images", "other types", "one deeper", "empty", "absent", "dangling", "decomposed")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.dictionaries(
        st.tuples(st.sampled_from(("art", CAFE[0])), st.sampled_from(("ant", CAFE[0], "cat"))),
        st.sampled_from((*STATES, "images", "images")),
        min_size=1,
    )
)
def test_a_label_is_always_that_of_its_folder(tmp_path_factory, plan):
    root = tmp_path_factory.mktemp("tree")
    for (domain, kind), state in plan.items():
        if state == "decomposed":
            kind, domain = (unicodedata.normalize("NFD", name) for name in (kind, domain))
        folder = root / domain / kind
        save(folder / "a.png")
        if state not in ("images", "decomposed"):
            spoil(folder, state)
    for on_error in ("raise", "skip"):
        try:
            benchmark = quiet(root, on_error=on_error)
        except (ValueError, FileNotFoundError) as error:
            assert "\n" not in str(error) and len(str(error).split()) > 8
            assert on_error == "raise" or "no images found" in str(error)
            continue
        read = {key for key, state in plan.items() if state in ("images", "decomposed")}
        found = set()
        for domain in benchmark:
            for file, label in zip(domain.files, domain.labels.tolist(), strict=True):
                assert (root / file).is_file()
                names = unicodedata.normalize("NFC", file).split("/")
                assert benchmark.classes[label] == names[1] and domain.name == names[0]
                found.add((names[0], names[1]))
        assert found == read
        assert list(benchmark.classes) == sorted(benchmark.classes)
        assert {kind for _, kind in read} <= set(benchmark.classes)
        said = " ".join(benchmark.missing)
        for domain in benchmark.domains:
            for kind in benchmark.classes:
                assert (domain, kind) in read or kind in said
        for domain, kind in plan.keys() - read:
            here = {d for d, _ in read} == {domain}
            if here and plan[domain, kind] != "absent":
                assert kind in benchmark.classes  # the folder is there: so is its label


def test_a_folder_that_may_not_be_listed_is_one_sentence(tree):
    if os.geteuid() == 0:
        pytest.skip("nothing is forbidden to the superuser")
    (tree / "art" / "bee").chmod(0)
    with pytest.raises(PermissionError, match="bee"):
        quiet(tree)
