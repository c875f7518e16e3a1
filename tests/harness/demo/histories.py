"""Digests every closed run's history in a namespace, and writes them as one JSON object.

    python3 histories.py ADDRESS NAMESPACE SUMMARY_FILE"""

import asyncio
import hashlib
import json
import os
import sys

from temporalio.client import Client

# How many histories are read at once.
WIDTH = 8


async def main(address: str, namespace: str, summary: str) -> None:
    client = await Client.connect(address, namespace=namespace)
    width = asyncio.Semaphore(WIDTH)

    async def digest(run) -> tuple[str, str]:
        async with width:
            handle = client.get_workflow_handle(run.id, run_id=run.run_id)
            history = await handle.fetch_history()
        # Maps have no order of their own in a message.
        text = json.dumps(history.to_json_dict(), sort_keys=True)
        events = len(history.events)
        return (
            f"{run.id} {run.run_id}",
            f"{run.status.name} {events} events {hashlib.sha256(text.encode()).hexdigest()}",
        )

    runs = [run async for run in client.list_workflows("ExecutionStatus != 'Running'")]
    digests = dict(await asyncio.gather(*map(digest, runs)))
    with open(summary, "w", encoding="utf-8") as file:
        json.dump(digests, file)


asyncio.run(main(*sys.argv[1:4]))
# See run.py.
os._exit(0)
