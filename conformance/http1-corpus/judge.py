"""Reads requests as h11 does: one line of hexadecimal digits in, one line of JSON out."""

import json
import sys

import h11


def read(raw: bytes) -> dict:
    """How many complete requests a strict server finds in the bytes, and why it stops if it refuses them."""
    connection = h11.Connection(h11.SERVER)
    complete = 0
    requests = []
    try:
        connection.receive_data(raw)
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed):
                break
            if isinstance(event, h11.Request):
                requests.append([event.method.decode("latin1"), event.target.decode("latin1")])
            if isinstance(event, h11.EndOfMessage):
                complete += 1
            if event is h11.PAUSED or isinstance(event, h11.EndOfMessage):
                if connection.our_state is h11.SEND_RESPONSE:
                    # A refusal, so that CONNECT and Upgrade do not end the reading.
                    connection.send(h11.Response(status_code=404, headers=[("content-length", "0")]))
                    connection.send(h11.EndOfMessage())
                if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
                    connection.start_next_cycle()
                elif event is h11.PAUSED:
                    break
    except h11.RemoteProtocolError as error:
        return {"complete": complete, "requests": requests, "error": str(error)}
    return {"complete": complete, "requests": requests, "error": None}


for line in sys.stdin:
    print(json.dumps(read(bytes.fromhex(line.strip()))), flush=True)
