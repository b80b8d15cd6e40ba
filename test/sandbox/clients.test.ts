import {writeFile} from 'node:fs/promises';
import {describe, expect, test} from 'vitest';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {startTokenServer} from '../../src/sandbox/tokens.ts';
import {startDockerRegistry} from '../support/docker-registry.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {verifyLayout} from '../support/independent.ts';
import {skopeo} from '../support/skopeo.ts';
import {tempDirectory} from '../support/temp.ts';

const USERS = [
  {name: 'ada', password: 'pass', grants: [{repository: 'group/**', actions: ['*']}]},
] as const;

describe('skopeo', () => {
  test('logs in, pushes, lists, inspects, pulls and deletes by token', async () => {
    await using sandbox = await startSandbox({auth: {kind: 'token', users: USERS}});
    await using temp = await tempDirectory();
    const authfile = `--authfile=${temp.join('auth.json')}`;
    const image = `docker://${sandbox.host}/group/busybox`;
    const run = async (...args: string[]) => skopeo([...args, authfile]);
    const login = (password: string) =>
      run('login', '--tls-verify=false', '-u', 'ada', '-p', password, sandbox.host);
    expect((await login('wrong')).stderr).toContain('invalid username/password');
    expect(await login('pass')).toMatchObject({code: 0});

    const layout = `oci:${layoutDirectory('busybox')}:latest`;
    const pushed = await run('copy', '--all', '--dest-tls-verify=false', layout, `${image}:latest`);
    expect(pushed).toMatchObject({code: 0});
    const denied = `docker://${sandbox.host}/other/busybox:latest`;
    expect((await run('copy', '--dest-tls-verify=false', layout, denied)).code).toBe(1);

    const listed = await run('list-tags', '--tls-verify=false', image);
    expect(JSON.parse(listed.stdout)).toMatchObject({Tags: ['latest']});
    const inspected = await run('inspect', '--raw', '--tls-verify=false', `${image}:latest`);
    expect(JSON.parse(inspected.stdout)).toMatchObject({schemaVersion: 2});

    const copy = `oci:${temp.join('copy')}:latest`;
    const pulled = await run('copy', '--all', '--src-tls-verify=false', `${image}:latest`, copy);
    expect(pulled).toMatchObject({code: 0});
    const again = await run('inspect', '--raw', copy);
    expect(again.stdout).toBe(inspected.stdout);

    expect(await run('delete', '--tls-verify=false', `${image}:latest`)).toMatchObject({code: 0});
    const after = await run('list-tags', '--tls-verify=false', image);
    expect(JSON.parse(after.stdout)).toMatchObject({Tags: []});
  });
});

describe('docker-registry', () => {
  test('takes the tokens of the token service', async () => {
    await using tokens = await startTokenServer({users: USERS});
    await using temp = await tempDirectory();
    const rootcertbundle = temp.join('tokens.pem');
    await writeFile(rootcertbundle, tokens.certificatePem);
    const {realm, service, issuer} = tokens;
    await using registry = await startDockerRegistry({
      tokenAuth: {realm, service, issuer, rootcertbundle},
    });
    const push = (repository: string) =>
      skopeo([
        'copy',
        '--all',
        '--dest-tls-verify=false',
        '--dest-creds=ada:pass',
        `oci:${layoutDirectory('busybox')}:latest`,
        `docker://${registry.host}/${repository}:latest`,
      ]);
    expect(await push('group/busybox')).toMatchObject({code: 0});
    expect(await push('other/busybox')).toMatchObject({code: 1});

    const scope = 'repository:group/busybox:pull';
    const answer = await fetch(`${realm}?service=${service}&scope=${scope}`, {
      headers: {authorization: `Basic ${Buffer.from('ada:pass').toString('base64')}`},
    });
    const {token} = (await answer.json()) as {token: string};
    const found = await verifyLayout(layoutDirectory('busybox'), registry.url, 'group/busybox', {
      tags: ['latest'],
      authorization: `Bearer ${token}`,
    });
    expect(found.problems).toEqual([]);
  });
});
