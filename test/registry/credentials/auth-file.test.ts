import {writeFile} from 'node:fs/promises';
import {inspect} from 'node:util';
import {expect, test} from 'vitest';
import {
  type AuthEntry,
  parseAuthFile,
  readAuthEntry,
  readAuthFile,
} from '../../../src/registry/credentials/auth-file.ts';
import {tempDirectory} from '../../support/temp.ts';

function thrownBy(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return error;
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

test.each<[string, AuthEntry, object]>([
  ['auth', {auth: base64('me:pw')}, {kind: 'basic', username: 'me', password: 'pw'}],
  ['a colon in the password', {auth: base64('me:a:b')}, {username: 'me', password: 'a:b'}],
  ['zero bytes at the end', {auth: base64('me:pw\0\0')}, {username: 'me', password: 'pw'}],
  [
    'line breaks',
    {auth: `${base64('me:password').replaceAll(/(.{5})/g, '$1\r\n')}\n`},
    {username: 'me', password: 'password'},
  ],
  ['letters beyond ASCII', {auth: base64('mé:pŵ')}, {username: 'mé', password: 'pŵ'}],
  ['plain members', {username: 'me', password: 'pw'}, {username: 'me', password: 'pw'}],
  [
    'an identity token',
    {auth: base64('me:'), identitytoken: 'tok'},
    {kind: 'identity-token', token: 'tok'},
  ],
  [
    'a registry token',
    {registrytoken: 'tok', identitytoken: 'other'},
    {kind: 'registry-token', token: 'tok'},
  ],
])('an entry with %s is read', (_, entry, expected) => {
  expect(readAuthEntry('file', 'r.test', entry)).toMatchObject(expected);
});

test.each<AuthEntry>([{}, {auth: '', username: '', password: ''}])('%o is empty', (entry) => {
  expect(readAuthEntry('file', 'r.test', entry)).toBeUndefined();
});

test.each<[string, AuthEntry]>([
  ['no base64', {auth: 'secret-word!'}],
  ['no colon', {auth: base64('secret-word')}],
  ['no user name', {auth: base64(':secret-word')}],
  ['a password alone', {password: 'secret-word'}],
  ['a user name alone', {username: 'me'}],
])('an entry with %s is invalid, and the secret is not told', (_, entry) => {
  const read = () => readAuthEntry('/home/me/auth.json', 'r.test', entry);
  expect(read).toThrow(expect.objectContaining({code: 'CREDENTIALS_INVALID', side: 'local'}));
  expect(read).toThrow('/home/me/auth.json');
  expect(read).toThrow('r.test');
  expect(inspect(thrownBy(read))).not.toMatch(/secret-word|c2VjcmV0/);
});

test.each([
  ['{"auths": {"r.test": {"auth": secret-word}}}', 'F:1:31 is not JSON'],
  ['{\n\t"auths": {\n\t\t"r.test": secret-word}}', 'F:3:13 is not JSON'],
  ['{"auths": {},\n}', 'F:2:1 is not JSON'],
  ['{"password": "secret-word', 'F:1:26 is not JSON'],
  ['secret-word', 'F:1:1 is not JSON'],
  ['{"auths": {"r.test": {"auth": 5}}}', 'F at auths.r.test.auth is invalid'],
  ['{"auths": ["secret-word"]}', 'F at auths is invalid'],
  ['{"credHelpers": {"r.test": null}}', 'F at credHelpers.r.test is invalid'],
  ['["secret-word"]', 'F is invalid'],
])('%j is invalid: %s', async (content, message) => {
  const error = await parseAuthFile('F', content).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({
    code: 'CREDENTIALS_INVALID',
    side: 'local',
    message: expect.stringContaining(message),
  });
  expect(inspect(error)).not.toContain('secret-word');
});

test.each(['', ' \n', '{}', '{"auths": null, "credsStore": "", "HttpHeaders": {"a": "b"}}'])(
  '%j has no credentials',
  async (content) => {
    const file = await parseAuthFile('F', content);
    expect(file).toEqual({name: 'F', auths: {}, credHelpers: {}, credsStore: undefined});
  },
);

test('an absent file is ignored; an unreadable one is an error', async () => {
  await using temp = await tempDirectory();
  await writeFile(temp.join('file'), '{}');
  expect(await readAuthFile(temp.join('none'))).toBeUndefined();
  expect(await readAuthFile(temp.join('file', 'config.json'))).toBeUndefined();
  expect(await readAuthFile(temp.join('file'))).toMatchObject({name: temp.join('file')});
  await expect(readAuthFile(temp.path)).rejects.toMatchObject({
    code: 'CREDENTIALS_INVALID',
    message: `the credentials file ${temp.path} cannot be read (it is a directory, not a file)`,
  });
});
