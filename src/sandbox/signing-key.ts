import {createHash, generateKeyPairSync, type KeyObject, randomBytes, sign} from 'node:crypto';

/** The key that signs tokens (ES256), generated at each start. */
export interface SigningKey {
  readonly id: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** For a registry's REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE. */
  readonly certificatePem: string;
}

export function makeSigningKey(): SigningKey {
  const {privateKey, publicKey} = generateKeyPairSync('ec', {namedCurve: 'P-256'});
  const certificatePem = selfSignedCertificate('transship sandbox', {privateKey, publicKey});
  return {id: keyId(publicKey), privateKey, publicKey, certificatePem};
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/**
 * The id with which distribution finds the key in its certificates: 240 bits of the sha256 of the public key, in
 * base32, in groups of four (libtrust: util.go, `keyIDFromCryptoKey`).
 */
function keyId(publicKey: KeyObject): string {
  const encoded = publicKey.export({type: 'spki', format: 'der'});
  const bits = [...createHash('sha256').update(encoded).digest().subarray(0, 30)]
    .map((byte) => byte.toString(2).padStart(8, '0'))
    .join('');
  const letters = (bits.match(/.{5}/g) ?? []).map((five) =>
    BASE32.charAt(Number.parseInt(five, 2)),
  );
  return (letters.join('').match(/.{4}/g) ?? []).join(':');
}

// DER tags (X.690).
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OBJECT_ID = 0x06;
const UTF8_STRING = 0x0c;
const GENERALIZED_TIME = 0x18;
const SEQUENCE = 0x30;
const SET = 0x31;
const EXPLICIT_0 = 0xa0;

/** 1.2.840.10045.4.3.2, ecdsa-with-SHA256 (RFC 5758). */
const ECDSA_WITH_SHA256 = der(
  SEQUENCE,
  der(OBJECT_ID, Buffer.from([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02])),
);
/** 2.5.4.3, the common name. */
const COMMON_NAME = der(OBJECT_ID, Buffer.from([0x55, 0x04, 0x03]));
const VERSION_3 = der(EXPLICIT_0, der(INTEGER, Buffer.from([2])));

/**
 * A minimal certificate (RFC 5280) that binds `name` to the public key: registries require the key of a token service
 * in this form. Valid from 2000 to 9999, because it lives only as long as the process.
 * @returns PEM
 */
function selfSignedCertificate(
  name: string,
  {privateKey, publicKey}: {readonly privateKey: KeyObject; readonly publicKey: KeyObject},
): string {
  const subject = der(
    SEQUENCE,
    der(SET, der(SEQUENCE, COMMON_NAME, der(UTF8_STRING, Buffer.from(name)))),
  );
  const validity = der(SEQUENCE, time('20000101000000Z'), time('99991231235959Z'));
  const toBeSigned = der(
    SEQUENCE,
    VERSION_3,
    // The first bit is cleared and the second set, so the number is positive and needs no padding.
    der(INTEGER, Buffer.concat([Buffer.from([0x40]), randomBytes(15)])),
    ECDSA_WITH_SHA256,
    subject,
    validity,
    subject,
    publicKey.export({type: 'spki', format: 'der'}),
  );
  const signature = sign('sha256', toBeSigned, privateKey);
  const unusedBits = Buffer.from([0]);
  const certificate = der(
    SEQUENCE,
    toBeSigned,
    ECDSA_WITH_SHA256,
    der(BIT_STRING, unusedBits, signature),
  );
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}

function time(text: string): Buffer {
  return der(GENERALIZED_TIME, Buffer.from(text));
}

function der(tag: number, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content);
  return Buffer.concat([Buffer.from([tag, ...lengthOctets(body.length)]), body]);
}

function lengthOctets(length: number): number[] {
  if (length < 0x80) return [length];
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest >>>= 8) octets.unshift(rest & 0xff);
  return [0x80 | octets.length, ...octets];
}
