"""Reads each message as h11 does: one line of hexadecimal digits in, one line of JSON out."""

import json
import sys

import h11


def read(raw: bytes) -> dict:
    """The requests that a strict server finds in the bytes, and why it refuses them if it does."""
    connection = h11.Connection(h11.SERVER)
    requests = []
    open_request = None
    try:
        connection.receive_data(raw)
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                if open_request is not None or not requests:
                    return {"requests": requests, "error": "incomplete"}
                break
            if event is h11.PAUSED:
                if connection.trailing_data[0]:
                    return {"requests": requests, "error": "bytes behind the message"}
                break
            if isinstance(event, h11.Request):
                hosts = [value for name, value in event.headers if name == b"host"]
                host = hosts[0].decode("latin1") if hosts else ""
                open_request = [event.method.decode("latin1"), event.target.decode("latin1"), host, ""]
            elif isinstance(event, h11.Data):
                open_request[3] += bytes(event.data).decode("latin1")
            elif isinstance(event, h11.EndOfMessage):
                requests.append(open_request)
                open_request = None
    except h11.RemoteProtocolError as error:
        return {"requests": requests, "error": str(error)}
    return {"requests": requests, "error": None}


for line in sys.stdin:
    sys.stdout.write(json.dumps(read(bytes.fromhex(line.strip()))) + "\n")
    sys.stdout.flush()
