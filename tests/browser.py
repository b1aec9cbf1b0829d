"""A Chromium for the browser test: the one that is there, else Playwright's own, else the system's package."""

import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",  # a camera that shows a clock
    "--use-fake-ui-for-media-stream",
]


def executable() -> str | None:
    """Where a browser is, or None."""
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else next(filter(None, map(shutil.which, NAMES)), None)


def install() -> str:
    """Where a browser is, after installing one if there was none; exits with a sentence if that is impossible."""
    package = "apt-get update && apt-get install --yes chromium"
    for command in ([sys.executable, "-m", "playwright", "install", "chromium"], ["sh", "-c", package]):
        if found := executable():
            return found
        subprocess.run(command, check=False)
    return executable() or sys.exit("the browser test needs Chromium: install it, or run `playwright install chromium`")


if __name__ == "__main__":
    print("browser:", install())
