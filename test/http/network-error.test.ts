import {describe, expect, it} from 'vitest';
import {networkError} from '../../src/http/network-error.ts';
import {TransshipError} from '../../src/model/error.ts';
import {NEVER} from '../support/streams.ts';

const request = {
  method: 'GET',
  url: new URL('https://registry.example/v2/a/manifests/1?token=secret'),
  side: 'destination',
  signal: NEVER,
} as const;

const withCode = (code: string, cause?: unknown) =>
  Object.assign(new Error(`it says ${code}`, {cause}), {code});

describe('networkError', () => {
  it.each([
    ['ENOTFOUND', 'HOST_NOT_FOUND', false],
    ['EAI_AGAIN', 'HOST_NOT_FOUND', true],
    ['ECONNREFUSED', 'CONNECTION_FAILED', true],
    ['ECONNRESET', 'CONNECTION_FAILED', true],
    ['EPIPE', 'CONNECTION_FAILED', true],
    ['UND_ERR_SOCKET', 'CONNECTION_FAILED', true],
    ['UND_ERR_DESTROYED', 'CONNECTION_FAILED', false],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'CONNECTION_FAILED', false],
    ['ETIMEDOUT', 'TIMEOUT', true],
    ['UND_ERR_CONNECT_TIMEOUT', 'TIMEOUT', true],
    ['UND_ERR_HEADERS_TIMEOUT', 'TIMEOUT', true],
    ['UND_ERR_BODY_TIMEOUT', 'TIMEOUT', true],
    ['CERT_HAS_EXPIRED', 'TLS_CERTIFICATE', false],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'TLS_CERTIFICATE', false],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'TLS_CERTIFICATE', false],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'TLS_CERTIFICATE', false],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'TLS_CERTIFICATE', false],
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'TLS_CERTIFICATE', false],
    ['UND_ERR_HEADERS_OVERFLOW', 'RESPONSE_INVALID', false],
    ['WHO_KNOWS', 'CONNECTION_FAILED', true],
  ])('explains %s as %s', (code, expected, retry) => {
    const error = networkError(withCode(code), request);
    expect(error).toMatchObject({code: expected, retry, side: 'destination'});
    expect(error.message).toContain(`https://registry.example/v2/a/manifests/1`);
    expect(error.message).toContain(code);
    expect(error.message).not.toContain('secret');
    expect(error.hint).not.toBe('');
  });

  it('looks for the reason behind what undici wraps', () => {
    const wrapped = withCode('UND_ERR_SOCKET', withCode('ECONNRESET'));
    expect(networkError(wrapped, request).message).toContain('ECONNRESET');
    const several = new AggregateError([withCode('ECONNREFUSED')]);
    expect(networkError(several, request).message).toContain('ECONNREFUSED');
  });

  it('leaves an error of ours as it is', () => {
    const ours = new TransshipError('BLOB_DIGEST_MISMATCH', 'no', {side: 'source', hint: 'no'});
    expect(networkError(ours, request)).toBe(ours);
  });

  it('throws the reason of an abort', () => {
    const reason = new Error('enough');
    const signal = AbortSignal.abort(reason);
    expect(() => networkError(withCode('UND_ERR_ABORTED'), {...request, signal})).toThrow(reason);
  });
});
