import {execFile} from 'node:child_process';
import {mkdir, readFile, stat, symlink, writeFile} from 'node:fs/promises';
import {dirname} from 'node:path';
import {promisify} from 'node:util';
import {describe, expect, test} from 'vitest';
import {parse} from 'yaml';
import type {Tag} from '../../src/model/reference.ts';
import {planId, planText} from '../../src/plan/plan-file.ts';
import type {Plan} from '../../src/model/plan.ts';
import {copyPlan} from '../support/plan-files.ts';
import {tempDirectory} from '../support/temp.ts';
import {
  FROM,
  HOST,
  repository,
  TO,
  transferFacts,
  transferPlan,
} from '../support/transfer-facts.ts';
import {destination, image, source} from '../support/inventories.ts';
import {transship} from '../support/transship.ts';

const OLD = `${HOST}/${FROM}`;
const NEW = `${HOST}/${TO}`;
const IMAGE = image(['a']);

/** A project with two repositories moves. */
const TRANSFER = transferPlan(
  transferFacts({
    repositories: [
      repository('', {v1: IMAGE, latest: IMAGE}),
      repository('tools/lint', {v2: IMAGE}),
    ],
  }),
);

/** A plan's file, and a checkout with these files. */
async function start(plan: Plan, files: Readonly<Record<string, string>> = {}) {
  await using parts = new AsyncDisposableStack();
  const directory = parts.use(await tempDirectory());
  const file = directory.join('a.plan.json');
  await writeFile(file, planText(plan));
  const checkout = directory.join('checkout');
  await mkdir(checkout);
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(`${checkout}/${name}`), {recursive: true});
    await writeFile(`${checkout}/${name}`, text);
  }
  const own = parts.move();
  return {
    file,
    checkout,
    directory,
    refs: (...flags: readonly string[]) => transship(['refs', file, ...flags]),
    scan: (...flags: readonly string[]) => transship(['refs', file, '--scan', checkout, ...flags]),
    read: (name: string) => readFile(`${checkout}/${name}`, 'utf8'),
    [Symbol.asyncDispose]: () => own.disposeAsync(),
  };
}

test('a plan may be piped in', async () => {
  const args = ['refs', '-', '--format', 'list'];
  const piped = await transship(args, {stdin: [...planText(TRANSFER)].join('')});
  await using rig = await start(TRANSFER);
  expect(piped).toEqual(await rig.refs('--format', 'list'));
  expect(piped.stdout).toContain(`${NEW}:v1`);
});

describe('the references of a transfer', () => {
  test('are a table of every tag with its digest', async () => {
    await using at = await start(TRANSFER);
    const {code, stdout} = await at.refs();
    expect(code).toBe(0);
    for (const name of [':v1', ':latest', '/tools/lint:v2']) {
      expect(stdout).toContain(`${OLD}${name}`);
      expect(stdout).toContain(`${NEW}${name}`);
    }
    expect(stdout).toContain('3 images in 2 repositories');
  });

  test('are a list of pairs, by tag and by digest', async () => {
    await using at = await start(TRANSFER);
    const {stdout} = await at.refs('--format', 'list');
    const digest = TRANSFER.moves[0]?.repositories[0]?.tags[0]?.digest ?? '';
    expect(stdout.split('\n')).toContain(`${OLD}:v1 ${NEW}:v1`);
    expect(stdout.split('\n')).toContain(`${OLD}@${digest} ${NEW}@${digest}`);
  });

  test('are what kustomize, podman and OpenShift read', async () => {
    await using at = await start(TRANSFER);
    expect(parse((await at.refs('--format', 'kustomize')).stdout)).toMatchObject({
      images: [{name: OLD, newName: NEW}, {name: `${OLD}/tools/lint`}],
    });
    expect(parse((await at.refs('--format', 'idms')).stdout)).toMatchObject({
      kind: 'ImageDigestMirrorSet',
      spec: {imageDigestMirrors: [{source: OLD, mirrors: [NEW]}, {}]},
    });
    const conf = (await at.refs('--format', 'registries.conf')).stdout;
    expect(conf).toContain(`[[registry]]\nprefix = "${OLD}"\nlocation = "${NEW}"\n`);
    // containerd maps hosts alone.
    const refused = await at.refs('--format', 'hosts.toml');
    expect([refused.code, refused.stderr]).toEqual([
      64,
      expect.stringContaining('registries.conf'),
    ]);
  });

  test('are a script for sed that changes only complete names', async () => {
    await using at = await start(TRANSFER);
    const script = at.directory.join('rewrite.sed');
    await writeFile(script, (await at.refs('--format', 'sed')).stdout);
    const text = [
      `FROM ${OLD}:v1`,
      `a: ${OLD}:v1,${OLD}:v2,${OLD}`,
      `docker://${OLD}/tools/lint@sha256:00`,
      `${OLD}/other:v1`,
      `see ${OLD}.`,
      `${OLD}2:v1 x${OLD}:v1 ${OLD}-b:v1 ${OLD}_b`,
    ];
    const input = at.directory.join('input');
    await writeFile(input, `${text.join('\n')}\n`);
    const {stdout} = await promisify(execFile)('sed', ['-E', '-f', script, input]);
    expect(stdout.split('\n').slice(0, -1)).toEqual([
      `FROM ${NEW}:v1`,
      `a: ${NEW}:v1,${NEW}:v2,${NEW}`,
      `docker://${NEW}/tools/lint@sha256:00`,
      `${NEW}/other:v1`,
      `see ${NEW}.`,
      text[5],
    ]);
  });
});

const CHECKOUT = {
  Dockerfile: `FROM ${OLD}:v1 AS base\nCOPY --from=${OLD}/tools/lint:v2 / /\nFROM ${OLD}2:v1\n`,
  '.gitlab-ci.yml': `image: $CI_REGISTRY/${FROM}:v1\nscript: docker pull "\${CI_REGISTRY}/${FROM}/tools/lint"\n`,
  'chart/values.yaml': `image:\n  registry: ${HOST}\n  repository: ${FROM}\n  tag: v1\nhome: https://gitlab.test/${FROM}\n`,
  'main.tf': `image = "${OLD}:$VERSION" # ${OLD}/$NAME\n`,
  '.gitignore': 'build/\n*.log\n!keep.log\n/top.txt\n',
  'build/out.yaml': `image: ${OLD}:v1\n`,
  'sub/a.log': `${OLD}:v1\n`,
  'sub/keep.log': `${OLD}:v1\n`,
  'top.txt': `${OLD}:v1\n`,
  'sub/top.txt': `${OLD}:v1\n`,
  'image.bin': `\0${OLD}:v1\n`,
  'large.txt': `${OLD}:v1\n`.padEnd(2 * 1024 * 1024, '\n'),
  '.git/config': `${OLD}:v1\n`,
  'README.md': 'nothing here\n',
};

describe('a checkout that is scanned', () => {
  test('is reported line by line, with exit 2', async () => {
    await using at = await start(TRANSFER, CHECKOUT);
    await symlink('Dockerfile', `${at.checkout}/link`);
    const {code, stdout} = await at.scan();
    expect(code).toBe(2);
    expect(stdout.split('\n').filter((line) => / -> /.test(line))).toEqual([
      `.gitlab-ci.yml:1: ${FROM}:v1 -> ${TO}:v1`,
      `.gitlab-ci.yml:2: ${FROM}/tools/lint -> ${TO}/tools/lint`,
      `Dockerfile:1: ${OLD}:v1 -> ${NEW}:v1`,
      `Dockerfile:2: ${OLD}/tools/lint:v2 -> ${NEW}/tools/lint:v2`,
      `chart/values.yaml:3: ${FROM} -> ${TO}`,
      `main.tf:1: ${OLD} -> ${NEW}`,
      `main.tf:1: ${OLD} -> ${NEW}`,
      `sub/keep.log:1: ${OLD}:v1 -> ${NEW}:v1`,
      `sub/top.txt:1: ${OLD}:v1 -> ${NEW}:v1`,
    ]);
    expect(stdout).toContain('Found 9 old references in 6 files.');
    const json = JSON.parse((await at.scan('--format', 'json')).stdout) as {references: unknown[]};
    expect(json.references).toContainEqual({
      file: 'Dockerfile',
      line: 1,
      column: 6,
      old: `${OLD}:v1`,
      new: `${NEW}:v1`,
    });
  });

  test('is rewritten after the changes were shown, and then has no old ones', async () => {
    await using at = await start(TRANSFER, CHECKOUT);
    const refused = await at.scan('--apply');
    expect([refused.code, refused.stderr]).toEqual([64, expect.stringContaining('--yes')]);
    expect(await at.read('Dockerfile')).toBe(CHECKOUT.Dockerfile);
    const {mode} = await stat(`${at.checkout}/Dockerfile`);
    const {code, stdout} = await at.scan('--apply', '--yes');
    expect(code).toBe(0);
    expect(stdout).toContain(`- FROM ${OLD}:v1 AS base\n+ FROM ${NEW}:v1 AS base`);
    expect(await at.read('Dockerfile')).toBe(
      `FROM ${NEW}:v1 AS base\nCOPY --from=${NEW}/tools/lint:v2 / /\nFROM ${OLD}2:v1\n`,
    );
    expect(await at.read('chart/values.yaml')).toContain(`home: https://gitlab.test/${FROM}`);
    expect(await at.read('build/out.yaml')).toBe(CHECKOUT['build/out.yaml']);
    expect((await stat(`${at.checkout}/Dockerfile`)).mode).toBe(mode);
    expect((await at.scan()).code).toBe(0);
  });
});

describe('the references of copies', () => {
  const copied = copyPlan([
    {
      source: source('docker.io/library/nginx', {v1: IMAGE}),
      destination: destination('registry.test/acme/library/nginx'),
    },
    {
      source: source('docker.io/team/app', {v1: IMAGE}),
      destination: destination('registry.test/acme/team/app'),
    },
  ]);
  /** With tags that are renamed. */
  const renamed = {
    ...copied,
    steps: copied.steps.map((step) =>
      step.kind === 'copy' ? {...step, tag: '1-new' as Tag} : step,
    ),
  };
  const hub = {...renamed, id: planId(renamed)};

  test('have the new tags, and hosts.toml where containerd can map them', async () => {
    await using at = await start(hub);
    const {stdout} = await at.refs('--format', 'list');
    expect(stdout).toContain('docker.io/library/nginx:v1 registry.test/acme/library/nginx:1-new\n');
    const hosts = (await at.refs('--format', 'hosts.toml')).stdout;
    expect(hosts).toContain('# /etc/containerd/certs.d/docker.io/hosts.toml');
    expect(hosts).toContain('[host."https://registry.test/v2/acme"]');
    expect(hosts).toContain('override_path = true');
  });

  test('are found under the short names of Docker Hub where images are named', async () => {
    await using at = await start(hub, {
      Dockerfile: 'FROM nginx:v1\nFROM --platform=linux/amd64 team/app:v1 AS b\nRUN nginx:v1\n',
      'compose.yaml':
        'image: "docker.io/nginx:v1"\nimage: index.docker.io/team/app:v2\nimage: other/app:v1\n',
    });
    const {stdout} = await at.scan();
    expect(stdout.split('\n').filter((line) => / -> /.test(line))).toEqual([
      'Dockerfile:1: nginx:v1 -> registry.test/acme/library/nginx:1-new',
      'Dockerfile:2: team/app:v1 -> registry.test/acme/team/app:1-new',
      'compose.yaml:1: docker.io/nginx:v1 -> registry.test/acme/library/nginx:1-new',
      'compose.yaml:2: index.docker.io/team/app:v2 -> by hand: the plan does not have this image',
    ]);
    expect(stdout).toContain('1 of them to be changed by hand');
    expect((await at.scan('--apply', '--yes')).code).toBe(2);
  });
});
