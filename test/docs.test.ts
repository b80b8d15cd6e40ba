import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {afterAll, beforeAll, expect, test} from 'vitest';
import type {RepositoryPath} from '../src/model/reference.ts';
import {type GitLabSandbox, startGitLabSandbox} from '../src/sandbox/gitlab/gitlab-sandbox.ts';
import {parseSeed} from '../src/sandbox/gitlab/seed.ts';
import {startDockerRegistry} from './support/docker-registry.ts';
import {layoutDirectory} from './support/fixtures.ts';
import {startDockerHub, startHarbor} from './support/products.ts';
import {pushImage} from './support/push-image.ts';
import type {ProgramResult} from './support/program.ts';
import {storeImage} from './support/small-images.ts';
import {type TempDirectory, tempDirectory} from './support/temp.ts';
import {transship} from './support/transship.ts';

/*
 * Runs what the page says, section by section: its migration files, then its commands, in their order, at hosts of this
 * machine in the place of those of the page.
 */

const cleanup = new AsyncDisposableStack();
let temp: TempDirectory;
let gitlab: GitLabSandbox;
let hosts: ReadonlyMap<string, string>;
let env: Record<string, string>;
/** How the doubles list their repositories: the page's hosts are known by their names. */
let kinds: readonly string[];

/** Of the token for an instance. */
function variable(url: string): string {
  return `TRANSSHIP_GITLAB_TOKEN_${new URL(url).host.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}`;
}

const LAYER = [Buffer.from('a layer')];

beforeAll(async () => {
  temp = cleanup.use(await tempDirectory());
  await mkdir(temp.join('plans'));
  const seed = {
    users: [
      {name: 'root', admin: true},
      {name: 'ada', password: 'ada-password'},
    ],
    groups: [
      {path: 'acme', members: {ada: 'owner' as const}},
      {path: 'org', members: {ada: 'owner' as const}},
    ],
    projects: [
      {path: 'acme/images'},
      {path: 'org/old', images: [{layout: layoutDirectory('busybox'), tag: 'v1'}]},
    ],
    tokens: [{value: 'ada-api', user: 'ada', scopes: ['api']}],
  };
  gitlab = cleanup.use(await startGitLabSandbox({seed: parseSeed(seed)}));
  const harbor = cleanup.use(
    await startHarbor([{name: 'team', public: true, repositories: ['web/api', 'db']}]),
  );
  const hub = cleanup.use(await startDockerHub({acme: [{name: 'web'}]}));
  const old = cleanup.use(await startGitLabSandbox({seed: parseSeed(seed)}));
  const plain = cleanup.use(await startDockerRegistry());
  for (const [storage, name] of [
    [harbor.storage, 'team/web/api'],
    [harbor.storage, 'team/db'],
    [hub.storage, 'acme/web'],
  ] as const)
    await storeImage(storage, name as RepositoryPath, 'v1', LAYER);
  const basic = `Basic ${Buffer.from('ada:ada-password').toString('base64')}`;
  await pushImage(plain.url, 'docker-local/web', 'v1', {layers: LAYER});
  await pushImage(plain.url, 'team/app', 'v1', {layers: LAYER});
  await writeFile(temp.join('plans/ecr.txt'), 'team/app\n');
  hosts = new Map([
    ['https://gitlab.example.com', gitlab.url],
    ['registry.gitlab.example.com', gitlab.host],
    ['registry.old-gitlab.example.com', old.host],
    ['harbor.example.com', harbor.host],
    ['docker.io', hub.host],
    ['123456789012.dkr.ecr.eu-central-1.amazonaws.com', plain.host],
    ['artifactory.example.com', plain.host],
  ]);
  kinds = [`${harbor.host}=harbor`, `${hub.host}=docker-hub`];
  env = {
    GITLAB_TOKEN: 'ada-api',
    [variable(gitlab.url)]: 'ada-api',
    [variable(old.url)]: 'ada-api',
    DOCKER_AUTH_CONFIG: JSON.stringify({
      auths: Object.fromEntries(
        [gitlab.host, old.host].map((host) => [host, {auth: basic.replace('Basic ', '')}]),
      ),
    }),
  };
});
afterAll(() => cleanup.disposeAsync());

const page = await readFile(new URL('../docs/moving-to-gitlab.md', import.meta.url), 'utf8');
const sections = page.split(/^## /m).slice(1);

test('every command of the page on moving to GitLab does what it says', async () => {
  for (const text of sections) {
    const local = [...hosts].reduce((all, [name, host]) => all.replaceAll(name, host), text);
    const commands = blocks(local, 'sh').flatMap((block) =>
      block.split('\n').filter((line) => line.startsWith('transship ')),
    );
    for (const command of commands) {
      const {code, stderr} = await run(command, blocks(local, 'yaml')[0]);
      const codes = command.includes('--detailed-exitcode') ? [0, 2] : [0];
      expect({command, isAsExpected: codes.includes(code), stderr}).toEqual({
        command,
        isAsExpected: true,
        stderr: expect.not.stringContaining('error'),
      });
    }
  }
});

function blocks(text: string, language: string): readonly string[] {
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))].map(
    ([, block = '']) => block,
  );
}

/** @param yaml the migration file of the section, which the first command that names it finds */
async function run(command: string, yaml: string | undefined): Promise<ProgramResult> {
  const [line = '', redirected] = command.replace(/\s+#.*$/, '').split(' > ');
  const words = line
    .split(/\s+/)
    .slice(1)
    .map((word) => word.replaceAll("'", ''));
  const args = words.map((word) =>
    /^(?:plans\/)?[\w-]+(?:\.plan)?\.(?:yaml|json|md)$/.test(word) ? temp.join(word) : word,
  );
  const [name, file = ''] = args;
  if (name === 'plan' && yaml !== undefined) await writeFile(file, yaml);
  const isPlan = name === 'plan' && !args.includes('--check');
  const listed = name === 'inventory' ? ['--source-kind', kindOf(file)] : [];
  const more = isPlan ? kinds.flatMap((kind) => ['--source-kind', kind]) : listed;
  const result = await transship([...args, ...more], {env});
  if (redirected !== undefined) await writeFile(temp.join(redirected), result.stdout);
  return result;
}

function kindOf(place: string): string {
  const own = kinds.find((kind) => place.startsWith(`${kind.split('=')[0]}/`));
  return own?.split('=')[1] ?? 'auto';
}
