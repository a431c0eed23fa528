"""A headless Chromium that is spoken to over a pipe, so that no driver and no port is needed."""

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe"),
)


def chromium() -> str | None:
    """The browser of this machine."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One page in a browser.

    Source: the Chrome DevTools protocol; a message is JSON that ends with a zero byte.
    """

    def __init__(self, profile: Path, *options: str):
        """Starts the browser.

        Args:
            profile: a folder that it may write to.
            options: more than are always set.
        """
        theirs_in, self.ours_out = os.pipe()
        self.ours_in, theirs_out = os.pipe()
        command = [chromium(), *OPTIONS, *options, f"--user-data-dir={profile}", "about:blank"]
        # The protocol wants its pipes as files 3 and 4.
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "bash", *command],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.rest, self.count, self.session, self.said = b"", 0, "", []
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for name in ("Page", "Runtime", "Network", "Log"):
            self.tell(f"{name}.enable")

    def tell(self, method: str, **values: Any) -> dict[str, Any]:
        """Sends a command and returns what came of it; what else is said meanwhile is kept in `said`."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": values}
        message |= {"sessionId": self.session} if self.session else {}
        os.write(self.ours_out, json.dumps(message).encode() + b"\0")
        while True:
            found = self._hear()
            if found.get("id") == self.count:
                assert "error" not in found, found
                return found["result"]
            self.said.append(found)

    def _hear(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            part = os.read(self.ours_in, 1 << 16)
            assert part, "the browser ended"
            self.rest += part
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def open(self, page: Path | str, width: int = 1280, dark: bool = False) -> None:
        """Opens a file or an address, and waits until it is there."""
        self.tell(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.tell("Emulation.setEmulatedMedia", features=[scheme])
        self.said.clear()
        self.tell("Page.navigate", url=page if isinstance(page, str) else page.resolve().as_uri())
        while not any(found.get("method") == "Page.loadEventFired" for found in self.said):
            self.said.append(self._hear())

    def ask(self, expression: str) -> Any:
        """The value of an expression in the page."""
        found = self.tell("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait_for(self, expression: str, seconds: float = 90.0) -> Any:
        """The value of an expression as soon as it is true in the page."""
        until = time.monotonic() + seconds
        while not (found := self.ask(expression)):
            assert time.monotonic() < until, f"{expression} stayed {found!r}"
            time.sleep(0.05)
        return found

    def upload(self, selector: str, file: Path) -> None:
        """Gives a file to an input of files."""
        root = self.tell("DOM.getDocument")["root"]["nodeId"]
        node = self.tell("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.tell("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def drag(self, *points: tuple[float, float]) -> None:
        """Moves the mouse along some points of the window with its button down."""
        (x, y), *rest = points
        held = {"button": "left", "buttons": 1, "clickCount": 1}
        self.tell("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self.tell("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, **held)
        for x, y in rest:
            self.tell("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, **held)
        self.tell("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, button="left", clickCount=1)

    def press(self, key: str, code: int) -> None:
        """Presses a key; `code` is that of Windows, which Chromium goes by."""
        for kind in ("rawKeyDown", "keyUp"):
            self.tell("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def type(self, text: str) -> None:
        """Types a text where the focus is."""
        self.tell("Input.insertText", text=text)

    def asked_for(self) -> list[str]:
        """The addresses that the page asked for, itself left out."""
        urls = [it["params"]["request"]["url"] for it in self.said if it.get("method") == "Network.requestWillBeSent"]
        return [url for url in urls[1:] if not url.startswith("data:")]

    def complaints(self) -> list[str]:
        """Errors in the console and violations of the page's own policy."""
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(found["params"]) for found in self.said if found.get("method") in kinds]

    def shoot(self, file: Path) -> None:
        """Writes a picture of the whole page."""
        height = min(16000, int(self.ask("document.documentElement.scrollHeight")))
        width = int(self.ask("document.documentElement.clientWidth"))
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = self.tell("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        file.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        """Ends the browser."""
        self.process.terminate()
        self.process.wait(20)
        os.close(self.ours_in)
        os.close(self.ours_out)
