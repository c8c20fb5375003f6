"""A browser, and pages to open in it; tests are skipped where there is no browser."""

import json
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from protoxai.explanations.report import report
from tests.explanations.report.cases import LabelledImages, report_model

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
Open = Callable[..., Any]


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium without a window, whose downloads go to `browser.downloads`."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="Selenium is not installed")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no Chromium or no chromedriver: on Debian, apt install chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in FLAGS:
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    chrome.downloads = tmp_path_factory.mktemp("downloads")
    chrome.execute_cdp_cmd(
        "Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(chrome.downloads)}
    )
    yield chrome
    chrome.quit()


@pytest.fixture
def open_page(browser: Any) -> Open:
    """`open_page(path, width=1280, dark=False)` opens a file and returns the browser."""

    def open_file(path: Path, width: int = 1280, *, dark: bool = False) -> Any:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        for log in ("browser", "performance"):
            browser.get_log(log)
        browser.get(path.as_uri())
        return browser

    return open_file


@pytest.fixture(scope="session", params=[1, 2], ids=["stage 1", "stage 2"])
def any_stage(request: pytest.FixtureRequest) -> int:
    stage: int = request.param
    return stage


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], tuple[Path, Any]]:
    """`pages(2)` is the report on a model of stage 2, and the model."""
    folder = tmp_path_factory.mktemp("reports")

    @cache
    def written(stage: int) -> tuple[Path, Any]:
        torch.manual_seed(0)
        model = report_model(stage)
        return report(model, LabelledImages(), folder / f"{stage}.html", inactive=True), model

    return written


@pytest.fixture
def page(pages: Callable[[int], tuple[Path, Any]]) -> Path:
    """The report on the model of stage 2."""
    return pages(2)[0]


def requests(browser: Any) -> list[str]:
    """Everything that the page has asked for since it was opened, but for itself and its data."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    return [url for url in urls if not url.startswith(("data:", "blob:", browser.current_url))]
