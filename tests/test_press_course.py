"""What a teacher takes away lies beside the built pages, and what is released is whole."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile

import pytest
import yaml

from book.tools import course, project


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    html = tmp_path_factory.mktemp("html")
    course.publish(html, project.ROOT / "_build" / ".jupyter_cache")
    return html


def test_the_archive_holds_both_kinds_of_notebooks_the_slides_and_the_project(published):
    with zipfile.ZipFile(published / course.ARCHIVE) as archive:
        assert archive.testzip() is None
        names = set(archive.namelist())
    for path in project.notebooks():
        name = path.relative_to(project.ROOT / "book").as_posix()
        assert {f"course/student/{name}", f"course/instructor/{name}"} <= names
    for part in course.parts():
        assert f"course/slides/{course.deck_name(part)}" in names
    assert "course/student/project/starter.py" in names
    assert "course/instructor/teaching/lab.md" in names
    assert "course/student/project/reference.py" not in names


def test_the_slides_lie_open_beside_the_pages(published):
    for part in course.parts():
        deck = published / course.SLIDES / course.deck_name(part)
        for link in re.findall(
            r'(?:src|href)="((?:reveal|mathjax)/[^"?#]+)', deck.read_text("utf-8")
        ):
            assert (deck.parent / link).is_file(), link


def test_the_built_site_offers_what_the_kit_links(site):
    page = (site / "book" / "teaching" / "kit.html").read_text("utf-8")
    links = re.findall(rf'href="(\.\./\.\./(?:{course.ARCHIVE}|{course.SLIDES}/[^"]+))"', page)
    assert len(links) == 1 + len(course.parts())
    for link in links:
        assert (site / "book" / "teaching" / link).is_file(), link


def test_a_release_tries_the_wheel_alone_and_writes_nothing_else():
    path = project.ROOT / ".github" / "workflows" / "release.yml"
    job = yaml.safe_load(path.read_text())["jobs"]["wheel"]
    assert job["permissions"] == {"contents": "write"}
    steps = "\n".join(step.get("run", "") for step in job["steps"])
    assert steps.index("pip wheel") < steps.index("quickstart.ipynb") < steps.index("gh release")


WHEEL_ALONE = """
import sys
import align, alignbook
from alignbook import gallery, results
assert "site" in align.__file__ and "site" in alignbook.__file__, align.__file__
assert len(gallery.photographs()) >= 12 and gallery.photographs()[0].pixels().shape == (224, 224, 3)
assert len(results.recorded("toy"))
exec(compile(open("quickstart.py").read(), "quickstart.py", "exec"), {"__name__": "__main__"})
print("QUICKSTART DONE")
"""


def test_the_wheel_alone_runs_the_quickstart(tmp_path):
    import os

    from nbconvert import PythonExporter

    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(tmp_path), str(_copy(tmp_path))]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    source, _ = PythonExporter().from_filename(str(project.ROOT / "book" / "quickstart.ipynb"))
    (tmp_path / "quickstart.py").write_text(source, encoding="utf-8")
    (tmp_path / "run.py").write_text(WHEEL_ALONE, encoding="utf-8")
    environment = os.environ | {
        "PYTHONPATH": str(tmp_path / "site"),
        "ALIGN_TIER": "smoke",
        "MPLBACKEND": "agg",
    }
    done = subprocess.run(
        [sys.executable, "run.py"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert "QUICKSTART DONE" in done.stdout, done.stderr[-3000:]


def _copy(folder):
    """The sources without what was built, so that a build leaves nothing in them."""
    import shutil

    built = shutil.ignore_patterns("_build", "build", ".*", "runs", "__pycache__", "*.egg-info")
    return shutil.copytree(project.ROOT, folder / "sources", ignore=built)
