"""The licences of what is installed beside the program: none that would bind those who run or extend it."""

import re
from importlib import metadata

from knowdefeat_pipeline.settings import ROOT

LESSER = {"psycopg", "psycopg-binary", "psycopg2-binary"}  # LGPL: drivers that are linked to and never changed
ELSEWHERE = {"colorama", "pyreadline3", "pywin32"}  # of the lock, installed on Windows alone; BSD and PSF
FORBIDDEN = re.compile(r"GPL|General Public|Commons Clause|SSPL|BUSL|Business Source", re.IGNORECASE)


def locked() -> list[str]:
    """The packages of the lock of run-time requirements."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return [found[0] for line in lines if (found := re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*(?===)", line))]


def licence(package: str) -> str:
    """What a package says of its licence: the expression, the first line of the text, the classifiers."""
    about = metadata.metadata(package)
    classifiers = [name for name in about.get_all("Classifier", []) if name.startswith("License")]
    lines = (about.get("License") or "").strip().splitlines()
    return " | ".join(filter(None, [about.get("License-Expression"), *lines[:1], *classifiers]))


def test_no_package_has_a_licence_that_binds_others_but_the_drivers_that_are_named() -> None:
    packages = [name for name in locked() if name not in ELSEWHERE]
    assert len(packages) > 50
    found = {name: licence(name) for name in packages}
    assert {name for name, text in found.items() if not text} == set()
    bound = {name for name, text in found.items() if FORBIDDEN.search(text)}
    assert bound == LESSER
    assert all(re.search("LGPL|Lesser", found[name]) for name in LESSER)


def test_the_lock_pins_every_package_by_hash_and_names_no_host() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert len(re.findall(r"^[A-Za-z0-9][A-Za-z0-9._-]*==", text, re.MULTILINE)) == len(locked())
    for block in re.split(r"\n(?=[A-Za-z0-9])", text):
        if re.match(r"[A-Za-z0-9]", block):
            assert "--hash=sha256:" in block, block.splitlines()[0]
    assert "://" not in text
