import {readFile} from 'node:fs/promises';
import {runProgram} from './program.ts';
import {type TempDirectory, tempDirectory} from './temp.ts';

/** A certificate and its key, as files and as text, PEM. */
export interface TestCertificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

/** An authority of the tests and what it signed. Its files are gone when it is disposed of. */
export interface TestAuthority extends AsyncDisposable {
  readonly directory: TempDirectory;
  readonly authority: TestCertificate;
  /** For servers on localhost and 127.0.0.1. */
  readonly server: TestCertificate;
  /** For servers on localhost, but by no address. */
  readonly namedServer: TestCertificate;
  /** For a server of another name. */
  readonly otherServer: TestCertificate;
  readonly client: TestCertificate;
}

/** Makes keys and certificates with openssl, valid for a day. */
export async function testAuthority(): Promise<TestAuthority> {
  const directory = await tempDirectory();
  const authority = await makeCertificate(directory, 'authority', {});
  const sign = (name: string, extendedKeyUsage: string, subjectAltName: string) =>
    makeCertificate(
      directory,
      name,
      {basicConstraints: 'critical,CA:FALSE', extendedKeyUsage, subjectAltName},
      authority,
    );
  return {
    directory,
    authority,
    server: await sign('server', 'serverAuth', 'DNS:localhost,IP:127.0.0.1'),
    namedServer: await sign('named-server', 'serverAuth', 'DNS:localhost'),
    otherServer: await sign('other-server', 'serverAuth', 'DNS:other.test'),
    client: await sign('client', 'clientAuth', 'DNS:client.test'),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

async function makeCertificate(
  directory: TempDirectory,
  name: string,
  extensions: Readonly<Record<string, string>>,
  signer?: TestCertificate,
): Promise<TestCertificate> {
  const certFile = directory.join(`${name}.pem`);
  const keyFile = directory.join(`${name}-key.pem`);
  const options = {subj: `/CN=test ${name}`, days: '1', keyout: keyFile, out: certFile};
  const {code, stderr} = await runProgram('openssl', [
    ...'req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1'.split(' '),
    ...Object.entries(options).flatMap(([option, value]) => [`-${option}`, value]),
    ...Object.entries(extensions).flatMap(([key, value]) => ['-addext', `${key}=${value}`]),
    ...(signer ? ['-CA', signer.certFile, '-CAkey', signer.keyFile] : []),
  ]);
  if (code !== 0) throw new Error(`openssl cannot make ${name}: ${stderr}`);
  const [cert = '', key = ''] = await Promise.all(
    [certFile, keyFile].map((file) => readFile(file, 'utf8')),
  );
  return {certFile, keyFile, cert, key};
}
