import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {describe, expect, test} from 'vitest';
import {cleanEnvironment} from '../support/program.ts';

/** Says what it was told, and never ends by itself. */
const PROGRAM = `
  import {listenForSignals} from ${JSON.stringify(new URL('../../src/cli/io.ts', import.meta.url).href)};
  const {stopping, aborted} = listenForSignals(process);
  stopping.addEventListener('abort', () => console.log('stopping'));
  aborted.addEventListener('abort', () => console.log('aborted'));
  setInterval(() => undefined, 60_000);
  console.log('ready');
`;

describe.each(['SIGINT', 'SIGTERM'] as const)('%s', (signal) => {
  test('stops in order, then immediately; the third one ends the process', async () => {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', PROGRAM], {
      env: cleanEnvironment(),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const closed = once(child, 'close');
    const told: string[] = [];
    for await (const text of child.stdout.setEncoding('utf8')) {
      told.push(String(text).trim());
      child.kill(signal);
    }
    expect(told).toEqual(['ready', 'stopping', 'aborted']);
    expect(await closed).toEqual([130, null]);
  });
});
