from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from align.data import cache
from align.data.decoding import UnreadableImageError

SHAPE = (3, 4, 4)

# Other processes import the cache alone: the package around it loads torch, which takes seconds.
PRELUDE = f"""
import os, signal, sys, time, types
for name, folder in (("align", {str(Path(cache.__file__).parents[1])!r}),
                     ("align.data", {str(Path(cache.__file__).parent)!r})):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder]
from pathlib import Path
import numpy as np
from align.data import cache
"""


def row(index: int) -> np.ndarray:
    return np.full(SHAPE, index, np.uint8)


def no_decoding(index: int) -> np.ndarray:
    raise AssertionError("decoded although the cache holds the pack")


def packed(folder: Path, decode=row, key=("k",), count: int = 5) -> cache.Pack:
    return cache.pack(key, count, SHAPE, decode, folder, progress=False)


def write_old(path: Path, data: bytes) -> None:
    """Write a file as if an hour ago, so that its times are settled."""
    path.write_bytes(data)
    an_hour_ago = time.time() - 3600
    os.utime(path, (an_hour_ago, an_hour_ago))


def test_a_pack_holds_what_was_decoded_and_is_decoded_once(tmp_path: Path) -> None:
    first = packed(tmp_path)
    second = packed(tmp_path, no_decoding)
    for pack in (first, second):
        assert isinstance(pack.pixels, np.memmap)
        assert pack.pixels.dtype == np.uint8
        np.testing.assert_array_equal(pack.pixels, np.stack([row(i) for i in range(5)]))


def test_more_files_than_a_block_keep_their_order(tmp_path: Path) -> None:
    count = 2 * cache.BLOCK + 3
    pixels = packed(tmp_path, lambda i: np.full(SHAPE, i % 251, np.uint8), count=count).pixels
    np.testing.assert_array_equal(pixels[:, 0, 0, 0], np.arange(count) % 251)


def test_writing_to_the_pixels_changes_neither_file_nor_other_maps(tmp_path: Path) -> None:
    first = packed(tmp_path)
    first.pixels[:] = 9
    np.testing.assert_array_equal(packed(tmp_path, no_decoding).pixels[2], row(2))


def test_another_key_count_or_version_is_another_pack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed(tmp_path)
    assert packed(tmp_path, lambda i: row(i + 1), key=("other",)).pixels[0].max() == 1
    assert len(packed(tmp_path, lambda i: row(i + 2), count=4).pixels) == 4
    monkeypatch.setattr(cache, "FORMAT_VERSION", cache.FORMAT_VERSION + 1)
    assert packed(tmp_path, lambda i: row(i + 3)).pixels[0].max() == 3
    assert len(list(tmp_path.glob("*.pack"))) == 4


def test_a_pack_of_another_version_under_the_same_name_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed(tmp_path)
    (path,) = tmp_path.glob("*.pack")
    data = path.read_bytes()
    assert b'"version": 2' in data
    path.write_bytes(data.replace(b'"version": 2', b'"version": 9'))
    assert packed(tmp_path, lambda i: row(i + 7)).pixels[0].max() == 7


@pytest.mark.parametrize("kept", [0, 10, 40, 5 * 48, -1])
def test_a_cut_off_pack_is_packed_again(tmp_path: Path, kept: int) -> None:
    packed(tmp_path)
    (path,) = tmp_path.glob("*.pack")
    path.write_bytes(path.read_bytes()[:kept])
    np.testing.assert_array_equal(packed(tmp_path).pixels[4], row(4))
    packed(tmp_path, no_decoding)


def test_a_pack_with_a_hole_is_packed_again(tmp_path: Path) -> None:
    packed(tmp_path)
    (path,) = tmp_path.glob("*.pack")
    data = path.read_bytes()
    path.write_bytes(data[:48] + data[96:])  # one image is gone, the footer is whole
    np.testing.assert_array_equal(packed(tmp_path).pixels[:, 0, 0, 0], range(5))


def test_unreadable_files_are_left_out_and_remembered(tmp_path: Path) -> None:
    def decode(index: int) -> np.ndarray:
        if index in (1, 3):
            raise UnreadableImageError(f"reason {index}")
        return row(index)

    for pack in (packed(tmp_path, decode), packed(tmp_path, no_decoding)):
        assert pack.failed == ((1, "reason 1"), (3, "reason 3"))
        np.testing.assert_array_equal(pack.pixels[:, 0, 0, 0], [0, 2, 4])


def test_a_pack_may_be_empty(tmp_path: Path) -> None:
    def decode(index: int) -> np.ndarray:
        raise UnreadableImageError("broken")

    assert packed(tmp_path, decode).pixels.shape == (0, *SHAPE)
    assert packed(tmp_path, no_decoding).pixels.shape == (0, *SHAPE)


def test_an_error_of_the_disk_is_no_property_of_the_image(tmp_path: Path) -> None:
    def decode(index: int) -> np.ndarray:
        raise OSError(5, "Input/output error", "a.jpg")

    with pytest.raises(RuntimeError, match=r"Input/output error.*a\.jpg"):
        packed(tmp_path, decode)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    script = """
def decode(index):
    if index == 2000:
        os.kill(os.getpid(), signal.SIGKILL)
    return np.full((3, 4, 4), index % 251, np.uint8)

cache.pack(("k",), 2048, (3, 4, 4), decode, Path(sys.argv[1]), progress=False)
"""
    done = subprocess.run([sys.executable, "-c", PRELUDE + script, str(tmp_path)], check=False)
    assert done.returncode != 0
    assert list(tmp_path.glob("*.pack")) == []
    assert len(list(tmp_path.glob("*.tmp"))) == 1
    again = packed(tmp_path, lambda i: np.full(SHAPE, i % 251, np.uint8), count=2048)
    assert len(again.pixels) == 2048 and again.pixels[2000].max() == 2000 % 251


def test_abandoned_temporary_files_go_and_fresh_ones_stay(tmp_path: Path) -> None:
    old, fresh = tmp_path / "a.pack.1-x.tmp", tmp_path / "b.pack.2-y.tmp"
    old.touch(), fresh.touch()
    os.utime(old, (0, 0))
    packed(tmp_path)
    assert not old.exists() and fresh.exists()


def test_two_processes_may_pack_at_once(tmp_path: Path) -> None:
    script = """
folder, me, other = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

def decode(index):
    if index == 0:  # both decode before either has finished
        (folder / f"started-{me}").touch()
        while not (folder / f"started-{other}").exists():
            time.sleep(0.01)
    return np.full((3, 4, 4), index, np.uint8)

pixels = cache.pack(("k",), 5, (3, 4, 4), decode, folder / "cache", progress=False).pixels
assert pixels[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
"""
    command = [sys.executable, "-c", PRELUDE + script, str(tmp_path)]
    processes = [subprocess.Popen([*command, *names]) for names in (("a", "b"), ("b", "a"))]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".pack"]
    packed(tmp_path / "cache", no_decoding)


@pytest.mark.parametrize("fail", ["folder", "write", "rename"])
def test_where_the_cache_cannot_be_written_images_stay_in_memory(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fail: str,
) -> None:
    folder = tmp_path / "cache"
    if fail == "folder":
        folder.write_text("a file in the folder's place")
    else:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(cache.os, "fsync" if fail == "write" else "replace", full)
    with pytest.warns(RuntimeWarning, match=f"{folder} cannot be written.*ALIGN_CACHE"):
        pack = cache.pack(("k",), 5, SHAPE, row, folder)
    assert fail == "folder" or "5/5" in capsys.readouterr().err.split("\r")[-1]  # counted anew
    np.testing.assert_array_equal(pack.pixels, np.stack([row(i) for i in range(5)]))
    assert fail == "folder" or list(folder.iterdir()) == []


def test_interrupting_a_pack_leaves_no_file(tmp_path: Path) -> None:
    def decode(index: int) -> np.ndarray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        packed(tmp_path, decode)
    assert list(tmp_path.iterdir()) == []


def test_the_progress_bar_counts_images_and_can_be_silenced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed(tmp_path)
    assert capsys.readouterr().err == ""
    cache.pack(("bar",), 5, SHAPE, row, tmp_path, description="packing photo")
    shown = capsys.readouterr().err
    assert "packing photo" in shown and "5/5" in shown


def test_digests_follow_the_bytes(tmp_path: Path) -> None:
    base, folder = tmp_path / "data", tmp_path / "cache"
    base.mkdir()
    for name, data in (("a", b"one"), ("b", b"two"), ("c", b"one")):
        write_old(base / name, data)
    first = cache.digest_files(base, ["a", "b", "c"], folder)
    assert first[0] == first[2] != first[1]
    write_old(base / "b", b"owt")
    second = cache.digest_files(base, ["a", "b", "c"], folder)
    assert second[0] == first[0] and second[1] not in first
    assert sorted(path.name for path in base.iterdir()) == ["a", "b", "c"]


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the clock forward: a file's change time cannot be set back."""
    later = time.time_ns() + 10_000_000_000
    monkeypatch.setattr(cache.time, "time_ns", lambda: later)


def test_settled_files_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settled: None
) -> None:
    base, folder = tmp_path / "data", tmp_path / "cache"
    base.mkdir()
    (base / "a").write_bytes(b"one")
    (base / "b").write_bytes(b"two")
    digests = cache.digest_files(base, ["a", "b"], folder)
    monkeypatch.setattr(cache.hashlib, "file_digest", None)  # no file can be hashed now
    assert cache.digest_files(base, ["b", "a"], folder) == digests[::-1]


def test_a_look_at_some_files_does_not_forget_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settled: None
) -> None:
    base, folder = tmp_path / "data", tmp_path / "cache"
    base.mkdir()
    for name in "abc":
        (base / name).write_bytes(name.encode())
    digests = cache.digest_files(base, ["a", "b"], folder)
    cache.digest_files(base, ["c"], folder)
    monkeypatch.setattr(cache.hashlib, "file_digest", None)  # no file can be hashed now
    assert cache.digest_files(base, ["a", "b"], folder) == digests


def test_where_no_memo_can_be_written_digests_come_all_the_same(
    tmp_path: Path, settled: None
) -> None:
    base, blocked = tmp_path / "data", tmp_path / "cache"
    base.mkdir()
    (base / "a").write_bytes(b"one")
    blocked.write_text("a file in the folder's place")
    assert cache.digest_files(base, ["a"], blocked) == cache.digest_files(base, ["a"], tmp_path)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_memo_that_cannot_be_finished_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settled: None, error: BaseException
) -> None:
    base, folder = tmp_path / "data", tmp_path / "cache"
    base.mkdir()
    (base / "a").write_bytes(b"one")
    whole = Path.write_text

    def half(path: Path, text: str) -> None:
        whole(path, text[: len(text) // 2])
        raise error

    monkeypatch.setattr(Path, "write_text", half)
    if isinstance(error, OSError):
        cache.digest_files(base, ["a"], folder)
    else:
        with pytest.raises(KeyboardInterrupt):
            cache.digest_files(base, ["a"], folder)
    assert list(folder.iterdir()) == []


def test_a_change_that_keeps_size_and_time_is_seen(tmp_path: Path, settled: None) -> None:
    base, folder = tmp_path / "data", tmp_path / "cache"
    base.mkdir()
    (base / "a").write_bytes(b"one")
    (before,) = cache.digest_files(base, ["a"], folder)
    stat = (base / "a").stat()
    time.sleep(0.05)  # longer than the clock tick of the file system
    (base / "a").write_bytes(b"eno")
    os.utime(base / "a", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert cache.digest_files(base, ["a"], folder) != [before]


def test_files_changed_just_now_are_not_noted(tmp_path: Path) -> None:
    base, folder = tmp_path / "data", tmp_path / "cache"
    base.mkdir()
    write_old(base / "a", b"one")  # its content is dated back, its change time is not
    cache.digest_files(base, ["a"], folder)
    assert not folder.exists()


@pytest.mark.parametrize("memo", ["", "[]", '{"a": 3}', '{"a": [[1, 2, 3]]}'])
def test_a_spoilt_memo_costs_time_only(tmp_path: Path, memo: str) -> None:
    base, folder = tmp_path / "data", tmp_path / "cache"
    base.mkdir()
    folder.mkdir()
    write_old(base / "a", b"one")
    (expected,) = cache.digest_files(base, ["a"], tmp_path / "other")
    (folder / f"{cache._hash(str(base.resolve()))}.digests.json").write_text(memo)
    assert cache.digest_files(base, ["a"], folder) == [expected]


def test_the_cache_folder_is_the_argument_then_the_variable_then_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALIGN_CACHE", str(tmp_path / "variable"))
    assert cache.cache_dir(tmp_path / "argument") == tmp_path / "argument"
    assert cache.cache_dir() == tmp_path / "variable"
    monkeypatch.delenv("ALIGN_CACHE")
    if sys.platform != "linux":
        pytest.skip("what follows are the customary places on Linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.cache_dir() == tmp_path / "xdg" / "align"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_dir() == tmp_path / ".cache" / "align"


def test_files_are_decoded_by_several_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_threads", lambda: 3)
    together = threading.Barrier(3, timeout=30)

    def decode(index: int) -> np.ndarray:
        together.wait()  # passes only if three calls run at the same time
        return row(index)

    assert len(packed(tmp_path, decode, count=6).pixels) == 6
