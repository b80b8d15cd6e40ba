import {mkdir, writeFile} from 'node:fs/promises';
import {once} from 'node:events';
import {createServer, type ServerOptions} from 'node:https';
import type {AddressInfo} from 'node:net';
import {join} from 'node:path';
import {rootCertificates, type TLSSocket} from 'node:tls';
import {afterAll, beforeAll, expect, test} from 'vitest';
import {HttpClient} from '../../src/http/client.ts';
import {HostSet} from '../../src/http/host-set.ts';
import type {HttpRequest} from '../../src/http/request.ts';
import {secureOptions, type TlsFiles, tlsFromFiles} from '../../src/http/tls.ts';
import {type TestAuthority, testAuthority} from '../support/certificates.ts';
import {tempDirectory} from '../support/temp.ts';

let tls: TestAuthority;
beforeAll(async () => {
  tls = await testAuthority();
});
afterAll(() => tls[Symbol.asyncDispose]());

interface TlsServer extends AsyncDisposable {
  readonly host: string;
}

/** Answers 200; where it asks for a client certificate and gets none, 403. */
async function tlsServer(options: ServerOptions = {}): Promise<TlsServer> {
  const {cert, key} = tls.server;
  const server = createServer({cert, key, ...options}, (request, response) => {
    const known = !options.requestCert || (request.socket as TLSSocket).authorized;
    response.writeHead(known ? 200 : 403).end();
  });
  server.on('tlsClientError', () => undefined);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** The status of one request made with these files. */
async function statusOf(host: string, files: Partial<TlsFiles>): Promise<number> {
  const connectOptions = tlsFromFiles({certsDirs: [], insecure: insecure(), ...files});
  await using client = new HttpClient({settings: {connectOptions, proxyFor: () => undefined}});
  const answer = await client.send({
    method: 'GET',
    url: new URL(`https://${host}/v2/`),
    side: 'source',
    signal: AbortSignal.timeout(30_000),
  });
  await answer.discard();
  return answer.status;
}

function insecure(...hosts: string[]): HostSet {
  return new HostSet('--insecure', hosts);
}

/** A `certs.d` with one directory of these files. */
async function certsDir(
  parent: string,
  host: string,
  files: Record<string, string>,
): Promise<string> {
  await mkdir(join(parent, host), {recursive: true});
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(parent, host, name), content);
  }
  return parent;
}

test('a certificate of an unknown authority is refused', async () => {
  await using server = await tlsServer();
  await expect(statusOf(server.host, {})).rejects.toMatchObject({
    code: 'TLS_CERTIFICATE',
    side: 'source',
    retry: false,
  });
});

test('--ca-file makes its authority trusted', async () => {
  await using server = await tlsServer();
  expect(await statusOf(server.host, {caFile: tls.authority.certFile})).toBe(200);
});

test('a certificate for another name is refused though its authority is trusted', async () => {
  const {cert, key} = tls.otherServer;
  await using server = await tlsServer({cert, key});
  await expect(statusOf(server.host, {caFile: tls.authority.certFile})).rejects.toMatchObject({
    code: 'TLS_CERTIFICATE',
  });
});

test('hosts without their own files share the parsed authorities', async () => {
  await using temp = await tempDirectory();
  const dir = await certsDir(temp.path, 'own.test', {'ca.crt': tls.authority.cert});
  const connectOptions = tlsFromFiles({certsDirs: [dir], insecure: insecure('any.test')});
  const hosts = ['one.test', 'two.test:5000', 'own.test', 'any.test'];
  const [one, two, ...others] = await Promise.all(
    hosts.map(async (host) => secureOptions(await connectOptions(`https://${host}`))),
  );
  expect(one?.secureContext).toBe(two?.secureContext);
  for (const other of others) expect(other.secureContext).not.toBe(one?.secureContext);
});

test('a .crt in the directory of the host is trusted for that host', async () => {
  await using server = await tlsServer();
  await using temp = await tempDirectory();
  const dir = await certsDir(temp.path, server.host, {'ca.crt': tls.authority.cert});
  expect(await statusOf(server.host, {certsDirs: [temp.join('none'), dir]})).toBe(200);
});

test('a .crt in the directory of another port of the host is not trusted', async () => {
  await using server = await tlsServer();
  await using temp = await tempDirectory();
  const dir = await certsDir(temp.path, '127.0.0.1', {'ca.crt': tls.authority.cert});
  await expect(statusOf(server.host, {certsDirs: [dir]})).rejects.toMatchObject({
    code: 'TLS_CERTIFICATE',
  });
});

test('a server that wants a client certificate gets the one of the directory', async () => {
  const ca = tls.authority.cert;
  await using server = await tlsServer({requestCert: true, rejectUnauthorized: false, ca});
  await using temp = await tempDirectory();
  const pair = {'me.cert': tls.client.cert, 'me.key': tls.client.key};
  const without = await certsDir(temp.join('without'), server.host, {'ca.crt': ca});
  const withPair = await certsDir(temp.join('with'), server.host, {'ca.crt': ca, ...pair});
  expect(await statusOf(server.host, {certsDirs: [without]})).toBe(403);
  expect(await statusOf(server.host, {certsDirs: [withPair]})).toBe(200);
});

test('--insecure takes any certificate, from that host only', async () => {
  await using server = await tlsServer();
  await using other = await tlsServer();
  const files = {insecure: insecure(server.host)};
  expect(await statusOf(server.host, files)).toBe(200);
  await expect(statusOf(other.host, files)).rejects.toMatchObject({code: 'TLS_CERTIFICATE'});
});

test('the public authorities stay trusted beside --ca-file', async () => {
  const connectOptions = tlsFromFiles({
    caFile: tls.authority.certFile,
    certsDirs: [],
    insecure: insecure(),
  });
  const {ca = []} = await connectOptions('https://registry.example.com');
  expect(ca).toContain(tls.authority.cert.trim());
  expect(ca).toContain(rootCertificates[0]);
  expect(new Set(ca).size).toBe(ca.length);
});

test.each([
  ['https://registry-1.docker.io', 'docker.io'],
  ['https://registry.example.com', 'registry.example.com:443'],
  ['https://registry.example.com:5050', 'registry.example.com:5050'],
])('%s has the directory %s', async (origin, directory) => {
  await using temp = await tempDirectory();
  const dir = await certsDir(temp.path, directory, {'ca.crt': tls.authority.cert});
  const {ca} = await tlsFromFiles({certsDirs: [dir], insecure: insecure()})(origin);
  expect(ca).toContain(tls.authority.cert.trim());
});

interface Broken {
  readonly what: string;
  readonly files: (tls: TestAuthority) => Record<string, string>;
  /** The file that the message must name, and why. */
  readonly says: readonly [file: string, why: string];
}

test.each<Broken>([
  {
    what: 'a .cert alone',
    files: ({client}) => ({'me.cert': client.cert}),
    says: ['me.cert', 'me.key'],
  },
  {
    what: 'a .key alone',
    files: ({client}) => ({'me.key': client.key}),
    says: ['me.key', 'me.cert'],
  },
  {what: 'no PEM', files: () => ({'ca.crt': 'hello'}), says: ['ca.crt', 'no certificate']},
  {
    what: 'a broken certificate',
    files: ({authority}) => ({'ca.crt': authority.cert.replace(/\n\w{30}/, '\n')}),
    says: ['ca.crt', 'cannot be parsed'],
  },
  {
    what: 'the key of another certificate',
    files: ({client, server}) => ({'me.cert': client.cert, 'me.key': server.key}),
    says: ['me.key', 'is not the key of'],
  },
  {
    what: 'a certificate in place of the key',
    files: ({client}) => ({'me.cert': client.cert, 'me.key': client.cert}),
    says: ['me.key', 'no private key'],
  },
])('$what is reported with the name of the file', async ({files, says: [file, why]}) => {
  await using temp = await tempDirectory();
  const dir = await certsDir(temp.path, 'registry.example.com', files(tls));
  const found = tlsFromFiles({certsDirs: [dir], insecure: insecure()})(
    'https://registry.example.com',
  );
  await expect(found).rejects.toMatchObject({code: 'TLS_FILE_INVALID', side: 'local'});
  await expect(found).rejects.toThrow(temp.join('registry.example.com', file));
  await expect(found).rejects.toThrow(why);
});

test('an absent --ca-file is reported with its name', async () => {
  const connectOptions = tlsFromFiles({
    caFile: '/none/ca.pem',
    certsDirs: [],
    insecure: insecure(),
  });
  await expect(connectOptions('https://registry.example.com')).rejects.toMatchObject({
    code: 'TLS_FILE_INVALID',
    message: '/none/ca.pem cannot be read (ENOENT)',
  });
});

test.each(['TLSv1.2', 'TLSv1.3'] as const)(
  'a server that hangs up on clients without a certificate is told as one (%s)',
  async (maxVersion) => {
    const {cert: ca} = tls.authority;
    await using server = await tlsServer({requestCert: true, rejectUnauthorized: true, maxVersion});
    const connectOptions = () => Promise.resolve({ca: [ca]});
    await using client = new HttpClient({settings: {connectOptions, proxyFor: () => undefined}});
    const sending = client.send({
      method: 'GET',
      url: new URL(`https://${server.host}/v2/`),
      side: 'source',
      signal: AbortSignal.timeout(30_000),
      attempts: 1,
    });
    await expect(sending).rejects.toMatchObject({
      hint: expect.stringContaining('client certificate'),
    });
  },
);

test('a session is resumed where a connection is made again', async () => {
  const resumed: boolean[] = [];
  const {cert, key} = tls.server;
  const server = createServer({cert, key}, (request, response) => {
    resumed.push((request.socket as TLSSocket).isSessionReused());
    response.writeHead(200, {connection: 'close'}).end();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const {port} = server.address() as AddressInfo;
  await using client = clientTrusting(tls);
  for (let round = 0; round < 2; round += 1)
    await (await client.send(get(`https://127.0.0.1:${port}/`))).discard();
  expect(resumed).toEqual([false, true]);
  server.close();
});

test.each(['TLSv1.2', 'TLSv1.3'] as const)(
  'a session of a server with another name is not resumed: it is refused again (%s)',
  async (maxVersion) => {
    const {cert, key} = tls.otherServer;
    await using server = await tlsServer({cert, key, maxVersion});
    await using client = clientTrusting(tls);
    for (let round = 0; round < 3; round += 1)
      await expect(client.send(get(`https://${server.host}/`))).rejects.toMatchObject({
        code: 'TLS_CERTIFICATE',
      });
  },
);

function clientTrusting({authority}: TestAuthority): HttpClient {
  const connectOptions = () => Promise.resolve({ca: [authority.cert]});
  return new HttpClient({settings: {connectOptions, proxyFor: () => undefined}});
}

function get(url: string): HttpRequest {
  const signal = AbortSignal.timeout(30_000);
  return {method: 'GET', url: new URL(url), side: 'source', signal, attempts: 1};
}
