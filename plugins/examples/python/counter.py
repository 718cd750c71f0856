"""Counter is a Millrace connector plugin in Python: a source that counts.

It shows that a plugin needs no Go: the protocol is docs/format/plugin-protocol.md, and all of it that a source without
schemas needs is in this file. A worker starts it; see README.md.
"""

import json
import os
import queue
import shutil
import signal
import sys
import tempfile
import threading
from concurrent import futures

import grpc
from grpc_tools import protoc

HERE = os.path.dirname(os.path.abspath(__file__))
COOKIE = ("MILLRACE_PLUGIN", "9b1c5f0f6c2e4a7d8e3b")
CLASS = "com.example.PythonCounterSource"

# go-plugin's own services, as far as a worker uses them.
GO_PLUGIN = """
syntax = "proto3";
package plugin;
message Empty {}
service GRPCController { rpc Shutdown(Empty) returns (Empty); }
"""
HEALTH = """
syntax = "proto3";
package grpc.health.v1;
message HealthCheckRequest { string service = 1; }
message HealthCheckResponse { enum ServingStatus { UNKNOWN = 0; SERVING = 1; } ServingStatus status = 1; }
service Health { rpc Check(HealthCheckRequest) returns (HealthCheckResponse); }
"""


def generate():
    """Generates the code of the protocol and returns its modules."""
    contract = os.environ.get("CONNECTOR_PROTO", os.path.join(HERE, "..", "..", "proto", "connector.proto"))
    out = tempfile.mkdtemp(prefix="counter-")
    for name, text in (("goplugin", GO_PLUGIN), ("health", HEALTH), ("connector", open(contract, encoding="utf-8").read())):
        with open(os.path.join(out, name + ".proto"), "w", encoding="utf-8") as f:
            f.write(text)
    names = [n + ".proto" for n in ("goplugin", "health", "connector")]
    if protoc.main(["protoc", "-I" + out, "--python_out=" + out, "--grpc_python_out=" + out, *names]) != 0:
        raise SystemExit("the protocol's code could not be generated")
    sys.path.insert(0, out)
    import connector_pb2, connector_pb2_grpc, goplugin_pb2, goplugin_pb2_grpc, health_pb2, health_pb2_grpc

    shutil.rmtree(out)
    return connector_pb2, connector_pb2_grpc, goplugin_pb2, goplugin_pb2_grpc, health_pb2, health_pb2_grpc


pb, pb_grpc, go, go_grpc, health, health_grpc = generate()


def log(message, **fields):
    """Writes a log entry, which the worker takes into its own log."""
    print(json.dumps({"level": "INFO", "msg": message, **fields}), file=sys.stderr, flush=True)


# Batches: docs/format/plugin-batch.md.


def uvarint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def svarint(n):
    return uvarint(((n << 1) ^ (n >> 63)) & 0xFFFFFFFFFFFFFFFF)


def sized(b):
    return uvarint(len(b)) + b


def cbor(v):
    """Encodes a value without schema: text, whole numbers and maps suffice here."""

    def head(major, n):
        for size, info in ((1, 24), (2, 25), (4, 26), (8, 27)):
            if n < 24:
                return bytes([major << 5 | n])
            if n < 1 << 8 * size:
                return bytes([major << 5 | info]) + n.to_bytes(size, "big")
        raise ValueError("number too large")

    if isinstance(v, str):
        return head(3, len(v.encode())) + v.encode()
    if isinstance(v, int):
        return head(0, v) if v >= 0 else head(1, -1 - v)
    if isinstance(v, dict):
        pairs = sorted(cbor(k) + cbor(x) for k, x in v.items())
        return head(5, len(v)) + b"".join(pairs)
    raise TypeError(type(v))


def batch(topic, records):
    """Packs (value, partition, offset) triples. Each batch defines its tables anew, which costs a few bytes."""
    out = bytearray([1, 1])  # format, and bit 0: empty tables
    before = 0
    for i, (value, partition, offset) in enumerate(records):
        head = 0x02  # a value, no key, no headers
        out.append(head | (0x80 if i else 0))  # the route is that of the record before
        if i == 0:
            out += uvarint(1) + sized(topic.encode())  # topic, defined here
            out += svarint(-1) + uvarint(0) + uvarint(0)  # any partition; no schemas
        out += svarint(-1 - before)  # no timestamp
        before = -1
        # A position: always defined here, as number i of the batch's own table.
        out += uvarint(1)
        out += uvarint(1) + sized(partition) if i == 0 else uvarint(2)
        out += uvarint(len(offset) + 1) + offset
        out += sized(cbor(value))
    return bytes(out)


def problem(key, text, value=None):
    return {"definition": None, "value": {"name": key, "value": value, "recommended_values": [], "errors": [text], "visible": True}}


class Connector(pb_grpc.ConnectorServicer):
    """The connector: what it is, which configs are good, and its task."""

    def Describe(self, request, context):
        keys = [
            {"Name": "topic", "Type": "STRING", "Required": True, "Doc": "Topic to write to."},
            {"Name": "count", "Type": "LONG", "Default": "100", "Doc": "How far to count."},
        ]
        return pb.DescribeResponse(api_version=1, connectors=[pb.ConnectorDescription(
            name="python-counter", kind=pb.KIND_SOURCE, version="1.0", classes=[CLASS], abilities=["validate"],
            config=json.dumps(keys).encode(), documentation="Counts, in Python.",
        )])

    def Validate(self, request, context):
        infos = []
        if not request.config.get("topic"):
            infos.append(problem("topic", 'Missing required configuration "topic" which has no default value.'))
        if not request.config.get("count", "100").isdigit():
            infos.append(problem("count", "count must be a whole number", request.config["count"]))
        return pb.ValidateResponse(infos=json.dumps(infos).encode())

    def Plan(self, request, context):
        yield pb.PlanResponse(tasks=[pb.TaskConfig(config=request.config)])

    def SourceTask(self, incoming, context):
        yield from Task(incoming).run()


class Task:
    """One running task: a thread reads what the worker says, run says what the worker hears."""

    def __init__(self, incoming):
        self.heard = queue.Queue()
        threading.Thread(target=self.listen, args=(incoming,), daemon=True).start()
        self.credit = 0
        self.stopping = self.closing = False

    def listen(self, incoming):
        try:
            for message in incoming:
                self.heard.put(message)
        except Exception:  # the stream broke: the worker is done with the task
            pass
        self.heard.put(None)

    def take(self, message):
        """Takes in what needs no answer."""
        if message is None:
            self.stopping = self.closing = True
            return
        kind = message.WhichOneof("message")
        self.credit += message.credit if kind == "credit" else 0
        self.stopping |= kind in ("stop", "close")
        self.closing |= kind == "close"

    def run(self):
        opened = self.heard.get().open
        self.credit = opened.credit
        topic, last = opened.config["topic"], int(opened.config.get("count", "100"))
        partition = json.dumps({"counter": opened.connector}).encode()

        # Where it was: the worker keeps offsets.
        yield pb.FromSource(offsets=pb.OffsetsRequest(request=1, partitions=[partition]))
        reply = self.heard.get()
        while reply is not None and reply.WhichOneof("message") != "offsets":
            self.take(reply)
            reply = self.heard.get()
        stored = reply.offsets.offsets[0] if reply is not None and reply.offsets.offsets else b""
        n = json.loads(stored)["n"] if stored else 0
        log("counter opened", next=n + 1)
        yield pb.FromSource(opened=pb.Empty())

        sequence = 0
        while not self.stopping:
            if n < last and self.credit > 0:
                records = []
                for n in range(n + 1, min(n + 10, last) + 1):
                    records.append(({"n": n, "text": "number %d" % n}, partition, json.dumps({"n": n}).encode()))
                payload = batch(topic, records)
                self.credit -= len(payload)
                sequence += 1
                yield pb.FromSource(batch=pb.Payload(sequence=sequence, payload=payload))
                while not self.heard.empty():
                    self.take(self.heard.get())
            else:
                self.take(self.heard.get())
        yield pb.FromSource(stopped=pb.Empty())
        while not self.closing:
            self.take(self.heard.get())
        yield pb.FromSource(closed=pb.Empty())


class Health(health_grpc.HealthServicer):
    def Check(self, request, context):
        return health.HealthCheckResponse(status=health.HealthCheckResponse.SERVING)


class Controller(go_grpc.GRPCControllerServicer):
    def __init__(self, ended):
        self.ended = ended

    def Shutdown(self, request, context):
        self.ended.set()
        return go.Empty()


def watch_worker(fd):
    """Ends the process when the worker is gone, however it went: then the pipe reads its end."""
    os.read(fd, 1)
    os._exit(3)


def main():
    if os.environ.get(COOKIE[0]) != COOKIE[1]:
        raise SystemExit("this is a Millrace plugin, which a worker starts: put it into a directory of plugin.path")
    for s in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(s, signal.SIG_IGN)  # the worker ends its tasks itself, in order
    if os.environ.get("MILLRACE_DEATH_PIPE"):
        threading.Thread(target=watch_worker, args=(int(os.environ["MILLRACE_DEATH_PIPE"]),), daemon=True).start()
    ended = threading.Event()
    limit = 64 * 1024 * 1024 + 65536
    server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", limit), ("grpc.max_send_message_length", limit)])
    pb_grpc.add_ConnectorServicer_to_server(Connector(), server)
    go_grpc.add_GRPCControllerServicer_to_server(Controller(ended), server)
    health_grpc.add_HealthServicer_to_server(Health(), server)
    address = os.path.join(os.environ["PLUGIN_UNIX_SOCKET_DIR"], "plugin.sock")
    server.add_insecure_port("unix:" + address)
    server.start()
    print("1|1|unix|%s|grpc" % address, flush=True)  # go-plugin's handshake
    ended.wait()
    server.stop(grace=2).wait()


if __name__ == "__main__":
    main()
