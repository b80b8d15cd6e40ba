import {createPrivateKey, X509Certificate} from 'node:crypto';
import {TransshipError} from '../model/error.ts';
import {readRegular} from './regular-file.ts';

/** A bundle of all public authorities has about 250 KB. */
const FILE_LIMIT = 8 * 1024 * 1024;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** A client's certificate chain and its key, PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/**
 * Reads the certificates of a PEM file, each checked to be one.
 * @throws TransshipError TLS_FILE_INVALID
 */
export async function readCertificates(file: string): Promise<readonly string[]> {
  const blocks = (await readPem(file)).match(CERTIFICATE) ?? [];
  if (blocks.length === 0) throw invalid(file, 'has no certificate in PEM form');
  for (const block of blocks) parseCertificate(file, block);
  return blocks;
}

/**
 * Reads a client's certificate and its key, and checks that they belong together.
 * @throws TransshipError TLS_FILE_INVALID
 */
export async function readKeyPair(certFile: string, keyFile: string): Promise<KeyPair> {
  const chain = await readCertificates(certFile);
  const key = await readPem(keyFile);
  const leaf = parseCertificate(certFile, chain[0] ?? '');
  if (!leaf.checkPrivateKey(parseKey(keyFile, key))) {
    throw invalid(keyFile, `is not the key of the certificate in ${certFile}`);
  }
  return {cert: chain.join('\n'), key};
}

async function readPem(file: string): Promise<string> {
  try {
    return (await readRegular(file, FILE_LIMIT)).toString();
  } catch (error) {
    const {code, message} = error as NodeJS.ErrnoException;
    throw invalid(file, code === undefined ? message : `cannot be read (${code})`, error);
  }
}

function parseCertificate(file: string, pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw invalid(file, 'has a certificate that cannot be parsed', error);
  }
}

/** OpenSSL's words are not passed on as the cause: nothing of a key may come near a log. */
function parseKey(file: string, pem: string): ReturnType<typeof createPrivateKey> {
  try {
    return createPrivateKey(pem);
  } catch {
    const encrypted = pem.includes('ENCRYPTED');
    throw invalid(
      file,
      encrypted
        ? 'is protected by a passphrase; write it without one, readable by you alone'
        : 'has no private key in PEM form',
    );
  }
}

function invalid(file: string, why: string, cause?: unknown): TransshipError {
  return new TransshipError('TLS_FILE_INVALID', `${file} ${why}`, {
    side: 'local',
    hint: 'give files in PEM form: authorities as .crt, client certificates as .cert with their .key beside them',
    cause,
  });
}
