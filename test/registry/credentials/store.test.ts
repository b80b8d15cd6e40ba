import {mkdir, writeFile} from 'node:fs/promises';
import {dirname} from 'node:path';
import {afterEach, beforeEach, describe, expect, test} from 'vitest';
import {Redactor} from '../../../src/http/redaction.ts';
import type {Environment} from '../../../src/http/proxy.ts';
import {type CredentialSources, CredentialStore} from '../../../src/registry/credentials/store.ts';
import {
  answering,
  type CredentialHelpers,
  credentialHelpers,
} from '../../support/credential-helper.ts';

let helpers: CredentialHelpers;
beforeEach(async () => {
  helpers = await credentialHelpers();
});
afterEach(() => helpers[Symbol.asyncDispose]());

/** A store for a user whose home, run-time directory and helpers are all in the temporary directory. */
function storeWith(env: Environment = {}, sources: Partial<CredentialSources> = {}) {
  return new CredentialStore({
    env: {PATH: helpers.path, XDG_RUNTIME_DIR: at('run'), ...env},
    user: {home: at('home'), uid: 1000},
    redactor: new Redactor(),
    signal: AbortSignal.timeout(30_000),
    ...sources,
  });
}

function at(path: string): string {
  return helpers.directory.join(path);
}

async function write(path: string, content: object): Promise<void> {
  await mkdir(dirname(at(path)), {recursive: true});
  await writeFile(at(path), JSON.stringify(content));
}

/** A file with one login whose password says where it comes from. */
function login(host: string, password: string): {auths: Record<string, {auth: string}>} {
  return {auths: {[host]: {auth: Buffer.from(`me:${password}`).toString('base64')}}};
}

async function passwordOf(store: CredentialStore, host: string, path?: string) {
  const found = await store.find(host, 'source', path);
  return found?.kind === 'basic' ? found.password : found?.token;
}

test('without anything there are no credentials', async () => {
  const store = storeWith({}, {user: {}});
  expect(await store.find('r.test', 'source')).toBeUndefined();
});

test('places are asked in their order', async () => {
  const places = [
    ['flag.json', 'flag'],
    ['variable.json', 'variable'],
    ['run/containers/auth.json', 'run-time'],
    ['home/.config/containers/auth.json', 'podman'],
    ['home/.docker/config.json', 'docker'],
  ] as const;
  const env = {
    REGISTRY_AUTH_FILE: at('variable.json'),
    DOCKER_AUTH_CONFIG: JSON.stringify(login('r.test', 'docker-variable')),
    CI_REGISTRY: 'r.test',
    CI_REGISTRY_USER: 'ci',
    CI_REGISTRY_PASSWORD: 'job',
    TRANSSHIP_SOURCE_USERNAME: 'me',
    TRANSSHIP_SOURCE_PASSWORD: 'side',
  };
  for (const [path, password] of places) await write(path, login('r.test', password));
  const others = {...env, TRANSSHIP_SOURCE_USERNAME: '', TRANSSHIP_SOURCE_PASSWORD: ''};
  const found = [await passwordOf(storeWith(env, {authFile: at('flag.json')}), 'r.test')];
  for (const [path] of places) {
    found.push(await passwordOf(storeWith(others, {authFile: at('flag.json')}), 'r.test'));
    if (path === 'home/.docker/config.json') break;
    // From now on this place knows another host only.
    await write(path, login('other.test', 'no'));
  }
  await write('home/.docker/config.json', login('other.test', 'no'));
  found.push(await passwordOf(storeWith({...others, DOCKER_AUTH_CONFIG: ''}), 'r.test'));
  expect(found.join(' ')).toBe('side flag variable run-time podman docker-variable job');
});

test.each<[string, Environment]>([
  ['conf/containers/auth.json', {XDG_CONFIG_HOME: 'conf'}],
  ['dock/config.json', {DOCKER_CONFIG: 'dock'}],
  ['home/.docker/config.json', {}],
])('%s is found with %o', async (file, variables) => {
  await write(file, login('r.test', 'right'));
  const env = Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [name, at(value ?? '')]),
  );
  expect(await passwordOf(storeWith(env), 'r.test')).toBe('right');
});

test('an --authfile that is not there is an error; other files may be absent', async () => {
  const store = storeWith({REGISTRY_AUTH_FILE: at('none.json')});
  expect(await store.find('r.test', 'source')).toBeUndefined();
  await expect(
    storeWith({}, {authFile: at('none.json')}).find('r.test', 'source'),
  ).rejects.toMatchObject({
    code: 'CREDENTIALS_INVALID',
    message: `--authfile: there is no file ${at('none.json')}`,
  });
});

test('a file of the user that is not JSON is an error with its name and place', async () => {
  await write('home/.docker/config.json', {});
  await writeFile(at('home/.docker/config.json'), '{"auths": oops}');
  await expect(storeWith().find('r.test', 'source')).rejects.toMatchObject({
    code: 'CREDENTIALS_INVALID',
    message: `${at('home/.docker/config.json')}:1:11 is not JSON`,
  });
});

test('namespaces have credentials of their own', async () => {
  const auths = {...login('r.test', 'host').auths, ...login('r.test/group', 'group').auths};
  await write('run/containers/auth.json', {auths});
  const store = storeWith();
  expect(await passwordOf(store, 'r.test', 'group/app')).toBe('group');
  expect(await passwordOf(store, 'r.test', 'grouped/app')).toBe('host');
  expect(await passwordOf(store, 'r.test')).toBe('host');
});

describe('the variables of a side', () => {
  const TOKEN = {TRANSSHIP_DESTINATION_TOKEN: 'tok'};
  const LOGIN = {TRANSSHIP_SOURCE_USERNAME: 'me', TRANSSHIP_SOURCE_PASSWORD: 'pw'};

  test('count for that side only', async () => {
    const store = storeWith({...TOKEN, ...LOGIN});
    expect(await store.find('r.test', 'destination')).toEqual({
      kind: 'registry-token',
      token: 'tok',
    });
    expect(await store.find('r.test', 'source')).toMatchObject({username: 'me', password: 'pw'});
    expect(await storeWith(TOKEN).find('r.test', 'source')).toBeUndefined();
  });

  test('never go to a second host', async () => {
    const store = storeWith(LOGIN);
    expect(await passwordOf(store, 'r.test')).toBe('pw');
    expect(await passwordOf(store, 'R.test')).toBe('pw');
    await expect(store.find('other.test', 'source')).rejects.toMatchObject({
      code: 'CREDENTIALS_INVALID',
      message: 'the variables TRANSSHIP_SOURCE_* could mean r.test or other.test',
    });
  });

  test('are sent to the host that they name; others are looked up as usual', async () => {
    await write('home/.docker/config.json', login('other.test', 'other'));
    const store = storeWith({...LOGIN, TRANSSHIP_SOURCE_HOST: 'r.test'});
    expect(await passwordOf(store, 'other.test')).toBe('other');
    expect(await passwordOf(store, 'r.test')).toBe('pw');
    expect(await passwordOf(store, 'third.test')).toBeUndefined();
  });
});

describe('credential helpers', () => {
  test('a host has its own, all others have the store', async () => {
    await helpers.add('one', answering('me', 'from-one'));
    await helpers.add('all', answering('me', 'from-all'));
    const auths = {'https://typed.test': {}};
    const file = {auths, credHelpers: {'one.test': 'one', 'none.test': ''}, credsStore: 'all'};
    await write('home/.docker/config.json', file);
    const store = storeWith();
    expect(await passwordOf(store, 'one.test')).toBe('from-one');
    expect(await passwordOf(store, 'other.test')).toBe('from-all');
    expect(await passwordOf(store, 'typed.test')).toBe('from-all');
    expect(await passwordOf(store, 'docker.io')).toBe('from-all');
    expect(await passwordOf(store, 'none.test')).toBeUndefined();
    expect(await helpers.calls()).toEqual([
      'one get one.test',
      'all get other.test',
      'all get https://typed.test',
      'all get https://index.docker.io/v1/',
    ]);
  });

  test('an entry with a secret needs no store', async () => {
    await write('home/.docker/config.json', {...login('r.test', 'here'), credsStore: 'absent'});
    expect(await passwordOf(storeWith(), 'r.test')).toBe('here');
  });

  test('a helper that knows nothing lets the next place answer', async () => {
    await helpers.add('one', 'echo "credentials not found in native keychain"; exit 1');
    await write('run/containers/auth.json', {credHelpers: {'r.test': 'one'}});
    await write('home/.docker/config.json', login('r.test', 'docker'));
    expect(await passwordOf(storeWith(), 'r.test')).toBe('docker');
  });

  test('a helper is asked once for all who ask, and anew after forgetting', async () => {
    await helpers.add('one', answering('me', 'pw'));
    await write('home/.docker/config.json', {credsStore: 'one'});
    const store = storeWith();
    const ask = (path: string) => passwordOf(store, 'r.test', path);
    expect(await Promise.all(['a', 'b', 'c'].map(ask))).toEqual(['pw', 'pw', 'pw']);
    expect(await ask('d')).toBe('pw');
    expect(await helpers.calls()).toHaveLength(1);
    store.forget();
    expect(await ask('e')).toBe('pw');
    expect(await helpers.calls()).toHaveLength(2);
  });

  test('one with a path for a name is refused with the file', async () => {
    await write('home/.docker/config.json', {credHelpers: {'r.test': '../../evil'}});
    await expect(storeWith().find('r.test', 'source')).rejects.toMatchObject({
      code: 'CREDENTIALS_INVALID',
      message: `"../../evil" in ${at('home/.docker/config.json')} is not the name of a credential helper`,
    });
  });
});

test('the redactor knows the secret before it is handed out', async () => {
  await write('home/.docker/config.json', login('r.test', 'pass/word'));
  const redactor = new Redactor();
  await storeWith({}, {redactor}).find('r.test', 'source');
  const header = Buffer.from('me:pass/word').toString('base64');
  expect(redactor.redact(`pass/word pass%2Fword Basic ${header}`)).toBe('*** *** Basic ***');
});
