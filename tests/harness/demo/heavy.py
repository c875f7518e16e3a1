"""Two heavy histories in a namespace: one of many bytes, one of many events.

    python3 heavy.py ADDRESS NAMESPACE SUMMARY_FILE MEGABYTES EVENTS

`large` is a workflow that nobody works on, signalled with texts of nearly two megabytes, the most
that the server takes, until its history has MEGABYTES. `long` records markers until its history has
about EVENTS."""

import asyncio
import base64
import json
import os
import random
import sys
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

QUEUE = "aidp-heavy"

# Bytes of a signal's text.
SIGNAL = 1_900_000

# Local activities in a workflow task, each of which leaves a marker, and events of the rest of it.
MARKERS, REST = 40, 5

# How long visibility may take to list what is closed.
PATIENCE = 60


@activity.defn
async def step(turn: int) -> str:
    """What a small step of a long work leaves in its history."""
    return f"step {turn}: " + "done " * (turn % 17)


@workflow.defn
class Long:
    """Small steps, many in a workflow task."""

    @workflow.run
    async def run(self, rounds: int) -> int:
        for turn in range(rounds):
            steps = (
                workflow.execute_local_activity(
                    step,
                    turn * MARKERS + number,
                    start_to_close_timeout=timedelta(seconds=30),
                )
                for number in range(MARKERS)
            )
            await asyncio.gather(*steps)
            await asyncio.sleep(0.001)
        return rounds


async def large(client: Client, megabytes: int) -> None:
    """Brings the large history to its end."""
    handle = await client.start_workflow("Large", id="large", task_queue="nobody")
    for number in range(megabytes * 1_000_000 // SIGNAL):
        # Base64 of noise: as compressible as images and encrypted payloads are.
        noise = random.Random(number).randbytes(SIGNAL * 3 // 4)
        await handle.signal("grow", base64.b64encode(noise).decode())
    await handle.terminate("it is large enough")


async def main(address: str, namespace: str, summary: str, megabytes: int, events: int) -> None:
    client = await Client.connect(address, namespace=namespace)
    async with Worker(
        client,
        task_queue=QUEUE,
        workflows=[Long],
        activities=[step],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        await asyncio.gather(
            large(client, megabytes),
            client.execute_workflow(
                Long.run, events // (MARKERS + REST), id="long", task_queue=QUEUE
            ),
        )
    for _ in range(PATIENCE * 10):
        if (await client.count_workflows("ExecutionStatus != 'Running'")).count == 2:
            break
        await asyncio.sleep(0.1)
    else:
        sys.exit(f"both runs are closed and not listed after {PATIENCE} s")
    runs = {run.id: run.history_length async for run in client.list_workflows("")}
    with open(summary, "w", encoding="utf-8") as file:
        json.dump(runs, file)


asyncio.run(main(*sys.argv[1:4], *map(int, sys.argv[4:])))
# See run.py.
os._exit(0)
