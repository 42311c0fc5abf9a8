"""A person at the gateway's page: Debian's Chromium, with a microphone that plays a recording over and over."""

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

from hack.cluster import web_page as built
from tests.support.polling import until

CHROMIUM = "/usr/bin/chromium"
FAKE_DEVICE = "--use-fake-device-for-media-stream"
SAYS_YES = "--use-fake-ui-for-media-stream"
"""To every question whether the page may use the microphone."""
AXE = built.PAGE / "node_modules" / "axe-core" / "axe.min.js"
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
GRAVE = ("serious", "critical")
ONCE_AROUND = 30
"""More than the page has places for the focus."""
BEFORE, AFTER = 3.0, 9.0
"""Seconds of silence around what the microphone plays: room for an answer before it is said again."""

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
"""From now on everything that the page's audio element plays, one recording for each track."""
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


class Screen:
    """One tab. Every method is a look, or a deed of the person; waits are the tests' own."""

    def __init__(self, runner: asyncio.Runner, page: Page, context: BrowserContext, url: str) -> None:
        self._do, self._page, self._context, self._url = runner.run, page, context, url
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda told: self._refused(told.text))

    def open(self, agent: str = "") -> None:
        self._do(self._page.goto(f"{self._url}/?agent={agent}" if agent else self._url))

    def reload(self) -> None:
        self._do(self._page.reload())

    def allow_microphone(self) -> None:
        self._do(self._context.grant_permissions(["microphone"]))

    def press(self, name: str) -> None:
        self._do(self._page.get_by_role("button", name=name, exact=True).click())

    def strike(self, key: str) -> None:
        """A key of the keyboard, as Playwright names it."""
        self._do(self._page.keyboard.press(key))

    def tab_to(self, name: str) -> None:
        """Go on with Tab to the button of that name; AssertionError where there is none, once around the page."""
        for _ in range(ONCE_AROUND):
            if self.focused() == name:
                return
            self.strike("Tab")
        raise AssertionError(f"Tab does not lead to {name!r}, but to {self.focused()!r}")

    def focused(self) -> str:
        """The text of the element that has the focus."""
        return str(self._do(self._page.evaluate("() => document.activeElement.textContent.trim()")))

    def choose_microphone(self, label: str) -> None:
        self._do(self._page.get_by_label("Microphone", exact=True).select_option(label=label))

    def microphones(self) -> list[str]:
        return self._do(self._page.locator("#microphone option").all_inner_texts())

    def microphone(self) -> str:
        """The one that is chosen."""
        return str(self._do(self._page.locator("#microphone").evaluate("(list) => list.selectedOptions[0].label")))

    def live_through(self, event: str) -> None:
        """`freeze` or `resume`, as browsers tell a page whose tab they put to sleep."""
        self._do(self._page.evaluate("(name) => document.dispatchEvent(new Event(name, { bubbles: true }))", event))

    def lend_no_microphone(self) -> None:
        """From now on, until the page is loaded again, as if another program had all of them."""
        self._do(self._page.evaluate(NO_MICROPHONE))

    @contextmanager
    def meeting(self, trouble: Callable[[Route], Awaitable[None]], *paths: str) -> Iterator[None]:
        """What is asked at these paths, such as `/token`, meets a trouble of routes.py instead of the gateway."""
        for path in paths:
            self._do(self._page.route(self._url + path, trouble))
        try:
            yield
        finally:
            for path in paths:
                self._do(self._page.unroute(self._url + path, trouble))

    def enter_key(self, key: str) -> None:
        self._do(self._page.get_by_label("Access key").fill(key))
        self.press("Use")

    def agent(self) -> str:
        """The name above the buttons."""
        return self._text("#agent-name")

    def status(self) -> str:
        return self._text("#status")

    def hint(self) -> str:
        return self._text("#hint")

    def problem(self) -> str:
        """What the page says went wrong; empty where nothing did."""
        return self._do(self._page.locator("#problem").inner_text()) if self._sees("#problem") else ""

    def session(self) -> str:
        """The session's name as the page shows it; empty before it is known."""
        shown = self._text("#session-name")
        return shown if shown.isascii() else ""

    def quality(self) -> str:
        """Of the connection, in a word."""
        return self._text("#quality")

    def is_muted(self) -> bool:
        """As the button says it to a screen reader."""
        return bool(self._do(self._page.get_by_role("button", name="Mute", pressed=True).count()))

    def read_aloud(self) -> list[str]:
        """What a screen reader is told, oldest first."""
        return self._do(self._page.locator("[aria-live=polite] p").all_text_contents())

    def is_live(self) -> bool:
        return self.status() in ("Listening", "Thinking", "Speaking") or self.status().startswith("Connected.")

    def lines(self, who: str) -> list[str]:
        """The transcript's lines of `agent` or `you` that are final."""
        return self._do(self._page.locator(f"#lines .{who}.final p").all_inner_texts())

    def level(self) -> float:
        """The microphone's, from 0 to 1."""
        return float(self._do(self._page.locator("#level").evaluate("(meter) => meter.value")))

    def marks(self) -> dict[str, float]:
        """Milliseconds since the page began, by the name of the stage."""
        found: dict[str, float] = self._do(self._page.evaluate(MARKS))
        return found

    def record(self) -> None:
        self._do(self._page.evaluate(RECORD))

    def recorded(self) -> list[bytes]:
        """WebM files of what was played since `record`."""
        found: list[str] = self._do(self._page.evaluate(RECORDED))
        return [base64.b64decode(text) for text in found if text]

    def look(self, folder: Path, name: str) -> list[str]:
        """A picture of each size and scheme; returns what axe finds grave in any of them."""
        self._do(self._page.evaluate(AXE.read_text()))
        found = [flaw for size in SIZES for scheme in SCHEMES for flaw in self._picture(folder, name, size, scheme)]
        self._do(self._page.set_viewport_size(_viewport("desktop")))
        return found

    def _picture(self, folder: Path, name: str, size: str, scheme: Literal["light", "dark"]) -> list[str]:
        self._do(self._page.set_viewport_size(_viewport(size)))
        self._do(self._page.emulate_media(color_scheme=scheme, reduced_motion="reduce"))
        self._do(self._page.screenshot(path=folder / f"{name}-{size}-{scheme}.png"))
        found = self._do(self._page.evaluate("axe.run().then((found) => found.violations)"))
        return [f"{size}, {scheme}: {v['id']}: {v['help']}" for v in found if v["impact"] in GRAVE]

    def _text(self, selector: str) -> str:
        return self._do(self._page.locator(selector).text_content()) or ""

    def _sees(self, selector: str) -> bool:
        return self._do(self._page.locator(selector).is_visible())

    def _refused(self, text: str) -> None:
        if "Content Security Policy" in text:
            self.errors.append(text)


@contextmanager
def screen(url: str, wav: Path, *, allowed: bool = True) -> Iterator[Screen]:
    """A tab of a new Chromium whose microphone plays `wav`. Fails where the page broke, or broke its own policy."""
    flags = [FAKE_DEVICE, f"--use-file-for-fake-audio-capture={wav}", *([SAYS_YES] if allowed else [])]
    with _chromium(flags) as (runner, browser):
        context = runner.run(browser.new_context(viewport=_viewport("desktop"), reduced_motion="reduce"))
        made = Screen(runner, runner.run(context.new_page()), context, url)
        yield made
        assert made.errors == []


def spoken(folder: Path, text: str) -> Path:
    """A recording of one sentence between two silences."""
    path = folder / "microphone.wav"
    parts = [_silence(BEFORE), sound.synthesize(text), _silence(AFTER)]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sound.MICROPHONE_RATE)
        file.writeframes(np.concatenate(parts).tobytes())
    return path


def live(shown: Screen, seconds: float) -> None:
    """Wait until the page is in the call; the page's own words where it is not."""
    try:
        until(shown.is_live, "the page is in the call", seconds)
    except AssertionError as late:
        raise AssertionError(f"{late}; it says {shown.status()!r}, {shown.problem()!r}, {shown.hint()!r}") from None


@contextmanager
def _chromium(flags: list[str]) -> Iterator[tuple[asyncio.Runner, Browser]]:
    """A loop of its own that runs only while something is asked of the browser: tests have loops too."""
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
