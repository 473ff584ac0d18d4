"""The page in a real browser: upload, ask, correct, download, keep; with the embedded models, and with hostile text."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

pytest.importorskip("uvicorn")
pytest.importorskip("pyogrio")

from t2s_pipeline.core.settings import REPO, Settings
from t2s_pipeline.datasets.synthetic.scenes import Scene, paint_scene
from tests.browser import PROGRAM, Browser
from tests.commands.page.page_server import PageServer, painted_worker
from tests.scenes.painted import painted, save

pytestmark = [
    pytest.mark.orchestrator,
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="needs chromium (apt-get install chromium)"),
]

WINDOWS = [(390, 844), (1600, 1000)]
IDLE = '!document.getElementById("stage").classList.contains("working")'
HAS_ANSWER = '!document.getElementById("answer").hidden && document.querySelector("#objects li")'
ROW = 'document.querySelector("#objects li").innerText'


@pytest.fixture(scope="module")
def drawn() -> Scene:
    """An embedded scene with a lake."""
    for seed in range(100):
        scene = paint_scene(np.random.default_rng(seed))
        if any(instance.category == "lake" for instance in scene.instances):
            return scene
    raise AssertionError("no lake")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    """The page with the embedded models."""
    if not Settings.from_env().worker_python.exists():
        pytest.skip("needs the worker environment")
    server = PageServer(tmp_path_factory.mktemp("page") / "home", None).wait()
    yield server
    assert "Traceback" not in server.stop()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    """The page with a worker whose answers hold HTML, and a scene whose name does."""
    folder = tmp_path_factory.mktemp("hostile")
    imagery = folder / "home" / "imagery"
    imagery.mkdir(parents=True)
    save(imagery / "<img src=x onerror=alert(1)>.tif", painted(100, 160, [(20, 30, 60, 70)]))
    server = PageServer(folder / "home", painted_worker(folder)).wait()
    yield server
    assert "Traceback" not in server.stop()


@pytest.fixture
def browser(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Browser]:
    width, height = getattr(request, "param", WINDOWS[1])
    browser = Browser(tmp_path / "profile")
    for domain in ("Page", "Runtime", "Log", "Network"):
        browser.call(f"{domain}.enable")
    options = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.call("Emulation.setDeviceMetricsOverride", **options)
    yield browser
    browser.close()


def start(browser: Browser, server: PageServer) -> None:
    browser.open(server.url)
    browser.wait_for("document.body && document.body.dataset.ready")


def open_first(browser: Browser) -> None:
    """Choose the first scene of the list, and wait until it is shown."""
    key = browser.evaluate("document.querySelector('#scene optgroup option').value")
    browser.evaluate(f"document.getElementById('scene').value = '{key}'")
    browser.evaluate("document.getElementById('scene').dispatchEvent(new Event('change'))")
    browser.wait_for("!document.getElementById('tools').hidden && document.querySelector('.leaflet-tile-loaded')")


def ask(browser: Browser, question: str) -> None:
    browser.evaluate(f"document.getElementById('question').value = {question!r}")
    browser.evaluate("document.getElementById('ask').click()")
    browser.wait_for(f"({HAS_ANSWER}) || document.getElementById('toast').textContent")


def complaints(browser: Browser) -> list[dict]:
    """Errors that the page threw, or that the browser wrote to its console."""
    return [
        event["params"]
        for event in browser.events
        if event["method"] == "Runtime.exceptionThrown"
        or (event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] in ("error", "warning"))
        or (event["method"] == "Runtime.consoleAPICalled" and event["params"]["type"] in ("error", "warning"))
    ]


def addresses(browser: Browser) -> set[str]:
    """The servers of all requests of the page."""
    urls = [e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
    return {match[0] for url in urls if (match := re.match(r"\w+:(//[^/]*)?", url))}


def downloaded(browser: Browser, name: str, folder: Path) -> Path:
    """Click a link of the answer and wait for its file."""
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder), eventsEnabled=True)
    before = len(browser.events)
    browser.evaluate(f"document.querySelector('[data-file=\"{name}\"]').click()")
    begun = browser.wait_for_event("Browser.downloadWillBegin", lambda event: True, before)
    assert begun["suggestedFilename"].endswith(name)
    browser.wait_for_event(
        "Browser.downloadProgress",
        lambda event: (event["guid"], event["state"]) == (begun["guid"], "completed"),
        before,
    )
    return folder / begun["suggestedFilename"]


def mask_of(path: Path) -> NDArray[np.uint8]:
    with rasterio.open(path) as file:
        return file.read(1)


@pytest.mark.parametrize("browser", WINDOWS, indirect=True, ids=["390 px", "1,600 px"])
def test_a_person_gives_a_picture_asks_corrects_downloads_and_keeps(
    browser: Browser, server: PageServer, drawn: Scene, tmp_path: Path
):
    picture = save(tmp_path / "shore.tif", drawn.image)
    start(browser, server)
    browser.choose_file("#file", picture)
    # The page of the other window size shows its answer until the new scene is open.
    browser.wait_for("document.getElementById('scene').selectedOptions[0].textContent === 'shore.tif'")
    browser.wait_for(
        "document.getElementById('answer').hidden && document.querySelector('.leaflet-tile-loaded')"
        " && document.getElementById('about').textContent.includes('0.5 m per pixel')"
    )
    ask(browser, "Where could a boat be moored?")
    assert browser.evaluate("document.querySelector('#thoughts blockquote').textContent.length") > 10
    assert "m²" in browser.evaluate(ROW)

    before = mask_of(downloaded(browser, "mask.tif", tmp_path / "before"))
    browser.evaluate("document.querySelector('#objects li').click()")
    handle = browser.wait_for("document.querySelector('.handle.positive') ? '.handle.positive' : '.handle.corner'")
    # At 390 px the row is below the map; the map stays on top.
    place, row = browser.middle_of(handle), browser.evaluate(ROW)
    browser.drag(place, (place[0] + 25, place[1] + 12))
    browser.wait_for(f"{IDLE} && ({ROW}) !== {row!r}")
    assert "edited by a person" in browser.evaluate("document.getElementById('author').textContent")
    after = mask_of(downloaded(browser, "mask.tif", tmp_path / "after"))
    assert before.shape == after.shape == drawn.image.shape[:2] and (before != after).any()

    package = sqlite3.connect(downloaded(browser, "objects.gpkg", tmp_path / "after"))
    ((system, pixels),) = package.execute("select system, sum(pixels) from objects").fetchall()
    package.close()
    assert (system, pixels) == ("zero-shot-mini, edited by a person", (after == 1).sum())

    browser.evaluate("document.querySelector('#keep button').click()")
    command = browser.wait_for("document.querySelector('#kept code')?.textContent")
    assert complaints(browser) == []
    assert addresses(browser) - {"data:"} == {server.url}, (
        "Leaflet empties a picture that it removes with a data: address"
    )
    assert browser.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "it scrolls to the side"
    if browser.evaluate("innerWidth") < 600:
        return  # reading it once is enough
    words = [sys.executable, "-m", "t2s_pipeline.cli", *re.sub("^t2s ", "", command).split()]
    environment = {"T2S_HOME": str(server.home), "T2S_CATALOG": "off", "PYTHONPATH": str(REPO), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and re.search("samples +kept train: samples [12]", done.stdout), done


def test_html_in_thoughts_questions_and_names_stays_text(browser: Browser, hostile: PageServer):
    start(browser, hostile)
    question = "<img src=x onerror=\"document.title='owned'\"> Where?"
    open_first(browser)
    ask(browser, question)
    assert browser.evaluate("document.getElementById('asked').textContent") == question
    assert "<script>" in browser.evaluate("document.querySelector('#thoughts blockquote').textContent")
    assert browser.evaluate("document.querySelectorAll('#panel img, #panel script').length") == 0
    assert browser.evaluate("document.title") == "Ask a scene"
    assert complaints(browser) == []


def test_boxes_and_points_are_drawn_by_hand_and_erased(browser: Browser, hostile: PageServer):
    start(browser, hostile)
    open_first(browser)
    browser.evaluate("document.getElementById('byhand').click()")
    browser.wait_for("document.querySelector('[data-tool=box]').getAttribute('aria-pressed') === 'true'")
    # The whole scene is on view, so the ellipse in 20…60, 30…70 of 160 × 100 pixels is left of the map's middle.
    left, top, width, height = browser.evaluate(
        "(() => { const r = [...document.querySelectorAll('.leaflet-tile')].map((t) => t.getBoundingClientRect())[0];"
        "return [r.x, r.y, r.width, r.height]; })()"
    )
    at = lambda x, y: (left + x * width / 256, top + y * height / 256)  # noqa: E731
    browser.drag(at(15, 25), at(65, 75))
    browser.wait_for(f"{HAS_ANSWER} && {IDLE}")
    assert browser.evaluate("document.getElementById('author').textContent").endswith("prompted by a person")
    browser.evaluate("document.querySelector('[data-tool=not]').click()")
    browser.click(at(90, 50))
    browser.wait_for(f"document.querySelector('.handle.negative') && {IDLE}")
    browser.evaluate("document.querySelector('[data-tool=erase]').click()")
    browser.click(browser.middle_of(".handle.negative"))
    browser.wait_for(f"!document.querySelector('.handle.negative') && {IDLE}")
    browser.click(at(40, 50))
    browser.wait_for("!document.querySelector('#objects li')")
    assert complaints(browser) == []
