import {readFile, writeFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import {Ajv2020} from 'ajv/dist/2020.js';
import {describe, expect, expectTypeOf, test} from 'vitest';
import {z} from 'zod';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {refusal} from '../../src/sandbox/exchange.ts';
import {startGitLabSandbox} from '../../src/sandbox/gitlab/gitlab-sandbox.ts';
import {parseSeed} from '../../src/sandbox/gitlab/seed.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {transferSeed} from '../support/plan-transfer.ts';
import {storeImage} from '../support/small-images.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';
import {
  eventSchema,
  type FieldsThatDiffer,
  runSchema,
  statusSchema,
  verifySchema,
} from './output-schemas.ts';

const PARTS = {run: runSchema, verify: verifySchema, status: statusSchema, event: eventSchema};

const schema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'What transship prints as JSON',
  $defs: Object.fromEntries(
    Object.entries(PARTS).map(([name, part]) => {
      const {$schema: _draft, ...rest} = z.toJSONSchema(part);
      return [name, rest];
    }),
  ),
};

const ajv = new Ajv2020({strict: false, validateFormats: false});
ajv.addSchema(schema, 'output');

/** What the published schema says of a part; null: nothing is wrong. */
function wrongWith(part: keyof typeof PARTS, value: unknown): unknown {
  // Each schema is compiled once, when it is first asked for.
  const validate = ajv.getSchema(`output#/$defs/${part}`);
  if (validate === undefined) throw new Error(`the schema has no ${part}`);
  return validate(value) ? null : validate.errors;
}

test('the schemas have the fields of the code, no more and no less', () => {
  expectTypeOf<FieldsThatDiffer[keyof FieldsThatDiffer]>().toBeNever();
});

test('the schema is published', async () => {
  const file = fileURLToPath(new URL('../../plans/output.schema.json', import.meta.url));
  await expect(`${JSON.stringify(schema, null, 2)}\n`).toMatchFileSnapshot(file);
});

test('the page documents every field and every fixed value', async () => {
  const page = await readFile(new URL('../../docs/json-output.md', import.meta.url), 'utf8');
  const prose = page.replaceAll(/^```.*?^```$/gms, '');
  const words = new Set<string>();
  JSON.stringify(schema.$defs, (key, value: unknown) => {
    if (key === 'properties') for (const name of Object.keys(value as object)) words.add(name);
    if (key === 'const') words.add(String(value));
    // Error codes have a page of their own.
    if (key === 'enum' && Array.isArray(value) && value.length < 20)
      for (const word of value) words.add(String(word));
    return value;
  });
  expect(words.size).toBeGreaterThan(60);
  const named = new Set(
    [...prose.matchAll(/`([^`]+)`/g)].flatMap(([, code = '']) => code.split('.')),
  );
  expect([...words].filter((word) => !named.has(word))).toEqual([]);
});

const lines = (stderr: string): readonly unknown[] =>
  stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);

describe('the output conforms to the schema', () => {
  test('of copies that fail in part, and are run in shards', async () => {
    await using source = await startSandbox();
    let isRefusing = true;
    await using destination = await startSandbox({
      intercept: async ({route, method}, next) => {
        const isBad = route.kind === 'manifest' && route.reference === 'bad';
        if (isRefusing && isBad && method === 'PUT') throw refusal(400, 'MANIFEST_INVALID', 'no');
        return await next();
      },
    });
    await using temp = await tempDirectory();
    for (const tag of ['good', 'bad'])
      await storeImage(source.storage, 'app' as RepositoryPath, tag, [Buffer.from(tag)]);
    await storeImage(source.storage, 'lib' as RepositoryPath, 'v1', [Buffer.from('lib')]);
    const [file, plan] = [temp.join('a.yaml'), temp.join('a.plan.json')];
    await writeFile(
      file,
      `version: 1\nfrom: ${source.host}\nto: ${destination.host}/x\nroutes:\n  - from: '**'\n`,
    );
    const json = ['--format', 'json', '--progress', 'json'];
    const planned = await transship(['plan', file, '--out', plan, ...json]);
    for (const line of lines(planned.stderr)) expect(wrongWith('event', line)).toBeNull();

    const failed = await transship(['apply', plan, ...json]);
    expect(failed.code).toBe(1);
    const result = JSON.parse(failed.stdout) as z.infer<typeof runSchema>;
    expect(wrongWith('run', result)).toBeNull();
    expect(result.steps.every(({durationMs = -1}) => durationMs >= 0)).toBe(true);
    expect(Date.parse(result.ended ?? '')).toBeGreaterThanOrEqual(Date.parse(result.began ?? ''));
    const told = lines(failed.stderr);
    for (const line of told) expect(wrongWith('event', line)).toBeNull();
    expect(told.at(-1)).toMatchObject({type: 'run-ended', result: 'failed', failed: 1});
    expect(result.steps.find(({outcome}) => outcome === 'failed')?.error).toMatchObject({
      side: 'destination',
      retry: false,
    });

    isRefusing = false;
    const shard = await transship(['apply', plan, '--shard', '1/2', ...json]);
    expect(wrongWith('run', JSON.parse(shard.stdout))).toBeNull();
    const status = await transship(['status', plan, '--format', 'json']);
    expect(wrongWith('status', JSON.parse(status.stdout))).toBeNull();
    const verified = await transship(['verify', plan, ...json]);
    expect(wrongWith('verify', JSON.parse(verified.stdout))).toBeNull();
  });

  test('of a transfer', async () => {
    await using gitlab = await startGitLabSandbox({seed: parseSeed(transferSeed())});
    await using temp = await tempDirectory();
    const plan = temp.join('move.plan.json');
    const env = {GITLAB_TOKEN: 'ada-api'};
    const made = await transship(
      [
        'plan',
        'transfer',
        'org/build/app',
        '--to',
        'new_org/build/',
        '--gitlab',
        gitlab.url,
        '--donor',
        temp.join('donor'),
        '--staged',
        '--out',
        plan,
      ],
      {env},
    );
    expect(made.code).toBe(0);
    const json = ['--format', 'json', '--progress', 'json'];
    const moved = await transship(['apply', plan, '--yes', ...json], {env});
    expect(moved.code).toBe(0);
    expect(wrongWith('run', JSON.parse(moved.stdout))).toBeNull();
    for (const line of lines(moved.stderr)) expect(wrongWith('event', line)).toBeNull();
    const status = await transship(['status', plan, '--format', 'json'], {env});
    expect(wrongWith('status', JSON.parse(status.stdout))).toBeNull();
    const verified = await transship(['verify', plan, '--format', 'json'], {env});
    expect(wrongWith('verify', JSON.parse(verified.stdout))).toBeNull();
  });

  test.each([
    ['--format', ['show', 'no.plan.json', '--format', 'json']],
    ['--progress', ['apply', 'no.plan.json', '--progress', 'json']],
    ['a wrong flag and --format', ['apply', '--format=json', '--no-such-flag']],
  ])('of an error with %s', async (_flag, args) => {
    const run = await transship(args);
    expect(run).toMatchObject({code: 64, stdout: ''});
    const [line, ...others] = lines(run.stderr);
    expect(others).toEqual([]);
    expect(wrongWith('event', line)).toBeNull();
    expect(line).toMatchObject({type: 'error', error: {retry: false, side: 'local'}});
  });

  test('of a run that was not confirmed', async () => {
    await using source = await startSandbox();
    await storeImage(source.storage, 'app' as RepositoryPath, 'v1', [Buffer.from('a')]);
    const run = await transship(
      ['copy', `${source.host}/app`, `${source.host}/b`, '--delete-source', '--progress', 'json'],
      {ask: () => Promise.resolve(false)},
    );
    expect(run.code).toBe(130);
    expect(lines(run.stderr).at(-1)).toMatchObject({type: 'run-ended', result: 'interrupted'});
  });
});

test('a plan can be piped: --out - and -', async () => {
  await using source = await startSandbox();
  await using temp = await tempDirectory();
  await storeImage(source.storage, 'app' as RepositoryPath, 'v1', [Buffer.from('a')]);
  const ends = [`${source.host}/app`, `${source.host}/b`];
  const made = await transship(['plan', 'copy', ...ends, '--out', '-', '--detailed-exitcode']);
  expect(made.code).toBe(2);
  const journal = temp.join('run.ndjson');
  const applied = await transship(['apply', '-', '--journal', journal], {stdin: made.stdout});
  expect(applied).toMatchObject({code: 0, stdout: expect.stringContaining('Done: 1 image')});
  const verified = await transship(['verify', '-'], {stdin: made.stdout});
  expect(verified).toMatchObject({code: 0});
  const shown = await transship(['show', '-', '--format', 'markdown'], {stdin: made.stdout});
  expect(shown.stdout).toContain('Plan: 1 image to copy');
  expect((await transship(['show', '-'], {stdin: ''})).stderr).toContain('[FILE_UNREADABLE]');
});
