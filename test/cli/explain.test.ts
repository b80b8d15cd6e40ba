import {readFile} from 'node:fs/promises';
import {describe, expect, test} from 'vitest';
import {CODE_ENTRIES} from '../../src/doctor/codes.ts';
import type {Explanation} from '../../src/doctor/explain.ts';
import {ERROR_CODES} from '../../src/model/error-codes.ts';
import {transship} from '../support/transship.ts';

async function explained(text: string): Promise<readonly Explanation[]> {
  const run = await transship(['explain', text, '--format', 'json']);
  return (JSON.parse(run.stdout) as {explanations: Explanation[]}).explanations;
}

describe('explain', () => {
  // What GitLab's manuals print, and a command or a word that has to come of it.
  test.each([
    ['manifest blob unknown: blob unknown to registry', 'multi-platform'],
    [
      'Project cannot be transferred because tags are present in its container registry.',
      'plan transfer',
    ],
    [
      'Project cannot be transferred, because tags are present in its container registry.',
      'plan transfer',
    ],
    [
      'Namespace cannot be moved because at least one project has tags in the container registry.',
      '--group',
    ],
    ['タグ付けがコンテナレジストリに存在するため、プロジェクトを転送できません。', 'plan transfer'],
    [
      '少なくとも1つのプロジェクトのコンテナレジストリにタグ付けがあるため、ネームスペースを移動できません。',
      '--group',
    ],
    ['コンテナイメージをGitLabレジストリに移行することはサポートされていません', 'transship plan'],
    ['Docker接続エラー', 'leading underscore'],
    [
      'manifest unknown: OCI manifest found, but accept header does not support OCI manifests',
      'does not ask for OCI',
    ],
    ['Failed to pull image', 'job token'],
    ['404 Not Found or Unknown Manifest', '17.11'],
    ['x509: certificate signed by unknown authority', '--ca-file'],
    ['level=info msg="token signed by untrusted key with ID: "TOKE:NL6Q:7PW6""', 'openssl'],
    [
      'Error response from daemon: login attempt to https://gitlab.company.com:4567/v2/ failed with status: 401 Unauthorized',
      'two-factor',
    ],
    [
      'level=error err.code=unknown err.detail="unexpected EOF" err.message="unknown error"',
      'chunksize',
    ],
    ["registry['compatibility_schema1_enabled'] = true", 'Docker schema 1'],
    ['Docker push through NGINX proxy fails trying to send a 32B layer #970', 'X-Forwarded-Proto'],
    ['Tags with an empty name', 'stray object'],
    ['the cleanup policy didn’t delete a tag', '--gitlab-policy'],
    ['error parsing HTTP 403 response body: unexpected end of JSON input: ""', 's3:GetObject'],
    ['Errno::ENOENT (No such file or directory @ rb_sysopen - gitlab-registry.key)', 'disabled'],
    ['connect() failed (111: Connection refused) while connecting to upstream', '127.0.0.1:5000'],
    ['502 Bad Gateway … a registry that uses GCS as the backend', 'GODEBUG'],
    [
      'error during connect: Get http://docker:2376/v1.39/info: dial tcp: lookup docker on 192.168.0.1:53: no such host',
      'docker:dind',
    ],
    ['200 OK, the body might have the error AccessDenied', 's3:DeleteObject'],
    ['Tags temporarily cannot be marked for deletion', 'metadata database'],
    ['unauthorized: authentication required', 'expired'],
    [
      'Moving or renaming existing Container Registry repositories is not supported',
      'stored under the path',
    ],
    ['Something went wrong while updating the cleanup policy.', 'RE2'],
    ['denied: requested access to the resource is denied', 'write_registry'],
    [
      '{"errors":[{"code":"PROTECTED_TAG","message":"insufficient permissions to alter tag"}]}',
      'rule',
    ],
    ['Rename Not Supported', 'Redis'],
    ['special characters in either the group, project, or branch name', 'leading underscore'],
    [
      'グループ名、プロジェクト名、ブランチ名のいずれかに特殊文字が含まれている場合',
      'leading underscore',
    ],
    ['There may be a delay while the images are queued and deleted.', 'background'],
    ['Deleting images is a destructive action and can’t be undone.', 'undo file'],
    ['received unexpected HTTP status: 502 Bad Gateway', 'does not reach it'],
    ['mitmproxy --port 9000', '--debug'],
    ['NoCredentialProviders: no valid providers in chain', 's3:ListBucket'],
    ['any tags that use the same image ID as the latest tag are not deleted', 'latest'],
    ['reg rm -d --auth-url $CI_REGISTRY', 'same digest'],
    ['the image path has changed', 'transship refs'],
    ['should never have a stale image', 'by digest'],
    ['バージョン1のイメージ', '--convert-schema1'],
    ['\u001b[31munauthorized:\u001b[0m   authentication\n  required', 'expired'],
  ])('knows %s', async (text, word) => {
    const found = await explained(text);
    const first = JSON.stringify(found[0] ?? {});
    expect(found.length).toBeGreaterThan(0);
    expect(first).toContain(word);
  });

  test('knows every code, alone and in a pasted error', async () => {
    const all = await explained('');
    expect(all.map(({about}) => about).toSorted()).toEqual(Object.keys(ERROR_CODES).toSorted());
    for (const {about, exit} of all)
      expect(exit).toBe(ERROR_CODES[about as keyof typeof ERROR_CODES]);
    const [pasted] = await explained(
      'error: a/b:c does not exist [TAG_NOT_FOUND]\n side: the source',
    );
    expect(pasted?.about).toBe('TAG_NOT_FOUND');
    const run = await transship(['explain', 'UPLOAD_LOST']);
    expect(run.stdout).toMatch(/^UPLOAD_LOST \(exit 1\)\n {2}means {2}.+\n {2}to do {2}.+\n$/);
  });

  test('reads a pipe, and says what it does not know', async () => {
    const piped = await transship(['explain', '-'], {stdin: 'denied: access forbidden\n'});
    expect(piped.stdout).toContain('read_registry');
    const unknown = await transship(['explain', 'what is this']);
    expect([unknown.code, unknown.stdout.includes('Nothing is known')]).toEqual([1, true]);
  });
});

/** `vitest -u` writes the page anew from the catalogue. */
test('docs/errors.md has the table of the catalogue', async () => {
  const page = new URL('../../docs/errors.md', import.meta.url);
  const text = await readFile(page, 'utf8');
  const rows = CODE_ENTRIES.map(({codes, meaning, remedy}) => {
    const names = codes.map((code) => `\`${code}\``).join(', ');
    return `| ${names} | ${ERROR_CODES[codes[0] ?? 'INTERNAL']} | ${meaning} | ${remedy} |`;
  });
  const table = ['| code | exit | meaning | what to do |', '| --- | --- | --- | --- |', ...rows];
  const before = text.slice(0, text.indexOf('| code | exit |'));
  await expect(`${before}${table.join('\n')}\n`).toMatchFileSnapshot(page.pathname);
});
