"""Round trips between Confluent's Python serializers and Millrace; see interop.sh."""

import json
import pathlib
import sys
import time
import urllib.request

from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

home = pathlib.Path(sys.argv[1])
addresses = json.loads((home / "addresses.json").read_text())
registry = SchemaRegistryClient({"url": "http://" + addresses["registry"]})
patience = 60  # seconds


def message_class():
    """Returns the class of: message Order { int64 id = 1; string item = 2; repeated int32 sizes = 3; }."""
    f = descriptor_pb2.FileDescriptorProto(name="order.proto", package="shop", syntax="proto3")
    m = f.message_type.add(name="Order")
    kinds = descriptor_pb2.FieldDescriptorProto
    m.field.add(name="id", number=1, type=kinds.TYPE_INT64, label=kinds.LABEL_OPTIONAL)
    m.field.add(name="item", number=2, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    m.field.add(name="sizes", number=3, type=kinds.TYPE_INT32, label=kinds.LABEL_REPEATED)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(f)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Order"))


AVRO = json.dumps({"type": "record", "name": "Order", "namespace": "shop", "fields": [
    {"name": "id", "type": "long"}, {"name": "item", "type": "string"}, {"name": "sizes", "type": {"type": "array", "items": "int"}}]})
JSON_SCHEMA = json.dumps({"$schema": "http://json-schema.org/draft-07/schema#", "title": "Order", "type": "object", "properties": {
    "id": {"type": "integer"}, "item": {"type": "string"}, "sizes": {"type": "array", "items": {"type": "integer"}}}})
ORDER = {"id": 7, "item": "lamp é", "sizes": [1, -2]}
Order = message_class()


def context(topic):
    return SerializationContext(topic, MessageField.VALUE)


def connect(method, path, body):
    req = urllib.request.Request("http://" + addresses["connect"] + path, data=json.dumps(body).encode(), method=method,
                                 headers={"Content-Type": "application/json"})
    return json.loads(urllib.request.urlopen(req).read() or "null")


def produce(topic, value):
    p = Producer({"bootstrap.servers": addresses["kafka"]})
    p.produce(topic, value)
    assert p.flush(patience) == 0, "not all was written to " + topic


def consume(topic):
    c = Consumer({"bootstrap.servers": addresses["kafka"], "group.id": "interop-" + topic, "auto.offset.reset": "earliest"})
    c.subscribe([topic])
    end = time.monotonic() + patience
    while time.monotonic() < end:
        m = c.poll(1)
        if m is not None and m.error() is None:
            c.close()
            return m.value()
    raise AssertionError("nothing came from " + topic)


def written_there_read_here(name, converter, value):
    """A value of a serializer, read by a sink with a converter."""
    topic, out = "there-" + name, home / (name + ".txt")
    produce(topic, value)
    connect("PUT", f"/connectors/sink-{name}/config", {
        "name": "sink-" + name, "connector.class": "FileStreamSink", "topics": topic, "file": str(out), "value.converter": converter,
        "key.converter": "org.apache.kafka.connect.storage.StringConverter"})
    want = "Struct{id=7,item=lamp é,sizes=[1, -2]}"
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if out.exists() and out.read_text().strip() == want:
            return
        time.sleep(0.2)
    raise AssertionError(f"{name}: the sink wrote {out.read_text() if out.exists() else 'nothing'}, not {want}")


def written_here_read_there(name, converter, read, want):
    """A line of a source with a converter, read by a deserializer."""
    source, topic = home / (name + "-in.txt"), "here-" + name
    source.write_text("lamp é\n")
    connect("PUT", f"/connectors/source-{name}/config", {
        "name": "source-" + name, "connector.class": "FileStreamSource", "topic": topic, "file": str(source), "value.converter": converter,
        "key.converter": "org.apache.kafka.connect.storage.StringConverter"})
    got = read(consume(topic), context(topic))
    assert got == want, f"{name}: {got!r}, not {want!r}"


def serializers():
    avro = AvroSerializer(registry, AVRO)
    assert AvroDeserializer(registry)(avro(ORDER, context("avro")), context("avro")) == ORDER
    written_there_read_here("avro", "io.confluent.connect.avro.AvroConverter", avro(ORDER, context("there-avro")))

    js = JSONSerializer(JSON_SCHEMA, registry)
    assert JSONDeserializer(JSON_SCHEMA, schema_registry_client=registry)(js(ORDER, context("json")), context("json")) == ORDER
    written_there_read_here("json", "io.confluent.connect.json.JsonSchemaConverter", js(ORDER, context("there-json")))

    proto = ProtobufSerializer(Order, registry, {"use.deprecated.format": False})
    read = ProtobufDeserializer(Order, {"use.deprecated.format": False})
    assert read(proto(Order(**ORDER), context("protobuf")), context("protobuf")) == Order(**ORDER)
    written_there_read_here("protobuf", "io.confluent.connect.protobuf.ProtobufConverter", proto(Order(**ORDER), context("there-protobuf")))


def deserializers():
    written_here_read_there("avro", "io.confluent.connect.avro.AvroConverter", AvroDeserializer(registry), "lamp é")
    written_here_read_there("json", "io.confluent.connect.json.JsonSchemaConverter", JSONDeserializer(None, schema_registry_client=registry), "lamp é")
    written_here_read_there("protobuf", "io.confluent.connect.protobuf.ProtobufConverter",
                            ProtobufDeserializer(wrappers_pb2.StringValue, {"use.deprecated.format": False}), wrappers_pb2.StringValue(value="lamp é"))


def client():
    """The registry's client: what it calls and what it makes of the answers."""
    id1 = registry.register_schema("c-value", Schema(AVRO, "AVRO"))
    assert registry.register_schema("c-value", Schema(AVRO, "AVRO")) == id1
    assert registry.get_schema(id1).schema_type == "AVRO"
    assert registry.lookup_schema("c-value", Schema(AVRO, "AVRO")).version == 1
    assert registry.get_latest_version("c-value").schema_id == id1
    assert "c-value" in registry.get_subjects()
    assert registry.get_versions("c-value") == [1]
    assert not registry.test_compatibility("c-value", Schema('"string"', "AVRO"))
    assert registry.set_compatibility("c-value", "FULL")["compatibility"] == "FULL"
    assert registry.get_compatibility("c-value") == "FULL"
    try:
        registry.register_schema("c-value", Schema('"string"', "AVRO"))
        raise AssertionError("an incompatible schema was taken")
    except SchemaRegistryError as e:
        assert (e.http_status_code, e.error_code) == (409, 40901), e
    assert registry.delete_subject("c-value") == [1]
    assert registry.delete_subject("c-value", permanent=True) == [1]


for part in (client, serializers, deserializers):
    part()
    print(part.__name__, "ok")
