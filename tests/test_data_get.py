"""Getting benchmarks: every way a network, an archive, a disk or a process can fail."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import loopback
import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate
from typer.testing import CliRunner

import align
from align.cli import app, main
from align.data import trees
from align.data.boxes import box_mask
from align.data.duplicates import near_duplicates
from align.data.folders import load_terra, load_vlcs
from align.data.layouts import TERRA, VLCS
from align.data.terra import Notes
from alignbook.getting import download, install, manifest, terra
from alignbook.getting.archives import ArchiveError, Bounds, damage_told, entries, unpack
from alignbook.getting.download import Archive, DownloadError, Mirror
from alignbook.getting.manifest import Manifest


def picture(seed: int, side: int = 12) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG")
    return file.getvalue()


def tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as file:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def md5(body: bytes) -> str:
    return f"md5:{hashlib.md5(body).hexdigest()}"


VLCS_FILES = {
    f"VLCS/{domain}/{kind}/{number}.jpg": picture(number)
    for number, (domain, kind) in enumerate((d, k) for d in VLCS.domains for k in VLCS.classes)
}
VLCS_FILES["VLCS/SUN09/dog/large.jpg"] = picture(99, 50)
# Long enough to be cut: random bytes do not compress, and the carrier takes half a MiB at a time.
VLCS_TAR = tar(
    VLCS_FILES
    | {"VLCS/read me.txt": random.Random(0).randbytes(1_500_000), "VLCS/SUN09/dog/._x.jpg": b"junk"}
)
CUT = 1_200_000
COUNTS = {d: {k: 1 for k in VLCS.classes} for d in VLCS.domains}
COUNTS["SUN09"] = COUNTS["SUN09"] | {"dog": 2}


@pytest.fixture
def server():
    with loopback.serve() as running:
        yield running


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """No waiting before a mirror is asked again."""
    monkeypatch.setattr(random, "uniform", lambda low, high: 0.0)
    monkeypatch.setattr(download, "RETRIES", 2)
    monkeypatch.setattr(download, "TIMEOUT", (2, 2))
    monkeypatch.delenv("ALIGN_DATA", raising=False)


@pytest.fixture
def vlcs(server, monkeypatch):
    """VLCS in small, at `/a` and `/b` of the server."""
    mirrors = tuple(Mirror(server.url(path)) for path in ("/a", "/b"))
    archive = Archive("VLCS.tar.gz", len(VLCS_TAR), mirrors, md5(VLCS_TAR))
    monkeypatch.setattr(install, "VLCS_ARCHIVE", archive)
    monkeypatch.setattr(install, "VLCS", replace(VLCS, counts=COUNTS))
    server.routes["/a"] = server.routes["/b"] = VLCS_TAR
    return server


def get(root: Path, name: str = "vlcs", **options) -> Manifest:
    return install.get(name, root, progress=False, **options)


def look(name, root):
    return install.survey([name], root)[0].manifest


def names(root: Path) -> list[str]:
    return sorted(p.name for p in root.iterdir() if not p.name.endswith(".lock"))


class TestVlcs:
    def test_good(self, vlcs, tmp_path) -> None:
        found = get(tmp_path)
        assert found.counts == COUNTS and found.total == 21
        assert names(tmp_path) == ["VLCS", "vlcs.manifest.json"]
        assert Manifest.read(tmp_path / "vlcs.manifest.json") == found
        assert [path for path, _ in vlcs.asked] == ["/a"]
        assert len(load_vlcs(tmp_path, size=8, progress=False)["SUN09"]) == 6
        assert not list(tmp_path.rglob("*.txt")) and not list(tmp_path.rglob("._*"))
        assert install.finding(found, tmp_path).notes == ()

    def test_a_folder_that_is_there_is_used_as_it_is(self, vlcs, tmp_path) -> None:
        first = get(tmp_path / "one")
        theirs = tmp_path / "theirs" / "VLCS"
        (tmp_path / "one" / "VLCS").rename(theirs.parent.mkdir() or theirs)
        (theirs / "SUN09" / "dog" / "large.jpg").rename(theirs / "SUN09" / "dog" / "renamed.jpg")
        vlcs.asked.clear()
        before = sorted(tmp_path.rglob("*"))
        for root in (theirs.parent, theirs):
            assert get(root).fingerprint == first.fingerprint
        assert vlcs.asked == [] and sorted(tmp_path.rglob("*")) == before

    def test_a_folder_without_images_is_not_written_to(self, vlcs, tmp_path) -> None:
        (tmp_path / "VLCS" / "notes").mkdir(parents=True)
        with pytest.raises(ValueError, match="never written to: move it away"):
            get(tmp_path)

    def test_wrong_hash_then_a_good_mirror(self, vlcs, tmp_path) -> None:
        vlcs.routes["/a"] = tar({"VLCS/SUN09/dog/a.jpg": picture(5)})
        assert get(tmp_path).total == 21
        assert [path for path, _ in vlcs.asked] == ["/a", "/b"]

    def test_cut_in_the_middle_then_carried_on(self, vlcs, tmp_path) -> None:
        vlcs.routes["/a"] = loopback.cut_once(VLCS_TAR, CUT)
        assert get(tmp_path).total == 21
        assert vlcs.ranges() == ["bytes=1048576-"]

    def test_the_next_call_carries_on_and_a_changed_file_begins_anew(
        self, vlcs, tmp_path, monkeypatch
    ) -> None:
        monkeypatch.setattr(download, "RETRIES", 0)
        vlcs.routes["/b"] = None
        vlcs.routes["/a"] = loopback.cut_once(VLCS_TAR, CUT)
        with pytest.raises(DownloadError, match="incomplete: received 1048576 bytes"):
            get(tmp_path)
        assert names(tmp_path) == [".align-downloads"]
        assert get(tmp_path).total == 21 and vlcs.ranges() == ["bytes=1048576-"]

    def test_a_server_that_cannot_carry_on_begins_anew(self, vlcs, tmp_path) -> None:
        whole = iter([False])

        def answer(handler) -> None:
            if next(whole, True):
                handler.headers.replace_header("Range", "") if "Range" in handler.headers else None
                loopback.send(handler, VLCS_TAR)
            else:
                loopback.send(handler, VLCS_TAR, upto=CUT)

        vlcs.routes["/a"] = answer
        assert get(tmp_path).total == 21
        assert all(path == "/a" for path, _ in vlcs.asked)

    def test_nowhere_names_every_mirror_and_the_way_by_hand(self, vlcs, tmp_path) -> None:
        vlcs.routes.clear()
        with pytest.raises(DownloadError) as error:
            get(tmp_path, mirrors=[vlcs.url("/mine")])
        said = str(error.value)
        for part in ("/mine", "/a", "/b", "404", "any of 3 mirrors", md5(VLCS_TAR)[4:]):
            assert part in said
        by_hand = tmp_path / ".align-downloads" / "VLCS.tar.gz"
        assert str(by_hand) in said
        assert names(tmp_path) == [".align-downloads"]
        by_hand.write_bytes(VLCS_TAR)
        assert get(tmp_path).total == 21

    def test_the_wrong_file_placed_by_hand_is_refused(self, vlcs, tmp_path) -> None:
        by_hand = tmp_path / ".align-downloads" / "VLCS.tar.gz"
        by_hand.parent.mkdir()
        by_hand.write_bytes(b"something else")
        with pytest.raises(DownloadError, match="is there but is not the archive expected"):
            get(tmp_path)
        assert by_hand.exists() and vlcs.asked == []

    def test_a_web_page_is_not_an_archive(self, vlcs, tmp_path) -> None:
        vlcs.routes["/a"] = vlcs.routes["/b"] = loopback.page
        with pytest.raises(DownloadError, match="sent a web page instead of the archive"):
            get(tmp_path)
        vlcs.routes["/b"] = VLCS_TAR
        assert get(tmp_path).total == 21

    def test_a_stalled_server_is_left_for_the_next(self, vlcs, tmp_path, monkeypatch) -> None:
        monkeypatch.setattr(download, "TIMEOUT", (1, 0.2))
        monkeypatch.setattr(download, "RETRIES", 0)
        vlcs.routes["/a"] = loopback.stall(vlcs, VLCS_TAR, 1000)
        assert get(tmp_path).total == 21
        assert not vlcs.outwaited

    def test_a_copy_without_a_known_hash_is_counted(self, vlcs, tmp_path, monkeypatch) -> None:
        other = tar(dict(reversed(VLCS_FILES.items())))
        short = tar(dict(list(VLCS_FILES.items())[1:]))
        vlcs.routes |= {"/a": None, "/b": short}
        archive = replace(install.VLCS_ARCHIVE, mirrors=(Mirror(vlcs.url("/b"), verified=False),))
        monkeypatch.setattr(install, "VLCS_ARCHIVE", archive)
        with pytest.raises(
            ValueError, match=r"Caltech101: 4 of 5 images \(bird 0 of 1\).*--mirror"
        ):
            get(tmp_path)
        assert names(tmp_path) == [".align-downloads"]
        vlcs.routes["/b"] = other
        (tmp_path / ".align-downloads" / "VLCS.tar.gz").unlink()
        assert get(tmp_path).total == 21

    def test_one_mirrors_bytes_are_not_carried_on_with_anothers(
        self, vlcs, tmp_path, monkeypatch
    ) -> None:
        monkeypatch.setattr(download, "RETRIES", 0)
        vlcs.routes["/a"] = loopback.cut_once(VLCS_TAR, CUT)
        assert get(tmp_path).total == 21
        assert vlcs.asked == [("/a", None), ("/b", None)]

    def test_a_file_changed_since_the_cut_begins_anew(self, vlcs, tmp_path, monkeypatch) -> None:
        monkeypatch.setattr(download, "RETRIES", 0)
        vlcs.routes["/b"] = None
        other = tar(VLCS_FILES | {"VLCS/old.txt": random.Random(1).randbytes(1_500_000)})
        vlcs.routes["/a"] = loopback.cut_once(other, CUT, tag='"an older one"')
        with pytest.raises(DownloadError, match="incomplete"):
            get(tmp_path)
        vlcs.routes["/a"] = VLCS_TAR
        assert get(tmp_path).total == 21  # the hash is right, so no byte is of the older file

    def test_an_archive_far_larger_than_the_data_set_is_refused(
        self, vlcs, tmp_path, monkeypatch
    ) -> None:
        monkeypatch.setitem(install.UNPACKED, "vlcs", 10_000)
        with pytest.raises(ArchiveError, match="unpacks to more than .* or 40,000 bytes"):
            get(tmp_path)
        assert names(tmp_path) == [".align-downloads"]

    def test_an_unverified_copy_may_be_placed_by_hand(
        self, vlcs, tmp_path, monkeypatch, capsys
    ) -> None:
        mirrors = (Mirror(vlcs.url("/a"), verified=False),)
        archive = replace(install.VLCS_ARCHIVE, mirrors=mirrors)
        monkeypatch.setattr(install, "VLCS_ARCHIVE", archive)
        by_hand = tmp_path / ".align-downloads" / "VLCS.tar.gz"
        by_hand.parent.mkdir()
        by_hand.write_bytes(tar(dict(reversed(VLCS_FILES.items()))))
        assert get(tmp_path).total == 21 and vlcs.asked == []
        assert "its files will be counted" in capsys.readouterr().err

    def test_archives_are_kept_if_wanted(self, vlcs, tmp_path) -> None:
        get(tmp_path, keep=True)
        assert names(tmp_path / ".align-downloads") == ["VLCS.tar.gz"]

    def test_space_is_needed_only_for_what_is_still_to_come(
        self, vlcs, tmp_path, monkeypatch
    ) -> None:
        monkeypatch.setattr(download, "RETRIES", 0)
        archive = replace(install.VLCS_ARCHIVE, mirrors=install.VLCS_ARCHIVE.mirrors[:1])
        vlcs.routes["/a"] = loopback.cut_once(VLCS_TAR, CUT)
        with pytest.raises(DownloadError, match="incomplete"):
            download.fetch(archive, tmp_path, progress=False)
        free = shutil_usage(len(VLCS_TAR) - 1_000_000)
        monkeypatch.setattr(download.shutil, "disk_usage", lambda _: free)
        assert download.fetch(archive, tmp_path, progress=False).read_bytes() == VLCS_TAR

    def test_no_space_no_start(self, vlcs, tmp_path, monkeypatch) -> None:
        free = shutil_usage(1000)
        monkeypatch.setattr(download.shutil, "disk_usage", lambda _: free)
        with pytest.raises(DownloadError, match=r"are needed in .* 1.0 kB are free; free some"):
            get(tmp_path)
        assert vlcs.asked == []

    def test_a_full_disk_stops_and_a_freed_one_carries_on(self, vlcs, tmp_path) -> None:
        assert len(VLCS_TAR) > 1_500_000
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
        try:
            with pytest.raises(DownloadError, match=r"the disk of .* is full .*carries on"):
                get(tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert names(tmp_path) == [".align-downloads"]
        assert get(tmp_path).total == 21
        assert vlcs.ranges()

    def test_a_disk_that_fills_while_unpacking_keeps_the_archive(
        self, vlcs, tmp_path, monkeypatch
    ) -> None:
        def fills(archive: Path, folder: Path, *_: object) -> None:
            (folder / "half.jpg").write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(install, "unpack", fills)
            with pytest.raises(DownloadError, match="is full .* what was downloaded is kept"):
                get(tmp_path)
        assert names(tmp_path) == [".align-downloads"]
        assert names(tmp_path / ".align-downloads") == ["VLCS.tar.gz"]
        assert get(tmp_path).total == 21 and [path for path, _ in vlcs.asked] == ["/a"]

    @pytest.mark.parametrize(
        ("step", "call"),
        [
            *(("unpack", 1), ("describe", 1)),
            *(("Manifest.write", 1), ("os.replace", 1)),
        ],
    )
    def test_an_interrupt_leaves_no_folder(self, vlcs, tmp_path, monkeypatch, step, call) -> None:
        calls = iter(range(1, 9))
        module, _, name = f"install.{step}".rpartition(".")
        owners = {"install": install, "install.os": install.os, "install.Manifest": Manifest}
        module = owners[module]
        real = getattr(module, name)

        def interrupted(*arguments: object, **options: object) -> object:
            here = name != "replace" or str(arguments[1]).endswith("VLCS")
            if here and next(calls) == call:
                raise KeyboardInterrupt
            return real(*arguments, **options)

        monkeypatch.setattr(module, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            get(tmp_path)
        assert "VLCS" not in names(tmp_path)
        assert names(tmp_path / ".align-downloads") == ["VLCS.tar.gz"]

    def test_ctrl_c_in_the_middle_of_a_download_is_carried_on(self, vlcs, tmp_path) -> None:
        def pressed(handler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(VLCS_TAR)))
            handler.send_header("ETag", '"one"')
            handler.end_headers()
            handler.wfile.write(VLCS_TAR[:CUT])
            handler.wfile.flush()
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGINT)
            vlcs.stopped.wait(1)

        vlcs.routes["/a"] = pressed
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                get(tmp_path)
        finally:
            signal.signal(signal.SIGINT, before)
        assert names(tmp_path) == [".align-downloads"]
        left = [p for p in (tmp_path / ".align-downloads").iterdir() if p.suffix == ".part"]
        assert [p.name for p in left] == names(tmp_path / ".align-downloads")
        vlcs.routes["/a"] = VLCS_TAR
        assert get(tmp_path).total == 21 and vlcs.ranges() == ["bytes=1048576-"]
        assert names(tmp_path) == ["VLCS", "vlcs.manifest.json"]

    def test_two_at_once_download_once(self, vlcs, tmp_path, capsys) -> None:
        def slow(handler) -> None:
            time.sleep(0.3)
            loopback.send(handler, VLCS_TAR)

        vlcs.routes["/a"] = slow
        found = []
        threads = [threading.Thread(target=lambda: found.append(get(tmp_path))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert [manifest.total for manifest in found] == [21, 21]
        assert [path for path, _ in vlcs.asked] == ["/a"]
        assert "another process is at work" in capsys.readouterr().err

    def test_a_killed_process_leaves_nothing_but_what_is_carried_on(self, vlcs, tmp_path) -> None:
        vlcs.routes["/a"] = loopback.stall(vlcs, VLCS_TAR, CUT)
        script = (
            "import sys; from pathlib import Path; from alignbook.getting import download as d;"
            "d.fetch(d.Archive('VLCS.tar.gz', 1, (d.Mirror(sys.argv[1]),)), Path(sys.argv[2]))"
        )
        workshop = tmp_path / ".align-downloads"
        command = [sys.executable, "-c", script, vlcs.url("/a"), str(workshop)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while sum(p.stat().st_size for p in workshop.glob("*.part")) < 1_000_000:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        assert not (workshop / "VLCS.tar.gz").exists()
        left = sum(p.stat().st_size for p in workshop.glob("*.part"))
        vlcs.routes["/a"] = VLCS_TAR
        # What a process leaves that is killed while it unpacks:
        (workshop / "VLCS.partial" / "SUN09" / "dog").mkdir(parents=True)
        (workshop / "VLCS.partial" / "SUN09" / "dog" / "half.jpg").write_bytes(b"half")
        assert get(tmp_path).total == 21
        assert vlcs.ranges() == [f"bytes={left}-"]
        assert names(tmp_path) == ["VLCS", "vlcs.manifest.json"]

    def test_a_root_that_cannot_be_written(self, vlcs, tmp_path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(OSError, match="the data folder .* cannot be written"):
            get(tmp_path / "file")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"name": "pacs"}, "'pacs' cannot be got, expected vlcs, terra, waterbirds"),
            ({"version": "2017"}, "version is '2017', expected 'domainbed'"),
        ],
    )
    def test_unknown_names_are_refused(self, tmp_path, options, message) -> None:
        with pytest.raises(ValueError, match=message):
            get(tmp_path, **options)
        with pytest.raises(FileNotFoundError, match="--root DIR"):
            install.get("vlcs")


def shutil_usage(free: int):
    return type("Usage", (), {"free": free})()


class TestManifest:
    def test_changes_are_noticed(self, vlcs, tmp_path) -> None:
        get(tmp_path)
        image = tmp_path / "VLCS" / "SUN09" / "dog" / "large.jpg"
        image.write_bytes(picture(7))
        said = install.finding(look("vlcs", tmp_path), tmp_path).notes
        assert len(said) == 2 and "files have changed" in said[0]
        image.unlink()
        said = install.finding(look("vlcs", tmp_path), tmp_path).notes
        assert said[0] == "SUN09: 5 of 6 images (dog 1 of 2)"
        assert said[1] == "since it was built, SUN09: 5 of 6 images (dog 1 of 2)"
        assert said[-1].endswith(
            f"move this one away and run `align data get vlcs --root {tmp_path}`"
        )

    def test_too_many_images_are_noticed_as_too_few_are(self) -> None:
        for there in (2, 4):
            said = manifest.differences({"a": {"b": there}}, {"a": {"b": 3}})
            assert said == [f"a: {there} of 3 images (b {there} of 3)"]
        assert manifest.differences({"a": {"b": 3, "more": 1}}, {"a": {"b": 3}}) == []

    def test_names_times_and_order_do_not_matter_and_labels_do(self, vlcs, tmp_path) -> None:
        first = get(tmp_path)
        folder = tmp_path / "VLCS" / "SUN09" / "dog"
        (folder / "large.jpg").rename(folder / "0.jpg")
        os.utime(folder / "0.jpg", (0, 0))
        assert look("vlcs", tmp_path).fingerprint == first.fingerprint
        (folder / "0.jpg").rename(folder.parent / "car" / "0.jpg")
        assert look("vlcs", tmp_path).fingerprint != first.fingerprint

    @pytest.mark.parametrize(
        "text",
        [
            *("", "[]", '{"name": 1}', '{"counts": 3}'),
            '{"name": 1, "version": "", "fingerprint": "", "counts": {}}',
        ],
    )
    def test_a_broken_manifest_is_named(self, tmp_path, text) -> None:
        path = tmp_path / "m.json"
        path.write_text(text)
        with pytest.raises(ValueError, match=r"m\.json is no manifest .*; delete it"):
            Manifest.read(path)


class TestCommands:
    def test_get_check_and_pack(self, vlcs, tmp_path) -> None:
        run = CliRunner().invoke
        done = run(app, ["data", "get", "vlcs", "--root", str(tmp_path)])
        assert done.exit_code == 0 and "vlcs domainbed: 21 images, fingerprint" in done.stdout
        done = run(app, ["data", "check", "vlcs", "--root", str(tmp_path)])
        assert done.exit_code == 0 and "21 images" in done.stdout and "\n  complete" in done.stdout
        done = run(app, ["data", "pack", "vlcs", "--size", "8", "--root", str(tmp_path)])
        assert done.exit_code == 0 and "21 images at 8 px in the cache" in done.stdout
        (tmp_path / "VLCS" / "SUN09" / "dog" / "large.jpg").unlink()
        done = run(app, ["data", "check", "--root", str(tmp_path)])
        assert done.exit_code == 1 and "SUN09: 5 of 6 images (dog 1 of 2)" in done.stdout
        assert "\n  complete" not in done.stdout

    def test_what_is_there_is_whole_or_not(self, vlcs, tmp_path) -> None:
        def check(*names: str) -> int:
            return (
                CliRunner()
                .invoke(app, ["data", "check", *names, "--root", str(tmp_path)])
                .exit_code
            )

        assert check() == 1  # nothing is there
        get(tmp_path)
        assert check() == check("vlcs") == 0
        assert check("vlcs", "terra") == 1  # asked for, and not there

    def test_no_folder_is_one_sentence(self, tmp_path, monkeypatch) -> None:
        with pytest.raises(FileNotFoundError, match="pass --root DIR, or set ALIGN_DATA=DIR"):
            install.survey()
        with pytest.raises(FileNotFoundError, match=r"absent is no folder: .* --root .*absent`"):
            install.survey(root=tmp_path / "absent")
        with pytest.raises(ValueError, match="benchmark is 'vlsc', expected one of vlcs"):
            install.survey(["vlsc"], tmp_path)
        assert "no data folder is given" in CliRunner().invoke(app, ["doctor"]).stdout

    def test_doctor_counts_and_neither_reads_nor_decodes(self, vlcs, tmp_path, monkeypatch) -> None:
        get(tmp_path)
        monkeypatch.setenv("ALIGN_DATA", str(tmp_path))
        for module, name in ((manifest, "digest_files"), (trees, "decode")):
            monkeypatch.setattr(module, name, None)
        said = CliRunner().invoke(app, ["doctor"]).stdout
        assert "  vlcs: 21 images\n" in said and "next: align train --benchmark vlcs" in said
        assert f"  terra: terra_incognita was not found: looked for {tmp_path}/terra" in said
        (tmp_path / "VLCS" / "SUN09" / "dog" / "large.jpg").unlink()
        said = CliRunner().invoke(app, ["doctor"]).stdout
        assert "    SUN09: 5 of 6 images (dog 1 of 2)\n" in said
        assert "next: align train --benchmark toy-vlcs" in said  # what is not whole is not proposed

    def test_a_failure_is_told_without_a_traceback(
        self, vlcs, tmp_path, monkeypatch, capsys
    ) -> None:
        vlcs.routes.clear()
        monkeypatch.setattr("sys.argv", ["align", "data", "get", "vlcs", "--root", str(tmp_path)])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr().err
        assert stop.value.code == 2
        assert "align: VLCS.tar.gz could not be had" in said and "Traceback" not in said


class TestArchives:
    @pytest.fixture
    def folder(self, tmp_path) -> Path:
        (tmp_path / "out").mkdir()
        return tmp_path / "out"

    def member(self, tmp_path: Path, name: str, **attributes) -> Path:
        path = tmp_path / "a.tar"
        with tarfile.open(path, "w") as file:
            good = tarfile.TarInfo("good.txt")
            file.addfile(good, io.BytesIO())
            member = tarfile.TarInfo(name)
            for key, value in attributes.items():
                setattr(member, key, value)
            file.addfile(member, io.BytesIO(b"x" * member.size))
        return path

    @pytest.mark.parametrize(
        ("name", "attributes"),
        [
            ("/absolute/evil", {}),
            ("../evil", {}),
            ("a/../../evil", {}),
            ("a\\..\\evil", {}),
            ("c:evil", {}),
            ("a\nb", {}),
            ("link", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
            ("hard", {"type": tarfile.LNKTYPE, "linkname": "good.txt"}),
            ("pipe", {"type": tarfile.FIFOTYPE}),
            ("disk", {"type": tarfile.BLKTYPE}),
            ("tty", {"type": tarfile.CHRTYPE}),
            ("sparse", {"type": tarfile.GNUTYPE_SPARSE}),
            ("good.txt", {}),
        ],
    )
    def test_what_a_data_set_does_not_hold_is_refused(
        self, tmp_path, folder, name, attributes
    ) -> None:
        with pytest.raises(ArchiveError, match="not the archive expected"):
            unpack(self.member(tmp_path, name, **attributes), folder)
        assert names(folder) == ["good.txt"]
        assert names(tmp_path) == ["a.tar", "out"]

    def test_an_absolute_name_is_refused_for_what_it_is(self, tmp_path, folder) -> None:
        path = self.member(tmp_path, str(tmp_path / "evil"))
        with pytest.raises(ArchiveError, match="which points outside the folder"):
            unpack(path, folder)
        assert names(tmp_path) == ["a.tar", "out"]

    def test_the_systems_own_errors_are_not_the_archives(self, tmp_path) -> None:
        for number, told in ((errno.EINVAL, ArchiveError), (None, ArchiveError)):
            with pytest.raises(told), damage_told(tmp_path):
                raise OSError(number, "bad offset")
        with pytest.raises(OSError, match="No space"), damage_told(tmp_path):
            raise OSError(errno.ENOSPC, "No space left on device")

    def test_names_are_looked_at_before_and_after_they_are_changed(self, tmp_path, folder) -> None:
        with pytest.raises(ArchiveError, match="outside the folder"):
            list(entries(self.member(tmp_path, "../evil")))
        with pytest.raises(ArchiveError, match="outside the folder"):
            unpack(self.member(tmp_path, "a.txt"), folder, lambda name: [f"../{name}"])
        assert names(tmp_path) == ["a.tar", "out"] and names(folder) == []

    def test_zip_names_and_links(self, tmp_path, folder) -> None:
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("../evil", "x")
        with pytest.raises(ArchiveError, match="outside the folder"):
            unpack(path, folder)
        with zipfile.ZipFile(path, "w") as file:
            link = zipfile.ZipInfo("link")
            link.external_attr = 0o120777 << 16
            file.writestr(link, "/etc/passwd")
        with pytest.raises(ArchiveError, match="a link or device"):
            unpack(path, folder)
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("folder/", "")
            file.writestr("folder/a.txt", "hello")
        assert unpack(path, folder) == ["folder/a.txt"]
        assert (folder / "folder" / "a.txt").read_text() == "hello"

    def test_bounds(self, tmp_path, folder) -> None:
        path = tmp_path / "bomb.tar.gz"
        path.write_bytes(tar({f"{n}.bin": bytes(1000) for n in range(20)}))
        for bounds in (Bounds(files=5), Bounds(bytes=5000)):
            with pytest.raises(ArchiveError, match="unpacks to more than"):
                unpack(path, folder / str(bounds.files), bounds=bounds)
        assert sum(p.stat().st_size for p in folder.rglob("*.bin")) <= 10_000

    @pytest.mark.parametrize("form", ["gz", "zip", "text"])
    def test_damage_is_told(self, tmp_path, folder, form) -> None:
        path = tmp_path / "a.archive"
        if form == "zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
                file.writestr("a", picture(1, 100))
            body = bytearray(path.read_bytes())
            body[200] ^= 255
            path.write_bytes(bytes(body))
        else:
            path.write_bytes(VLCS_TAR[:90_000] if form == "gz" else b"no archive at all")
        with pytest.raises(ArchiveError, match="is damaged or no archive .* get it again"):
            unpack(path, folder)


CATEGORIES = [{"id": 6, "name": "bobcat"}, {"id": 30, "name": "empty"}, {"id": 33, "name": "car"}]


def annotated(count: int = 6, cameras=("38", "46", "7"), text: bool = False) -> dict:
    """Frames of sequences of two, with a box on every bobcat, of cameras in turn."""
    images, labels = [], []
    for number in range(count):
        camera = cameras[number % len(cameras)]
        images.append(
            {
                "id": f"i{number}",
                "file_name": f"f{number}.jpg",
                "location": camera if text else int(camera),
                "seq_id": f"s{number // 2}",
                "width": 200,
                "height": 100,
            }
        )
        kind = (6, 30)[number // 3 % 2]
        labels.append({"id": number, "image_id": f"i{number}", "category_id": kind})
        if kind == 6:
            labels[-1]["bbox"] = [50, 25, 100, 50]
    return {"categories": CATEGORIES, "images": images, "annotations": labels}


@pytest.fixture
def cameras(server, monkeypatch):
    """Terra Incognita in small: 24 frames of three cameras, of which one is not asked for."""
    data = annotated(24)
    data["annotations"].append({"id": 99, "image_id": "i0", "category_id": 30})
    data["annotations"].append({"id": 98, "image_id": "i1", "category_id": 33})
    halves = [
        data | {"images": data["images"][:12], "annotations": data["annotations"]},
        data | {"images": data["images"][12:], "annotations": data["annotations"]},
    ]
    labels = tar(
        {f"eccv/{n}_annotations.json": json.dumps(half).encode() for n, half in enumerate(halves)}
    )
    newer = io.BytesIO()
    with zipfile.ZipFile(newer, "w") as file:
        file.writestr("all.json", json.dumps(annotated(12, text=True)))
    images = tar({f"all/f{n}.jpg": picture(n) for n in range(22)})  # the last is lost
    server.routes |= {"/images": images, "/labels": labels, "/newer": newer.getvalue()}

    def archive(name: str, path: str) -> Archive:
        return Archive(name, 1000, (Mirror(server.url(path)),))

    monkeypatch.setattr(terra, "IMAGES", archive("images.tar.gz", "/images"))
    versions = {
        "eccv18": terra.Version(archive("l.tar.gz", "/labels"), 16, {"location_38": 9}, True),
        "lila2021": terra.Version(archive("l.zip", "/newer"), 8, {}, False),
    }
    monkeypatch.setattr(terra, "VERSIONS", versions)
    return server


class TestTerra:
    def test_both_versions_by_name(self, cameras, tmp_path) -> None:
        older = get(tmp_path / "older", "terra")
        assert older.version == "eccv18" and older.total == 16
        # Frame 0 shows a bobcat and is said to be empty too: it is filed under both.
        assert older.counts["location_38"]["bobcat"] == 4
        assert older.counts["location_38"]["empty"] == 5
        newer = get(tmp_path / "newer", "terra", version="lila2021")
        assert newer.version == "lila2021" and newer.total == 8
        assert look("terra", tmp_path / "newer").version == "lila2021"
        assert names(tmp_path / "older") == ["terra.manifest.json", "terra_incognita"]

    def test_another_number_of_images_is_an_error(self, cameras, tmp_path) -> None:
        version = replace(terra.VERSIONS["eccv18"], total=24_788, counts={})
        terra.VERSIONS["eccv18"] = version
        with pytest.raises(ValueError, match=r"16 images .*, expected 24,788 \(eccv18\)"):
            get(tmp_path, "terra")
        assert names(tmp_path) == [".align-downloads"]

    def test_another_number_in_one_domain_is_an_error(self, cameras, tmp_path) -> None:
        version = replace(terra.VERSIONS["eccv18"], counts={"location_38": 8})
        terra.VERSIONS["eccv18"] = version
        with pytest.raises(ValueError, match=r"location_38 9, .* expected 16 \(location_38 8\)"):
            get(tmp_path, "terra")
        assert names(tmp_path) == [".align-downloads"]

    def test_an_archive_of_other_images_is_an_error(self, cameras, tmp_path) -> None:
        cameras.routes["/images"] = tar({"all/other.jpg": picture(0)})
        with pytest.raises(ValueError, match="holds none of the 16 annotated images"):
            get(tmp_path, "terra")

    def test_the_published_numbers(self) -> None:
        older = terra.VERSIONS["eccv18"]
        assert sum(older.counts.values()) == older.total == 24_788
        assert terra.VERSIONS["lila2021"].total == 24_330

    def test_boxes_become_masks_and_sequences_groups(self, cameras, tmp_path) -> None:
        get(tmp_path, "terra")
        options = {"size": 8, "progress": False}
        plain = load_terra(tmp_path, **options)["location_38"]
        assert plain.masks is None and plain.groups is None and plain.split_by == "image"
        domain = load_terra(tmp_path, split="sequence", boxes=True, **options)["location_38"]
        expected = torch.zeros(8, 8)
        expected[2:6, 2:6] = 1
        boxed = [file.split("/")[1] == "bobcat" for file in domain.files]
        for mask, there in zip(domain.masks, boxed, strict=True):
            assert torch.equal(mask, expected if there else torch.zeros(8, 8))
        by_name = dict(zip(domain.files, domain.groups.tolist(), strict=True))
        frames = {name.rpartition("/")[2]: group for name, group in by_name.items()}
        assert len(set(frames.values())) == 8  # the two frames 0 are of one sequence
        assert by_name["location_38/bobcat/f0.jpg"] == by_name["location_38/empty/f0.jpg"]
        first, second = domain.split(0.5)
        assert not set(first.groups.tolist()) & set(second.groups.tolist())

    def test_a_folder_of_domainbeds_own_has_no_notes(self, tmp_path) -> None:
        folder = tmp_path / "terra_incognita" / "location_38" / "dog"
        folder.mkdir(parents=True)
        (folder / "a.jpg").write_bytes(picture(1))
        assert len(load_terra(tmp_path, size=8, progress=False)["location_38"]) == 1
        with pytest.raises(FileNotFoundError, match="its sequences and boxes are not known"):
            load_terra(tmp_path, size=8, progress=False, split="sequence")

    def test_frames_whose_sequence_is_not_known_stay_apart(self) -> None:
        notes = Notes("v", {"a": {"sequence": None}, "b": {}, "c": {"sequence": "s"}})
        assert notes.sequences(["a", "b", "c", "d", "c"]).tolist() == [0, 1, 2, 3, 2]

    @pytest.mark.parametrize(
        "text",
        ["{", "[]", '{"images": 3}', '{"images": [{}], "categories": [], "annotations": []}'],
    )
    def test_broken_annotations_are_named(self, tmp_path, text) -> None:
        path = tmp_path / "labels.tar.gz"
        path.write_bytes(tar({"a/broken.json": text.encode()}))
        with pytest.raises(ValueError, match=r"'a/broken\.json' is no annotation file"):
            terra.read_annotations(path)

    def test_annotations_of_other_cameras_are_no_error_but_none_at_all_is(self, tmp_path) -> None:
        path = tmp_path / "labels.tar.gz"
        path.write_bytes(tar({"a.json": json.dumps(annotated(6, cameras=("7",))).encode()}))
        with pytest.raises(ValueError, match="annotates no image of the cameras 100, 38"):
            terra.read_annotations(path)

    def test_each_image_and_each_annotation_is_looked_at_once(self) -> None:
        class Counted(list):
            def __iter__(self):
                for entry in super().__iter__():
                    looks.append(entry["id"])
                    yield entry

        looks: list = []
        data = annotated(300)
        data["images"], data["annotations"] = Counted(data["images"]), Counted(data["annotations"])
        pictures: dict = {}
        terra._add(pictures, data)
        assert len(pictures) == 200 and len(looks) == 600

    @pytest.mark.parametrize(
        ("box", "area"),
        [((0, 0, 1, 1), 1), ((0.25, 0.5, 0.5, 0.25), 0.125), ((0.3, 0.3, 0.01, 0.2), 0.002)],
    )
    def test_a_box_mask_has_the_boxs_area(self, box, area) -> None:
        mask = box_mask([box], 16)
        assert mask.mean().item() == pytest.approx(area, rel=1e-4)
        assert torch.equal(box_mask([box, box], 16), mask)

    def test_a_box_beyond_the_image_is_cut_and_an_empty_one_left_out(self) -> None:
        image = {"width": 100, "height": 50}
        assert terra._share([-10, 10, 60, 90], image) == (0, 0.2, 0.5, 0.8)
        assert terra._share([120, 0, 10, 10], image) is None

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"split": "near-duplicates"}, "split is 'near-duplicates', expected 'random' or 'seq"),
            ({"boxes": True, "masks": "x"}, "expected one kind of mask"),
        ],
    )
    def test_bad_options(self, tmp_path, options, message) -> None:
        with pytest.raises(ValueError, match=message):
            load_terra(tmp_path, **options)
        assert TERRA.counts == {}


class TestNearDuplicates:
    def scenes(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures of random blobs, and a part of each, both squeezed to squares."""
        blobs = np.random.default_rng(0).integers(0, 256, (count, 3, 9, 14), dtype=np.uint8)
        large = interpolate(torch.from_numpy(blobs).float(), (90, 140), mode="bilinear")
        squares = (
            interpolate(picture, (64, 64), mode="bilinear", antialias=True)
            for picture in (large, large[:, :, 4:88, 30:108])
        )
        return tuple(square.round().clamp(0, 255).byte() for square in squares)

    def test_cut_outs_are_found_and_strangers_are_not(self) -> None:
        whole, cut = self.scenes(10)
        groups = near_duplicates(torch.cat([whole, cut, 255 - cut[:1]]))
        assert torch.equal(groups[:10], groups[10:20])
        assert len(groups.unique()) == 11

    def test_a_picture_is_no_partner_of_its_own(self) -> None:
        """Smooth pictures are more like a cut-out of themselves than like their worn partners."""
        rng = np.random.default_rng(0)
        large, other = (
            interpolate(
                torch.from_numpy(rng.integers(0, 256, (8, 3, 5, 7))).float(),
                (90, 140),
                mode="bilinear",
            )
            for _ in range(2)
        )
        whole, cut, wear = (
            interpolate(picture, (64, 64), mode="bilinear", antialias=True)
            for picture in (large, large[:, :, 4:88, 30:108], other)
        )
        pictures = torch.cat([whole, torch.lerp(cut, wear, 0.3)]).round().clamp(0, 255).byte()
        groups = near_duplicates(pictures)
        assert torch.equal(groups[:8], groups[8:]) and len(groups.unique()) == 8
        flat = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
        assert torch.equal(near_duplicates(torch.cat([pictures, flat]))[:16], groups)

    def test_people_of_vlcs_are_split_by_scene(self, tmp_path) -> None:
        people = torch.cat(self.scenes(10)).permute(0, 2, 3, 1).numpy()
        for kind in ("person", "dog"):
            folder = tmp_path / "VLCS" / "Caltech101" / kind
            folder.mkdir(parents=True)
            for number, image in enumerate(people):
                Image.fromarray(image).save(folder / f"{number:02}.png")
        options = {"size": 48, "progress": False}
        domain = load_vlcs(tmp_path, split="near-duplicates", **options)["Caltech101"]
        person = domain.labels == VLCS.classes.index("person")
        assert torch.equal(domain.groups[person][:10], domain.groups[person][10:])
        assert len(domain.groups.unique()) == 10 + 20  # only people are looked at
        first, second = domain.split(0.7)
        assert not set(first.groups.tolist()) & set(second.groups.tolist())
        assert align.load("vlcs", tmp_path, **options)["Caltech101"].groups is None
        with pytest.raises(ValueError, match="split is 'sequence', expected 'random' or 'near-"):
            load_vlcs(tmp_path, split="sequence")

    def test_flat_pictures_are_like_nothing(self) -> None:
        flat = torch.full((5, 3, 30, 30), 9, dtype=torch.uint8)
        assert len(near_duplicates(flat).unique()) == 5
        assert near_duplicates(flat[:1]).tolist() == [0]
        with pytest.raises(ValueError, match="expected torch.uint8 of shape"):
            near_duplicates(flat.float())

    def test_caltechs_people_are_found_in_pairs(self, real_data) -> None:
        options = {"size": 64, "domains": ["Caltech101"], "classes": ["person"], "progress": False}
        people = load_vlcs(real_data, **options)["Caltech101"]
        number = torch.tensor([int(file.rpartition("_")[2][:-4]) for file in people.files])
        some = people.subset((number % 3 == 0).nonzero()[:, 0])
        groups = near_duplicates(some.images)
        half = len(some) // 2  # first the whole pictures in order, then their cut-outs
        assert some.files[0].replace("Faces", "Faces_easy") == some.files[half]
        assert (groups[:half] == groups[half:]).float().mean() >= 0.97
        assert groups.bincount().max() < 40
