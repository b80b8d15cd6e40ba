import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {chmod} from 'node:fs/promises';
import {type AddressInfo, connect, createServer, type Server, type Socket} from 'node:net';
import {networkInterfaces} from 'node:os';
import {createServer as createTlsServer, type TLSSocket} from 'node:tls';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {testAuthority} from '../support/certificates.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {sendJson, startHttpServer} from '../support/http-server.ts';
import {startTunnelProxy} from '../support/tunnel-proxy.ts';
import {Content, serveRegistry} from './registry.ts';
import {type Case, expectEnd, type Run, type Trial} from './trial.ts';

const LAYOUT = layoutDirectory('helm');
const OK = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${OK}content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`;

/** An address of this machine that is not loopback: registries there have TLS. Undefined: it has none. */
const OUTER = Object.values(networkInterfaces())
  .flat()
  .find((one) => one?.internal === false && one.family === 'IPv4')?.address;

interface Slow extends AsyncDisposable {
  /** `host:port` */
  readonly host: string;
  /** A connection was made, or whatever is waited for began. */
  readonly asked: Promise<void>;
}

/** What one of the slow things is, and how the program meets it. */
interface Meeting {
  readonly host: string;
  readonly asked: Promise<void>;
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Serves connections on all addresses of this machine. */
async function serve(
  on: (socket: Socket) => void,
  {address = '127.0.0.1', server = createServer(), isTls = false} = {},
): Promise<Slow> {
  const sockets = new Set<Socket>();
  const {promise: asked, resolve} = Promise.withResolvers<void>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
  });
  server.on(isTls ? 'secureConnection' : 'connection', (socket: Socket) => {
    socket.on('error', () => undefined).on('data', () => resolve());
    on(socket);
  });
  server.on('tlsClientError', () => undefined).listen(0, '0.0.0.0');
  await once(server, 'listening');
  return {
    host: `${address}:${(server.address() as AddressInfo).port}`,
    asked,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Sends a text again and again, with a pause before each. */
function drip(socket: Socket, text: string | Uint8Array, ms = 1000): void {
  const timer = setInterval(() => socket.write(text), ms);
  socket.on('close', () => clearInterval(timer));
}

function flood(socket: Socket, text: string): void {
  const some = text.repeat(Math.ceil(65_536 / text.length));
  const send = (): void => {
    while (!socket.destroyed && socket.write(some));
  };
  socket.on('drain', send);
  send();
}

/** Servers, each of which is asked by all commands. */
const SERVERS: Readonly<Record<string, (trial: Trial) => Promise<Meeting>>> = {
  'a server that never answers': (trial) => meet(trial, () => undefined),
  'a status line by the byte': (trial) => meet(trial, answering('HTTP/1.1 200 ', 'a')),
  'a header by the byte': (trial) => meet(trial, answering(`${OK}a: `, 'b')),
  'headers one by one': (trial) => meet(trial, answering(OK, 'a: b\r\n')),
  'empty lines one by one': (trial) => meet(trial, answering('', '\r\n')),
  'interim answers one by one': (trial) =>
    meet(trial, answering('', 'HTTP/1.1 102 Processing\r\n\r\n')),
  'a body by the byte': (trial) =>
    meet(trial, answering(`${OK}content-length: 99999\r\n\r\n`, ' ')),
  'a body in chunks of a byte': (trial) => meet(trial, answering(CHUNKED, '1\r\n \r\n')),
  'a chunk size by the byte': (trial) => meet(trial, answering(CHUNKED, '0')),
  'trailers one by one': (trial) => meet(trial, answering(`${CHUNKED}0\r\n`, 'a: b\r\n')),
  'a refusal by the byte': (trial) =>
    meet(trial, answering('HTTP/1.1 404 Not Found\r\ncontent-length: 99999\r\n\r\n', 'x')),
  'a token service that never answers': async (trial) => {
    const service = trial.use(await serve(() => undefined));
    const realm = `http://${service.host}/token`;
    const registry = trial.use(
      await startHttpServer((_request, response) =>
        sendJson(
          response,
          401,
          {errors: [{code: 'UNAUTHORIZED'}]},
          {'www-authenticate': `Bearer realm="${realm}",service="x"`},
        ),
      ),
    );
    return {host: registry.host, asked: service.asked};
  },
  'a server that never accepts': async (trial) => meetFull(trial),
  'a redirect to a server that never answers': async (trial) => {
    const end = trial.use(await serve(() => undefined));
    const start = trial.use(
      await startHttpServer(({target}, response) => {
        response.writeHead(307, {location: `http://${end.host}${target}`}).end();
      }),
    );
    return {host: start.host, asked: end.asked};
  },
};

const answering = (begin: string, more: string) => (socket: Socket) => {
  socket.once('data', () => {
    socket.write(begin);
    drip(socket, more);
  });
};

async function meet(trial: Trial, on: (socket: Socket) => void): Promise<Meeting> {
  return trial.use(await serve(on));
}

/** A server whose queue of connections is full: the kernel drops what more comes. */
async function meetFull(trial: Trial): Promise<Meeting> {
  const child = spawn(
    process.execPath,
    [
      '-e',
      `const server = require('net').createServer().listen({port: 0, host: '127.0.0.1', backlog: 1}, () => {
        require('fs').writeSync(1, String(server.address().port));
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      });`,
    ],
    {stdio: ['ignore', 'pipe', 'inherit']},
  );
  trial.use({
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
    },
  });
  const [port] = (await once(child.stdout, 'data')) as [Buffer];
  for (let at = 0; at < 8; at += 1) {
    const socket = connect(Number(port.toString()), '127.0.0.1').on('error', () => undefined);
    trial.use({[Symbol.asyncDispose]: async () => void socket.destroy()});
  }
  return {host: `127.0.0.1:${port.toString()}`, asked: delayed(3000)};
}

function delayed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}

const HANDSHAKE = Buffer.from([22, 3, 3, 0x40, 0]);

/** What begins a TLS connection and does not end it. @param on the socket below TLS */
const RAW_TLS: Readonly<Record<string, (socket: Socket) => void>> = {
  'a handshake that never ends': () => undefined,
  'a handshake by the byte': (socket) => {
    socket.write(HANDSHAKE);
    drip(socket, 'a');
  },
  'records of garbage without end': (socket) =>
    flood(socket, `${HANDSHAKE.toString('latin1')}${'\u0001'.repeat(0x4000)}`),
  'alerts one by one': (socket) => drip(socket, Buffer.from([21, 3, 3, 0, 2, 1, 90])),
  'half a record, closed': (socket) => socket.end(HANDSHAKE),
};

/** What a server does after the handshake. */
const TLS: Readonly<Record<string, (socket: TLSSocket, below: Socket) => void>> = {
  'a request that is never answered': () => undefined,
  'an answer by the byte': answering(`${OK}a: `, 'b'),
  'garbage after the handshake': (socket, below) => {
    socket.once('data', () => below.write('garbage '.repeat(100)));
  },
  'a cut record': (socket, below) => {
    socket.once('data', () => below.write(Buffer.from([23, 3, 3, 0x10, 0, 1, 2, 3])));
  },
  'a cut record, closed': (socket, below) => {
    socket.once('data', () => below.end(Buffer.from([23, 3, 3, 0x10, 0, 1, 2, 3])));
  },
  'a renegotiation without end': (socket) => {
    const again = (): void => {
      if (!socket.destroyed) socket.renegotiate({}, () => again());
    };
    socket.once('data', again);
  },
};

/** A server that is asked over TLS: at an address of this machine, or through a tunnel where it has none. */
async function meetTls(
  trial: Trial,
  on: (socket: Socket) => void,
  more: {readonly server?: Server; readonly isTls?: true} = {},
): Promise<Meeting> {
  const address = OUTER === undefined ? {} : {address: OUTER};
  const {host, asked} = trial.use(await serve(on, {...more, ...address}));
  if (OUTER !== undefined) return {host, asked, flags: ['--insecure', host]};
  const proxy = trial.use(await startTunnelProxy());
  const named = `registry.example:${host.split(':')[1]}`;
  return {host: named, asked, flags: ['--insecure', named], env: {HTTPS_PROXY: proxy.url}};
}

/** A server that speaks TLS, up to a point. */
async function meetAfterTls(
  trial: Trial,
  on: (socket: TLSSocket, below: Socket) => void,
): Promise<Meeting> {
  const authority = trial.use(await testAuthority());
  const below = new Map<number | undefined, Socket>();
  // Later versions have no renegotiation.
  const server = createTlsServer({...authority.server, maxVersion: 'TLSv1.2'});
  server.on('connection', (socket: Socket) => below.set(socket.remotePort, socket));
  const begun = (socket: Socket): void => {
    const raw = below.get(socket.remotePort);
    if (raw !== undefined) on(socket as TLSSocket, raw);
  };
  return await meetTls(trial, begun, {server, isTls: true});
}

/** What a proxy does with CONNECT. */
const PROXIES: Readonly<Record<string, (socket: Socket) => void>> = {
  'says nothing': () => undefined,
  'closes the connection': (socket) => socket.once('data', () => socket.destroy()),
  'sends headers one by one': answering(OK, 'a: b\r\n'),
  'sends headers without end': (socket) => {
    socket.write(OK);
    flood(socket, 'a: b\r\n');
  },
  'sends a status line without end': (socket) => {
    socket.write('HTTP/1.1 200 ');
    flood(socket, 'a');
  },
  'sends 102s one by one': answering('', 'HTTP/1.1 102 Processing\r\n\r\n'),
  'wants a login, with a page without end': (socket) => {
    socket.write('HTTP/1.1 407 Login\r\n\r\n');
    flood(socket, '<p>');
  },
  'opens a tunnel to nothing': (socket) => socket.once('data', () => socket.write(`${OK}\r\n`)),
  'opens a tunnel and sends garbage': (socket) =>
    socket.once('data', () => {
      socket.write(`${OK}\r\n`);
      flood(socket, 'garbage');
    }),
};

/** The bodies of shell scripts that are credential helpers. */
const HELPERS: Readonly<Record<string, string>> = {
  'never ends': 'exec sleep 1000',
  'never ends, whatever signal comes': "trap '' INT TERM HUP\nwhile :; do sleep 1; done",
  'prints without end': 'exec yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
  'prints errors without end': 'exec yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa >&2',
  'prints by the byte': 'while :; do printf a; sleep 1; done',
  'prints no JSON': 'echo "user SECRET"',
  'prints deep JSON': 'head -c 200000 /dev/zero | tr "\\000" "["',
  'leaves a child with its output':
    'sleep 1000 &\necho \'{"ServerURL":"x","Username":"u","Secret":"SECRET"}\'',
  'closes its output and stays': 'exec >&- 2>&-; exec sleep 1000',
  'does not read its input': 'exec <&-; echo "{}"',
};

/** A registry that wants a login, which a helper has. */
async function meetHelper(trial: Trial, body: string): Promise<Meeting> {
  const {promise: asked, resolve} = Promise.withResolvers<void>();
  const registry = trial.use(
    await startHttpServer((_request, response) => {
      resolve();
      sendJson(
        response,
        401,
        {errors: [{code: 'UNAUTHORIZED'}]},
        {'www-authenticate': 'Basic realm="x"'},
      );
    }),
  );
  const script = await trial.plant(
    trial.path('bin', 'docker-credential-slow'),
    `#!/bin/sh\n${body.replace('SECRET', trial.secret('helper'))}\n`,
  );
  await chmod(script, 0o755);
  await trial.plant(
    trial.home('.docker', 'config.json'),
    JSON.stringify({credHelpers: {[registry.host]: 'slow'}}),
  );
  // The helper is asked a moment later.
  return {
    host: registry.host,
    asked: asked.then(() => delayed(1000)),
    env: {PATH: `${trial.path('bin')}:/usr/bin:/bin`},
  };
}

type Command = (host: string) => readonly string[];

const COMMANDS: Readonly<Record<string, Command>> = {
  'copy from': (host) => ['copy', `${host}/a/b:c`, 'oci:x'],
  'copy to': (host) => ['copy', `oci:${LAYOUT}`, `${host}/a/b`],
  'plan copy': (host) => ['plan', 'copy', `${host}/a/b`, 'oci:y', '--out', 'y.json'],
  'plan delete': (host) => ['plan', 'delete', `${host}/a/b`, '--tag', '*', '--out', 'd.json'],
  inventory: (host) => ['inventory', host],
  doctor: (host) => ['doctor', host],
};

const ERROR = /error: .+ \[[A-Z_]+\]\n side: .+\n hint: .+/;

/** Looks at how a command ended that met something slow. */
function expectClear(command: string, run: Run): void {
  if (command === 'doctor') expectEnd(run, [0, 1, 2, 3]);
  else expectEnd(run, 1, ERROR);
}

/** A second after the signal, on a machine with other work. */
const AT_ONCE = 5;

function expectInterrupted(command: string, run: Run): void {
  expectEnd(run, 130);
  if (run.afterInterrupt === undefined || run.afterInterrupt > AT_ONCE)
    throw new Error(`${command} went on for ${run.afterInterrupt} s after SIGINT\n${run.stderr}`);
}

interface Waiting {
  readonly name: string;
  readonly seconds: number;
  readonly meeting: (trial: Trial) => Promise<Meeting>;
  /** Some end before a signal comes. */
  readonly isShort?: boolean;
}

/** All commands meet it at once, as they only wait; then each is interrupted. */
const bothWays = ({name, seconds, meeting, isShort = false}: Waiting): readonly Case[] => [
  {
    group: 'slow',
    name,
    seconds,
    run: async (trial) => {
      const {host, flags = [], env = {}} = await meeting(trial);
      const runs = Object.entries(COMMANDS).map(async ([command, args]) => {
        expectClear(command, await trial.transship([...args(host), ...flags], {env}));
      });
      await allEnded(runs);
    },
  },
  {
    group: 'interrupted',
    name,
    run: async (trial) => {
      for (const [command, args] of Object.entries(COMMANDS)) {
        const {host, flags = [], env = {}, asked} = await meeting(trial);
        const run = await trial.transship([...args(host), ...flags], {
          env,
          interrupt: {when: asked, times: 1},
        });
        if (isShort && run.code !== 130) expectClear(command, run);
        else expectInterrupted(command, run);
      }
    },
  },
];

async function allEnded(runs: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(runs)).flatMap((run) =>
    run.status === 'rejected' ? [(run.reason as Error).message] : [],
  );
  if (failed.length > 0) throw new Error(failed.join('\n\n'));
}

/** Seven attempts of a minute, and the pauses between them. */
const ATTEMPTS = 480;

const waits: readonly Case[] = [
  ...Object.entries(SERVERS).map(([name, meeting]) => ({name, seconds: ATTEMPTS, meeting})),
  ...Object.entries(RAW_TLS).map(([name, on]) => ({
    name: `TLS: ${name}`,
    seconds: ATTEMPTS,
    meeting: (trial: Trial) => meetTls(trial, on),
    isShort: true,
  })),
  ...Object.entries(TLS).map(([name, after]) => ({
    name: `TLS: ${name}`,
    seconds: ATTEMPTS,
    meeting: (trial: Trial) => meetAfterTls(trial, after),
    isShort: true,
  })),
  ...Object.entries(PROXIES).map(([name, on]) => ({
    name: `a proxy that ${name}`,
    seconds: ATTEMPTS,
    meeting: async (trial: Trial) => {
      const {host, asked} = trial.use(await serve(on));
      return {host: 'registry.example', asked, env: {HTTPS_PROXY: `http://${host}`}};
    },
    isShort: true,
  })),
  ...Object.entries(HELPERS).map(([name, body]) => ({
    name: `a helper that ${name}`,
    seconds: 100,
    meeting: (trial: Trial) => meetHelper(trial, body),
    isShort: true,
  })),
].flatMap(bothWays);

/** A layer that comes by the byte, of this size. */
async function meetSlowLayer(trial: Trial, size: number): Promise<Meeting> {
  const content = new Content();
  const layer = content.put(Buffer.alloc(size), 'application/vnd.oci.image.layer.v1.tar');
  const image = content.image([layer]);
  const {promise: asked, resolve} = Promise.withResolvers<void>();
  const registry = trial.use(
    await serveRegistry({
      content,
      repositories: {app: {a: image}},
      instead: (method, path, response) => {
        if (method !== 'GET' || !path.endsWith(`/blobs/${layer.digest}`)) return false;
        response.writeHead(200, {'content-length': size});
        const timer = setInterval(() => response.write('\0'), 2000);
        response.on('close', () => clearInterval(timer));
        response.flushHeaders();
        resolve();
        return true;
      },
    }),
  );
  return {host: registry.host, asked};
}

/** A registry that takes an upload's bytes in one way. */
async function meetSlowUpload(trial: Trial, method: string, isRead: boolean): Promise<Meeting> {
  const {promise: asked, resolve} = Promise.withResolvers<void>();
  const registry = trial.use(
    await startHttpServer(
      (request, response) => {
        if (request.method === 'HEAD' || request.method === 'GET') {
          const isBase = request.url.pathname === '/v2/';
          response.writeHead(isBase ? 200 : 404, {'content-length': 0}).end();
          return;
        }
        if (request.method === 'POST') {
          response
            .writeHead(202, {
              location: `/v2/a/b/blobs/uploads/1`,
              range: '0-0',
              'content-length': 0,
            })
            .end();
          return;
        }
        if (request.method !== method && method !== '*') return;
        resolve();
        if (isRead) response.req.resume();
      },
      {early: true},
    ),
  );
  return {host: registry.host, asked};
}

const copies: readonly Case[] = (
  [
    ['a small layer by the byte', (trial: Trial) => meetSlowLayer(trial, 100_000), 'from'],
    ['a large layer by the byte', (trial: Trial) => meetSlowLayer(trial, 40 * 2 ** 20), 'from'],
    ['an upload that is not read', (trial: Trial) => meetSlowUpload(trial, '*', false), 'to'],
    ['an upload that is not answered', (trial: Trial) => meetSlowUpload(trial, '*', true), 'to'],
  ] as const
).flatMap(([name, meeting, way]) => {
  const argsFor = (host: string) =>
    way === 'from' ? ['copy', `${host}/app:a`, 'oci:x'] : ['copy', `oci:${LAYOUT}`, `${host}/a/b`];
  return [
    {
      group: 'slow',
      name,
      seconds: 2 * ATTEMPTS,
      run: async (trial: Trial) => {
        const {host} = await meeting(trial);
        expectEnd(await trial.transship(argsFor(host)), 1, /TIMEOUT/);
      },
    },
    {
      // The first signal lets what is under way come to its end.
      group: 'interrupted',
      name,
      run: async (trial: Trial) => {
        const {host, asked} = await meeting(trial);
        const run = await trial.transship(argsFor(host), {interrupt: {when: asked, times: 2}});
        expectInterrupted('copy', run);
      },
    },
  ];
});

/** Commands that carry out, or look at, a plan that was made before. */
const planned: readonly Case[] = ['apply', 'verify', 'rollback'].flatMap((command) =>
  [1, 0].map((times) => ({
    group: times === 0 ? 'slow' : 'interrupted',
    name: `${command} at a server that never answers`,
    seconds: 2 * ATTEMPTS,
    run: async (trial: Trial) => {
      const slow = trial.use(await serve(() => undefined));
      const sandbox = trial.use(await startSandbox());
      let isSlow = false;
      const front = trial.use(
        await startHttpServer(async ({method, target, headers, body}, response) => {
          if (isSlow) return void fetch(`http://${slow.host}/`).catch(() => undefined);
          const answer = await fetch(`http://${sandbox.host}${target}`, {
            method,
            ...(body.length === 0 ? {} : {body}),
            headers: Object.fromEntries(
              ['accept', 'content-type', 'content-range'].flatMap((name) =>
                typeof headers[name] === 'string' ? [[name, headers[name]]] : [],
              ),
            ),
            redirect: 'manual',
          });
          response.writeHead(answer.status, Object.fromEntries(answer.headers));
          response.end(Buffer.from(await answer.arrayBuffer()));
        }),
      );
      const name = command === 'rollback' ? 'delete.json' : 'copy.json';
      if (command === 'rollback') {
        expectEnd(await trial.transship(['copy', `oci:${LAYOUT}`, `${front.host}/a/b`]), 0);
        const wish = ['plan', 'delete', `${front.host}/a/b`, '--tag', '*', '--out', name];
        expectEnd(await trial.transship(wish), 0);
        expectEnd(await trial.transship(['apply', name, '--yes']), 0);
      } else {
        const wish = ['plan', 'copy', `oci:${LAYOUT}`, `${front.host}/a/b`, '--out', name];
        expectEnd(await trial.transship(wish), 0);
      }
      isSlow = true;
      const run = await trial.transship([command, name, '--yes'], {
        interrupt: times === 0 ? undefined : {when: slow.asked, times: 2},
      });
      if (times === 0) expectEnd(run, 1, /TIMEOUT/);
      else expectInterrupted(command, run);
    },
  })),
);

/** GitLab, and a container engine. */
const others: readonly Case[] = (
  [
    [
      'GitLab that never answers',
      (host: string) => [
        'plan',
        'transfer',
        'a/b',
        '--to',
        'c/',
        '--donor',
        './d',
        '--gitlab',
        `http://${host}`,
      ],
    ],
    [
      'GitLab that never answers, doctor',
      (host: string) => ['doctor', '--gitlab', `http://${host}`, '--project', 'a/b'],
    ],
    ['a daemon that never answers', () => ['copy', 'docker-daemon:a:b', 'oci:x']],
  ] as const
).flatMap(([name, args]) => {
  const running = async (trial: Trial, times: number): Promise<Run> => {
    const slow = trial.use(await serve(() => undefined));
    const env = {
      GITLAB_TOKEN: trial.secret('token'),
      TRANSSHIP_GITLAB_HOST: `http://${slow.host}`,
      DOCKER_HOST: `tcp://${slow.host}`,
    };
    return await trial.transship(args(slow.host), {
      env,
      interrupt: times === 0 ? undefined : {when: slow.asked, times},
    });
  };
  return [
    // Half an hour, as some daemons need.
    ...(name.includes('daemon')
      ? []
      : [
          {
            group: 'slow',
            name,
            // The doctor asks for three things, one after the other.
            seconds: 3 * ATTEMPTS,
            run: async (trial: Trial) => void expectEnd(await running(trial, 0), [1, 3]),
          },
        ]),
    {
      group: 'interrupted',
      name,
      run: async (trial: Trial) => expectInterrupted(name, await running(trial, 1)),
    },
  ];
});

export const slow: readonly Case[] = [...waits, ...copies, ...planned, ...others];
