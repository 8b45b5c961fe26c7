"""Templates as documents: a folder each, with a file per locale and the layouts that are its own."""

import re
from pathlib import Path

from mesh import Mesh
from mesh.errors import DeclarationError
from mesh.events.template import TemplatePublished
from notifications.documents.kind import Files, Kind
from notifications.templates import FOLDER
from notifications.templates.front_matter import front_matter
from notifications.templates.render_error import RenderError
from notifications.templates.shipped import shipped_layout
from notifications.templates.template import LAYOUTS, SUFFIX, is_locale_file, template_of

is_file = re.compile(r"([A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8})*\.mjml|layouts/[a-z0-9-]+\.[a-z]+)\.j2", re.ASCII).fullmatch


def _read(path: Path) -> tuple[str, dict[str, str]]:
    if not path.is_dir():
        raise DeclarationError(f"{path}: a template is a folder with one file per locale, such as en{SUFFIX}")
    return path.resolve().name, {**_own_layouts(path.parent / LAYOUTS), **_texts(path)}


def _read_folder(folder: str) -> dict[str, dict[str, str]]:
    where = Path(folder) if folder else FOLDER
    names = sorted(path.name for path in where.iterdir() if any(path.glob(f"*{SUFFIX}"))) if where.is_dir() else []
    found = {name: _read(where / name)[1] for name in names if name != LAYOUTS.rstrip("/")}
    if not found:
        raise DeclarationError(f"no template in {where}: it needs at least one folder with a file en{SUFFIX}")
    return found


def _texts(path: Path) -> dict[str, str]:
    files = (*path.glob(f"*{SUFFIX}"), *path.glob(f"{LAYOUTS}*.j2"))
    return {file.relative_to(path).as_posix(): file.read_text(encoding="utf-8") for file in sorted(files)}


def _own_layouts(folder: Path) -> dict[str, str]:
    """A folder's layouts that are not the ones that come with Cartmesh."""
    texts = {f"{LAYOUTS}{file.name}": file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.j2"))}
    return {name: text for name, text in texts.items() if text != shipped_layout(name)}


def _check(name: str, files: Files) -> None:
    """Refuse wrong file names and front matter; what a file renders is not known from this."""
    if wrong := [file for file in files if not is_file(file)]:
        allowed = f"name a file after its locale, such as de-AT{SUFFIX}, and a layout {LAYOUTS}offer{SUFFIX}"
        raise DeclarationError(f"template {name}: {', '.join(wrong)}: {allowed}")
    locales = [file for file in files if is_locale_file(file)]
    if not locales:
        raise DeclarationError(f"template {name}: it needs a file for at least one locale, such as en{SUFFIX}")
    for file in locales:
        try:
            front_matter(files[file], f"{name}/{file}")
        except RenderError as error:
            raise DeclarationError(f"template {error.where}: {error}") from None


async def _verify(name: str, files: Files, mesh: Mesh) -> None:  # noqa: ARG001  a template needs nothing of the mesh
    """Refuse a template that cannot be rendered with every kind of sample offer, in each of its locales."""
    from mesh.settings import read  # noqa: PLC0415  only who publishes renders here
    from notifications.render_pool import RenderSettings, open_render_pool  # noqa: PLC0415
    from notifications.templates.trial import render_samples  # noqa: PLC0415

    async with open_render_pool(read(RenderSettings)) as pool:
        await render_samples(template_of(name, files), pool)


TEMPLATES = Kind(
    name="template",
    published=TemplatePublished,
    read=_read,
    read_folder=_read_folder,
    check=_check,
    verify=_verify,
)
