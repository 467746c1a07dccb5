from __future__ import annotations

import gzip
import io
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from align.data import cache, listing, trees
from align.data.decoding import UnreadableImageError, decode, open_mask, open_rgb
from align.data.folders import load_folder, load_pacs, load_terra, load_vlcs
from align.data.layouts import PACS, VLCS
from align.data.masks import load_pennfudan, load_weizmann

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def save(path: Path, colour=RED, size: tuple[int, int] = (20, 20)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def save_mask(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def left_half(value: int = 255, size: int = 20) -> np.ndarray:
    values = np.zeros((size, size), np.uint8)
    values[:, : size // 2] = value
    return values


def colour_of(domain, index: int) -> list[int]:
    return domain.images[index].float().mean((1, 2)).round().int().tolist()


@pytest.fixture(autouse=True)
def empty_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own: packs are keyed by content, and many tests draw the same."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("ALIGN_CACHE", str(folder))
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two domains of two classes; the colours tell the images apart."""
    root = tmp_path / "data"
    save(root / "photo" / "cat" / "b.png", GREEN)
    save(root / "photo" / "cat" / "a.png", RED)
    save(root / "photo" / "dog" / "c.png", BLUE)
    save(root / "art" / "cat" / "d.png", BLUE)
    save(root / "art" / "dog" / "e.png", GREEN)
    return root


def quiet(root: Path, **options):
    return load_folder(root, **{"size": 8, "progress": False} | options)


class TestTree:
    def test_images_labels_and_names(self, tree: Path) -> None:
        benchmark = quiet(tree, name="mine")
        assert benchmark.name == "mine"
        assert benchmark.domains == ("art", "photo")
        assert benchmark.classes == ("cat", "dog")
        assert benchmark.missing == ()
        photo = benchmark["photo"]
        assert photo.images.dtype == torch.uint8 and photo.images.shape == (3, 3, 8, 8)
        assert photo.files == ("photo/cat/a.png", "photo/cat/b.png", "photo/dog/c.png")
        assert photo.labels.tolist() == [0, 0, 1]
        assert photo.masks is None and photo.groups is None
        assert [colour_of(photo, i) for i in range(3)] == [list(RED), list(GREEN), list(BLUE)]

    def test_the_order_is_by_name_whatever_the_folder_says(
        self, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("10.png", "9.png", "B.png", "é.png", "z z.png"):
            save(tree / "photo" / "cat" / name)
        expected = ["10.png", "9.png", "B.png", "a.png", "b.png", "z z.png", "é.png"]
        real = listing.os.scandir

        class Backwards:
            def __init__(self, path) -> None:
                self.entries = sorted(real(path), key=lambda entry: entry.name, reverse=True)

            def __enter__(self):
                return iter(self.entries)

            def __exit__(self, *_: object) -> None:
                pass

        forwards = quiet(tree, domains=["photo"])["photo"].files
        monkeypatch.setattr(listing.os, "scandir", Backwards)
        assert quiet(tree, domains=["photo"])["photo"].files == forwards
        assert [name.split("/")[2] for name in forwards if "/cat/" in name] == expected

    def test_suffixes_in_any_case_and_nothing_else(self, tree: Path) -> None:
        for name in ("A.JPG", "B.Jpeg", "C.PNG", "d.jpeg", "notes.txt", ".hidden.png", "jpg"):
            (tree / "art" / "cat").mkdir(exist_ok=True)
            Image.new("RGB", (4, 4)).save(tree / "art" / "cat" / name, format="PNG")
        save(tree / "art" / "cat" / "deeper.png" / "x.png")
        save(tree / ".git" / "cat" / "x.png")
        save(tree / "art" / ".checkpoints" / "x.png")
        benchmark = quiet(tree)
        assert benchmark.domains == ("art", "photo") and benchmark.classes == ("cat", "dog")
        names = [file.split("/")[2] for file in benchmark["art"].files if "/cat/" in file]
        assert names == ["A.JPG", "B.Jpeg", "C.PNG", "d.jpeg", "d.png"]

    def test_spaces_and_other_letters_in_names(self, tmp_path: Path) -> None:
        save(tmp_path / "data set" / "Ölgemälde à 1" / "большая собака" / "猫 1.png", BLUE)
        benchmark = quiet(tmp_path / "data set", cache=tmp_path / "cäche dir")
        assert benchmark["Ölgemälde à 1"].files == ("Ölgemälde à 1/большая собака/猫 1.png",)
        assert colour_of(benchmark["Ölgemälde à 1"], 0) == list(BLUE)

    def test_a_class_missing_from_a_domain_shifts_no_label(self, tree: Path) -> None:
        (tree / "art" / "cat" / "d.png").unlink()
        save(tree / "art" / "eel" / "f.png")
        benchmark = quiet(tree)
        assert benchmark.classes == ("cat", "dog", "eel")
        assert benchmark["art"].labels.tolist() == [1, 2]
        assert benchmark["photo"].labels.tolist() == [0, 0, 1]
        assert benchmark.missing == (
            "domain art: no images of cat",
            "domain photo: no images of eel",
        )

    def test_given_classes_and_domains_fix_labels_and_order(self, tree: Path) -> None:
        benchmark = quiet(tree, classes=["dog", "eel", "cat"], domains=["photo", "art", "sea"])
        assert benchmark.domains == ("photo", "art")
        assert benchmark["photo"].labels.tolist() == [0, 2, 2]
        assert benchmark["photo"].classes == ("dog", "eel", "cat")
        assert "domain sea: no images" in benchmark.missing
        assert "domain photo: no images of eel" in benchmark.missing
        assert quiet(tree, classes=["dog"])["photo"].files == ("photo/dog/c.png",)

    def test_nothing_is_written_below_the_root(self, tree: Path) -> None:
        before = sorted(tree.rglob("*"))
        quiet(tree)
        assert sorted(tree.rglob("*")) == before
        with pytest.raises(ValueError, match="lies inside the data folder"):
            quiet(tree, cache=tree / "cache")
        assert sorted(tree.rglob("*")) == before

    def test_no_images_says_what_was_expected(self, tmp_path: Path) -> None:
        save(tmp_path / "cat" / "a.png")
        for root in (tmp_path, tmp_path / "nowhere"):
            with pytest.raises(FileNotFoundError, match="DOMAIN/CLASS/NAME.jpg") as error:
                quiet(root)
            assert str(root) in str(error.value)

    def test_the_root_may_be_the_variable(
        self, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("ALIGN_DATA", raising=False)
        with pytest.raises(FileNotFoundError, match="pass root=DIR or set ALIGN_DATA"):
            load_folder()
        monkeypatch.setenv("ALIGN_DATA", str(tree))
        assert quiet(None).domains == ("art", "photo")

    @pytest.mark.parametrize("size", [0, -1, 8.0, "8", True, None])
    def test_size_is_a_whole_number_from_1(self, tree: Path, size: object) -> None:
        with pytest.raises(ValueError, match="size is .*whole number from 1"):
            quiet(tree, size=size)

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("classes", "cat"),
            ("classes", []),
            ("domains", ["art", "art"]),
            ("domains", [1]),
            ("on_error", "ignore"),
            ("mask_threshold", -1),
            ("mask_threshold", 0.5),
        ],
    )
    def test_bad_options_are_named(self, tree: Path, option: str, value: object) -> None:
        with pytest.raises(ValueError, match=f"{option} is "):
            quiet(tree, **{option: value})

    def test_images_stay_mapped_and_a_subset_is_a_copy(self, tree: Path) -> None:
        photo = quiet(tree)["photo"]
        before = photo.images.clone()
        part = photo.subset(torch.tensor([1]))
        part.images.zero_()
        assert torch.equal(photo.images, before)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            photo.images[0] = 0  # copy on write: the file keeps its pixels
        assert torch.equal(quiet(tree)["photo"].images, before)


class TestCache:
    @pytest.fixture
    def decoded(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Names of the files that are decoded from now on."""
        names: list[str] = []

        def counted(image: Path, *rest: object) -> np.ndarray:
            names.append(image.name)
            return decode(image, *rest)

        monkeypatch.setattr(trees, "decode", counted)
        return names

    def test_the_second_load_decodes_nothing(self, tree: Path, decoded: list[str]) -> None:
        first = quiet(tree)["photo"]
        assert sorted(decoded) == ["a.png", "b.png", "c.png", "d.png", "e.png"]
        decoded.clear()
        second = quiet(tree)["photo"]
        assert decoded == []
        assert first.fingerprint() == second.fingerprint() and first.files == second.files

    def test_another_place_with_the_same_content_is_a_hit(
        self, tree: Path, decoded: list[str]
    ) -> None:
        quiet(tree)
        decoded.clear()
        assert colour_of(quiet(tree.rename(tree.with_name("moved")))["photo"], 0) == list(RED)
        assert decoded == []

    def test_changed_content_is_decoded_again(self, tree: Path, decoded: list[str]) -> None:
        quiet(tree)
        decoded.clear()
        save(tree / "photo" / "cat" / "a.png", BLUE)
        assert colour_of(quiet(tree)["photo"], 0) == list(BLUE)
        assert sorted(decoded) == ["a.png", "b.png", "c.png"]

    def test_renamed_added_and_resized_images_are_decoded_again(
        self, tree: Path, decoded: list[str]
    ) -> None:
        quiet(tree)
        (tree / "photo" / "cat" / "a.png").rename(tree / "photo" / "cat" / "x.png")
        photo = quiet(tree)["photo"]
        assert photo.files[:2] == ("photo/cat/b.png", "photo/cat/x.png")
        assert colour_of(photo, 1) == list(RED)
        save(tree / "photo" / "cat" / "y.png")
        assert len(quiet(tree)["photo"]) == 4
        assert quiet(tree, size=5)["photo"].images.shape == (4, 3, 5, 5)

    def test_without_a_writable_cache_the_images_come_all_the_same(
        self, tree: Path, tmp_path: Path
    ) -> None:
        blocked = tmp_path / "blocked"
        blocked.touch()
        with pytest.warns(RuntimeWarning, match="cannot be written"):
            photo = quiet(tree, cache=blocked)["photo"]
        assert photo.fingerprint() == quiet(tree)["photo"].fingerprint()

    def test_another_limit_against_bombs_is_another_pack(
        self, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save(tree / "photo" / "cat" / "large.png", BLUE, (50, 50))
        with monkeypatch.context() as patch:
            patch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
            assert len(quiet(tree, on_error="skip")["photo"]) == 3
        assert len(quiet(tree, on_error="skip")["photo"]) == 4

    def test_a_new_version_decodes_again(
        self, tree: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        quiet(tree)
        decoded.clear()
        monkeypatch.setattr(cache, "FORMAT_VERSION", cache.FORMAT_VERSION + 1)
        quiet(tree)
        assert len(decoded) == 5


class TestDecoding:
    @pytest.mark.parametrize(
        ("mode", "colour", "expected"),
        [
            ("RGB", (10, 200, 30), (10, 200, 30)),
            ("L", 77, (77, 77, 77)),
            ("1", 1, (255, 255, 255)),
            ("LA", (77, 255), (77, 77, 77)),
            ("LA", (0, 0), (255, 255, 255)),
            ("RGBA", (10, 200, 30, 255), (10, 200, 30)),
            ("RGBA", (10, 200, 30, 0), (255, 255, 255)),
            ("RGBA", (0, 0, 0, 51), (204, 204, 204)),
            ("I;16", 65535, (255, 255, 255)),
            ("I;16", 257 * 100, (100, 100, 100)),
            ("I;16", 300, (1, 1, 1)),
        ],
    )
    def test_every_png_mode(self, tmp_path: Path, mode: str, colour, expected) -> None:
        path = tmp_path / "a.png"
        Image.new(mode, (6, 6), colour).save(path)
        with Image.open(path) as stored:
            assert stored.mode == mode or mode == "I;16"
        image = open_rgb(path)
        assert image.mode == "RGB" and image.getpixel((3, 3)) == expected

    def test_a_palette_with_and_without_transparency(self, tmp_path: Path) -> None:
        image = Image.new("P", (6, 6), 1)
        image.putpalette([*RED, *GREEN])
        image.save(tmp_path / "solid.png")
        image.save(tmp_path / "clear.png", transparency=1)
        assert open_rgb(tmp_path / "solid.png").getpixel((0, 0)) == GREEN
        assert open_rgb(tmp_path / "clear.png").getpixel((0, 0)) == (255, 255, 255)

    def test_cmyk_and_grey_jpeg(self, tmp_path: Path) -> None:
        Image.new("CMYK", (8, 8), (255, 0, 0, 0)).save(tmp_path / "cmyk.jpg")
        red, green, blue = open_rgb(tmp_path / "cmyk.jpg").getpixel((4, 4))
        assert red < 10 and green > 245 and blue > 245
        Image.new("L", (8, 8), 90).save(tmp_path / "grey.jpg")
        assert open_rgb(tmp_path / "grey.jpg").getpixel((4, 4)) == (90, 90, 90)

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("mode", ["RGB", "I;16"])
    def test_exif_orientation_is_applied(self, tmp_path: Path, orientation: int, mode: str) -> None:
        # What must be done to an upright picture so that a viewer turns it back.
        stored_as = {
            1: None,
            2: Image.Transpose.FLIP_LEFT_RIGHT,
            3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM,
            5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_90,
            7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_270,
        }[orientation]
        values = np.zeros((12, 8), np.uint8)
        values[:6, :4] = 200  # the upper left corner, in an upright picture taller than wide
        upright = Image.fromarray(values)
        if mode == "I;16":
            upright = Image.fromarray(values.astype(np.uint16) * 257)
        else:
            upright = upright.convert("RGB")
        exif = Image.Exif()
        exif[274] = orientation
        stored = upright if stored_as is None else upright.transpose(stored_as)
        stored.save(tmp_path / "a.png", exif=exif)
        seen = np.asarray(open_rgb(tmp_path / "a.png"))
        np.testing.assert_array_equal(seen, np.repeat(values[..., None], 3, axis=2))

    def test_the_square_is_torchvisions_resize(self, tmp_path: Path) -> None:
        from torchvision.transforms import functional

        noise = np.random.default_rng(0).integers(0, 256, (57, 91, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "a.png")
        expected = functional.pil_to_tensor(functional.resize(Image.fromarray(noise), [16, 16]))
        np.testing.assert_array_equal(decode(tmp_path / "a.png", None, 16, None), expected)

    @pytest.mark.parametrize("form", ["JPEG", "MPO", "PNG", "BMP", "GIF", "WEBP"])
    def test_a_file_is_read_by_its_content_not_its_suffix(self, tmp_path: Path, form: str) -> None:
        first, second = Image.new("RGB", (16, 16), BLUE), Image.new("RGB", (16, 16), RED)
        several = {"save_all": True, "append_images": [second]} if form == "MPO" else {}
        first.save(tmp_path / "a.png", format=form, **several)
        red, green, blue = open_rgb(tmp_path / "a.png").getpixel((8, 8))
        assert red < 5 and green < 5 and blue > 250

    def test_formats_for_outside_programs_are_refused(self, tmp_path: Path) -> None:
        Image.new("RGB", (4, 4)).save(tmp_path / "a.jpg", format="EPS")
        with pytest.raises(UnreadableImageError, match="not one of JPEG"):
            open_rgb(tmp_path / "a.jpg")

    def test_a_failure_of_the_system_is_not_blamed_on_the_image(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            open_rgb(tmp_path / "gone.png")

    def test_too_little_memory_is_not_blamed_on_the_image(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def exhausted(*_: object, **__: object) -> None:
            raise MemoryError

        save(tmp_path / "a.png")
        monkeypatch.setattr(Image, "open", exhausted)
        with pytest.raises(MemoryError):
            open_rgb(tmp_path / "a.png")

    def test_decompression_bombs_are_errors(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save(tmp_path / "a.png", size=(50, 50))
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
        with pytest.raises(UnreadableImageError, match="DecompressionBombError"):
            open_rgb(tmp_path / "a.png")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _truncated(path: Path) -> None:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG" if path.suffix == ".jpg" else "PNG")
    path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])


def _text(path: Path) -> None:
    path.write_text("<html>404 not found</html>")


class TestBrokenImages:
    @pytest.mark.parametrize("damage", [_empty, _truncated, _text])
    @pytest.mark.parametrize("name", ["aa.jpg", "aa.png"])
    def test_the_file_is_named_or_left_out(self, tree: Path, damage, name: str) -> None:
        path = tree / "photo" / "cat" / name
        damage(path)
        for _ in range(2):  # decoded, then from the cache
            with pytest.raises(
                ValueError, match='Delete or replace them.*on_error="skip"'
            ) as error:
                quiet(tree)
            assert str(path) in str(error.value) and "1 of 4 images" in str(error.value)
        for _ in range(2):
            benchmark = quiet(tree, on_error="skip")
            assert len(benchmark.missing) == 1
            assert str(path) in benchmark.missing[0] and "left out" in benchmark.missing[0]
            photo = benchmark["photo"]
            assert photo.files == ("photo/cat/a.png", "photo/cat/b.png", "photo/dog/c.png")
            assert photo.labels.tolist() == [0, 0, 1]
            assert [colour_of(photo, i) for i in range(3)] == [list(RED), list(GREEN), list(BLUE)]

    def test_deleting_the_file_is_enough(self, tree: Path) -> None:
        path = tree / "photo" / "cat" / "aa.jpg"
        _empty(path)
        with pytest.raises(ValueError, match="is empty"):
            quiet(tree)
        path.unlink()
        assert quiet(tree).missing == ()

    def test_many_broken_files_give_a_short_message(self, tree: Path) -> None:
        for index in range(9):
            _empty(tree / "art" / "cat" / f"broken{index}.png")
        with pytest.raises(ValueError, match="9 of 11 images") as error:
            quiet(tree)
        assert "broken2" in str(error.value) and "broken3" not in str(error.value)
        assert len(quiet(tree, on_error="skip").missing) == 9

    def test_a_domain_of_broken_images_is_empty_not_absent(self, tree: Path) -> None:
        _empty(tree / "art" / "cat" / "d.png")
        _empty(tree / "art" / "dog" / "e.png")
        assert len(quiet(tree, on_error="skip")["art"]) == 0


class TestMasks:
    @pytest.fixture
    def masks(self, tree: Path) -> Path:
        """A mask, the left half, for every image of the tree."""
        for image in tree.rglob("*.png"):
            save_mask(tree.parent / "masks" / image.relative_to(tree), left_half())
        return tree.parent / "masks"

    def test_masks_come_with_their_images(self, tree: Path, masks: Path) -> None:
        save_mask(masks / "photo" / "cat" / "b.png", 255 - left_half())
        save_mask(masks / "photo" / "cat" / "stray.png", left_half())
        benchmark = quiet(tree, masks=masks)
        photo = benchmark["photo"]
        assert benchmark.missing == ()
        assert photo.masks.dtype == torch.float32 and photo.masks.shape == (3, 8, 8)
        assert photo.masks[:, 4, 0].tolist() == [1, 0, 1]
        assert photo.masks[:, 4, 7].tolist() == [0, 1, 0]
        assert torch.equal(photo.images, quiet(tree)["photo"].images)
        assert colour_of(photo, 1) == list(GREEN)

    def test_the_cache_sees_a_changed_mask(self, tree: Path, masks: Path) -> None:
        quiet(tree, masks=masks)
        save_mask(masks / "photo" / "cat" / "a.png", np.zeros((20, 20), np.uint8))
        assert quiet(tree, masks=masks)["photo"].masks[0].sum() == 0

    def test_masks_are_resized_as_the_images_are(self, tmp_path: Path) -> None:
        # A picture that is white exactly on its mask stays equal to it, borders included.
        values = np.zeros((45, 30), np.uint8)
        values[7:31, 4:22] = 255
        save_mask(tmp_path / "data" / "d" / "c" / "a.png", values)
        save_mask(tmp_path / "masks" / "d" / "c" / "a.png", values // 255)
        domain = quiet(tmp_path / "data", masks=tmp_path / "masks")["d"]
        soft = (domain.masks > 0) & (domain.masks < 1)
        assert soft.any()
        assert torch.equal(domain.images[:, 0].float() / 255, domain.masks)

    @pytest.mark.parametrize("value", [1, 7, 128, 255])
    def test_labels_and_grey_alike_are_object_where_not_zero(
        self, tmp_path: Path, value: int
    ) -> None:
        path = save_mask(tmp_path / "a.png", left_half(value))
        np.testing.assert_array_equal(np.asarray(open_mask(path)), left_half())

    def test_several_labels_are_one_object(self, tmp_path: Path) -> None:
        values = np.zeros((20, 20), np.uint8)
        values[:, :5], values[:, 5:10] = 1, 2
        path = save_mask(tmp_path / "a.png", values)
        np.testing.assert_array_equal(np.asarray(open_mask(path)), left_half())

    @pytest.mark.parametrize("mode", ["1", "P", "RGB", "RGBA", "LA", "I;16"])
    def test_every_mask_mode(self, tmp_path: Path, mode: str) -> None:
        inside = Image.fromarray(left_half())
        mask = inside.convert("RGB").convert(mode) if mode in ("RGB", "RGBA", "LA") else inside
        if mode == "1":
            mask = inside.convert("1")
        elif mode == "P":  # a label image: 1 on the object, its colour one of many
            mask = Image.fromarray(left_half(1)).convert("L")
            mask.putpalette([255, 255, 255, 128, 0, 0, 0, 128, 0])
        elif mode == "I;16":
            mask = Image.fromarray(left_half(1).astype(np.uint16))
        mask.save(tmp_path / "a.png")
        np.testing.assert_array_equal(np.asarray(open_mask(tmp_path / "a.png")), left_half())

    @pytest.mark.parametrize("channel", [0, 1, 2])
    def test_one_channel_is_enough(self, tmp_path: Path, channel: int) -> None:
        values = np.zeros((20, 20, 3), np.uint8)
        values[..., channel] = left_half()
        path = save_mask(tmp_path / "a.png", values)
        np.testing.assert_array_equal(np.asarray(open_mask(path)), left_half())

    def test_transparent_pixels_are_background(self, tmp_path: Path) -> None:
        white = Image.new("RGBA", (20, 20), "white")
        white.putalpha(Image.fromarray(left_half()))
        white.save(tmp_path / "a.png")
        np.testing.assert_array_equal(np.asarray(open_mask(tmp_path / "a.png")), left_half())

    def test_jpeg_noise_is_background(self, tmp_path: Path) -> None:
        disc = np.hypot(*np.mgrid[-20:20, -20:20]) < 12
        Image.fromarray(disc.astype(np.uint8) * 255).save(tmp_path / "a.jpg", quality=40)
        with Image.open(tmp_path / "a.jpg") as stored:
            assert (np.asarray(stored)[~disc] > 0).any()
        read = np.asarray(open_mask(tmp_path / "a.jpg")) > 0
        assert (read != disc).mean() < 0.02

    def test_a_mask_in_the_colours_of_print_is_read_as_it_looks(self, tmp_path: Path) -> None:
        Image.fromarray(left_half()).convert("RGB").convert("CMYK").save(tmp_path / "a.jpg")
        read = np.asarray(open_mask(tmp_path / "a.jpg"))
        assert (read == left_half()).mean() > 0.9

    def test_a_threshold_reads_soft_masks(self, tree: Path, masks: Path) -> None:
        values = np.full((20, 20), 100, np.uint8)
        values[:, :10] = 200
        save_mask(masks / "photo" / "cat" / "a.png", values)
        assert quiet(tree, masks=masks)["photo"].masks[0].min() == 1
        soft = quiet(tree, masks=masks, mask_threshold=127)["photo"].masks[0]
        assert soft[:, 0].min() == 1 and soft[:, 7].max() == 0

    def test_of_two_masks_the_png_is_taken(self, tree: Path, masks: Path) -> None:
        path = masks / "photo" / "cat" / "a.png"
        path.rename(path.with_suffix(".PNG"))
        Image.new("L", (20, 20), 255).save(path.with_suffix(".jpg"))
        assert quiet(tree, masks=masks)["photo"].masks[0, 4, 7] == 0

    def test_missing_masks_are_counted_and_the_first_named(self, tree: Path, masks: Path) -> None:
        (masks / "photo" / "cat" / "b.png").unlink()
        (masks / "photo" / "dog" / "c.png").unlink()
        with pytest.raises(ValueError, match=r"2 of 3 images have no mask.*photo/cat/b\.png"):
            quiet(tree, masks=masks)
        benchmark = quiet(tree, masks=masks, on_error="skip")
        assert benchmark["photo"].files == ("photo/cat/a.png",)
        assert benchmark["photo"].labels.tolist() == [0]
        (said,) = benchmark.missing
        assert said.startswith("left out: domain photo: 2 of 3 images have no mask")
        assert "photo/cat/b.png" in said

    def test_a_domain_without_masks_has_none_and_says_so(self, tree: Path, masks: Path) -> None:
        (masks / "art").rename(masks / "elsewhere")
        benchmark = quiet(tree, masks=masks)
        assert benchmark["art"].masks is None and len(benchmark["art"]) == 2
        assert benchmark["photo"].masks is not None
        assert benchmark.missing == (f"domain art: no masks in {masks / 'art'}",)

    def test_masks_of_other_names_are_an_error_even_when_skipping(
        self, tree: Path, masks: Path
    ) -> None:
        for name in ("a", "b"):
            path = masks / "photo" / "cat" / f"{name}.png"
            path.rename(path.with_name(f"{name}_mask.png"))
        (masks / "photo" / "dog" / "c.png").unlink()
        with pytest.raises(ValueError, match="3 of 3 images have no mask"):
            quiet(tree, masks=masks, on_error="skip")

    def test_no_masks_at_all_is_an_error(self, tree: Path, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="no masks found in .*wrong"):
            quiet(tree, masks=tmp_path / "wrong", on_error="skip")

    def test_a_mask_of_other_proportions_is_an_error(self, tree: Path, masks: Path) -> None:
        save_mask(masks / "photo" / "cat" / "a.png", np.ones((20, 40), np.uint8))
        with pytest.raises(ValueError, match=r"a\.png is 40x20 pixels .* of 20x20"):
            quiet(tree, masks=masks)
        assert len(quiet(tree, masks=masks, on_error="skip")["photo"]) == 2

    @pytest.mark.parametrize(
        ("size", "fits"), [((33, 25), True), ((34, 25), True), ((33, 28), False), ((33, 22), False)]
    )
    def test_proportions_may_be_off_by_the_rounding_of_a_scale(
        self, tmp_path: Path, size: tuple[int, int], fits: bool
    ) -> None:
        save(tmp_path / "data" / "d" / "c" / "a.png", size=(100, 75))
        save(tmp_path / "masks" / "d" / "c" / "a.png", size=size)
        options = {"masks": tmp_path / "masks", "on_error": "skip"}
        assert len(quiet(tmp_path / "data", **options)["d"]) == fits

    def test_nothing_is_written_among_the_masks(self, tree: Path, masks: Path) -> None:
        before = sorted(masks.rglob("*"))
        with pytest.raises(ValueError, match=f"lies inside the data folder {masks}"):
            quiet(tree, masks=masks, cache=masks / "cache")
        assert sorted(masks.rglob("*")) == before

    def test_a_mask_of_another_scale_is_fine(self, tree: Path, masks: Path) -> None:
        save_mask(masks / "photo" / "cat" / "a.png", left_half(size=10))
        assert quiet(tree, masks=masks)["photo"].masks[0, 4, [0, 7]].tolist() == [1, 0]

    def test_a_broken_mask_is_named(self, tree: Path, masks: Path) -> None:
        _empty(masks / "photo" / "cat" / "a.png")
        with pytest.raises(ValueError, match=r"photo/cat/a\.png: its mask a\.png: .*empty"):
            quiet(tree, masks=masks)


class TestLayouts:
    OPTIONS = {"size": 8, "progress": False}

    def test_labels_and_order_are_fixed_for_a_partial_copy(self, tmp_path: Path) -> None:
        save(tmp_path / "VLCS" / "SUN09" / "person" / "a.jpg")
        save(tmp_path / "VLCS" / "Caltech101" / "dog" / "b.jpg")
        save(tmp_path / "VLCS" / "Extra" / "axe" / "c.jpg")
        vlcs = load_vlcs(tmp_path, **self.OPTIONS)
        assert vlcs.name == "vlcs"
        assert vlcs.domains == ("Caltech101", "SUN09")
        assert vlcs.classes == ("bird", "car", "chair", "dog", "person")
        assert vlcs["SUN09"].labels.tolist() == [4] and vlcs["Caltech101"].labels.tolist() == [3]
        assert vlcs.missing == (
            "VLCS Caltech101: 1 of 1,415 images (bird 0 of 237, car 0 of 123, chair 0 of 118, "
            "dog 1 of 67, person 0 of 870)",
            "VLCS LabelMe: none of 2,656 images",
            "VLCS SUN09: 1 of 3,282 images (bird 0 of 20, car 0 of 932, chair 0 of 1,036, "
            "dog 0 of 30, person 1 of 1,264)",
            "VLCS VOC2007: none of 3,376 images",
        )

    def test_terra_and_pacs(self, tmp_path: Path) -> None:
        save(tmp_path / "terra_incognita" / "location_38" / "empty" / "a.JPG")
        terra = load_terra(tmp_path, **self.OPTIONS)
        assert terra.domains == ("location_38",) and terra.name == "terra"
        assert terra["location_38"].labels.tolist() == [terra.classes.index("empty")] == [5]
        assert (
            len(terra.classes) == 10 and "Terra Incognita location_46: no images" in terra.missing
        )
        save(tmp_path / "PACS" / "sketch" / "house" / "a.png")
        pacs = load_pacs(tmp_path, **self.OPTIONS)
        assert pacs.name == "pacs" and pacs["sketch"].labels.tolist() == [5]
        assert "PACS photo: none of 1,670 images" in pacs.missing

    def test_the_counts_are_domainbeds(self) -> None:
        def totals(layout) -> dict[str, int]:
            return {domain: sum(row.values()) for domain, row in layout.counts.items()}

        assert totals(VLCS) == {"Caltech101": 1415, "LabelMe": 2656, "SUN09": 3282, "VOC2007": 3376}
        assert sum(totals(VLCS).values()) == 10_729
        assert sum(totals(PACS).values()) == 9_991

    def test_vlcs_counts_are_those_of_domainbeds_list(self, real_data: Path) -> None:
        listing = real_data / "domainbed_vlcs_files.txt.gz"
        if not listing.is_file():
            pytest.skip("DomainBed's list of files is not there")
        lines = gzip.decompress(listing.read_bytes()).decode().split("\n")
        places = Counter(tuple(line.split("/")[-3:-1]) for line in lines if line)
        assert places == {(d, k): n for d, row in VLCS.counts.items() for k, n in row.items()}

    def test_the_root_may_be_the_folder_itself_or_the_variable(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save(tmp_path / "VLCS" / "SUN09" / "dog" / "a.jpg")
        expected = load_vlcs(tmp_path, **self.OPTIONS)["SUN09"].files
        assert load_vlcs(tmp_path / "VLCS", **self.OPTIONS)["SUN09"].files == expected
        monkeypatch.setenv("ALIGN_DATA", str(tmp_path))
        assert load_vlcs(**self.OPTIONS)["SUN09"].files == expected

    def test_domains_and_classes_may_be_chosen(self, tmp_path: Path) -> None:
        for domain in ("photo", "sketch"):
            save(tmp_path / "PACS" / domain / "dog" / "a.png")
            save(tmp_path / "PACS" / domain / "horse" / "a.png")
        pacs = load_pacs(tmp_path, domains=["photo"], classes=["horse", "dog"], **self.OPTIONS)
        assert pacs.domains == ("photo",) and pacs.classes == ("horse", "dog")
        assert pacs["photo"].labels.tolist() == [0, 1]
        assert pacs.missing == ("PACS photo: 2 of 388 images (horse 1 of 199, dog 1 of 189)",)
        with pytest.raises(ValueError, match="PACS has no domain 'foto'; choose among art_paint"):
            load_pacs(tmp_path, domains=["foto"], **self.OPTIONS)
        with pytest.raises(ValueError, match="PACS has no class 'cat'; choose among dog"):
            load_pacs(tmp_path, classes=["cat"], **self.OPTIONS)

    @pytest.mark.parametrize(
        ("load", "remedy"),
        [
            (load_vlcs, "align data get vlcs --root"),
            (load_terra, "align data get terra --root"),
            (load_pacs, "place its images by hand as"),
            (load_weizmann, "place it by hand as"),
            (load_pennfudan, "place it by hand as"),
        ],
    )
    def test_missing_data_says_where_it_looked_and_how_to_get_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load, remedy: str
    ) -> None:
        monkeypatch.delenv("ALIGN_DATA", raising=False)
        with pytest.raises(FileNotFoundError, match="ALIGN_DATA") as error:
            load()
        assert remedy in str(error.value) and "DIR" in str(error.value)
        with pytest.raises(FileNotFoundError) as error:
            load(tmp_path)
        assert remedy in str(error.value) and f"{tmp_path}/" in str(error.value)

    def test_empty_folders_say_how_to_get_the_data(self, tmp_path: Path) -> None:
        (tmp_path / "VLCS" / "SUN09" / "dog").mkdir(parents=True)
        with pytest.raises(FileNotFoundError, match=f"get vlcs --root {tmp_path}`$"):
            load_vlcs(tmp_path, **self.OPTIONS)

    def test_masks_lie_in_the_same_layout(self, tmp_path: Path) -> None:
        save(tmp_path / "PACS" / "photo" / "dog" / "a.jpg")
        save_mask(tmp_path / "masks" / "PACS" / "photo" / "dog" / "a.png", left_half())
        for masks in (tmp_path / "masks", tmp_path / "masks" / "PACS"):
            pacs = load_pacs(tmp_path, masks=masks, **self.OPTIONS)
            assert pacs["photo"].masks[0, 4, [0, 7]].tolist() == [1, 0]

    def test_human_masks(self, tmp_path: Path) -> None:
        base = tmp_path / "masks" / "weizmann_horse"
        save(base / "images" / "h1.jpg")
        save(base / "images" / "h2.jpg", BLUE)
        save_mask(base / "masks" / "h1.png", left_half())
        with pytest.raises(ValueError, match=r"1 of 2 images .* images/h2\.jpg"):
            load_weizmann(tmp_path, **self.OPTIONS)
        save_mask(base / "masks" / "h2.png", 255 - left_half())
        for root in (tmp_path, base):
            horses = load_weizmann(root, **self.OPTIONS)
            assert horses.name == "weizmann_horse" and horses.classes == ("horse",)
            assert horses.labels.tolist() == [0, 0]
            assert horses.masks[:, 4, 0].tolist() == [1, 0]


class TestRealPhotographs:
    def test_pacs_photo_is_complete(self, real_data: Path, tmp_path: Path) -> None:
        options = {"size": 16, "domains": ["photo"], "cache": tmp_path, "progress": False}
        pacs = load_pacs(real_data, **options)
        assert pacs.missing == ()
        assert torch.bincount(pacs["photo"].labels).tolist() == [189, 202, 182, 186, 199, 280, 432]
        assert 60 < pacs["photo"].images.float().mean() < 200

    def test_generic_masks_align_with_pacs_photo(self, real_data: Path, tmp_path: Path) -> None:
        options = {
            "size": 24,
            "domains": ["photo"],
            "masks": real_data / "pseudo_masks",
            "cache": tmp_path,
            "progress": False,
        }
        with pytest.raises(ValueError, match=r"850 of 1,670 .*photo/elephant/064_0001\.jpg"):
            load_pacs(real_data, **options)
        skipped = load_pacs(real_data, on_error="skip", **options)
        chosen = load_pacs(real_data, classes=["dog", "horse", "person"], **options)
        assert len(skipped.missing) == 1 and chosen.missing == ()
        photo = chosen["photo"]
        assert len(photo) == len(skipped["photo"]) == 820
        assert skipped["photo"].labels.unique().tolist() == [0, 4, 6]
        assert torch.equal(skipped["photo"].images, photo.images)
        area = photo.masks.mean((1, 2))
        assert 0.1 < area.mean() < 0.6
        assert ((area > 0).float().mean()) >= 0.94

    def test_vlcs_as_it_is_here(self, real_data: Path, tmp_path: Path) -> None:
        vlcs = load_vlcs(
            real_data,
            size=16,
            masks=real_data / "pseudo_masks",
            cache=tmp_path,
            progress=False,
        )
        caltech = vlcs["Caltech101"]
        assert torch.bincount(caltech.labels).tolist() == [237, 123, 118, 67, 870]
        assert caltech.masks.shape == (1415, 16, 16) and 0.05 < caltech.masks.mean() < 0.7
        if "VOC2007" not in vlcs.domains:
            assert "VLCS VOC2007: none of 3,376 images" in vlcs.missing
        if len(vlcs["LabelMe"]) == 77:
            (said,) = [s for s in vlcs.missing if s.startswith("VLCS LabelMe")]
            assert "77 of 2,656 images" in said and "person 0 of 1,237" in said
            assert vlcs["LabelMe"].labels.unique().tolist() == [0, 1, 2, 3]

    @pytest.mark.parametrize(
        ("load", "count", "area"), [(load_weizmann, 327, 0.25), (load_pennfudan, 170, 0.18)]
    )
    def test_human_masks(
        self, real_data: Path, tmp_path: Path, load, count: int, area: float
    ) -> None:
        domain = load(real_data, size=32, cache=tmp_path, progress=False)
        assert len(domain) == count and domain.labels.max() == 0
        assert (domain.masks.amax((1, 2)) > 0.9).all() and (domain.masks.amin((1, 2)) < 0.1).all()
        assert abs(domain.masks.mean() - area) < 0.1
        assert domain.files[0].startswith("images/")
