// ioredis: pipelines, transactions, commands of one's own in Lua, scans, streams, messages, blocking reads, a restart
// of the connection.
'use strict';
const assert = require('node:assert');
const Redis = require('ioredis');
const { withServer, until } = require('./server.js');

withServer(async (port) => {
  const redis = new Redis(port, '127.0.0.1');
  assert.strictEqual(await redis.set('key', 'value', 'EX', 100, 'NX'), 'OK');
  assert.strictEqual(await redis.set('key', 'other', 'NX'), null);
  assert.deepStrictEqual(await redis.getBuffer('key'), Buffer.from('value'));

  const replies = await redis.pipeline().incr('n').incrby('n', 5).lpush('n', 'x').get('n').exec();
  assert.deepStrictEqual(replies.map(([error, reply]) => (error ? error.message.split(' ')[0] : reply)),
    [1, 6, 'WRONGTYPE', '6']);
  const transaction = await redis.multi().hset('user', { name: 'Ada', visits: 1 }).hincrby('user', 'visits', 1)
    .hgetall('user').exec();
  assert.deepStrictEqual(transaction.map(([, reply]) => reply), [2, 2, { name: 'Ada', visits: '2' }]);
  const watcher = redis.duplicate();
  await watcher.watch('n');
  await redis.incr('n');
  assert.strictEqual(await watcher.multi().set('n', 0).exec(), null, 'the key was changed');
  watcher.disconnect();

  redis.defineCommand('limit', {
    numberOfKeys: 1,
    lua: `local used = redis.call('INCR', KEYS[1])
          if used == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
          return used <= tonumber(ARGV[1]) and 1 or 0`,
  });
  const allowed = await Promise.all(Array.from({ length: 30 }, () => redis.limit('limited', 10, 10000)));
  assert.strictEqual(allowed.reduce((sum, one) => sum + one), 10);
  await redis.script('FLUSH');
  assert.strictEqual(await redis.limit('limited:other', 1, 10000), 1, 'the script is sent again');

  const keys = Array.from({ length: 2000 }, (_, number) => [`scan:${number}`, number]).flat();
  await redis.mset(...keys);
  const seen = new Set();
  for await (const found of redis.scanStream({ match: 'scan:*', count: 100 })) found.forEach((key) => seen.add(key));
  assert.strictEqual(seen.size, 2000);

  const [reader, room] = [redis.duplicate(), redis.duplicate()];
  const popped = reader.blpop('list', 'other', 10);
  const entries = reader.xread('BLOCK', 10000, 'STREAMS', 'stream', '$');
  await redis.rpush('other', 'element');
  assert.deepStrictEqual(await popped, ['other', 'element']);
  await until('the reader waits', async () => / cmd=xread /.test(await redis.client('LIST'))
    && /blocked_clients:1/.test(await redis.info('clients')));
  await redis.xadd('stream', '*', 'field', 'value');
  assert.deepStrictEqual((await entries)[0][1][0][1], ['field', 'value']);

  const heard = [];
  room.on('message', (channel, text) => heard.push([channel, text]));
  room.on('pmessage', (pattern, channel, text) => heard.push([pattern, channel, text]));
  room.on('smessage', (channel, text) => heard.push(['shard', channel, text]));
  assert.strictEqual(await room.subscribe('room', 'hall'), 2);
  await room.psubscribe('ro*');
  await room.ssubscribe('shard');
  assert.strictEqual(await redis.publish('room', 'hello'), 2);
  assert.strictEqual(await redis.spublish('shard', 'hello'), 1);
  await until('all is heard', () => heard.length === 3);
  assert.deepStrictEqual(heard, [['room', 'hello'], ['ro*', 'room', 'hello'], ['shard', 'shard', 'hello']]);

  // Its connection is cut: it comes back, subscribed as it was.
  const ready = new Promise((resolve) => { room.once('ready', resolve); });
  await redis.client('KILL', 'TYPE', 'pubsub');
  await ready;
  await until('it is subscribed again', async () => await redis.publish('hall', 'again') === 1);
  await until('it hears again', () => heard.some(([channel]) => channel === 'hall'));
  await Promise.all([redis, reader, room].map((client) => client.quit()));
});
