"""No raster, however it is written, makes GDAL read from the network."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.vision.scene import open_scene
from t2s_pipeline.vision.view import SceneView


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """An address on this machine, and the requests that reach it."""
    requests: list[str] = []

    class Noting(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None: ...

    served = HTTPServer(("127.0.0.1", 0), Noting)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{served.server_port}", requests
    served.shutdown()
    served.server_close()


WMS = (
    '<GDAL_WMS><Service name="TMS"><ServerUrl>{url}/${{z}}/${{x}}/${{y}}.png</ServerUrl></Service><DataWindow>'
    "<UpperLeftX>0</UpperLeftX><UpperLeftY>64</UpperLeftY><LowerRightX>64</LowerRightX><LowerRightY>0</LowerRightY>"
    "<SizeX>64</SizeX><SizeY>64</SizeY><TileLevel>0</TileLevel></DataWindow><BlockSizeX>64</BlockSizeX>"
    "<BlockSizeY>64</BlockSizeY><BandsCount>3</BandsCount></GDAL_WMS>"
)


def vrt(source: str) -> str:
    escaped = source.replace("&", "&amp;").replace("<", "&lt;")
    return (
        '<VRTDataset rasterXSize="64" rasterYSize="64"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f'<SourceFilename relativeToVRT="0">{escaped}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>'
        "</VRTRasterBand></VRTDataset>"
    )


@pytest.mark.parametrize(
    "content",
    [
        vrt("/vsicurl/{url}/a.tif"),
        vrt("/vsicurl_streaming/{url}/a.tif"),
        vrt("{url}/a.tif"),
        vrt(WMS),
        WMS,
        "<WCS_GDAL><ServiceURL>{url}/wcs?</ServiceURL><CoverageName>a</CoverageName></WCS_GDAL>",
    ],
    ids=["vsicurl", "streaming", "address", "a service in a VRT", "a service", "a coverage service"],
)
@pytest.mark.parametrize("name", ["scene.tif", "scene.vrt", "scene.xml"])
def test_no_request_leaves(tmp_path: Path, server, content: str, name: str, monkeypatch: pytest.MonkeyPatch):
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
    url, requests = server
    path = tmp_path / name
    path.write_text(content.replace("{url}", url).replace("${{", "${").replace("}}", "}"))
    with pytest.raises(InputError, match="cannot be"), open_scene(path) as scene:
        scene.read(SceneView(0, 0, 64, 64, 64, 64))
        raise InputError("it cannot be that this was read")
    assert requests == []
