"""A headless Chromium that a test drives over a pipe (https://chromedevtools.github.io/devtools-protocol/)."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.processes import PATIENCE

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
"""The browser's program; None if there is none. `.ci/run` installs it."""


class Browser:
    """One browser with one page."""

    def __init__(self, profile: Path) -> None:
        assert PROGRAM is not None
        # Above the descriptors 3 and 4, which the browser reads commands from and writes answers to.
        commands, self._writing, self._reading, answers = (
            fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10) for descriptor in (*os.pipe(), *os.pipe())
        )
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        script = f'exec "$@" 3<&{commands} 4>&{answers} {commands}<&- {answers}>&-'
        command = [PROGRAM, *options, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", *command],
            pass_fds=(commands, answers),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self.events: list[dict[str, Any]] = []
        """What the browser reported by itself, such as requests and messages of the console."""
        self._rest = b""
        self._number = 0
        target = self._call("Target.createTarget", {"url": "about:blank"})["targetId"]
        self._session = self._call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]

    def open(self, url: str) -> None:
        """Start to load a page."""
        fault = self.call("Page.navigate", url=url).get("errorText")
        assert fault is None, f"{url}: {fault}"

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression in the page. A promise is awaited."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """The value of an expression as soon as it is true; the page looks again with each of its changes."""
        return self.evaluate(
            f"new Promise((done) => {{ const look = () => {{ const value = ({script}); if (value) done(value); else "
            "requestAnimationFrame(() => setTimeout(look, 20)); }; look(); })"
        )

    def wait_for_event(self, method: str, accepts: Callable[[dict[str, Any]], bool], position: int) -> dict[str, Any]:
        """The parameters of the first event of that name that is accepted, from a position of ``events`` on."""
        while True:
            for event in self.events[position:]:
                if event["method"] == method and accepts(event["params"]):
                    return event["params"]
            position = len(self.events)
            self._take_event(self._message())

    def middle_of(self, selector: str, index: int = 0) -> tuple[float, float]:
        """The middle of an element in the window."""
        script = (
            f"(() => {{ const r = document.querySelectorAll({json.dumps(selector)})[{index}].getBoundingClientRect()"
        )
        x, y = self.evaluate(f"{script}; return [r.x + r.width / 2, r.y + r.height / 2]; }})()")
        return x, y

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the mouse's left button at a place, move to another in steps, and release it."""
        mouse = {"button": "left", "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=start[0], y=start[1])
        self.call("Input.dispatchMouseEvent", type="mousePressed", x=start[0], y=start[1], **mouse)
        for share in (0.3, 0.6, 1.0):
            x, y = (a + (b - a) * share for a, b in zip(start, end, strict=True))
            self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, buttons=1, **mouse)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=end[0], y=end[1], **mouse)

    def click(self, place: tuple[float, float]) -> None:
        """Click with the mouse's left button."""
        self.drag(place, place)

    def choose_file(self, selector: str, path: Path) -> None:
        """Choose a file in an ``input`` element, as the dialogue of the browser does."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def picture(self) -> bytes:
        """The window as a PNG file."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a method of the page's protocol."""
        return self._call(method, parameters, self._session)

    def close(self) -> None:
        """End the browser."""
        self.process.kill()
        self.process.wait()
        os.close(self._writing)
        os.close(self._reading)

    def _call(self, method: str, parameters: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": session} if session else {}
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self._take_event(answer)

    def _take_event(self, message: dict[str, Any]) -> None:
        if "method" in message:
            self.events.append(message)

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert select.select([self._reading], [], [], PATIENCE)[0], "the browser did not answer"
            data = os.read(self._reading, 1 << 16)
            assert data, "the browser has ended"
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)
