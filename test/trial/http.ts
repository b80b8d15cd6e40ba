import type {Socket} from 'node:net';
import {startRawServer} from '../support/raw-server.ts';
import type {Case, Trial} from './trial.ts';
import {expectEnd} from './trial.ts';

const OK = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${OK}transfer-encoding: chunked\r\n\r\n`;

/** Sends a text again and again, as fast as it is taken, until the connection ends. */
function flood(socket: Socket, text: string): void {
  const some = text.repeat(Math.ceil(65_536 / text.length));
  const send = (): void => {
    while (!socket.destroyed && socket.write(some));
  };
  socket.on('drain', send);
  send();
}

/** Commands that ask a registry first thing. */
const COMMANDS: readonly (readonly [string, (host: string) => readonly string[]])[] = [
  ['copy from', (host) => ['copy', `${host}/a/b:c`, 'oci:x']],
  ['copy to', (host) => ['copy', 'oci:in', `${host}/a/b`]],
  ['inventory', (host) => ['inventory', host]],
  ['plan delete', (host) => ['plan', 'delete', `${host}/a/b`, '--tag', '*']],
  ['doctor', (host) => ['doctor', host]],
];

const ENDLESS: readonly (readonly [string, string, string])[] = [
  ['100s', '', 'HTTP/1.1 100 Continue\r\n\r\n'],
  ['102s', '', 'HTTP/1.1 102 Processing\r\n\r\n'],
  ['headers', OK, 'a: b\r\n'],
  ['one header', `${OK}a: `, 'b'],
  ['folded header', `${OK}a: b`, '\r\n c'],
  ['status line', 'HTTP/1.1 200 ', 'a'],
  ['empty lines', '', '\r\n'],
  ['blanks in a header', `${OK}a:`, ' '],
  ['chunk extension', `${CHUNKED}1;`, 'a'],
  ['chunk extensions', `${CHUNKED}1`, ';a="b"'],
  ['chunks with extensions', CHUNKED, `1;${'a'.repeat(16_000)}\r\n{\r\n`],
  ['zeros of a chunk size', CHUNKED, '0'],
  ['trailers', `${CHUNKED}0\r\n`, 'a: b\r\n'],
  ['body', `${OK}content-type: application/json\r\n\r\n`, '['],
  ['body in bytes', CHUNKED, '1\r\n \r\n'],
  ['error page', 'HTTP/1.1 500 Oops\r\n\r\n', 'x'],
  ['401', 'HTTP/1.1 401 No\r\nwww-authenticate: Bearer realm="', 'x'],
  ['nothing HTTP', '', '\0'],
];

const endless: readonly Case[] = ENDLESS.flatMap(([what, begin, more]) =>
  COMMANDS.map(([command, args]) => ({
    group: 'endless answers',
    name: `${what}, ${command}`,
    // A body that is read into memory may take three minutes; the doctor goes on with other questions.
    seconds: command === 'doctor' ? 400 : 200,
    run: async (trial: Trial) => {
      const server = trial.use(
        await startRawServer((socket) => {
          if (socket.bytesWritten > 0) return;
          socket.write(begin);
          flood(socket, more);
        }),
      );
      await smallLayout(trial);
      const run = await trial.transship(args(new URL(server.url).host));
      expectEnd(run, [0, 1, 2, 3, 64]);
    },
  })),
);

async function smallLayout(trial: Trial): Promise<void> {
  await trial.plant(trial.path('in', 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  await trial.plant(trial.path('in', 'index.json'), '{"schemaVersion":2,"manifests":[]}');
}

export const http: readonly Case[] = endless;
