"""A headless Chromium for tests, driven over its DevTools pipe: JSON in, JSON out, a zero byte after each message."""

import base64
import io
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

# Without a graphics card, and with other programs at work, a page may take a minute for what otherwise takes a second.
PATIENCE_S = 180
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--remote-debugging-pipe", "--hide-scrollbars", "--no-first-run", "--mute-audio",
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-dev-shm-usage",
    "--autoplay-policy=no-user-gesture-required", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-quic", "--force-device-scale-factor=1",
)  # fmt: skip


def find_browser() -> str | None:
    """Path of a Chromium, if there is one."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Page:
    """One tab: what it is told, and what it complains of.

    Attributes:
        complaints: errors and warnings of its console, exceptions, and requests that failed.
        requests: addresses that it asked for.
    """

    def __init__(self, send: int, receive: int) -> None:
        self.send, self.receive = send, receive
        self.waiting = b""
        self.number = 0
        self.session: str | None = None
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self.number += 1
        message: dict[str, Any] = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next(PATIENCE_S)
            if answer.get("id") == self.number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def _next(self, timeout_s: float) -> dict[str, Any]:
        end = time.monotonic() + timeout_s
        while b"\0" not in self.waiting:
            ready, _, _ = select.select([self.receive], [], [], max(0, end - time.monotonic()))
            assert ready, f"the browser said nothing for {timeout_s:g} s; so far: {self.complaints}"
            data = os.read(self.receive, 1 << 20)
            assert data, "the browser has ended"
            self.waiting += data
        message, _, self.waiting = self.waiting.partition(b"\0")
        event = json.loads(message)
        self._note(event.get("method"), event.get("params", {}))
        return event

    def _note(self, method: str | None, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"])[:800])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(params["args"])[:800])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"][:200])

    def show(self, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        """Sets the size of the window, and what the user prefers."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, path: Path, until: str, timeout_s: float = PATIENCE_S) -> None:
        """Opens a file and waits until an expression is true."""
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait(until, timeout_s)

    def wait(self, until: str, timeout_s: float = PATIENCE_S) -> None:
        end = time.monotonic() + timeout_s
        while not self.ask(f"(() => {{ try {{ return Boolean({until}); }} catch {{ return false; }} }})()"):
            assert time.monotonic() < end, f"{until} did not come true; complaints: {self.complaints}"
            time.sleep(0.05)

    def ask(self, expression: str) -> Any:
        """The value of an expression; promises are waited for."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str, code: str = "", *, shift: bool = False) -> None:
        common = {"key": key, "code": code, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown", **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def drag(self, start: tuple[float, float], end: tuple[float, float], steps: int = 4) -> None:
        """Presses the mouse at one place and lets it go at another."""
        for kind, share in [
            ("mousePressed", 0.0),
            *(("mouseMoved", (k + 1) / steps) for k in range(steps)),
            ("mouseReleased", 1.0),
        ]:
            x, y = (a + share * (b - a) for a, b in zip(start, end, strict=True))
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def picture(self) -> np.ndarray:
        """(height, width, 3) uint8, what is on the screen."""
        data = self.call("Page.captureScreenshot", format="png")["data"]
        return np.array(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


@contextmanager
def browser(program: str) -> Iterator[Page]:
    """Starts a browser with an empty profile and gives its one page; ends it afterwards."""
    to_browser, from_browser = os.pipe(), os.pipe()
    # Chromium reads descriptor 3 and writes 4. A shell puts them there, whatever their numbers are here.
    command = f'exec "$0" "$@" 3<&{to_browser[0]} 4>&{from_browser[1]}'
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            ["bash", "-c", command, program, *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(to_browser[0], from_browser[1]),
            stdout=words,
            stderr=words,
        )
        os.close(to_browser[0])
        os.close(from_browser[1])
        try:
            yield Page(to_browser[1], from_browser[0])
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            os.close(to_browser[1])
            os.close(from_browser[0])
