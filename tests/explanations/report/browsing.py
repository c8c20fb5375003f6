"""What a reader does in the pixel inspector, and what it shows then."""

from __future__ import annotations

from typing import Any


def shown_index(browser: Any) -> int:
    """The number in the data set of the image that is shown first."""
    name = browser.execute_script("return protoxai.data.images[protoxai.state.image].name")
    return int(name.split()[-1])


def text(browser: Any, selector: str) -> str:
    found: str = browser.execute_script(
        "return document.querySelector(arguments[0]).textContent.trim()", selector
    )
    return found


def texts(browser: Any, selector: str) -> list[str]:
    found: list[str] = browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent.trim())",
        selector,
    )
    return found


def number(shown: str) -> float:
    return float(shown.replace("\u2212", "-"))


def settle(browser: Any) -> None:
    """Wait until the page has drawn its state."""
    browser.execute_async_script(
        "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))"
    )


def point(browser: Any, row: int, column: int, kind: str = "pointermove") -> None:
    browser.execute_script(
        """const [row, column, kind] = arguments;
        const stage = document.getElementById("stage");
        const frame = stage.getBoundingClientRect();
        const options = {
          clientX: frame.left + ((column + 0.5) / 48) * frame.width,
          clientY: frame.top + ((row + 0.5) / 32) * frame.height,
          bubbles: true, pointerType: "mouse",
        };
        stage.dispatchEvent(new PointerEvent("pointermove", options));
        if (kind === "click") stage.dispatchEvent(new PointerEvent("click", options));""",
        row,
        column,
        kind,
    )
    settle(browser)


def press(browser: Any, *keys: str, shift: bool = False) -> None:
    browser.execute_script(
        """const stage = document.getElementById("stage");
        stage.focus();
        for (const key of arguments[0]) {
          const options = { key, shiftKey: arguments[1], bubbles: true, cancelable: true };
          stage.dispatchEvent(new KeyboardEvent("keydown", options));
        }""",
        keys,
        shift,
    )
    settle(browser)


def choose(browser: Any, identity: str, value: object) -> None:
    browser.execute_script(
        """const select = document.getElementById(arguments[0]);
        select.value = arguments[1];
        select.dispatchEvent(new Event("change"));""",
        identity,
        str(value),
    )
    settle(browser)


def click(browser: Any, selector: str) -> None:
    browser.execute_script("document.querySelector(arguments[0]).click()", selector)
    settle(browser)
