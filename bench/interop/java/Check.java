import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.serialization.*;

/** What the Java client does against a broker: one line per check, "ok NAME" or "FAIL NAME: why". */
@SuppressWarnings({"deprecation", "removal"}) // one source for clients of 2.x to 4.x
public class Check {
    interface Body { void run() throws Exception; }

    static String bootstrap;
    static String run = Long.toString(System.nanoTime(), 36);
    static boolean failed;

    static void check(String name, Body body) {
        try {
            body.run();
            System.out.println("ok " + name);
        } catch (Throwable e) {
            failed = true;
            System.out.println("FAIL " + name + ": " + e);
            e.printStackTrace(System.err);
        }
    }

    static void equal(Object want, Object got) {
        if (!Objects.equals(want, got)) throw new AssertionError("got " + got + ", want " + want);
    }

    static Properties properties(String... pairs) {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        for (int i = 0; i < pairs.length; i += 2) p.put(pairs[i], pairs[i + 1]);
        return p;
    }

    static KafkaProducer<String, String> producer(String... pairs) {
        return new KafkaProducer<>(properties(pairs), new StringSerializer(), new StringSerializer());
    }

    static KafkaConsumer<String, String> consumer(String... pairs) {
        Properties p = properties(pairs);
        p.putIfAbsent("auto.offset.reset", "earliest");
        p.putIfAbsent("enable.auto.commit", "false");
        return new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer());
    }

    static List<String> values(KafkaConsumer<String, String> c, int want) {
        List<String> out = new ArrayList<>();
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (out.size() < want && System.nanoTime() < end)
            for (ConsumerRecord<String, String> r : c.poll(Duration.ofMillis(200))) out.add(r.value());
        return out;
    }

    static void fill(String topic, int n, String... pairs) throws Exception {
        try (KafkaProducer<String, String> p = producer(pairs)) {
            List<Future<RecordMetadata>> all = new ArrayList<>();
            for (int i = 0; i < n; i++) all.add(p.send(new ProducerRecord<>(topic, "k" + i, "v" + i)));
            for (Future<RecordMetadata> f : all) f.get(30, TimeUnit.SECONDS);
        }
    }

    static String topic(Admin a, String name, int partitions) throws Exception {
        String topic = name + "-" + run;
        a.createTopics(List.of(new NewTopic(topic, partitions, (short) 1))).all().get(30, TimeUnit.SECONDS);
        return topic;
    }

    public static void main(String[] args) throws Exception {
        bootstrap = args[0];
        boolean modern = args.length > 1 && args[1].equals("modern");
        try (Admin a = Admin.create(properties())) {
            check("describe cluster", () -> equal(1, a.describeCluster().nodes().get(30, TimeUnit.SECONDS).size()));
            for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd"))
                check("produce and consume, " + codec, () -> {
                    String t = topic(a, "codec-" + codec, 3);
                    fill(t, 500, "compression.type", codec, "linger.ms", "5");
                    try (KafkaConsumer<String, String> c = consumer()) {
                        List<TopicPartition> parts = new ArrayList<>();
                        for (int i = 0; i < 3; i++) parts.add(new TopicPartition(t, i));
                        c.assign(parts);
                        c.seekToBeginning(parts);
                        equal(500, new HashSet<>(values(c, 500)).size());
                    }
                });
            check("headers, key, timestamp", () -> {
                String t = topic(a, "headers", 1);
                try (KafkaProducer<String, String> p = producer("acks", "all")) {
                    ProducerRecord<String, String> r = new ProducerRecord<>(t, 0, 1700000000123L, "key", "value");
                    r.headers().add("h", "x".getBytes(StandardCharsets.UTF_8)).add("null", null);
                    equal(0L, p.send(r).get().offset());
                }
                try (KafkaConsumer<String, String> c = consumer()) {
                    c.assign(List.of(new TopicPartition(t, 0)));
                    c.seekToBeginning(c.assignment());
                    ConsumerRecord<String, String> r = c.poll(Duration.ofSeconds(10)).iterator().next();
                    equal(1700000000123L, r.timestamp());
                    equal("key", r.key());
                    equal("x", new String(r.headers().lastHeader("h").value(), StandardCharsets.UTF_8));
                    equal(null, r.headers().lastHeader("null").value());
                    equal(0L, c.offsetsForTimes(Map.of(new TopicPartition(t, 0), 1700000000000L))
                        .get(new TopicPartition(t, 0)).offset());
                }
            });
            List<String> protocols = modern ? List.of("classic", "consumer") : List.of("classic");
            for (String protocol : protocols) {
                String[] kind = modern ? new String[]{"group.protocol", protocol} : new String[]{};
                check("group of two, rebalance, resume (" + protocol + ")", () -> rebalance(a, protocol, kind));
            }
            check("static member returns without a rebalance", () -> staticMember(a));
            check("transactions: commit, abort, read_committed", () -> transactions(a));
            check("transactions: offsets of a group, fencing", () -> offsetsInTransactions(a));
            check("admin: configs, partitions, delete records, groups, topics", () -> admin(a));
        }
        System.exit(failed ? 1 : 0);
    }

    static void rebalance(Admin a, String protocol, String[] kind) throws Exception {
        String t = topic(a, "group-" + protocol, 4), group = "g-" + protocol + "-" + run;
        fill(t, 400);
        String[] settings = Arrays.copyOf(kind, kind.length + 2);
        settings[kind.length] = "group.id";
        settings[kind.length + 1] = group;
        KafkaConsumer<String, String> one = consumer(settings), two = consumer(settings);
        try {
            one.subscribe(List.of(t));
            equal(400, values(one, 400).size());
            one.commitSync();
            equal(4, one.assignment().size());
            two.subscribe(List.of(t));
            long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
            while (one.assignment().size() != 2 || two.assignment().size() != 2) {
                if (System.nanoTime() > end) throw new AssertionError("not balanced: " + one.assignment() + " " + two.assignment());
                one.poll(Duration.ofMillis(100));
                two.poll(Duration.ofMillis(100));
            }
            ConsumerGroupDescription d = a.describeConsumerGroups(List.of(group)).all().get(30, TimeUnit.SECONDS).get(group);
            equal(2, d.members().size());
            one.close();
            end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
            while (two.assignment().size() != 4) {
                if (System.nanoTime() > end) throw new AssertionError("not taken over: " + two.assignment());
                two.poll(Duration.ofMillis(100));
            }
        } finally {
            one.close();
            two.close();
        }
        fill(t, 50);
        try (KafkaConsumer<String, String> c = consumer(settings)) {
            c.subscribe(List.of(t));
            equal(50, values(c, 50).size()); // from where the group had committed
        }
    }

    static void staticMember(Admin a) throws Exception {
        String t = topic(a, "static", 2), group = "g-static-" + run;
        String[] settings = {"group.id", group, "group.instance.id", "i1", "session.timeout.ms", "20000"};
        int before;
        try (KafkaConsumer<String, String> c = consumer(settings)) {
            c.subscribe(List.of(t));
            while (c.assignment().isEmpty()) c.poll(Duration.ofMillis(100));
            before = c.groupMetadata().generationId();
        }
        try (KafkaConsumer<String, String> c = consumer(settings)) {
            c.subscribe(List.of(t));
            while (c.assignment().isEmpty()) c.poll(Duration.ofMillis(100));
            equal(before, c.groupMetadata().generationId());
        }
    }

    static void transactions(Admin a) throws Exception {
        String t = topic(a, "txn", 2);
        try (KafkaProducer<String, String> p = producer("transactional.id", "t-" + run)) {
            p.initTransactions();
            for (int round = 0; round < 10; round++) {
                p.beginTransaction();
                for (int i = 0; i < 20; i++) p.send(new ProducerRecord<>(t, i % 2, null, (round % 2 == 0 ? "keep" : "drop") + round + "-" + i));
                p.flush(); // an abort drops what was not sent
                if (round % 2 == 0) p.commitTransaction(); else p.abortTransaction();
            }
        }
        List<TopicPartition> parts = List.of(new TopicPartition(t, 0), new TopicPartition(t, 1));
        try (KafkaConsumer<String, String> c = consumer("isolation.level", "read_committed")) {
            c.assign(parts);
            c.seekToBeginning(parts);
            List<String> got = values(c, 100);
            equal(100, got.size());
            for (String v : got) if (!v.startsWith("keep")) throw new AssertionError("read " + v);
            equal(0, c.poll(Duration.ofMillis(500)).count());
        }
        try (KafkaConsumer<String, String> c = consumer("isolation.level", "read_uncommitted")) {
            c.assign(parts);
            c.seekToBeginning(parts);
            equal(200, values(c, 200).size());
        }
    }

    static void offsetsInTransactions(Admin a) throws Exception {
        String in = topic(a, "in", 1), out = topic(a, "out", 1), group = "g-eos-" + run;
        fill(in, 100);
        TopicPartition part = new TopicPartition(in, 0);
        KafkaProducer<String, String> zombie = producer("transactional.id", "eos-" + run);
        zombie.initTransactions();
        try (KafkaConsumer<String, String> c = consumer("group.id", group, "isolation.level", "read_committed")) {
            c.subscribe(List.of(in));
            equal(100, values(c, 100).size());
            zombie.beginTransaction();
            zombie.send(new ProducerRecord<>(out, "never"));
            zombie.flush();
            try (KafkaProducer<String, String> p = producer("transactional.id", "eos-" + run)) {
                p.initTransactions();
                p.beginTransaction();
                p.send(new ProducerRecord<>(out, "once"));
                p.sendOffsetsToTransaction(Map.of(part, new OffsetAndMetadata(100)), c.groupMetadata());
                p.commitTransaction();
            }
            equal(100L, c.committed(Set.of(part)).get(part).offset());
        }
        try {
            zombie.send(new ProducerRecord<>(out, "zombie"));
            zombie.commitTransaction();
            throw new AssertionError("a fenced producer committed");
        } catch (ProducerFencedException | org.apache.kafka.common.errors.InvalidProducerEpochException expected) {
            zombie.close(Duration.ZERO);
        }
        try (KafkaConsumer<String, String> c = consumer("isolation.level", "read_committed")) {
            c.assign(List.of(new TopicPartition(out, 0)));
            c.seekToBeginning(c.assignment());
            equal(List.of("once"), values(c, 1));
        }
    }

    static void admin(Admin a) throws Exception {
        String t = topic(a, "admin", 1), group = "g-admin-" + run;
        fill(t, 10);
        ConfigResource r = new ConfigResource(ConfigResource.Type.TOPIC, t);
        a.incrementalAlterConfigs(Map.of(r, List.of(new AlterConfigOp(new ConfigEntry("retention.ms", "12345678"), AlterConfigOp.OpType.SET))))
            .all().get(30, TimeUnit.SECONDS);
        equal("12345678", a.describeConfigs(List.of(r)).all().get(30, TimeUnit.SECONDS).get(r).get("retention.ms").value());
        a.createPartitions(Map.of(t, NewPartitions.increaseTo(3))).all().get(30, TimeUnit.SECONDS);
        try (KafkaConsumer<String, String> c = consumer()) {
            equal(3, c.partitionsFor(t).size());
        }
        TopicPartition part = new TopicPartition(t, 0);
        equal(4L, a.deleteRecords(Map.of(part, RecordsToDelete.beforeOffset(4))).lowWatermarks().get(part).get(30, TimeUnit.SECONDS).lowWatermark());
        equal(4L, a.listOffsets(Map.of(part, OffsetSpec.earliest())).partitionResult(part).get(30, TimeUnit.SECONDS).offset());
        a.alterConsumerGroupOffsets(group, Map.of(part, new OffsetAndMetadata(7))).all().get(30, TimeUnit.SECONDS);
        equal(7L, a.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get(30, TimeUnit.SECONDS).get(part).offset());
        if (a.listConsumerGroups().all().get(30, TimeUnit.SECONDS).stream().noneMatch(g -> g.groupId().equals(group)))
            throw new AssertionError("group not listed");
        a.deleteConsumerGroupOffsets(group, Set.of(part)).all().get(30, TimeUnit.SECONDS);
        a.deleteConsumerGroups(List.of("g-classic-" + run)).all().get(30, TimeUnit.SECONDS);
        a.describeLogDirs(List.of(1)).allDescriptions().get(30, TimeUnit.SECONDS);
        a.deleteTopics(List.of(t)).all().get(30, TimeUnit.SECONDS);
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
        while (a.listTopics().names().get(30, TimeUnit.SECONDS).contains(t))
            if (System.nanoTime() > end) throw new AssertionError("topic still listed");
    }
}
