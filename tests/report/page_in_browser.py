"""A report's page in a browser: opened, waited for and pointed at."""

import time

import browser as browsers


def opened(browser, path, width=1400, scheme="light"):
    """The page, drawn to the end; the log before it is dropped."""
    browser.get_log("browser")
    browsers.size(browser, width)
    browsers.media(browser, scheme)
    browser.get(path.as_uri())
    wait(browser, "document.documentElement.dataset.drawn === 'yes'")
    return browser


def wait(browser, condition, seconds=60):
    until = time.monotonic() + seconds
    while not browser.execute_script(f"return {condition}"):
        assert time.monotonic() < until, f"{condition} in {seconds} seconds"
        time.sleep(0.05)


def at_rest(browser):
    """Waits until the page stops scrolling, which hides the text on a point."""
    before = None
    while before != (before := browser.execute_script("return scrollY")):
        time.sleep(0.2)


def hover(browser, script):
    """Moves the pointer to where a script says, in pixels of the window."""
    x, y = browser.execute_script(script)
    at_rest(browser)
    for step in (3, 0):
        event = {"type": "mouseMoved", "x": x + step, "y": y, "button": "none"}
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", event)
