"""The licences of what is installed beside the program, none of which binds those who run or extend it, and its bill."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from knowdefeat_pipeline.settings import ROOT
from scripts.sbom import ELSEWHERE, bill, licences, locked

LESSER = {
    "psycopg",
    "psycopg-binary",
    "psycopg-pool",
    "psycopg2-binary",
}  # LGPL: drivers that are linked to and never changed
FORBIDDEN = re.compile(r"GPL|General Public|Commons Clause|SSPL|BUSL|Business Source", re.IGNORECASE)


def test_no_package_has_a_licence_that_binds_others_but_the_drivers_that_are_named() -> None:
    packages = {package.name for package in locked()} - ELSEWHERE.keys()
    assert len(packages) > 50
    found = {name: " | ".join(licences(name)) for name in packages}
    assert {name for name, text in found.items() if not text} == set()
    bound = {name for name, text in found.items() if FORBIDDEN.search(text)}
    assert bound == LESSER
    assert all(re.search("LGPL|Lesser", found[name]) for name in LESSER)


def test_the_lock_pins_every_package_by_hash_and_names_no_host() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert len(re.findall(r"^[A-Za-z0-9][A-Za-z0-9._-]*==", text, re.MULTILINE)) == len(locked())
    assert [package.name for package in locked() if not package.hashes] == []
    assert sum(len(package.hashes) for package in locked()) == text.count("--hash=sha256:") == text.count("--hash=")
    assert "://" not in text


def form(stated: dict[str, Any]) -> str:
    """How a licence is stated: as an expression, or by its id of SPDX or its name."""
    ((kind, value),) = stated.items()
    if kind == "license":
        ((kind, value),) = value.items()
    assert isinstance(value, str)
    return kind


def test_the_bill_of_materials_names_every_package_as_cyclonedx_wants_it() -> None:
    document = bill()
    assert (document["bomFormat"], document["specVersion"], document["version"]) == ("CycloneDX", "1.5", 1)
    uuid = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    assert re.fullmatch(f"urn:uuid:{uuid}", document["serialNumber"])
    root = document["metadata"]["component"]
    assert (root["type"], root["name"]) == ("application", "knowdefeat-pipeline")
    assert root["purl"] == f"pkg:pypi/knowdefeat-pipeline@{root['version']}"

    components = document["components"]
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    for component in components:
        assert component.keys() == {"type", "bom-ref", "name", "version", "purl", "hashes", "licenses"}
        assert component["type"] == "library"
        assert component["purl"] == component["bom-ref"] == f"pkg:pypi/{component['name']}@{component['version']}"
        assert re.fullmatch(r"[a-z0-9-]+", component["name"])
        assert f"{component['name']}=={component['version']} " in lock
        for found in component["hashes"]:
            assert found["alg"] == "SHA-256"
            assert f"--hash=sha256:{found['content']}" in lock
        assert component["licenses"]
        forms = [*map(form, component["licenses"])]
        assert forms == ["expression"] or set(forms) <= {"id", "name"}
    assert sum(len(component["hashes"]) for component in components) == lock.count("--hash=sha256:")
    references = [component["bom-ref"] for component in components]
    assert len(references) == len(set(references)) == len(locked())
    by_name = {component["name"]: component["licenses"] for component in components}
    assert by_name["dagster"] == [{"license": {"id": "Apache-2.0"}}]
    assert by_name["packaging"] == [{"expression": "Apache-2.0 OR BSD-2-Clause"}]
    assert by_name["psycopg"] == [{"license": {"id": "LGPL-3.0-only"}}]
    assert by_name["pywin32"] == [{"license": {"id": "PSF-2.0"}}]

    (depends,) = document["dependencies"]
    assert depends["ref"] == root["bom-ref"]
    assert set(depends["dependsOn"]) < set(references)
    assert {"dagster", "psycopg", "pandas"} <= {reference[9:].partition("@")[0] for reference in depends["dependsOn"]}
    assert "h11" not in {reference[9:].partition("@")[0] for reference in depends["dependsOn"]}


def test_the_same_lock_gives_the_same_bill(tmp_path: Path) -> None:
    texts = []
    for name in ("one", "other"):
        file = tmp_path / "dist" / f"{name}.cdx.json"
        subprocess.run([sys.executable, "-m", "scripts.sbom", file], cwd=ROOT, check=True, capture_output=True)
        texts.append(file.read_text(encoding="utf-8"))
    assert texts[0] == texts[1]
    assert json.loads(texts[0]) == bill()
