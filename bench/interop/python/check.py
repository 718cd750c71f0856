"""What Python's clients do against a broker: one line per check, "ok NAME" or "FAIL NAME: why".

    check.py kafka-python|confluent|aiokafka HOST:PORT
"""
import asyncio
import sys
import threading
import time
import traceback

RUN = format(time.time_ns(), "x")
failed = False


def check(name, body, *args):
    global failed
    try:
        body(*args)
        print("ok " + name, flush=True)
    except BaseException as e:  # a client may raise anything; each is a verdict
        failed = True
        print(f"FAIL {name}: {type(e).__name__}: {e}", flush=True)
        traceback.print_exc()


def equal(want, got):
    if want != got:
        raise AssertionError(f"got {got!r}, want {want!r}")


def until(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("not within the time: " + what)


# kafka-python


def kafka_python(bootstrap):
    from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
    from kafka.admin import NewTopic

    admin = KafkaAdminClient(bootstrap_servers=bootstrap)

    def topic(name, partitions=1):
        name = f"{name}-{RUN}"
        admin.create_topics([NewTopic(name, partitions, 1)])
        return name

    def codec(compression):
        name = topic(f"py-{compression}", 2)
        producer = KafkaProducer(bootstrap_servers=bootstrap, compression_type=compression, linger_ms=5)
        sent = [producer.send(name, b"v%d" % i, key=b"k%d" % i, headers=[("h", b"x")]) for i in range(300)]
        for s in sent:
            s.get(timeout=30)
        producer.close()
        consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=10000)
        consumer.assign([TopicPartition(name, 0), TopicPartition(name, 1)])
        consumer.seek_to_beginning()
        got = set()
        for r in consumer:
            equal([("h", b"x")], list(r.headers))
            got.add(r.value)
            if len(got) == 300:
                break
        equal(300, len(got))
        consumer.close()

    def group():
        name, group = topic("py-group", 4), "py-" + RUN
        producer = KafkaProducer(bootstrap_servers=bootstrap)
        for i in range(100):
            producer.send(name, b"%d" % i, partition=i % 4)
        producer.flush()
        settings = dict(bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False)
        one = KafkaConsumer(name, **settings)
        got = []
        until("all records", lambda: [got.extend(v) for v in one.poll(200).values()] is None or len(got) >= 100)
        one.commit()
        two = KafkaConsumer(name, **settings)
        stop = threading.Event()

        def second():
            while not stop.is_set():
                two.poll(100)

        t = threading.Thread(target=second)
        t.start()
        try:
            until("balance", lambda: one.poll(100) is None or (len(one.assignment()) == 2 and len(two.assignment()) == 2))
        finally:
            stop.set()
            t.join()
        one.close()
        until("takeover", lambda: two.poll(100) is None or len(two.assignment()) == 4)
        equal(25, two.committed(TopicPartition(name, 0)))
        two.close()

    def transactions():
        name = topic("py-txn", 1)
        producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id="py-" + RUN)
        producer.init_transactions()
        for n in range(6):
            producer.begin_transaction()
            producer.send(name, b"keep" if n % 2 == 0 else b"drop").get(timeout=30)
            producer.commit_transaction() if n % 2 == 0 else producer.abort_transaction()
        producer.close()
        consumer = KafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed",
                                 auto_offset_reset="earliest", consumer_timeout_ms=3000)
        consumer.assign([TopicPartition(name, 0)])
        consumer.seek_to_beginning()
        equal([b"keep"] * 3, [r.value for r in consumer])
        consumer.close()

    def admins():
        name = topic("py-admin", 1)
        from kafka.admin import ConfigResource, ConfigResourceType
        admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        admin.list_consumer_groups() if hasattr(admin, "list_consumer_groups") else admin.list_groups()
        admin.delete_topics([name])

    for c in (None, "gzip", "snappy", "lz4", "zstd"):
        check(f"produce and consume, {c}", codec, c)
    check("group of two, rebalance, takeover, committed", group)
    check("transactions: commit, abort, read_committed", transactions)
    check("admin: configs, groups, delete topic", admins)
    admin.close()


# confluent-kafka (librdkafka)


def confluent(bootstrap):
    from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition, version, libversion
    from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic,
                                       OffsetSpec, ResourceType)

    print("#", version(), libversion()[0])
    admin = AdminClient({"bootstrap.servers": bootstrap})

    def topic(name, partitions=1):
        name = f"{name}-{RUN}"
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(30)
        return name

    def fill(name, n, **settings):
        failures = []
        producer = Producer({"bootstrap.servers": bootstrap, **{k.replace("_", "."): v for k, v in settings.items()}})
        for i in range(n):
            producer.produce(name, b"v%d" % i, key=b"k%d" % i, on_delivery=lambda e, m: e and failures.append(e))
            producer.poll(0)
        equal(0, producer.flush(30))
        equal([], failures)

    def read(consumer, n, seconds=30):
        out, end = [], time.monotonic() + seconds
        while len(out) < n and time.monotonic() < end:
            m = consumer.poll(0.2)
            if m is not None:
                if m.error():
                    raise AssertionError(m.error())
                out.append(m.value())
        return out

    def consumer(**settings):
        return Consumer({"bootstrap.servers": bootstrap, "auto.offset.reset": "earliest", "enable.auto.commit": False,
                         "group.id": "none-" + RUN, **{k.replace("_", "."): v for k, v in settings.items()}})

    def codec(compression):
        name = topic("rd-" + compression, 2)
        fill(name, 500, compression_type=compression, enable_idempotence=True)
        c = consumer()
        c.assign([TopicPartition(name, 0, 0), TopicPartition(name, 1, 0)])
        equal(500, len(set(read(c, 500))))
        c.close()

    def group(protocol, strategy):
        name, group = topic(f"rd-{protocol}-{strategy}", 4), f"rd-{protocol}-{strategy}-{RUN}"
        fill(name, 200)
        settings = {"group_id": group, "group_protocol": protocol}
        if protocol == "classic":
            settings["partition_assignment_strategy"] = strategy
        one, two = consumer(**settings), consumer(**settings)
        one.subscribe([name])
        equal(200, len(read(one, 200)))
        one.commit(asynchronous=False)
        two.subscribe([name])
        until("balance", lambda: (one.poll(0.1), two.poll(0.1)) and len(one.assignment()) == 2 and len(two.assignment()) == 2)
        one.close()
        until("takeover", lambda: two.poll(0.1) is None and len(two.assignment()) == 4)
        two.close()
        fill(name, 20)
        three = consumer(**settings)
        three.subscribe([name])
        equal(20, len(read(three, 20)))
        three.close()

    def transactions():
        src, dst, group = topic("rd-in"), topic("rd-out"), "rd-eos-" + RUN
        fill(src, 10)
        producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": "rd-" + RUN})
        producer.init_transactions(30)
        c = consumer(group_id=group, isolation_level="read_committed")
        c.subscribe([src])
        equal(10, len(read(c, 10)))
        producer.begin_transaction()
        producer.produce(dst, b"drop")
        producer.flush(10)
        producer.abort_transaction(30)
        producer.begin_transaction()
        producer.produce(dst, b"keep")
        producer.send_offsets_to_transaction(c.position(c.assignment()), c.consumer_group_metadata(), 30)
        producer.commit_transaction(30)
        equal(10, c.committed([TopicPartition(src, 0)], 30)[0].offset)
        c.close()
        r = consumer(isolation_level="read_committed")
        r.assign([TopicPartition(dst, 0, 0)])
        equal([b"keep"], read(r, 2, 3))
        r.close()

    def admins():
        name = topic("rd-admin")
        fill(name, 10)
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[
            ConfigEntry("retention.ms", "7654321", incremental_operation=AlterConfigOpType.SET)])
        admin.incremental_alter_configs([resource])[resource].result(30)
        plain = ConfigResource(ResourceType.TOPIC, name)
        equal("7654321", admin.describe_configs([plain])[plain].result(30)["retention.ms"].value)
        admin.create_partitions([NewPartitions(name, 3)])[name].result(30)
        equal(3, len(admin.list_topics(name, 30).topics[name].partitions))
        part = TopicPartition(name, 0, 4)
        equal(4, admin.delete_records([part])[part].result(30).low_watermark)
        part = TopicPartition(name, 0)
        equal(4, admin.list_offsets({part: OffsetSpec.earliest()})[part].result(30).offset)
        group = "rd-admin-" + RUN
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(name, 0, 6)])
        admin.alter_consumer_group_offsets([asked])[group].result(30)
        asked = ConsumerGroupTopicPartitions(group)
        equal(6, admin.list_consumer_group_offsets([asked])[group].result(30).topic_partitions[0].offset)
        admin.describe_cluster().result(30)
        admin.delete_consumer_groups([group])[group].result(30)
        admin.delete_topics([name])[name].result(30)

    for c in ("none", "gzip", "snappy", "lz4", "zstd"):
        check(f"produce and consume, {c}", codec, c)
    for strategy in ("range", "roundrobin", "cooperative-sticky"):
        check(f"group of two, rebalance, resume (classic, {strategy})", group, "classic", strategy)
    check("group of two, rebalance, resume (consumer)", group, "consumer", "server")
    check("transactions: commit, abort, offsets", transactions)
    check("admin: configs, partitions, records, groups, topics", admins)


# aiokafka


def aiokafka(bootstrap):
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    async def topic(name, partitions=1):
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic(f"{name}-{RUN}", partitions, 1)])
        await admin.close()
        return f"{name}-{RUN}"

    async def plain():
        name = await topic("aio")
        async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True) as p:
            for i in range(100):
                await p.send_and_wait(name, b"%d" % i)
        async with AIOKafkaConsumer(name, bootstrap_servers=bootstrap, group_id="aio-" + RUN, auto_offset_reset="earliest") as c:
            for i in range(100):
                equal(b"%d" % i, (await asyncio.wait_for(c.getone(), 30)).value)
            await c.commit()

    async def transactions():
        name = await topic("aio-txn")
        async with AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id="aio-" + RUN) as p:
            async with p.transaction():
                await p.send_and_wait(name, b"keep")
            await p.begin_transaction()
            await p.send_and_wait(name, b"drop")
            await p.abort_transaction()
            async with p.transaction():
                await p.send_and_wait(name, b"keep too")
                await p.send_offsets_to_transaction({TopicPartition(name, 0): 3}, "aio-eos-" + RUN)
        async with AIOKafkaConsumer(name, bootstrap_servers=bootstrap, isolation_level="read_committed",
                                    auto_offset_reset="earliest") as c:
            equal([b"keep", b"keep too"], [(await asyncio.wait_for(c.getone(), 30)).value for _ in range(2)])

    check("idempotent produce, group, commit", lambda: asyncio.run(plain()))
    check("transactions: commit, abort, offsets", lambda: asyncio.run(transactions()))


{"kafka-python": kafka_python, "confluent": confluent, "aiokafka": aiokafka}[sys.argv[1]](sys.argv[2])
sys.exit(1 if failed else 0)
