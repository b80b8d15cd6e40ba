import {readFile, writeFile} from 'node:fs/promises';
import {inspect} from 'node:util';
import {afterEach, beforeEach, expect, test, vi} from 'vitest';
import {Redactor} from '../../../src/http/redaction.ts';
import {
  askHelper,
  type HelperCall,
  helperProgram,
} from '../../../src/registry/credentials/helper.ts';
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

function ask(body: string, call: Partial<HelperCall> = {}) {
  return helpers.add('fake', body).then(() =>
    askHelper('docker-credential-fake', 'r.test', {
      env: {PATH: helpers.path},
      redactor: new Redactor(),
      signal: AbortSignal.timeout(30_000),
      ...call,
    }),
  );
}

/** The number in a file; 0 as long as there is none. */
async function readNumber(file: string): Promise<number> {
  return Number(await readFile(file, 'utf8').catch(() => '0'));
}

test.each([
  ['me', 'pw', {kind: 'basic', username: 'me', password: 'pw'}],
  ['<token>', 'tok', {kind: 'identity-token', token: 'tok'}],
])('the answer of user %s is understood', async (username, secret, expected) => {
  expect(await ask(answering(username, secret))).toEqual(expected);
  expect(await helpers.calls()).toEqual(['fake get r.test']);
});

test.each([
  'echo "credentials not found in native keychain"; exit 1',
  'echo "credentials not found in native keychain" >&2; exit 1',
  answering('', ''),
])('a helper without a login returns none: %j', async (body) => {
  expect(await ask(body)).toBeUndefined();
});

test('a helper need not read its input', async () => {
  expect(await ask(`exec 0<&-\n${answering('me', 'pw')}`)).toMatchObject({username: 'me'});
});

test('a long token passes', async () => {
  const token = 'x'.repeat(20_000);
  expect(await ask(answering('<token>', token))).toEqual({kind: 'identity-token', token});
});

test.each([
  ['echo "no session, log in" >&2; exit 7', 'exit status 7: no session, log in'],
  ['echo "denied: r.test"; exit 1', 'exit status 1: denied: r.test'],
  ['exit 3', 'exit status 3'],
  ['kill -TERM $$', 'it was killed by SIGTERM'],
  ['echo hidden-word', 'its output is not {"Username": …, "Secret": …}'],
  [`echo '{"Username": "me", "Token": "hidden-word"}'`, 'its output is not'],
  [`echo '{"Username": "me", "Secret": "hidden-word"}'; exit 2`, 'exit status 2'],
  ['echo "bad secret known-word" >&2; exit 1', 'exit status 1: bad secret ***'],
  ['printf "a\\033[31m\\n\\tb" >&2; exit 1', 'exit status 1: a [31m b'],
])('%j fails: %s', async (body, why) => {
  const redactor = new Redactor();
  redactor.learn('known-word');
  const asked = ask(body, {redactor});
  await expect(asked).rejects.toMatchObject({
    code: 'CREDENTIAL_HELPER_FAILED',
    side: 'local',
  });
  await expect(asked).rejects.toThrow(
    `the credential helper docker-credential-fake failed for r.test: ${why}`,
  );
  const error = await asked.catch((thrown: unknown) => thrown);
  expect(inspect(error)).not.toMatch(/hidden-word|known-word/);
});

test('the message of a failing helper is truncated', async () => {
  const asked = ask('head -c 100000 /dev/zero | tr "\\0" x >&2; exit 1');
  const error = await asked.catch((thrown: unknown) => thrown as Error);
  expect((error as Error).message.length).toBeLessThan(500);
});

test('a helper that is not there fails with its name', async () => {
  const asked = ask('exit 0', {env: {PATH: '/none'}});
  await expect(asked).rejects.toThrow('docker-credential-fake failed for r.test: there is no such');
});

test('a helper that may not be run fails with the reason', async () => {
  await writeFile(helpers.directory.join('docker-credential-fake'), 'not for execution');
  const call = {
    env: {PATH: helpers.directory.path},
    redactor: new Redactor(),
    signal: AbortSignal.timeout(30_000),
  };
  await expect(askHelper('docker-credential-fake', 'r.test', call)).rejects.toThrow(
    'it cannot be started (EACCES)',
  );
});

test('a helper that writes without end is killed', async () => {
  await expect(ask('yes secret')).rejects.toThrow(/wrote more than \d+ bytes/);
});

test('a helper that takes too long is killed', async () => {
  const asked = ask('exec sleep 600', {timeoutMs: 50});
  await expect(asked).rejects.toMatchObject({code: 'CREDENTIAL_HELPER_FAILED'});
  await expect(asked).rejects.toThrow('it did not respond within 50 ms');
});

test('an aborted signal ends the helper, though a child of it holds its output open', async () => {
  const pidFile = helpers.directory.join('pid');
  const abort = new AbortController();
  const reason = new Error('stop');
  const body = `sleep 600 &\necho $! > ${pidFile}\nwait`;
  const asked = ask(body, {signal: abort.signal}).catch((thrown: unknown) => thrown);
  const pid = await vi.waitUntil(() => readNumber(pidFile), {timeout: 30_000});
  abort.abort(reason);
  expect(await asked).toBe(reason);
  process.kill(pid);
});

test('the helper gets the environment, but not our own secrets', async () => {
  const env = {PATH: helpers.path, AWS_PROFILE: 'p', TRANSSHIP_SOURCE_PASSWORD: 'hidden'};
  const body =
    'echo "{\\"Username\\": \\"$AWS_PROFILE\\", \\"Secret\\": \\"is-$TRANSSHIP_SOURCE_PASSWORD\\"}"';
  expect(await ask(body, {env})).toEqual({kind: 'basic', username: 'p', password: 'is-'});
});

test('the name of a helper is a name', () => {
  expect(helperProgram('ecr-login', 'F')).toBe('docker-credential-ecr-login');
  for (const name of ['', '../evil', 'a/b', 'a b', '-rf', 'a\\b', '.x', 'a;b']) {
    expect(() => helperProgram(name, 'F')).toThrow(
      expect.objectContaining({
        code: 'CREDENTIALS_INVALID',
        message: `"${name}" in F is not the name of a credential helper`,
      }),
    );
  }
});
