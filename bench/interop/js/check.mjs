// What kafkajs does against a broker: one line per check, "ok NAME" or
// "FAIL NAME: why".
//
//   node check.mjs HOST:PORT
import kafkajs from 'kafkajs'
import snappy from 'kafkajs-snappy'
import LZ4 from 'kafkajs-lz4'

const { Kafka, logLevel, CompressionTypes, CompressionCodecs, ConfigResourceTypes } = kafkajs
CompressionCodecs[CompressionTypes.Snappy] = snappy
CompressionCodecs[CompressionTypes.LZ4] = new LZ4().codec

const run = Date.now().toString(36)
const kafka = new Kafka({ clientId: 'interop', brokers: [process.argv[2]], logLevel: logLevel.NOTHING })
const admin = kafka.admin()
let failed = false

async function check(name, body) {
  try {
    await body()
    console.log('ok ' + name)
  } catch (e) {
    failed = true
    console.log(`FAIL ${name}: ${e}`)
    console.error(e)
  }
}

function equal(want, got) {
  if (JSON.stringify(want) !== JSON.stringify(got)) throw new Error(`got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`)
}

async function until(what, condition) {
  for (const end = Date.now() + 60000; !(await condition());) {
    if (Date.now() > end) throw new Error('not within the time: ' + what)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function topic(name, partitions = 1) {
  await admin.createTopics({ topics: [{ topic: `${name}-${run}`, numPartitions: partitions, replicationFactor: 1 }], waitForLeaders: true })
  return `${name}-${run}`
}

async function produce(topic, values, settings = {}, compression = CompressionTypes.None) {
  const producer = kafka.producer(settings)
  await producer.connect()
  await producer.send({ topic, compression, messages: values.map((v, i) => ({ key: 'k' + i, value: v, headers: { h: 'x' } })) })
  await producer.disconnect()
}

async function consuming(topic, groupId, settings = {}) {
  const consumer = kafka.consumer({ groupId, ...settings })
  const seen = { values: [], partitions: [], consumer }
  consumer.on(consumer.events.GROUP_JOIN, (e) => { seen.partitions = e.payload.memberAssignment[topic] ?? [] })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({ eachMessage: async ({ message }) => { seen.values.push(message.value.toString()) } })
  return seen
}

const numbers = (n) => Array.from({ length: n }, (_, i) => 'v' + i)

await admin.connect()
for (const codec of ['None', 'GZIP', 'Snappy', 'LZ4']) {
  await check(`produce and consume, ${codec}`, async () => {
    const t = await topic('js-' + codec, 2)
    await produce(t, numbers(200), {}, CompressionTypes[codec])
    const c = await consuming(t, `js-${codec}-${run}`)
    await until('records', () => c.values.length >= 200)
    await c.consumer.disconnect()
    equal(200, new Set(c.values).size)
  })
}
await check('idempotent producer', async () => {
  await produce(await topic('js-idempotent'), numbers(50), { idempotent: true, maxInFlightRequests: 1 })
})
await check('group of two, rebalance, resume', async () => {
  const t = await topic('js-group', 4)
  const group = 'js-group-' + run
  await produce(t, numbers(100))
  const one = await consuming(t, group)
  await until('records', () => one.values.length >= 100)
  const two = await consuming(t, group)
  await until('balance', () => one.partitions.length === 2 && two.partitions.length === 2)
  await one.consumer.disconnect()
  await until('takeover', () => two.partitions.length === 4)
  await produce(t, ['after'])
  await until('the next record', () => two.values.includes('after'))
  await two.consumer.disconnect()
  equal(['after'], two.values)
})
await check('transactions: commit, abort, offsets', async () => {
  const t = await topic('js-txn')
  const group = 'js-eos-' + run
  const producer = kafka.producer({ transactionalId: 'js-' + run, maxInFlightRequests: 1, idempotent: true })
  await producer.connect()
  const dropped = await producer.transaction()
  await dropped.send({ topic: t, messages: [{ value: 'drop' }] })
  await dropped.abort()
  const kept = await producer.transaction()
  await kept.send({ topic: t, messages: [{ value: 'keep' }] })
  await kept.sendOffsets({ consumerGroupId: group, topics: [{ topic: t, partitions: [{ partition: 0, offset: '2' }] }] })
  await kept.commit()
  await producer.disconnect()
  const c = await consuming(t, 'js-read-' + run, { readUncommitted: false })
  await until('records', () => c.values.length >= 1)
  await c.consumer.disconnect()
  equal(['keep'], c.values)
  equal('2', (await admin.fetchOffsets({ groupId: group, topics: [t] }))[0].partitions[0].offset)
})
await check('admin: configs, partitions, records, groups, topics', async () => {
  const t = await topic('js-admin')
  await produce(t, numbers(10))
  await admin.alterConfigs({ validateOnly: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: t, configEntries: [{ name: 'retention.ms', value: '987654' }] }] })
  const described = await admin.describeConfigs({ includeSynonyms: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: t, configNames: ['retention.ms'] }] })
  equal('987654', described.resources[0].configEntries[0].configValue)
  await admin.createPartitions({ topicPartitions: [{ topic: t, count: 3 }] })
  await until('partitions', async () => (await admin.fetchTopicMetadata({ topics: [t] })).topics[0].partitions.length === 3)
  await admin.deleteTopicRecords({ topic: t, partitions: [{ partition: 0, offset: '1' }] })
  await admin.listGroups()
  await admin.deleteGroups(['js-group-' + run])
  await admin.describeCluster()
  await admin.deleteTopics({ topics: [t] })
  await until('deletion', async () => !(await admin.listTopics()).includes(t))
})
await admin.disconnect()
process.exit(failed ? 1 : 0)
