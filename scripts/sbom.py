"""Write the software bill of materials: what is installed beside the program, by which hashes, under which licences.

.venv/bin/python -m scripts.sbom dist/sbom.cdx.json
It is CycloneDX 1.5, made from requirements.lock and from what the installed packages say of their licences. The same
lock gives the same file.
"""

import json
import re
import sys
import tomllib
import uuid
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from knowdefeat_pipeline.settings import ROOT

SPECIFICATION = "1.5"
# Of the lock, installed on Windows alone, so that nobody else can ask them.
ELSEWHERE = {"colorama": "BSD-3-Clause", "pyreadline3": "BSD-3-Clause", "pywin32": "PSF-2.0"}
SPDX = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "LGPL-3.0-only", "MIT", "MPL-2.0", "PSF-2.0"}
# What packages write for one of these.
SPELLINGS = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT license": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
LONGEST_NAME = 60  # characters; what is longer in the place of a licence's name is its text

_PACKAGE = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;\\]+)")


class Package(NamedTuple):
    """A package of the lock; one of its files has one of the hashes (SHA-256)."""

    name: str
    version: str
    hashes: list[str]


def locked() -> list[Package]:
    """The packages of the lock of run-time requirements. One name may have a version for each range of Pythons."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    blocks = [block for block in re.split(r"\n(?=\S)", text) if _PACKAGE.match(block)]
    return [
        Package(found["name"], found["version"], sorted(re.findall(r"--hash=sha256:([0-9a-f]{64})", block)))
        for block in blocks
        if (found := _PACKAGE.match(block))
    ]


def licences(name: str) -> list[str]:
    """What a package says of its licence: the one expression, or the names in its field and its classifiers."""
    if name in ELSEWHERE:
        return [ELSEWHERE[name]]
    about = metadata.metadata(name)
    if expression := about.get("License-Expression"):
        return [expression]
    lines = (about.get("License") or "").strip().splitlines()
    stated = [line for line in lines[:1] if len(line) <= LONGEST_NAME]
    classified = [
        classifier.rpartition(" :: ")[2]
        for classifier in about.get_all("Classifier", [])
        if classifier.startswith("License :: OSI Approved :: ")
    ]
    return [*dict.fromkeys(SPELLINGS.get(name, name) for name in [*stated, *classified])]


def bill() -> dict[str, Any]:
    """The document. Raises PackageNotFoundError where a package of the lock is not installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    components = [_component(package) for package in sorted(locked())]
    version = metadata.version(project["name"])
    root = _purl(project["name"], version)
    required = {re.split(r"[^A-Za-z0-9._-]", requirement)[0] for requirement in project["dependencies"]}
    document = {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPECIFICATION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": project["name"],
                "version": version,
                "description": project["description"],
                "purl": root,
            }
        },
        "components": components,
        "dependencies": [
            {"ref": root, "dependsOn": [each["bom-ref"] for each in components if each["name"] in required]}
        ],
    }
    # No time and no chance: the serial number is that of the content.
    return document | {"serialNumber": uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(document)).urn}


def _component(package: Package) -> dict[str, Any]:
    purl = _purl(package.name, package.version)
    return {
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": content} for content in package.hashes],
        "licenses": _stated(licences(package.name)),
    }


def _stated(found: list[str]) -> list[dict[str, Any]]:
    if len(found) == 1 and re.search(r" (AND|OR|WITH) ", found[0]):
        return [{"expression": found[0]}]
    return [{"license": {"id" if name in SPDX else "name": name}} for name in found]


def _purl(name: str, version: str) -> str:
    return f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{version}"


def main() -> None:
    """Write it to the file that is named."""
    file = Path(sys.argv[1])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(bill(), indent=2) + "\n", encoding="utf-8")
    print(f"Wrote {file}.")


if __name__ == "__main__":
    main()
