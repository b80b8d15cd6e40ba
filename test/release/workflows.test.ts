import {readdir, readFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import {expect, test} from 'vitest';
import {parse} from 'yaml';
import {workflowProblems} from '../support/github-workflow.ts';

const read = (path: string) =>
  readFile(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');

const WORKFLOWS = ['.github/workflows/ci.yml', '.github/workflows/release.yml'];

test.each([...WORKFLOWS, 'examples/github-actions.yml'])('%s is a workflow', async (file) => {
  expect(await workflowProblems(file, await read(file))).toEqual([]);
});

test('a workflow with a mistake is none', async () => {
  const mistaken = (await read('.github/workflows/ci.yml')).replace('steps:', 'stepz:');
  expect(await workflowProblems('ci.yml', mistaken)).not.toEqual([]);
  const unknown = (await read('.github/workflows/ci.yml')).replace('github.ref', 'guthib.ref');
  expect(await workflowProblems('ci.yml', unknown)).not.toEqual([]);
});

interface Workflow {
  readonly permissions: Readonly<Record<string, string>>;
  readonly jobs: Readonly<
    Record<
      string,
      {
        readonly needs?: string | readonly string[];
        readonly permissions?: Readonly<Record<string, string>>;
        readonly steps?: readonly {readonly uses?: string; readonly run?: string}[];
      }
    >
  >;
}

test.each(WORKFLOWS)('%s runs what it names, and no more than it needs', async (file) => {
  const text = await read(file);
  // A tag can be moved to other code.
  for (const [, action] of text.matchAll(/uses: (?!\.\/)(\S+)/g))
    expect(action).toMatch(/^[\w-]+\/[\w-]+@[0-9a-f]{40}$/);
  expect(text).not.toMatch(/\bsecrets\./);
  const {permissions, jobs} = parse(text) as Workflow;
  expect(permissions).toEqual({contents: 'read'});
  const writers = Object.entries(jobs).filter(([, job]) => job.permissions !== undefined);
  expect(writers.map(([name]) => name)).toEqual(file.endsWith('release.yml') ? ['publish'] : []);
});

test('a release is published with provenance, after all of it was made and checked', async () => {
  const {jobs} = parse(await read('.github/workflows/release.yml')) as Workflow;
  const {publish, ...others} = jobs;
  expect(new Set([publish?.needs].flat())).toEqual(new Set(Object.keys(others)));
  expect(publish?.permissions).toMatchObject({'id-token': 'write', attestations: 'write'});
  const commands = Object.values(jobs).flatMap(({steps}) => steps?.map(({run}) => run ?? '') ?? []);
  expect(commands.join('\n')).toMatch(/^npm publish .*--provenance/m);
  // Each part of `npm run release`, once.
  const parts = commands.flatMap((run) => /--part (\w+)/.exec(run)?.[1] ?? []);
  const main = await read('release/main.ts');
  const known = /const PARTS = \[(.*)\] as const/.exec(main)?.[1] ?? '';
  expect(parts).toEqual([...known.matchAll(/'(\w+)'/g)].map(([, part]) => part));
});

test('issues are forms that GitHub takes', async () => {
  const directory = '.github/ISSUE_TEMPLATE';
  const names = await readdir(fileURLToPath(new URL(`../../${directory}`, import.meta.url)));
  for (const name of names.filter((each) => each !== 'config.yml')) {
    const form = parse(await read(`${directory}/${name}`)) as {
      readonly name: string;
      readonly description: string;
      readonly body: readonly {
        readonly type: string;
        readonly id?: string;
        readonly attributes: object;
      }[];
    };
    expect(Object.keys(form)).toEqual(expect.arrayContaining(['name', 'description', 'body']));
    const ids = form.body.flatMap(({id}) => id ?? []);
    expect(new Set(ids).size).toBe(ids.length);
    for (const {type, attributes} of form.body) {
      expect(['markdown', 'input', 'textarea', 'dropdown', 'checkboxes']).toContain(type);
      expect(attributes).toHaveProperty(type === 'markdown' ? 'value' : 'label');
    }
  }
  expect(names.length).toBeGreaterThan(3);
});
