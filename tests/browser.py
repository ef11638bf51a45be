"""A headless Chromium, where one is installed, that asks for nothing by itself."""

import base64
import pathlib
import shutil

import pytest

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
)


def find(*names):
    """The first of some programs that is there."""
    return next((found for name in names if (found := shutil.which(name))), None)


def chromium(tmp_path_factory):
    """A fixture: a driver of it; the tests that want one are skipped where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    program, driver = find("chromium", "chromium-browser", "google-chrome"), find("chromedriver")
    if program is None or driver is None:
        pytest.skip("neither Chromium nor its driver is installed; on Debian: apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in (*ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield started
    started.quit()


def size(browser, width, height=900, mobile=False):
    """The page's width, which no window is too narrow for."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile},
    )


def media(browser, scheme="light"):
    """What the reader prefers: light or dark."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "screen", "features": features})


def picture(browser, path: pathlib.Path):
    """The whole page, as a PNG."""
    taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "format": "png"})
    path.write_bytes(base64.b64decode(taken["data"]))
