"""A headless Chromium for tests, and a loopback server for what it opens."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
DRIVER = shutil.which("chromedriver")
MISSING = "Chromium and its driver are not installed (Debian: chromium, chromium-driver)"
needs_browser = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic "
    "--no-first-run --disable-background-networking --disable-component-update --disable-sync"
)


@contextmanager
def chromium() -> Iterator[Any]:
    """Start a browser with a profile of its own; stop it and drop the profile at the end."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in [*FLAGS.split(), f"--user-data-dir={profile}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        try:
            yield driver
        finally:
            driver.quit()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing; the tests do."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on a free loopback port; give its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def set_width(driver: Any, width: int) -> None:
    """Lay the page out as on a screen of `width` CSS pixels."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def console_errors(driver: Any) -> list[str]:
    """Return what the page reported as errors since the last call."""
    entries = driver.get_log("browser")
    return [json.dumps(entry["message"]) for entry in entries if entry["level"] == "SEVERE"]


def settle(driver: Any) -> None:
    """Wait until the page is loaded and its equations are set."""
    driver.set_script_timeout(30)
    driver.execute_async_script(
        "const done = arguments[0];"
        "const ready = () => window.MathJax && MathJax.startup && MathJax.startup.promise"
        " ? MathJax.startup.promise.then(() => done()) : done();"
        "document.readyState === 'complete' ? ready() : addEventListener('load', ready);"
    )
