"""Keeps the crates' edges as ARCHITECTURE.md draws them: dependencies point down only."""

import json
import subprocess
import sys

# What each crate may use of ours. Test-only dependencies may also use the harness.
ALLOWED = {
    "aidp-backup": {"jobs", "pgarchive", "postgres", "temporal", "vault", "retention"},
    "jobs": {"pgarchive", "postgres", "temporal", "vault", "retention"},
    "postgres": {"pgarchive"},
    "pgarchive": set(),
    "temporal": set(),
    "vault": set(),
    "retention": set(),
    "harness": set(),
}
# `retention` decides and does no I/O: nothing that could.
FORBIDDEN = {"retention": {"tokio", "sqlx", "aws-sdk-s3", "rustix", "rand"}, "jobs": {"clap"}}

metadata = json.loads(
    subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--no-deps", "--locked"],
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
)
wrong = []
names = {package["name"] for package in metadata["packages"]}
for unknown in sorted(names - ALLOWED.keys()):
    wrong.append(f"{unknown} is not in the list of crates: add it to .ci/edges.py and ARCHITECTURE.md")
for package in metadata["packages"]:
    name = package["name"]
    for dependency in package["dependencies"]:
        target, kind = dependency["name"], dependency["kind"] or "normal"
        if target in FORBIDDEN.get(name, set()) and kind == "normal":
            wrong.append(f"{name} must not use {target}")
        if target in names:
            if target not in ALLOWED.get(name, set()) and not (kind == "dev"):
                wrong.append(f"{name} -> {target} points the wrong way")
for line in wrong:
    print(line, file=sys.stderr)
sys.exit(1 if wrong else 0)
