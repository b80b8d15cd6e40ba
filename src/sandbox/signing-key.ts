import {createHash, generateKeyPairSync, type KeyObject} from 'node:crypto';
import {selfSignedCertificate} from './certificate.ts';

/** What tokens are signed with (ES256), made anew at each start. */
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
 * The name by which distribution finds the key in its certificates: 240 bits of the sha256 of the public key, in
 * base32, in groups of four (libtrust, key.go, `keyIDFromCryptoKey`).
 */
function keyId(publicKey: KeyObject): string {
  const der = publicKey.export({type: 'spki', format: 'der'});
  const bits = [...createHash('sha256').update(der).digest().subarray(0, 30)]
    .map((byte) => byte.toString(2).padStart(8, '0'))
    .join('');
  const letters = (bits.match(/.{5}/g) ?? []).map((five) =>
    BASE32.charAt(Number.parseInt(five, 2)),
  );
  return (letters.join('').match(/.{4}/g) ?? []).join(':');
}
