#!/usr/bin/env python3
"""Prints an SBOM (CycloneDX 1.5, JSON) of the binary: every crate that cargo links into it.

cargo metadata --locked --format-version 1 --filter-platform x86_64-unknown-linux-gnu | python3 sbom.py
"""
import json
import sys

metadata = json.load(sys.stdin)
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
root = metadata["resolve"]["root"]

# Only what ends up in the program: neither build nor development dependencies.
linked, wanted = set(), [root]
while wanted:
    ident = wanted.pop()
    if ident in linked:
        continue
    linked.add(ident)
    for dependency in nodes[ident]["deps"]:
        if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
            wanted.append(dependency["pkg"])


def component(package, kind):
    entry = {
        "type": kind,
        "bom-ref": f"pkg:cargo/{package['name']}@{package['version']}",
        "name": package["name"],
        "version": package["version"],
        "purl": f"pkg:cargo/{package['name']}@{package['version']}",
    }
    if package.get("license"):
        entry["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    return entry


others = sorted((packages[i] for i in linked if i != root), key=lambda p: (p["name"], p["version"]))
print(json.dumps({
    "bomFormat": "CycloneDX",
    "specVersion": "1.5",
    "version": 1,
    "metadata": {"component": component(packages[root], "application")},
    "components": [component(package, "library") for package in others],
}, indent=1))
