"""Build the book: run the chapters, render them with warnings as errors, check the pages.

python -m book.tools.build [--tier book] [--output .]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from book.tools import check_pages, course, execute, first_cell, project

STAMP = "built.json"
WITHOUT_FIGURES = (
    "slides: no deck has a figure, because the chapters or the runs of this build were replaced "
    "while it ran; build again"
)


def build(tier: str, output: Path, workers: int) -> int:
    """Build the site under `output/_build/html`; return 0 when all is well."""
    started = time.monotonic()
    os.environ.update(execute.environment(tier, workers))
    html = output / "_build" / "html"
    (html / STAMP).unlink(missing_ok=True)
    cache = output / "_build" / ".jupyter_cache"
    before, key = project.fingerprint(), execute.cache_key(tier)
    if not execute.cached(project.notebooks(), cache, key, workers):
        return 1
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    command += ["build", str(project.ROOT), "--path-output", str(output)]
    # -n: every reference must resolve; -W: a warning is an error; --all: no page is left stale.
    command += ["--all", "-n", "-W", "--keep-going", "-q"]
    status = subprocess.run(command, cwd=project.ROOT).returncode
    found = check_pages.problems(html, project.pages())
    # The key from above: sources that change while a build runs must not cost the slides' figures.
    if not status and not course.publish(html, cache, key)["figures"]:
        found.append(WITHOUT_FIGURES)
    for line in found:
        print(line, file=sys.stderr)
    if status or found:
        print("the book was not built; the messages above say why", file=sys.stderr)
        return 1
    (html / STAMP).write_text(json.dumps({"tier": tier, "sources": before}))
    minutes = (time.monotonic() - started) / 60
    print(f"pages: all {len(project.pages())} built, none holds a traceback; {minutes:.1f} min")
    print(f"open {(html / 'index.html').resolve().as_uri()}")
    return 0


def is_fresh(html: Path) -> bool:
    """Return True if the site in `html` was built from the sources as they are now."""
    stamp = html / STAMP
    return stamp.is_file() and json.loads(stamp.read_text())["sources"] == project.fingerprint()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tier", default=os.environ.get("ALIGN_TIER", "book"))
    parser.add_argument("--output", type=Path, default=project.ROOT)
    parser.add_argument("--workers", type=int, default=0, help="notebooks at a time")
    options = parser.parse_args()
    if options.tier not in first_cell.TIERS:
        parser.error(
            f"the tier is '{options.tier}', expected one of {', '.join(first_cell.TIERS)}: give "
            "--tier, or set ALIGN_TIER to one of them"
        )
    # On a GPU the notebooks take turns, so that each has the whole device.
    workers = options.workers or (1 if options.tier == "gpu" else min(os.cpu_count() or 1, 4))
    return build(options.tier, options.output.resolve(), workers)


if __name__ == "__main__":
    sys.exit(project.told(main))
