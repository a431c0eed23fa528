"""A browser in front of a demo."""

import base64
import io
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from tests.browser import Browser

PAINTS = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""The canvas that is painted on needs WebGL, here without a graphics card."""
WRITE = """((place, text) => {
  const field = document.querySelector(`#${place} textarea, #${place} input`);
  Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), 'value').set.call(field, text);
  field.dispatchEvent(new Event('input', {bubbles: true}));
})"""


class Demo:
    """A page of a demo, used as a visitor would."""

    def __init__(self, browser: Browser, address: str):
        self.browser, self.address = browser, address

    def open(self, width: int = 1280, dark: bool = False) -> None:
        """Opens the page anew, and waits until it answers to clicks."""
        self.browser.open(self.address, width, dark)
        self.browser.wait_for("!!document.querySelector('#text-run')")
        seed = "document.querySelector('#text-seed input').value"
        self.browser.wait_for(f"window.gradio_config && {seed} === '0'")
        for _ in range(20):  # its parts are there before they are connected
            self.click("#text-new-seed")
            with suppress(AssertionError):
                self.browser.wait_for(f"{seed} !== '0'", 3)
                break
        self.write("text-seed", "0")

    def tab(self, title: str) -> None:
        """Turns to a tab."""
        tabs = "[...document.querySelectorAll('[role=tab]')]"
        self.browser.ask(f"{tabs}.find((one) => one.textContent.trim() === '{title}').click()")
        self.browser.wait_for(f"document.querySelector('#{title.lower()}-run')?.offsetParent !== null")

    def write(self, place: str, text: str) -> None:
        """Writes into a field."""
        self.browser.ask(f"{WRITE}({place!r}, {text!r})")

    def click(self, selector: str) -> None:
        """Clicks on something."""
        self.browser.wait_for(f"!!document.querySelector({selector!r})")
        self.browser.ask(f"document.querySelector({selector!r}).click()")

    def shown(self, kind: str) -> str:
        """The text of an answer, or of a message."""
        return self.browser.ask(f"document.querySelector('#{kind}-shown').innerText")

    def run(self, kind: str, before: Callable[[], None] = lambda: None) -> None:
        """Asks, again if what was put in is not there yet, and waits until all models are done.

        Args:
            before: what else is done before each time.
        """
        cards = f"[...document.querySelectorAll('#{kind}-shown .card')]"
        self.browser.ask(f"{cards}.forEach((one) => one.remove())")
        done = f"{cards}.length > 0 && {cards}.every((one) => one.classList.contains('over'))"
        for patience in range(1, 12):
            before()
            self.click(f"#{kind}-run")
            with suppress(AssertionError):
                self.browser.wait_for(f"{cards}.length > 0", patience)
                break
        self.browser.wait_for(done)

    def message(self, kind: str) -> str:
        """Asks, and returns what is said instead of an answer."""
        self.browser.ask(f"document.querySelectorAll('#{kind}-shown [role=alert]').forEach((one) => one.remove())")
        self.click(f"#{kind}-run")
        return self.browser.wait_for(f"document.querySelector('#{kind}-shown [role=alert]')?.innerText")

    def message_at_last(self, kind: str, begins: str, ends: str = "") -> None:
        """Asks again and again until this is what is said: what was uploaded may not be there yet."""
        for _ in range(200):
            self.click(f"#{kind}-run")
            time.sleep(0.3)
            said = self.shown(kind).strip()
            if said.startswith(begins) and said.endswith(ends):
                return
        raise AssertionError(said)

    def pictures(self, kind: str) -> list[np.ndarray]:
        """The pictures that are shown."""
        urls = self.browser.ask(f"[...document.querySelectorAll('#{kind}-shown img')].map((one) => one.src)")
        files = [io.BytesIO(base64.b64decode(url.partition(",")[2])) for url in urls]
        return [np.asarray(Image.open(file).convert("RGB")) for file in files]

    def drop(self, place: str, file: Path) -> None:
        """Gives a picture to a field."""
        self.browser.wait_for(f"!!document.querySelector('#{place} input[type=file]')")
        self.browser.upload(f"#{place} input[type=file]", file)
