import {readFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import {expect, test} from 'vitest';
import {parse, parseAllDocuments} from 'yaml';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {ciProject} from '../support/gitlab-ci-local.ts';
import type {ProgramResult} from '../support/program.ts';
import {someBytes, storeImage} from '../support/small-images.ts';

const read = (path: string) =>
  readFile(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');

const page = await read('docs/pipelines.md');

test.each(['gitlab-ci.yml', 'component.gitlab-ci.yml', 'github-actions.yml', 'Jenkinsfile'])(
  'the page on pipelines has examples/%s as it is',
  async (name) => {
    expect(page).toContain(`\n${await read(`examples/${name}`)}\`\`\`\n`);
  },
);

test('the inputs of the example are those of the component', async () => {
  const example = parse(await read('examples/component.gitlab-ci.yml')) as {
    readonly include: readonly {readonly inputs: Readonly<Record<string, unknown>>}[];
  };
  const [head = ''] = (await read('templates/transship.yml')).split('\n---\n');
  const {spec} = parse(head) as {
    readonly spec: {readonly inputs: Readonly<Record<string, {readonly default?: unknown}>>};
  };
  const given = Object.keys(example.include[0]?.inputs ?? {});
  expect(Object.keys(spec.inputs)).toEqual(expect.arrayContaining(given));
  const needed = Object.entries(spec.inputs).filter(([, input]) => input.default === undefined);
  expect(given).toEqual(expect.arrayContaining(needed.map(([name]) => name)));
});

/** The commands of a workflow, each as often as its matrix says. */
async function actionsCommands(): Promise<readonly string[]> {
  const {jobs} = parse(await read('examples/github-actions.yml')) as {
    readonly jobs: Readonly<
      Record<
        string,
        {
          readonly strategy?: {readonly matrix: {readonly shard: readonly number[]}};
          readonly steps: readonly {readonly run?: string}[];
        }
      >
    >;
  };
  return Object.values(jobs).flatMap(({strategy, steps}) =>
    (strategy?.matrix.shard ?? [0]).flatMap((shard) =>
      steps.flatMap(({run}) => run?.replace('${{ matrix.shard }}', String(shard)) ?? []),
    ),
  );
}

/** The commands of a Jenkinsfile, each as often as its axis says. */
async function jenkinsCommands(): Promise<readonly string[]> {
  const text = await read('examples/Jenkinsfile');
  const shards = [...(/values (.*?) }/.exec(text)?.[1] ?? '').matchAll(/'(\d+)'/g)];
  const commands = [...text.matchAll(/\bsh '([^']*)'/g)].map(([, command = '']) => command);
  return commands.flatMap((command) =>
    command.includes('$SHARD')
      ? shards.map(([, shard = '']) => command.replace('$SHARD', shard))
      : [command],
  );
}

test.each([
  ['GitHub Actions', actionsCommands],
  ['Jenkins', jenkinsCommands],
])('the commands for %s copy and verify all', async (_engine, commandsOf) => {
  await using source = await startSandbox();
  await using destination = await startSandbox();
  const names = ['team/a', 'team/b', 'team/c', 'team/d', 'team/e'] as RepositoryPath[];
  for (const name of names) await storeImage(source.storage, name, 'v1', [someBytes(500)]);
  await using project = await ciProject({
    'plans/acme.yaml': `version: 1\nfrom: ${source.host}\nto: ${destination.host}/acme\nroutes:\n  - from: 'team/**'\n`,
    'plans/policy.yaml': 'version: 1\nmaxImages: 100\n',
  });
  const commands = await commandsOf();
  expect(commands.filter((command) => command.includes('--shard'))).toHaveLength(4);
  for (const command of commands)
    expect({command, ...(await project.shell(command))}).toMatchObject({code: 0});
  for (const name of names)
    expect(await destination.storage.manifests.tags(`acme/${name}` as RepositoryPath)).toEqual([
      'v1',
    ]);
});

/** The commands of a section of the page, as a reader copies them. */
function commandsIn(heading: string): readonly string[] {
  const section = page.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
  return [...section.matchAll(/^```sh\n(.*?)^```$/gms)].flatMap(([, block = '']) =>
    block.trim().split('\n'),
  );
}

/** Names of jobs have the beginning of the plan's id. */
const anyPlan = (text: string): string => text.replaceAll(/acme-[0-9a-f]{8}/g, 'acme-ID');

test('the commands for many runners and for Kubernetes do what the page says', async () => {
  await using source = await startSandbox();
  await using destination = await startSandbox();
  const names = Array.from({length: 20}, (_, at) => `team/app-${at}` as RepositoryPath);
  for (const name of names) await storeImage(source.storage, name, 'v1', [someBytes(500)]);
  await using project = await ciProject({
    'plans/acme.yaml': `version: 1\nfrom: ${source.host}\nto: ${destination.host}/acme\nroutes:\n  - from: 'team/**'\n`,
  });
  const run = async (command: string): Promise<ProgramResult> => {
    const result = await project.shell(command);
    expect({command, ...result}).toMatchObject({code: 0});
    return result;
  };
  await run('transship plan plans/acme.yaml --out acme.plan.json');
  const [apply = '', verify = '', status = '', ...others] = commandsIn('Sixteen runners');
  const shards = [apply, verify].map((command) => /--shard (\d+)\/16/.exec(command)?.[1]);
  expect(shards).toEqual(['3', '3']);
  await run(apply);
  await run(verify);
  await run('mkdir journals && mv acme.*.ndjson journals');
  expect((await run(status)).stdout).toMatch(/^Status: [1-9]\d* of 20 images done/m);
  const [toGitLab = '', ...none] = others;
  expect(none).toEqual([]);
  await run(toGitLab);
  const child = parse(await readFile(project.join('apply.gitlab-ci.yml'), 'utf8')) as {
    readonly copy: {readonly parallel: number};
  };
  expect(child.copy.parallel).toBe(16);
  const [toKubernetes = '', kubectl, wait = ''] = commandsIn('On Kubernetes');
  expect(kubectl).toBe('kubectl apply -f jobs.yaml');
  await run(toKubernetes);
  const jobs = await readFile(project.join('jobs.yaml'), 'utf8');
  expect(anyPlan(jobs)).toContain(anyPlan(wait));
  const kinds = parseAllDocuments(jobs).map((one) => (one.toJS() as {kind: string}).kind);
  expect(kinds).toEqual(['ConfigMap', 'Job', 'Job']);
});
