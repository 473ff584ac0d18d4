"""What the server of the page does for requests, also for those that are wrong or hostile."""

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import rasterio

pytest.importorskip("uvicorn")
pytest.importorskip("pyogrio")

from t2s_pipeline.commands.page.desk import DOWNLOADS, Desk
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings
from tests.commands.page.page_server import PageServer, painted_worker
from tests.scenes.painted import painted, save

pytestmark = pytest.mark.orchestrator

CHOSEN = {"system": "zero-shot-mini", "segmenter": "", "bands": "", "draws": 0}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    folder = tmp_path_factory.mktemp("page")
    imagery = folder / "home" / "imagery"
    imagery.mkdir(parents=True)
    save(imagery / "field.tif", painted(100, 160, [(20, 30, 60, 70), (100, 20, 130, 50)]))
    (folder / "secret.tif").write_bytes(b"secret")
    server = PageServer(folder / "home", painted_worker(folder)).wait()
    yield server
    assert "Traceback" not in server.stop()
    assert list((server.home / "tmp" / "app").iterdir()) == [], "what was given to the page goes with it"


@pytest.fixture(scope="module")
def scene(server: PageServer) -> str:
    (key,) = [item["key"] for item in server.ask("GET", "/api/choices")["scenes"] if item["name"] == "field.tif"]
    return key


@pytest.fixture
def answer(server: PageServer, scene: str) -> dict:
    server.ask("POST", f"/api/scenes/{scene}/ask", {**CHOSEN, "question": "Where is it?"})
    state = server.finished()
    assert state["state"] == "done", state
    return server.ask("GET", f"/api/answers/{state['result']['key']}")


def test_an_answer_has_thought_prompts_outlines_and_areas(answer: dict):
    first, second = answer["objects"]
    assert first["prompt"]["bbox"] == [100, 20, 130, 50] and second["prompt"]["bbox"] == [20, 30, 60, 70]
    xs = [x for x, _ in second["outline"][0][0]]
    assert (min(xs), max(xs)) == (20, 60)
    # An ellipse of 40 × 40 pixels of half a metre has an area of π·10² m², but for the steps of its edge.
    assert second["area_m2"] == pytest.approx(314.16, rel=0.02)
    assert "onerror" in answer["thoughts"][0]["thought"]


def test_the_same_question_again_shows_the_same_answer(server: PageServer, scene: str, answer: dict):
    server.ask("POST", f"/api/scenes/{scene}/ask", {**CHOSEN, "question": "Where is it?"})
    again = server.finished()["result"]
    same = ("outline", "prompt", "area_m2", "pixels", "confidence")
    assert [[item[name] for name in same] for item in again["objects"]] == [
        [item[name] for name in same] for item in answer["objects"]
    ]


def test_an_object_is_changed_added_and_deleted_and_the_files_follow(server: PageServer, answer: dict, tmp_path: Path):
    path = f"/api/answers/{answer['key']}"
    box = {"bbox": [95, 15, 140, 60], "positive_points": [], "negative_points": []}
    point = {"bbox": None, "positive_points": [[40, 50]], "negative_points": []}
    server.ask("DELETE", f"{path}/objects/2")
    changed = server.ask("PUT", f"{path}/objects/1", {"prompt": box})
    added = server.ask("POST", f"{path}/objects", {"prompt": point})
    assert (changed["object"]["number"], added["object"]["number"]) == (1, 2)
    assert added["author"] == "zero-shot-mini, edited by a person"
    pixels = {item["number"]: item["pixels"] for item in server.ask("GET", path)["objects"]}
    assert pixels.keys() == {1, 2}
    server.ask("DELETE", f"{path}/objects/1")
    status, mask = server.request("GET", f"{path}/files/mask.tif")
    (tmp_path / "mask.tif").write_bytes(mask)
    with rasterio.open(tmp_path / "mask.tif") as file:
        values = file.read(1)
        assert file.crs.to_epsg() == 32632 and file.shape == (100, 160)
    assert status == 200 and values.sum() == pixels[2] and values[50, 40] == 1 and values[35, 115] == 0


def test_every_download_is_a_file_that_opens_and_nothing_stays_on_the_server(server: PageServer, answer: dict):
    starts = {"mask.tif": b"II*\0", "objects.gpkg": b"SQLite", "objects.geojson": b"{", "objects.parquet": b"PAR1"}
    for name in DOWNLOADS:
        status, body = server.request("GET", f"/api/answers/{answer['key']}/files/{name}")
        assert status == 200 and body.startswith(starts[name])
    # A file is removed after its last byte was sent, so the next request may be answered first.
    looks = (
        server.ask("GET", "/api/work") and list(server.home.glob("tmp/app/server-*/download-*")) for _ in range(1000)
    )
    assert any(left == [] for left in looks)


def test_a_file_is_given_asked_and_removed_with_its_answers(server: PageServer, tmp_path: Path):
    picture = save(tmp_path / "given.tif", painted(90, 120, [(20, 30, 60, 70)])).read_bytes()
    status, body = server.request("POST", "/api/scenes?name=..%2F..%2Froof.tif", picture)
    given = json.loads(body)
    assert status == 200 and given["name"] == "roof.tif"
    assert server.ask("GET", f"/api/scenes/{given['key']}")["width"] == 120
    status, tile = server.request("GET", f"/api/scenes/{given['key']}/tiles/0/0/0")
    assert status == 200 and tile.startswith(b"\x89PNG")
    server.ask("POST", f"/api/scenes/{given['key']}/ask", {**CHOSEN, "question": "Where is it?"})
    answer = server.finished()["result"]["key"]
    server.ask("DELETE", f"/api/scenes/{given['key']}")
    assert not list(server.home.rglob("roof*"))
    assert "not remembered" in server.fault("GET", f"/api/answers/{answer}")
    assert "not there any more" in server.fault("GET", f"/api/scenes/{given['key']}")


def test_a_scene_of_the_machine_cannot_be_removed(server: PageServer, scene: str):
    assert "given to this page" in server.fault("DELETE", f"/api/scenes/{scene}")
    assert (server.home / "imagery" / "field.tif").exists()


def test_nothing_stays_of_a_file_whose_sender_goes_away(server: PageServer):
    cookie = server.cookie()
    with socket.create_connection(("127.0.0.1", server.port)) as sender:
        head = f"POST /api/scenes?name=a.tif HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nCookie: {cookie}\r\n"
        sender.sendall(f"{head}Content-Length: 100000\r\n\r\n".encode() + b"II*\0" * 100)
        while not list(server.home.glob("tmp/app/server-*/*/partial")):
            server.ask("GET", "/api/work")
    while list(server.home.glob("tmp/app/server-*/*/partial")):
        server.ask("GET", "/api/work")


def test_a_person_prompts_without_a_question(server: PageServer, scene: str):
    blank = server.ask("POST", f"/api/scenes/{scene}/blank", CHOSEN)
    assert blank["objects"] == [] and blank["author"] == "sam2-mini, prompted by a person"
    prompt = {"bbox": [10, 20, 70, 80], "positive_points": [], "negative_points": [[5, 5]]}
    added = server.ask("POST", f"/api/answers/{blank['key']}/objects", {"prompt": prompt})
    assert added["object"]["prompt"] == prompt


def test_one_thing_at_a_time_and_stop_ends_it(server: PageServer, scene: str):
    server.ask("POST", f"/api/scenes/{scene}/ask", {**CHOSEN, "question": "please wait"})
    busy = "A question is being answered: wait for it, or stop it."
    assert server.fault("POST", f"/api/scenes/{scene}/ask", {**CHOSEN, "question": "And this?"}) == busy
    blank = server.ask("POST", f"/api/scenes/{scene}/blank", CHOSEN)
    prompt = {"prompt": {"bbox": [10, 20, 70, 80]}}
    assert server.fault("POST", f"/api/answers/{blank['key']}/objects", prompt) == busy
    server.ask("DELETE", "/api/work")
    assert server.finished()["state"] == "stopped"
    assert server.ask("POST", f"/api/answers/{blank['key']}/objects", prompt)["object"]["number"] == 1


def test_no_target_is_an_answer(server: PageServer, scene: str):
    server.ask("POST", f"/api/scenes/{scene}/ask", {**CHOSEN, "question": "Where is the bridge?"})
    assert server.finished()["result"]["objects"] == []


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"question": ""}, "The question is empty."),
        ({"question": "x" * 2001}, "2,001 characters"),
        ({"question": "a\ud800"}, "no text that can be used"),
        ({"question": 7}, "no text that can be used"),
        ({"question": "Where?", "system": "nobody"}, "nobody"),
        ({"question": "Where?", "segmenter": "nobody"}, "nobody"),
        ({"question": "Where?", "bands": "1,2"}, "Bands are one number or three"),
        ({"question": "Where?", "draws": -1}, "draws"),
    ],
)
def test_a_question_that_cannot_be_asked_is_one_sentence(server: PageServer, scene: str, fields: dict, sentence: str):
    assert sentence in server.fault("POST", f"/api/scenes/{scene}/ask", {**CHOSEN, **fields})


@pytest.mark.parametrize(
    "prompt",
    [None, {}, {"bbox": [1, 2, 3]}, {"bbox": [5, 5, 5, 9]}, {"bbox": "x"}, {"negative_points": [[1, 1]]},
     {"positive_points": [[1, float("nan")]]}, {"positive_points": [[1, True]]}, {"positive_points": [[1, 1]] * 101}],
)  # fmt: skip
def test_a_prompt_that_cannot_be_used_is_one_sentence(server: PageServer, answer: dict, prompt: object):
    assert server.fault("POST", f"/api/answers/{answer['key']}/objects", {"prompt": prompt}).endswith(".")


def test_a_body_that_is_no_json_or_too_long_is_one_sentence(server: PageServer, scene: str):
    assert "is not JSON" in server.fault("POST", f"/api/scenes/{scene}/ask", b"{")
    assert "is no JSON object" in server.fault("POST", f"/api/scenes/{scene}/ask", b"[]")
    assert "more than 100,000 bytes" in server.fault("POST", f"/api/scenes/{scene}/ask", b"x" * 200_000)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/static/..%2f..%2fserver.py",
        "/static//etc/passwd",
        "/api/scenes/..%2f..%2fsecret.tif",
        "/api/scenes/%2e%2e%2fsecret.tif/tiles/0/0/0",
        "/api/answers/x/files/..%2f..%2fsecret.tif",
    ],
)
def test_no_path_leads_to_another_file(server: PageServer, path: str):
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", path)  # as it is written, unlike urllib
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status in (400, 404) and b"secret" not in body and b"import" not in body and b"root:" not in body


@pytest.mark.parametrize("name", ["../mask.tif", "answer.json", "mask.tif.tif"])
def test_a_download_has_one_of_the_names(server: PageServer, answer: dict, name: str):
    status, body = server.request("GET", f"/api/answers/{answer['key']}/files/{name}")
    assert status in (400, 404) and b"GEOGCS" not in body


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Cookie": "a=b"}])
def test_another_site_cannot_ask(server: PageServer, scene: str, headers: dict[str, str]):
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    body = json.dumps({**CHOSEN, "question": "Where is it?"})
    connection.request("POST", f"/api/scenes/{scene}/ask", body, headers)
    answer = connection.getresponse()
    assert answer.status == 403 and answer.read().startswith(b"t2s app: ")
    connection.close()


def test_the_page_says_what_a_browser_may_do(server: PageServer):
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", "/")
    answer = connection.getresponse()
    page = answer.read().decode()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    connection.close()
    assert "default-src 'none'; script-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"] and headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY" and "SameSite=Strict" in headers["set-cookie"]
    assert "http:" not in page and "https:" not in page and " style=" not in page and "onclick" not in page


@pytest.mark.parametrize(("name", "sentence"), [("none.tif", "There is no file"), ("empty", "holds no raster")])
def test_a_named_scene_that_is_not_there_is_a_fault_before_the_page_is_served(tmp_path: Path, name, sentence):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=sentence):
        Desk(Settings.from_env(), [tmp_path / name])
