// BullMQ: jobs with workers, priorities, retries with a backoff, delays, a repeated job, a flow of jobs, its events.
'use strict';
const assert = require('node:assert');
const { FlowProducer, Queue, QueueEvents, Worker } = require('bullmq');
const { withServer, until } = require('./server.js');

withServer(async (port) => {
  const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };
  const queue = new Queue('jobs', { connection });
  const events = new QueueEvents('jobs', { connection });
  await events.waitUntilReady();
  const told = { completed: 0, failed: 0 };
  events.on('completed', () => { told.completed += 1; });
  events.on('failed', () => { told.failed += 1; });

  // Added before there is a worker: what is urgent is done first.
  const order = [];
  for (const priority of [3, 1, 2]) await queue.add('ordered', { priority }, { priority });
  assert.deepStrictEqual(await queue.getJobCounts('prioritized', 'waiting'), { prioritized: 3, waiting: 0 });

  let tries = 0;
  const work = async (job) => {
    switch (job.name) {
      case 'ordered': order.push(job.data.priority); return null;
      case 'flaky': tries += 1; if (tries < 3) throw new Error('not yet'); return tries;
      case 'broken': throw new Error('never');
      case 'tick': return 'tock';
      case 'parent': return Object.values(await job.getChildrenValues()).reduce((sum, one) => sum + one, 0);
      default: await job.updateProgress(50); return job.data.number * 2;
    }
  };
  const workers = [new Worker('jobs', work, { connection, concurrency: 1 })];
  await until('the ordered are done', () => order.length === 3);
  assert.deepStrictEqual(order, [1, 2, 3]);
  workers.push(new Worker('jobs', work, { connection, concurrency: 5 }));

  const jobs = await queue.addBulk(Array.from({ length: 100 }, (_, number) => ({ name: 'double', data: { number } })));
  const done = await Promise.all(jobs.map((job) => job.waitUntilFinished(events, 20000)));
  assert.deepStrictEqual(done, jobs.map((job) => job.data.number * 2));

  const flaky = await queue.add('flaky', {}, { attempts: 3, backoff: { type: 'exponential', delay: 20 } });
  assert.strictEqual(await flaky.waitUntilFinished(events, 20000), 3);
  const broken = await queue.add('broken', {}, { attempts: 2 });
  await assert.rejects(broken.waitUntilFinished(events, 20000), /never/);
  assert.deepStrictEqual((await queue.getFailed()).map((job) => [job.id, job.attemptsMade]), [[broken.id, 2]]);

  const began = Date.now();
  const late = await queue.add('double', { number: 21 }, { delay: 500 });
  assert.strictEqual(await late.getState(), 'delayed');
  assert.strictEqual(await late.waitUntilFinished(events, 20000), 42);
  assert(Date.now() - began >= 480, 'it was too early');
  const once = await Promise.all([1, 2, 3].map((number) => queue.add('double', { number }, { jobId: 'once' })));
  assert(once.every((job) => job.id === 'once'));

  const ticks = () => queue.getCompleted().then((all) => all.filter((job) => job && job.name === 'tick').length);
  await queue.upsertJobScheduler('ticks', { every: 100 }, { name: 'tick' });
  await until('it ticks', async () => await ticks() >= 3);
  assert.strictEqual(await queue.removeJobScheduler('ticks'), true);

  const flow = new FlowProducer({ connection });
  const tree = await flow.add({ name: 'parent', queueName: 'jobs',
    children: [1, 2, 3].map((number) => ({ name: 'double', queueName: 'jobs', data: { number } })) });
  assert.strictEqual(await tree.job.waitUntilFinished(events, 20000), 12);
  await until('the events are told', () => told.completed >= 113 && told.failed >= 1);

  await queue.pause();
  const waits = await queue.add('double', { number: 1 });
  assert.strictEqual(await waits.getState(), 'waiting');
  await queue.resume();
  assert.strictEqual(await waits.waitUntilFinished(events, 20000), 2);
  await Promise.all(workers.map((worker) => worker.close()));
  await queue.obliterate({ force: true });
  await Promise.all([queue, events, flow].map((one) => one.close()));
});
