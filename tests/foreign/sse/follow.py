"""Follows a stream with httpx-sse and prints each event as a line of JSON: name, data, id. `follow.py URL TOKEN`.

It reconnects as httpx-sse's documentation advises: after a connection error, with the last id; any status but 200 ends it.
"""

import json
import sys
import time

import httpx
from httpx_sse import connect_sse

url, token = sys.argv[1:]
last_id = ""
with httpx.Client(timeout=30, trust_env=False) as client:
    while True:
        headers = {"X-Auth-Token": token} | ({"Last-Event-ID": last_id} if last_id else {})
        try:
            with connect_sse(client, "GET", url, headers=headers) as source:
                source.response.raise_for_status()
                for event in source.iter_sse():
                    last_id = event.id
                    print(json.dumps([event.event, event.data, event.id]), flush=True)
        except httpx.TransportError as error:
            print(json.dumps(["lost", type(error).__name__, ""]), flush=True)
        time.sleep(0.2)
