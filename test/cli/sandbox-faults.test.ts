import {MAIN} from '../support/cli.ts';
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {writeFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {toldError} from '../support/error-lines.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {cleanEnvironment} from '../support/program.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const SEED = fileURLToPath(new URL('../../plans/sandbox.yaml', import.meta.url));
let temp: TempDirectory;

beforeAll(async () => {
  temp = await tempDirectory();
});
afterAll(() => temp[Symbol.asyncDispose]());

async function faultFile(content: string): Promise<string> {
  const file = temp.join('faults.json');
  await writeFile(file, content);
  return file;
}

/** Runs the command until `work` is done with it, and gives what it said after that. */
async function sandboxWith(
  args: readonly string[],
  work: (url: string) => Promise<void>,
): Promise<string> {
  const child = spawn(process.execPath, [MAIN, 'sandbox', '--port', '0', ...args], {
    env: {...cleanEnvironment(), HOME: temp.path},
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  try {
    let text = '';
    for await (const part of child.stdout.setEncoding('utf8').iterator({destroyOnReturn: false})) {
      text += String(part);
      if (text.includes('Ctrl-C\n')) break;
    }
    await work(/on (http:\/\/\S+?)[,;]? /.exec(text)?.[1]?.replace(/[,;]$/, '') ?? '');
  } finally {
    child.kill('SIGTERM');
  }
  let rest = '';
  for await (const part of child.stdout) rest += String(part);
  await closed;
  return rest;
}

describe('sandbox --faults', () => {
  const RESET = {method: 'GET', about: 'tags', skip: 1, fault: {kind: 'reset'}};

  test('injects them, and lists the injected ones at the end', async () => {
    const file = await faultFile(JSON.stringify([RESET]));
    const load = `team/app=${layoutDirectory('busybox')}`;
    const told = await sandboxWith(['--faults', file, '--load', load], async (url) => {
      const tags = () => fetch(`${url}/v2/team/app/tags/list`).then(({status}) => status);
      expect(await tags()).toBe(200);
      await expect(tags()).rejects.toThrow('fetch failed');
      expect(await tags()).toBe(200);
    });
    expect(told).toBe('reset: GET /v2/team/app/tags/list\n');
  });

  test('also injects faults into a GitLab-like instance', async () => {
    const refuse = {path: '/api/v4', fault: {kind: 'refuse', status: 503}};
    const file = await faultFile(JSON.stringify([refuse, RESET]));
    const told = await sandboxWith(['--faults', file, '--gitlab', '--seed', SEED], async (url) => {
      const version = () => fetch(`${url}/api/v4/projects`).then(({status}) => status);
      expect(await version()).toBe(503);
      expect(await version()).not.toBe(503);
    });
    expect(told).toBe('refuse: GET /api/v4/projects\n');
  });

  test('reports that none was injected', async () => {
    const file = await faultFile('[]');
    expect(await sandboxWith(['--faults', file], async () => {})).toBe('no fault occurred\n');
  });

  test.each([
    ['not JSON', '[{', 'JSON'],
    ['no list', '{}', 'array'],
    ['an unknown kind', '[{"fault": {"kind": "fire"}}]', '0.fault.kind'],
    ['a misspelt field', '[{"fault": {"kind": "reset"}, "tmies": 2}]', '"tmies"'],
    ['a negative size', '[{"fault": {"kind": "cut-answer", "after": -1}}]', '0.fault.after'],
  ])('refuses %s, and reports the place', async (_what, content, named) => {
    const file = await faultFile(content);
    const error = toldError(await transship(['sandbox', '--port', '0', '--faults', file]));
    expect(error).toMatchObject({code: 'FILE_INVALID', exit: 64, side: 'this machine'});
    expect(error.message).toContain(`"${file}"`);
    expect(error.message).toContain(named);
  });

  test('refuses an absent file', async () => {
    const args = ['sandbox', '--port', '0', '--faults', temp.join('absent.json')];
    expect(toldError(await transship(args))).toMatchObject({code: 'FILE_UNREADABLE', exit: 64});
  });
});
