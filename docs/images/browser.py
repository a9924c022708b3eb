"""A headless Chromium that opens a page, waits for words on it and takes its picture.

Speaks Chromium's DevTools protocol over a websocket. What to take is `take.py`'s.
"""

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-extensions",
    "--hide-scrollbars", "--force-color-profile=srgb", "--lang=en-GB", "--remote-debugging-port=0",
)  # fmt: skip
LOOK_SECONDS = 0.25
SETTLE_SECONDS = 1.5
ANSWER_BYTES = 64 * 1024 * 1024


class Page:
    """One tab."""

    def __init__(self, socket: ClientConnection, width: int, height: int):
        self._socket = socket
        self._number = 0
        self._send("Page.enable")
        self.resize(width, height)

    def resize(self, width: int, height: int) -> None:
        """Size of the window in CSS pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._send("Emulation.setDeviceMetricsOverride", **metrics)

    def open(self, url: str, words: Sequence[str], seconds: float = 120.0) -> None:
        """Go to a page and wait until it shows all `words` and has come to rest."""
        self._send("Page.navigate", url=url)
        self.wait_for(words, seconds)

    def wait_for(self, words: Sequence[str], seconds: float = 120.0) -> None:
        """Wait until the page shows all `words`.

        Raises:
            TimeoutError: it does not; with what it shows.
        """
        until = time.monotonic() + seconds
        while missing := [word for word in words if word not in self.text()]:
            if time.monotonic() > until:
                raise TimeoutError(f"{missing} not on the page, which shows:\n{self.text()[:2000]}")
            time.sleep(LOOK_SECONDS)
        time.sleep(SETTLE_SECONDS)

    def text(self) -> str:
        """What the page shows, as text."""
        return str(self.run("document.body ? document.body.innerText : ''") or "")

    def run(self, script: str) -> Any:
        """Evaluate JavaScript in the page; its value."""
        answer = self._send("Runtime.evaluate", expression=script, returnByValue=True)
        return answer.get("result", {}).get("value")

    def before_each(self, script: str) -> None:
        """Run JavaScript in every page opened from now on, before its own."""
        self._send("Page.addScriptToEvaluateOnNewDocument", source=f"try {{ {script} }} catch (e) {{}}")

    def click(self, label: str, place: int = 0) -> None:
        """Click what carries this text; of several the one at `place`, -1 for the last.

        Raises:
            LookupError: nothing does.
        """
        self._do(label, place, "click()")

    def scroll_to(self, label: str) -> None:
        """Bring what carries this text to the top of the window."""
        self._do(label, 0, "scrollIntoView()")

    def _do(self, label: str, place: int, action: str) -> None:
        # The innermost elements: a wrapper has the same text and hears no click.
        script = (
            "(() => { const all = [...document.querySelectorAll('span, a, button, div')]"
            f".filter(e => (e.innerText || '').trim() === {json.dumps(label)});"
            " const found = all.filter(e => !all.some(o => o !== e && e.contains(o)));"
            f" const one = found.at({place}); if (one) one.{action}; return !!one; }})()"
        )
        if not self.run(script):
            raise LookupError(f"nothing on the page is labelled {label!r}")
        time.sleep(SETTLE_SECONDS)

    def take(self, path: Path) -> None:
        """Write the visible part of the page as PNG."""
        path.write_bytes(base64.b64decode(self._send("Page.captureScreenshot", format="png")["data"]))

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=120))
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])


@contextmanager
def open_page(width: int, height: int) -> Iterator[Page]:
    """A page in a browser of its own, with an empty profile; both are gone afterwards.

    Raises:
        FileNotFoundError: there is no Chromium.
    """
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        raise FileNotFoundError("Chromium is needed: apt-get install chromium")
    with tempfile.TemporaryDirectory(
        prefix="import-pipeline-browser-", ignore_cleanup_errors=True
    ) as profile:
        command = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with connect(_address(Path(profile), browser), max_size=ANSWER_BYTES) as socket:
                yield Page(socket, width, height)
        finally:
            browser.terminate()
            browser.wait()


def _address(profile: Path, browser: subprocess.Popen[bytes]) -> str:
    """The websocket of the browser's first tab."""
    place, until = profile / "DevToolsActivePort", time.monotonic() + 60
    while not (place.exists() and place.read_text().strip()):
        if browser.poll() is not None or time.monotonic() > until:
            raise TimeoutError("Chromium did not start")
        time.sleep(LOOK_SECONDS)
    port = place.read_text().split("\n")[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
        tabs = json.load(answer)
    return str(next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"))
