"""Reads export requests of OTLP with OpenTelemetry's own generated code: length-prefixed messages in, spans as JSON out."""
import json
import struct
import sys

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def value(of):
    return getattr(of, of.WhichOneof("value"))


def pairs(attributes):
    return {one.key: value(one.value) for one in attributes}


def spans(request):
    for by in request.resource_spans:
        for scope in by.scope_spans:
            for span in scope.spans:
                yield {
                    "resource": pairs(by.resource.attributes),
                    "scope": scope.scope.name,
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "state": span.trace_state,
                    "name": span.name,
                    "kind": span.kind,
                    "ns": span.end_time_unix_nano - span.start_time_unix_nano,
                    "attributes": pairs(span.attributes),
                    "status": span.status.code,
                }


def main():
    data = sys.stdin.buffer.read()
    found, at = [], 0
    while at + 5 <= len(data):
        (length,) = struct.unpack(">I", data[at + 1 : at + 5])
        found.extend(spans(ExportTraceServiceRequest.FromString(data[at + 5 : at + 5 + length])))
        at += 5 + length
    json.dump(found, sys.stdout)


main()
