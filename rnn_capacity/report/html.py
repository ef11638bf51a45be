"""Pages that are one file, ask for nothing from anywhere, and run the scripts in them alone."""

import base64
import hashlib
import importlib
import json
import pathlib
import re
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from rnn_capacity.checks import MissingPackageError

ASSETS = pathlib.Path(__file__).with_name("assets")


def package(name: str) -> ModuleType:
    """A package that pages need and nothing else does, so an extra.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        must = 'the report needs jinja2 and vl-convert-python: pip install ".[report]"'
        raise MissingPackageError(must) from None


def asset(name: str, folder: pathlib.Path = ASSETS) -> str:
    """The text of a file that goes into a page."""
    return (folder / name).read_text(encoding="utf-8")


def render(template: str, scripts: Sequence[str], folder: pathlib.Path = ASSETS, **values: Any) -> str:
    """A page from a template, all values escaped; its policy allows these scripts and no others."""
    jinja2 = package("jinja2")
    scripts = [_script(script) for script in scripts]
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    policy = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return environment.get_template(template).render(policy=policy, scripts=scripts, **values)


def json_of(value: Any) -> str:
    """For a script element; a study's name may hold anything."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _script(text: str) -> str:
    """That nothing in it ends the element that it is put into."""
    return re.sub(r"<(?=/script|!--|script)", r"\\x3C", text, flags=re.IGNORECASE)
