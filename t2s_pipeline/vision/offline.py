"""How GDAL is kept from the network, whatever a file says."""

OFFLINE = {
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
    "GDAL_HTTP_PROXY": "127.0.0.1:9",
    "GDAL_HTTP_MAX_RETRY": "0",
}
"""Settings of GDAL under which a file cannot make it read from the network. A VRT, which may have any ending, names its
sources, and a source may be an address. So addresses are refused, and requests go to a port where nobody listens."""

NETWORK_DRIVERS = frozenset(
    {"DAAS", "EEDA", "EEDAI", "HTTP", "NGSGEOID", "OGCAPI", "PLMOSAIC", "STACIT", "STACTA", "WCS", "WMS", "WMTS"}
)
"""Drivers of GDAL that read from the network what a small text file names."""
