import {parsePlan, planId, serializePlan} from '../../src/plan/plan-file.ts';
import {execFile} from 'node:child_process';
import {
  chmod,
  chown,
  copyFile,
  mkdir,
  readdir,
  readFile,
  rename,
  symlink,
  writeFile,
} from 'node:fs/promises';
import {join, relative} from 'node:path';
import {promisify} from 'node:util';
import {afterEach, beforeEach, describe, expect, test} from 'vitest';
import {hostTokenVariable} from '../../src/gitlab/connection.ts';
import type {Plan} from '../../src/model/plan.ts';
import {identified} from '../support/plan-files.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {type Rig, startRig} from '../sandbox/gitlab/rig.ts';
import {toldError} from '../support/error-lines.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {runHere} from '../support/run-here.ts';
import {type HttpServer, sendError, startHttpServer} from '../support/http-server.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const SEED = {
  users: [{name: 'ada'}],
  groups: [
    {path: 'org', members: {ada: 'owner' as const}},
    {path: 'new', members: {ada: 'owner' as const}},
  ],
  projects: [
    {path: 'org/app', images: [{layout: layoutDirectory('attested'), ref: '1.0', tag: 'v1'}]},
    {path: 'org/parking'},
  ],
  tokens: [
    {value: 'ada-api', user: 'ada', scopes: ['api']},
    {value: 'app-job', kind: 'job' as const, user: 'ada', project: 'org/app'},
  ],
};
const TOKEN = {GITLAB_TOKEN: 'ada-api'};
const IMAGE = `oci:${layoutDirectory('busybox')}:1.35-amd64`;

let temp: TempDirectory;
/** Records what it is asked; nobody who runs the command has named it. */
let stranger: HttpServer;

beforeEach(async () => {
  temp = await tempDirectory();
  stranger = await startHttpServer(({headers, url}, response) => {
    const realm = {'www-authenticate': `Bearer realm="${url.origin}/token"`};
    sendError(response, 401, 'UNAUTHORIZED', headers.authorization === undefined ? realm : {});
  });
});
afterEach(async () => {
  await stranger[Symbol.asyncDispose]();
  await temp[Symbol.asyncDispose]();
});

/** Every credential that the stranger was shown. */
function shown(): readonly string[] {
  return stranger.requests.flatMap(({headers, body}) =>
    [
      headers.authorization,
      headers['private-token'],
      headers['job-token'],
      body.toString(),
    ].flatMap((value) => (value === undefined || value.length === 0 ? [] : [value.toString()])),
  );
}

/** Changes a plan file as somebody would who wants it to be taken for whole. */
async function edit(file: string, change: (text: string) => string): Promise<void> {
  const plan = JSON.parse(change(await readFile(file, 'utf8'))) as object;
  await writeFile(file, JSON.stringify(identified(plan)));
}

async function planMove(rig: Rig, donor = 'org/parking'): Promise<string> {
  const file = temp.join('move.plan.json');
  const wish = `plan transfer org/app --to new/ --donor ${donor} --gitlab ${rig.url} --out ${file}`;
  expect(await transship(wish.split(' '), {env: TOKEN})).toMatchObject({code: 0});
  return file;
}

/** Another machine: nothing is remembered there. */
async function elsewhere(): Promise<string> {
  await mkdir(temp.join('elsewhere'), {recursive: true});
  return temp.join('elsewhere');
}

const COMMANDS = ['apply --yes', 'verify', 'verify --donor', 'rollback'];

describe.each(COMMANDS)('%s of a plan that names another GitLab', (line) => {
  const [name = '', ...flags] = line.split(' ');

  test.each([
    ['nothing names one', ''],
    ['CI_SERVER_URL names one', 'CI_SERVER_URL'],
    ['TRANSSHIP_GITLAB_HOST names one', 'TRANSSHIP_GITLAB_HOST'],
    ['--gitlab names one', '--gitlab'],
  ])('sends it no token where %s', async (_, how) => {
    await using rig = await startRig({mode: 'legacy', seed: SEED});
    const file = await planMove(rig);
    await edit(file, (text) => text.replace(`"gitlab":"${rig.url}"`, `"gitlab":"${stranger.url}"`));
    const args = how === '--gitlab' ? [how, rig.url] : [];
    const env = how === '' || how === '--gitlab' ? {} : {[how]: rig.url};
    const run = await transship([name, file, ...flags, ...args], {env: {...TOKEN, ...env}});
    expect(toldError(run)).toMatchObject({code: 'HOST_NOT_NAMED', exit: 3});
    expect(toldError(run).hint).toContain(`--gitlab ${stranger.url}`);
    expect(stranger.requests).toEqual([]);
  });

  test('sends the token of a job only to CI_SERVER_URL', async () => {
    await using rig = await startRig({mode: 'legacy', seed: SEED});
    const file = await planMove(rig);
    await edit(file, (text) => text.replace(`"gitlab":"${rig.url}"`, `"gitlab":"${stranger.url}"`));
    const run = await transship([name, file, ...flags, '--gitlab', stranger.url], {
      env: {CI_JOB_TOKEN: 'app-job', CI_SERVER_URL: rig.url},
    });
    expect(toldError(run)).toMatchObject({code: 'HOST_NOT_NAMED', exit: 3});
    expect(stranger.requests).toEqual([]);
  });

  test.each([
    ['--gitlab', '/gitlab'],
    ['TRANSSHIP_GITLAB_HOST', '/gitlab'],
    ['CI_SERVER_URL', ''],
    ['a token for the host', ''],
  ])('sends it no token where %s names the same host and another path', async (how, path) => {
    await using rig = await startRig({mode: 'legacy', seed: SEED});
    const file = await planMove(rig);
    const other = `${stranger.url}/other`;
    await edit(file, (text) => text.replace(`"gitlab":"${rig.url}"`, `"gitlab":"${other}"`));
    const named = `${stranger.url}${path}`;
    const args = how === '--gitlab' ? [how, named] : [];
    const env = how.startsWith('a token')
      ? {[variableOf(stranger)]: 'ada-api'}
      : {...TOKEN, ...(how === '--gitlab' ? {} : {[how]: named})};
    const run = await transship([name, file, ...flags, ...args], {env});
    expect(toldError(run)).toMatchObject({code: 'HOST_NOT_NAMED', exit: 3});
    expect(toldError(run).hint).toContain(`--gitlab ${other}`);
    expect(stranger.requests).toEqual([]);
  });

  test('sends the token of a job to no other path of CI_SERVER_URL', async () => {
    await using rig = await startRig({mode: 'legacy', seed: SEED});
    const file = await planMove(rig);
    const other = `${stranger.url}/other`;
    await edit(file, (text) => text.replace(`"gitlab":"${rig.url}"`, `"gitlab":"${other}"`));
    const run = await transship([name, file, ...flags, '--gitlab', other], {
      env: {CI_JOB_TOKEN: 'app-job', CI_SERVER_URL: `${stranger.url}/gitlab`},
    });
    expect(toldError(run)).toMatchObject({code: 'HOST_NOT_NAMED', exit: 3});
    expect(stranger.requests).toEqual([]);
  });

  test('does not send the token to a registry that GitLab does not name', async () => {
    await using rig = await startRig({mode: 'legacy', seed: SEED});
    const file = await planMove(rig);
    const [from, to] = [`"${rig.host}/`, `"${stranger.host}/`];
    await edit(file, (text) => text.replaceAll(from, to));
    const run = await transship([name, file, ...flags, '--gitlab', rig.url], {env: TOKEN});
    expect(toldError(run)).toMatchObject({code: 'HOST_NOT_NAMED', exit: 3});
    expect(shown()).toEqual([]);
  });
});

describe('the plan of a transfer names only its repositories, at one registry', () => {
  test.each([
    ['another place that images come from', 'moves.0.repositories.0.from'],
    ['another place that images go to', 'moves.0.repositories.0.to'],
    ['another place to pull to', 'moves.0.steps.pull.copies.0.to'],
    ['another place to push from', 'moves.0.steps.push.copies.0.from'],
    ['another place to push to', 'moves.0.steps.push.copies.0.to'],
    ['another place of a blob', 'moves.0.steps.push.blobs.0.to'],
    ['another place to mount from', 'moves.0.steps.push.blobs.0.mountFrom'],
    ['another place to try uploads at', 'moves.0.steps.probe.uploadsTo'],
    ['another place to try manifests at', 'moves.0.steps.probe.manifests.0.repository'],
  ])('not %s', async (_, path) => {
    await using rig = await startRig({mode: 'legacy', seed: SEED});
    const made = await planMove(rig, temp.join('donor'));
    for (const place of [`${stranger.host}/x`, `oci:${temp.join('outside')}`]) {
      const file = temp.join('edited.plan.json');
      await copyFile(made, file);
      await nameAnother(file, path, place);
      for (const command of COMMANDS) {
        const args = [...command.split(' '), file, '--gitlab', rig.url, '--allow-path', temp.path];
        const error = toldError(await transship(args, {env: TOKEN}));
        expect(error).toMatchObject({code: 'PLAN_INVALID', exit: 64});
      }
    }
    expect(stranger.requests).toEqual([]);
    await expect(readdir(temp.join('outside'))).rejects.toThrow('ENOENT');
  });
});

/** @param path to the member of the plan, by name, by index, or of the steps by id */
async function nameAnother(file: string, path: string, place: string): Promise<void> {
  const plan = structuredClone(parsePlan(await readFile(file), file));
  const names = path.split('.');
  const last = names.pop() ?? '';
  const holder = names.reduce<object>((at, name) => {
    const items: readonly object[] = Array.isArray(at) ? at : [];
    const step = items.find((item) => 'id' in item && item.id === name);
    return step ?? (Reflect.get(at, name) as object);
  }, plan);
  Reflect.set(holder, last, place);
  await writeFile(file, serializePlan({...plan, id: planId(plan)}));
}

describe('a plan from another machine', () => {
  test.each(['--gitlab', 'CI_SERVER_URL', 'TRANSSHIP_GITLAB_HOST'])(
    'is applied where %s names its GitLab',
    async (how: string) => {
      await using rig = await startRig({mode: 'legacy', seed: SEED});
      const file = await planMove(rig);
      const run = await transship(
        ['apply', file, '--yes', ...(how === '--gitlab' ? [how, rig.url] : [])],
        {
          home: await elsewhere(),
          env: {...TOKEN, ...(how === '--gitlab' ? {} : {[how]: rig.url})},
        },
      );
      expect(run).toMatchObject({code: 0});
    },
  );

  test.each([true, false])('is asked about at a terminal: %s', async (answer) => {
    await using rig = await startRig({mode: 'legacy', seed: SEED});
    const file = await planMove(rig);
    const questions: string[] = [];
    const run = await transship(['apply', file, '--yes'], {
      home: await elsewhere(),
      env: TOKEN,
      ask: async (question) => {
        questions.push(question);
        return answer;
      },
    });
    expect(questions).toEqual([expect.stringContaining(rig.url)]);
    expect(run.code).toBe(answer ? 0 : 3);
  });

  test('gets the login in the variables only for the host that they name', async () => {
    await using target = await startSandbox();
    const file = temp.join('app.plan.json');
    const places = [IMAGE, `${target.host}/app`];
    expect(await transship(['plan', 'copy', ...places, '--out', file])).toMatchObject({code: 0});
    await edit(file, (text) => text.replaceAll(target.host, stranger.host));
    const login = {
      TRANSSHIP_DESTINATION_USERNAME: 'ada',
      TRANSSHIP_DESTINATION_PASSWORD: 'secret-1',
    };
    const flags = ['--allow-path', layoutDirectory('busybox')];
    for (const command of ['apply', 'verify']) {
      const run = await transship([command, file, ...flags], {env: login});
      expect(toldError(run)).toMatchObject({code: 'HOST_NOT_NAMED', exit: 3});
      expect(toldError(run).hint).toContain(`TRANSSHIP_DESTINATION_HOST=${stranger.host}`);
    }
    expect(shown()).toEqual([]);
    const env = {...login, TRANSSHIP_DESTINATION_HOST: stranger.host};
    await transship(['apply', file, ...flags], {env});
    expect(shown()).not.toEqual([]);
  });
});

describe('a plan counts as made elsewhere', () => {
  const uid = process.getuid?.() ?? 0;

  test.each([
    ['where others can write to the list', uid, (folder: string) => chmod(folder, 0o777)],
    // Only the administrator can give a folder away; others count as somebody else themselves.
    [
      'where the list belongs to somebody else',
      uid === 0 ? 0 : uid + 4242,
      async (folder: string) => (uid === 0 ? await chown(folder, 4242, 4242) : undefined),
    ],
    [
      'where the list is a link',
      uid,
      async (folder: string) => {
        await rename(folder, temp.join('list'));
        await symlink(temp.join('list'), folder);
      },
    ],
    [
      'where its place in the list is a link',
      uid,
      async (folder: string) => {
        const [name = ''] = await readdir(folder);
        await rename(join(folder, name), temp.join('entry'));
        await symlink(temp.join('entry'), join(folder, name));
      },
    ],
  ])('%s', async (_, asUser, change) => {
    await using rig = await startRig({mode: 'legacy', seed: SEED});
    const [file, home] = [temp.join('move.plan.json'), temp.join('home')];
    const wish = `plan transfer org/app --to new/ --donor org/parking --gitlab ${rig.url} --out ${file}`;
    const env = {...TOKEN, TRANSSHIP_NO_CACHE: '1'};
    expect(await runHere(wish.split(' '), {env, home, uid})).toMatchObject({code: 0});
    expect(await runHere(['verify', file], {env, home, uid})).toMatchObject({code: 2});
    await change(temp.join('home', '.local', 'state', 'transship', 'plans'));
    const run = await runHere(['verify', file], {env, home, uid: asUser});
    expect(toldError(run)).toMatchObject({code: 'HOST_NOT_NAMED', exit: 3});
  });
});

test.each(['plan', 'apply'])(
  'of several registries, none gets a login of variables without a host: %s',
  async (command) => {
    await using other = await startHttpServer((_request, response) =>
      sendError(response, 401, 'UNAUTHORIZED', {'www-authenticate': 'Basic realm="r"'}),
    );
    await using one = await startSandbox();
    await using two = await startSandbox();
    await using target = await startSandbox();
    const file = temp.join('m.plan.json');
    const migration = async (...hosts: readonly string[]) => {
      const routes = hosts.map((host, at) => `{from: ${host}/a${at}, to: ${target.host}/x/a${at}}`);
      await writeFile(temp.join('m.yaml'), `version: 1\nroutes: [${routes.join(', ')}]\n`);
      return ['plan', temp.join('m.yaml'), '--out', file];
    };
    const env = {TRANSSHIP_SOURCE_USERNAME: 'ada', TRANSSHIP_SOURCE_PASSWORD: 'secret-1'};
    if (command !== 'plan') {
      for (const [at, {host}] of [one, two].entries())
        await transship(['copy', IMAGE, `${host}/a${at}:v1`]);
      await transship(await migration(one.host, two.host));
      await edit(file, (text) =>
        text.replaceAll(one.host, stranger.host).replaceAll(two.host, other.host),
      );
    }
    const args = command === 'plan' ? await migration(stranger.host, other.host) : [command, file];
    const run = await transship(args, {env, ask: () => Promise.resolve(true)});
    expect(toldError(run)).toMatchObject({code: 'CREDENTIALS_INVALID', exit: 64});
    expect(
      [...shown(), ...other.requests.map(({headers}) => headers.authorization ?? '')].join(''),
    ).toBe('');
  },
);

describe('the files of a plan from another machine', () => {
  test.each(['oci', 'oci-archive'])('have to be named: %s', async (transport) => {
    const [file, to] = [temp.join('app.plan.json'), temp.join('out', 'x')];
    await transship(['plan', 'copy', IMAGE, `${transport}:${to}`, '--out', file]);
    const home = await elsewhere();
    const run = await transship(['apply', file], {home});
    expect(toldError(run)).toMatchObject({code: 'PATH_NOT_ALLOWED', exit: 3});
    await expect(readFile(to)).rejects.toThrow('ENOENT');
    const allowed = ['--allow-path', layoutDirectory('busybox'), '--allow-path', temp.path];
    await mkdir(temp.join('out'));
    expect(await transship(['apply', file, ...allowed], {home})).toMatchObject({code: 0});
  });

  test('may not be images of an engine', async () => {
    const file = temp.join('app.plan.json');
    await transship(['plan', 'copy', IMAGE, `oci:${temp.join('x')}`, '--out', file]);
    await edit(file, (text) =>
      text.replaceAll(IMAGE.replace(/:[^:/]*$/, ''), 'docker-daemon:busybox:1.35'),
    );
    const run = await transship(['apply', file, '--allow-path', temp.path]);
    expect(toldError(run)).toMatchObject({code: 'PATH_NOT_ALLOWED', exit: 3});
    expect(toldError(run).hint).toBe('plan again on this machine');
  });

  test('are checked through links', async () => {
    const file = temp.join('app.plan.json');
    await mkdir(temp.join('inside'));
    await mkdir(temp.join('outside'));
    await symlink(temp.join('outside'), temp.join('inside', 'link'));
    const to = `oci:${temp.join('inside', 'link', 'x')}`;
    await transship(['plan', 'copy', IMAGE, to, '--out', file]);
    const allowed = [
      '--allow-path',
      layoutDirectory('busybox'),
      '--allow-path',
      temp.join('inside'),
    ];
    const run = await transship(['apply', file, ...allowed], {home: await elsewhere()});
    expect(toldError(run)).toMatchObject({code: 'PATH_NOT_ALLOWED', exit: 3});
  });

  test('are those beside the plan, where it names them relative to its own file', async () => {
    await using rig = await startRig({seed: SEED});
    const file = temp.join('move.plan.json');
    const donor = relative(process.cwd(), temp.join('donor'));
    const wish = `plan transfer org/app --to new/ --donor ./${donor} --gitlab ${rig.url} --out ${file}`;
    expect(await transship(wish.split(' '), {env: TOKEN})).toMatchObject({code: 0});
    const home = await elsewhere();
    const apply = ['apply', file, '--yes', '--gitlab', rig.url];
    const error = toldError(await transship(apply, {home, env: TOKEN}));
    expect(error).toMatchObject({code: 'PATH_NOT_ALLOWED', exit: 3});
    expect(error.hint).toContain(`--allow-path ${temp.path}`);
  });

  test.each([true, false])('are shown at a terminal: %s', async (answer) => {
    const [file, to] = [temp.join('app.plan.json'), temp.join('x')];
    await transship(['plan', 'copy', IMAGE, `oci:${to}`, '--out', file]);
    const questions: string[] = [];
    const run = await transship(['apply', file], {
      home: await elsewhere(),
      ask: async (question) => {
        questions.push(question);
        return answer;
      },
    });
    expect(questions).toEqual([expect.stringContaining(to)]);
    expect(run.code).toBe(answer ? 0 : 3);
  });
});

/** By OpenSSL, not by the code under test. */
async function keyPair(name: string): Promise<{key: string; pub: string}> {
  const [key, pub] = [temp.join(`${name}.key`), temp.join(`${name}.pub`)];
  await promisify(execFile)('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', key]);
  await promisify(execFile)('openssl', ['pkey', '-in', key, '-pubout', '-out', pub]);
  return {key, pub};
}

async function expectNotReviewed(...args: readonly string[]): Promise<void> {
  expect(toldError(await transship(args))).toMatchObject({code: 'PLAN_NOT_REVIEWED', exit: 3});
}

describe('a plan that was reviewed', () => {
  test('is recognized by its id', async () => {
    const file = temp.join('app.plan.json');
    await transship(['plan', 'copy', IMAGE, `oci:${temp.join('x')}`, '--out', file]);
    const {id} = JSON.parse(await readFile(file, 'utf8')) as Plan;
    const other = await transship(['apply', file, '--plan-id', id.replace(/.$/, 'g')]);
    expect(toldError(other)).toMatchObject({code: 'PLAN_NOT_REVIEWED', exit: 3});
    expect(await transship(['apply', file, '--plan-id', id])).toMatchObject({code: 0});
  });

  test('is recognized by its signature', async () => {
    const [ours, theirs] = [await keyPair('ours'), await keyPair('theirs')];
    const [file, unsigned] = [temp.join('app.plan.json'), temp.join('unsigned.plan.json')];
    const wish = ['plan', 'copy', IMAGE, `oci:${temp.join('x')}`, '--out'];
    await transship([...wish, unsigned]);
    expect(await transship([...wish, file, '--sign-key', ours.key])).toMatchObject({code: 0});
    await expectNotReviewed('apply', unsigned, '--verify-key', ours.pub);
    await expectNotReviewed('apply', file, '--verify-key', theirs.pub);
    expect(await transship(['apply', file, '--verify-key', ours.pub])).toMatchObject({code: 0});
    await edit(file, (text) => text.replaceAll(temp.join('x'), temp.join('y')));
    for (const command of ['apply', 'verify'])
      await expectNotReviewed(command, file, '--verify-key', ours.pub);
  });

  test('is not signed with an invalid key', async () => {
    await writeFile(temp.join('no.key'), 'secret-words');
    const wish = ['plan', 'copy', IMAGE, `oci:${temp.join('x')}`, '--out', temp.join('p.json')];
    const run = await transship([...wish, '--sign-key', temp.join('no.key'), '--debug']);
    expect(run).toMatchObject({code: 64});
    expect(run.stderr).toContain('FILE_INVALID');
    expect(run.stderr).not.toContain('secret-words');
  });
});

function variableOf({url}: {readonly url: string}): string {
  return `TRANSSHIP_GITLAB_TOKEN_${new URL(url).host.replace(/[^0-9]/g, '_')}`;
}

describe('a token for one instance', () => {
  test('names it, and is used for it before any other', async () => {
    await using rig = await startRig({seed: SEED});
    const plan = await planMove(rig);
    const env = {
      [variableOf(rig)]: 'ada-api',
      GITLAB_TOKEN: 'of-another',
      CI_SERVER_URL: stranger.url,
    };
    const run = await transship(['apply', plan, '--yes'], {env, home: await elsewhere()});
    expect(run).toMatchObject({code: 0});
    expect(shown()).toEqual([]);
  });

  test('does not let another plan have it', async () => {
    await using rig = await startRig({seed: SEED});
    const plan = await planMove(rig);
    await edit(plan, (text) => text.replaceAll(rig.url, stranger.url));
    const env = {[variableOf(rig)]: 'ada-api'};
    const run = await transship(['apply', plan, '--yes'], {env, home: await elsewhere()});
    expect(toldError(run)).toMatchObject({code: 'HOST_NOT_NAMED', exit: 3});
    expect(shown()).toEqual([]);
  });
});

test('hosts that differ in a hyphen or an underscore have tokens of their own', () => {
  const names = ['a-b.test', 'a.b.test', 'a--b.test', 'a_b.test', 'a.b.test:8443'].map((host) =>
    hostTokenVariable(new URL(`https://${host}`)),
  );
  expect(names[0]).toBe('TRANSSHIP_GITLAB_TOKEN_A__B_TEST');
  expect(new Set(names).size).toBe(5);
});
