// A Waterwheel of its own for a program: on a free port of the loopback interface, ended by its pid.
'use strict';
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer().on('error', reject);
    server.listen(0, '127.0.0.1', () => { const { port } = server.address(); server.close(() => resolve(port)); });
  });
}

function listens(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true); });
    socket.on('error', () => resolve(false));
  });
}

// Runs the binary that is named first on the command line while `program(port)` runs; ends the process with its status.
async function withServer(program) {
  const port = await freePort();
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'waterwheel-program.'));
  const log = path.join(folder, 'log');
  const out = fs.openSync(log, 'w');
  const child = spawn(process.argv[2], ['--port', port, '--bind', '127.0.0.1', '--dir', folder, '--save', ''],
    { stdio: ['ignore', out, out] });
  const ended = new Promise((resolve) => child.on('exit', (code) => resolve(code)).on('error', () => resolve(1)));
  let error;
  try {
    for (let tries = 0; !await listens(port); tries += 1) {
      if (tries === 200 || child.exitCode !== null) throw new Error('the server does not listen');
      await sleep(50);
    }
    await program(port);
    if (child.exitCode !== null || child.signalCode !== null) throw new Error('the server has ended');
  } catch (caught) {
    error = caught;
  }
  child.kill('SIGTERM');
  const code = await Promise.race([ended, sleep(10000).then(() => { child.kill('SIGKILL'); return 'too slow'; })]);
  if (!error && code !== 0) error = new Error(`the server did not end well: ${code}`);
  if (error) console.error(error, '\nthe server\'s log ends with:\n', fs.readFileSync(log, 'utf8').slice(-1500));
  fs.rmSync(folder, { recursive: true, force: true });
  process.exit(error ? 1 : 0);
}

// Waits until something holds, or fails.
async function until(what, holds, seconds = 20) {
  for (const end = Date.now() + seconds * 1000; !await holds(); await sleep(10)) {
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
  }
}

module.exports = { withServer, until, sleep };
