#!/usr/bin/env python3
"""Replays archived histories with the workflows of a Python module, for `aidp-backup drill replay`.

    aidp-backup drill replay -- python3 replay.py MODULE [MODULE…]

Reads lines of the archive on standard input and prints a verdict for each (docs/replay.md). Every
class with @workflow.defn in the modules counts. The worker's own Python environment must be in
force, with temporalio and the modules importable."""

import argparse
import asyncio
import importlib
import inspect
import json
import os
import sys

from temporalio import converter, workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

# Longest message that is printed.
MESSAGE = 2000


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("modules", nargs="+", metavar="MODULE")
    parser.add_argument(
        "--unsandboxed",
        action="store_true",
        help="run workflows without the SDK's sandbox, for workers that do so",
    )
    parser.add_argument(
        "--data-converter",
        metavar="MODULE:NAME",
        help="the worker's data converter, where it is not the SDK's own",
    )
    return parser.parse_args()


def workflows(modules):
    """The workflow classes of modules, by the names of their types."""
    found = {}
    for name in modules:
        for _, member in inspect.getmembers(importlib.import_module(name), inspect.isclass):
            definition = workflow._Definition.from_class(member)
            if definition is not None and definition.name is not None:
                found[definition.name] = member
    if not found:
        sys.exit(f"no workflow is defined in {', '.join(modules)}")
    return found


def data_converter(name):
    if name is None:
        return converter.default()
    module, _, member = name.partition(":")
    return getattr(importlib.import_module(module), member)


def verdict(failure):
    """What a replay that ended so says."""
    if failure is None:
        return "ok", ""
    message = f"{type(failure).__name__}: {failure}"
    is_other_code = isinstance(failure, workflow.NondeterminismError)
    return ("nondeterministic" if is_other_code else "failed"), message


async def main():
    given = arguments()
    known = workflows(given.modules)
    # Standard output is for verdicts alone: what workflows print goes to standard error.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    runner = {"workflow_runner": UnsandboxedWorkflowRunner()} if given.unsandboxed else {}
    replayer = Replayer(
        workflows=list(known.values()),
        data_converter=data_converter(given.data_converter),
        **runner,
    )

    def tell(run, said, message):
        line = {"runId": run["runId"], "verdict": said, "message": message[:MESSAGE]}
        print(json.dumps(line), file=out, flush=True)

    # Histories on their way, so that a result finds its run again.
    open_runs = {}

    async def histories():
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
            run = json.loads(line)
            if run["type"] not in known:
                tell(run, "unknown-type", f"{run['type']} is not among the workflows given")
                continue
            try:
                history = WorkflowHistory.from_json(run["workflowId"], run["history"])
            except Exception as error:  # whatever the parser raises is about this history
                tell(run, "failed", f"the history cannot be read: {error}")
                continue
            del run["history"]
            open_runs[id(history)] = (run, history)
            yield history

    async with replayer.workflow_replay_iterator(histories()) as results:
        async for result in results:
            run, _ = open_runs.pop(id(result.history))
            tell(run, *verdict(result.replay_failure))


if __name__ == "__main__":
    # Modules are found from the current folder, as a worker's are.
    sys.path.insert(0, os.getcwd())
    asyncio.run(main())
    sys.stderr.flush()
    # The SDK's own threads may still hold Python objects when the interpreter is taken down.
    os._exit(0)
