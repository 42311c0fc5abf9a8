"""The gateway's page in Debian's Chromium, with a microphone that plays a recording in a loop."""

import asyncio
import base64
import os
import wave
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from playwright.async_api import Browser, BrowserContext, Page, Route, async_playwright
from voicesession_cli.voice import audio as sound

from hack.cluster import web_page
from tests.support.polling import until

CHROMIUM = "/usr/bin/chromium"
FAKE_DEVICE = "--use-fake-device-for-media-stream"
GRANT_MICROPHONE = "--use-fake-ui-for-media-stream"
"""Grants the page the microphone without a prompt."""
AXE = web_page.PAGE / "node_modules" / "axe-core" / "axe.min.js"
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SERIOUS = ("serious", "critical")
FOCUS_STEPS = 30
"""More than the number of focusable elements of the page."""
BEFORE, AFTER = 3.0, 9.0
"""Seconds of silence before and after the sentence, so that the agent can answer before the next repetition."""

RECORD = """() => {
  const audio = document.getElementById('audio'), known = new Set();
  window.recorders = [];
  const begin = () => (audio.srcObject?.getAudioTracks() ?? []).filter((t) => !known.has(t.id)).forEach((track) => {
    known.add(track.id);
    const recorder = new MediaRecorder(new MediaStream([track])), pieces = [];
    recorder.ondataavailable = (event) => pieces.push(event.data);
    recorder.start(250);
    window.recorders.push({ recorder, pieces });
  });
  for (const event of ['loadedmetadata', 'playing']) audio.addEventListener(event, begin);
  begin();
}"""
"""Start to record the audio element, with one recording per track."""
RECORDED = """async () => Promise.all(window.recorders.map(async ({ recorder, pieces }) => {
  if (recorder.state !== 'inactive') await new Promise((done) => { recorder.onstop = done; recorder.stop(); });
  const reader = new FileReader();
  await new Promise((done) => { reader.onload = done; reader.readAsDataURL(new Blob(pieces)); });
  return reader.result.split(',')[1] ?? '';
}))"""
NO_MICROPHONE = """() => {
  navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('in use', 'NotReadableError'); };
}"""
MARKS = (
    """() => Object.fromEntries(performance.getEntriesByType('mark').map((m) => [m.name.split(':')[1], m.startTime]))"""
)


class BrowserTab:
    """One tab with the page; methods act or read at once and do not wait for results."""

    def __init__(self, runner: asyncio.Runner, page: Page, context: BrowserContext, url: str) -> None:
        self._do, self._page, self._context, self._url = runner.run, page, context, url
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self._on_console(message.text))

    def open(self, agent: str = "") -> None:
        """Open the page, with an agent in the address if given."""
        self._do(self._page.goto(f"{self._url}/?agent={agent}" if agent else self._url))

    def reload(self) -> None:
        """Reload the page."""
        self._do(self._page.reload())

    def allow_microphone(self) -> None:
        """Grant the page the microphone."""
        self._do(self._context.grant_permissions(["microphone"]))

    def press_button(self, name: str) -> None:
        """Click the button of this name."""
        self._do(self._page.get_by_role("button", name=name, exact=True).click())

    def press_key(self, key: str) -> None:
        """Press a key; names are Playwright's."""
        self._do(self._page.keyboard.press(key))

    def tab_to(self, name: str) -> None:
        """Press Tab until the button has the focus; raise AssertionError after one round of the page."""
        for _ in range(FOCUS_STEPS):
            if self.focused() == name:
                return
            self.press_key("Tab")
        raise AssertionError(f"Tab does not lead to {name!r}, but to {self.focused()!r}")

    def focused(self) -> str:
        """Return the text of the element with the focus."""
        return str(self._do(self._page.evaluate("() => document.activeElement.textContent.trim()")))

    def choose_microphone(self, label: str) -> None:
        """Choose a microphone in the list."""
        self._do(self._page.get_by_label("Microphone", exact=True).select_option(label=label))

    def microphones(self) -> list[str]:
        """Return the names in the list of microphones."""
        return self._do(self._page.locator("#microphone option").all_inner_texts())

    def microphone(self) -> str:
        """Return the name of the chosen microphone."""
        return str(self._do(self._page.locator("#microphone").evaluate("(list) => list.selectedOptions[0].label")))

    def dispatch_event(self, event: str) -> None:
        """Dispatch `freeze` or `resume`, the events of a browser that suspends a tab."""
        self._do(self._page.evaluate("(name) => document.dispatchEvent(new Event(name, { bubbles: true }))", event))

    def disable_microphones(self) -> None:
        """Let every access to a microphone fail until the next reload, as if another program used all of them."""
        self._do(self._page.evaluate(NO_MICROPHONE))

    @contextmanager
    def intercept(self, handler: Callable[[Route], Awaitable[None]], *paths: str) -> Iterator[None]:
        """Answer requests to these paths, such as `/token`, with a handler of browser_routes.py."""
        for path in paths:
            self._do(self._page.route(self._url + path, handler))
        try:
            yield
        finally:
            for path in paths:
                self._do(self._page.unroute(self._url + path, handler))

    def use_slow_network(self, round_trip_ms: int, bytes_per_second: int) -> None:
        """Slow down the HTTP requests of the page."""
        throughput = {"downloadThroughput": bytes_per_second, "uploadThroughput": bytes_per_second}
        conditions = {"offline": False, "latency": round_trip_ms, **throughput}
        session = self._do(self._context.new_cdp_session(self._page))
        self._do(session.send("Network.enable"))
        self._do(session.send("Network.emulateNetworkConditions", conditions))

    def enter_key(self, key: str) -> None:
        """Enter an access key and use it."""
        self._do(self._page.get_by_label("Access key").fill(key))
        self.press_button("Use")

    def agent(self) -> str:
        """Return the agent's name above the buttons."""
        return self._text("#agent-name")

    def status(self) -> str:
        """Return the status line."""
        return self._text("#status")

    def hint(self) -> str:
        """Return the hint."""
        return self._text("#hint")

    def problem(self) -> str:
        """Return the visible error message, or an empty string."""
        return self._do(self._page.locator("#problem").inner_text()) if self._is_visible("#problem") else ""

    def session(self) -> str:
        """Return the session's name, or an empty string while the page shows a dash for it."""
        tab = self._text("#session-name")
        return tab if tab.isascii() else ""

    def quality(self) -> str:
        """Return the quality of the connection in a word."""
        return self._text("#quality")

    def is_muted(self) -> bool:
        """Return the state of the mute button for screen readers."""
        return bool(self._do(self._page.get_by_role("button", name="Mute", pressed=True).count()))

    def announcements(self) -> list[str]:
        """Return the announcements for screen readers, oldest first."""
        return self._do(self._page.locator("[aria-live=polite] p").all_text_contents())

    def is_in_call(self) -> bool:
        """Return whether the status line is that of a call."""
        return self.status() in ("Listening", "Thinking", "Speaking") or self.status().startswith("Connected.")

    def transcript_lines(self, speaker: str) -> list[str]:
        """Return the final transcript lines of `agent` or `you`."""
        return self._do(self._page.locator(f"#lines .{speaker}.final p").all_inner_texts())

    def level(self) -> float:
        """Return the microphone's level from 0 to 1."""
        return float(self._do(self._page.locator("#level").evaluate("(meter) => meter.value")))

    def marks(self) -> dict[str, float]:
        """Return the User Timing marks: milliseconds since the start of the page, by stage."""
        found: dict[str, float] = self._do(self._page.evaluate(MARKS))
        return found

    def start_recording(self) -> None:
        """Record all audio from now on."""
        self._do(self._page.evaluate(RECORD))

    def recordings(self) -> list[bytes]:
        """Return WebM files of the audio since start_recording()."""
        found: list[str] = self._do(self._page.evaluate(RECORDED))
        return [base64.b64decode(text) for text in found if text]

    def take_pictures(self, folder: Path, name: str) -> list[str]:
        """Take a picture in each size and color scheme; return the serious violations that axe finds."""
        self._do(self._page.evaluate(AXE.read_text()))
        found = [
            violation for size in SIZES for scheme in SCHEMES for violation in self._picture(folder, name, size, scheme)
        ]
        self._do(self._page.set_viewport_size(_viewport("desktop")))
        return found

    def _picture(self, folder: Path, name: str, size: str, scheme: Literal["light", "dark"]) -> list[str]:
        self._do(self._page.set_viewport_size(_viewport(size)))
        self._do(self._page.emulate_media(color_scheme=scheme, reduced_motion="reduce"))
        self._do(self._page.screenshot(path=folder / f"{name}-{size}-{scheme}.png"))
        found = self._do(self._page.evaluate("axe.run().then((found) => found.violations)"))
        return [f"{size}, {scheme}: {v['id']}: {v['help']}" for v in found if v["impact"] in SERIOUS]

    def _text(self, selector: str) -> str:
        return self._do(self._page.locator(selector).text_content()) or ""

    def _is_visible(self, selector: str) -> bool:
        return self._do(self._page.locator(selector).is_visible())

    def _on_console(self, text: str) -> None:
        if "Content Security Policy" in text:
            self.errors.append(text)


@contextmanager
def open_tab(url: str, wav: Path, *, allowed: bool = True) -> Iterator[BrowserTab]:
    """Start Chromium with `wav` as its microphone and yield a tab; fail on script errors and policy violations."""
    flags = [FAKE_DEVICE, f"--use-file-for-fake-audio-capture={wav}", *([GRANT_MICROPHONE] if allowed else [])]
    with _chromium(flags) as (runner, browser):
        context = runner.run(browser.new_context(viewport=_viewport("desktop"), reduced_motion="reduce"))
        made = BrowserTab(runner, runner.run(context.new_page()), context, url)
        yield made
        assert made.errors == []


def microphone_recording(folder: Path, text: str) -> Path:
    """Write and return a WAV file with one sentence between two silences."""
    path = folder / "microphone.wav"
    parts = [_silence(BEFORE), sound.synthesize(text), _silence(AFTER)]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sound.MICROPHONE_RATE)
        file.writeframes(np.concatenate(parts).tobytes())
    return path


def wait_until_live(tab: BrowserTab, seconds: float) -> None:
    """Wait until the page is in the call; fail with its messages."""
    try:
        until(tab.is_in_call, "the page is in the call", seconds)
    except AssertionError as late:
        raise AssertionError(f"{late}; it says {tab.status()!r}, {tab.problem()!r}, {tab.hint()!r}") from None


@contextmanager
def _chromium(flags: list[str]) -> Iterator[tuple[asyncio.Runner, Browser]]:
    """Start Chromium with an event loop that runs only during calls, because a test may have its own loop."""
    flags = [*flags, "--disable-gpu", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with asyncio.Runner() as runner:
        driver = runner.run(_started())
        try:
            browser = runner.run(driver.chromium.launch(executable_path=CHROMIUM, args=flags))
            yield runner, browser
            runner.run(browser.close())
        finally:
            runner.run(driver.stop())


async def _started() -> Any:
    return await async_playwright().start()


def _viewport(size: str) -> Any:
    width, height = SIZES[size]
    return {"width": width, "height": height}


def _silence(seconds: float) -> sound.Samples:
    return np.zeros(int(seconds * sound.MICROPHONE_RATE), np.int16)
