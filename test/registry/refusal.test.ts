import {describe, expect, it} from 'vitest';
import {HttpClient} from '../../src/http/client.ts';
import {type RegistryRefusalContext, registryRefusal} from '../../src/registry/refusal.ts';
import {startHttpServer} from '../support/http-server.ts';
import {NEVER} from '../support/streams.ts';

const withCode = (code: string, detail?: unknown) =>
  JSON.stringify({errors: [{code, message: 'the words', detail}]});

async function refusalOf(
  status: number,
  body: string,
  headers: Record<string, string> = {},
  context: RegistryRefusalContext = {},
) {
  await using server = await startHttpServer((_request, response) => {
    response.writeHead(status, {'content-type': 'application/json', ...headers}).end(body);
  });
  const retry = {attempts: 1, attemptsAt500: 1, baseMs: 1, capMs: 1, budgetMs: 1};
  await using http = new HttpClient({retry});
  const url = new URL(`${server.url}/v2/a?_state=secret`);
  const answer = await http.send({method: 'GET', url, side: 'destination', signal: NEVER});
  return registryRefusal(answer, context);
}

describe('registryRefusal', () => {
  it.each([
    [401, withCode('UNAUTHORIZED'), 'UNAUTHORIZED', false],
    [401, withCode('PROTECTED_TAG'), 'PROTECTED', false],
    [401, withCode('IMMUTABLE_TAG'), 'PROTECTED', false],
    [401, withCode('PROTECTED_MANIFEST'), 'PROTECTED', false],
    [403, withCode('DENIED'), 'FORBIDDEN', false],
    [403, '', 'FORBIDDEN', false],
    [404, withCode('NAME_UNKNOWN'), 'REPOSITORY_NOT_FOUND', false],
    [404, withCode('MANIFEST_UNKNOWN'), 'MANIFEST_NOT_FOUND', false],
    [404, withCode('BLOB_UNKNOWN'), 'BLOB_NOT_FOUND', false],
    [404, withCode('BLOB_UPLOAD_UNKNOWN'), 'UPLOAD_LOST', true],
    [404, 'not found', 'NOT_A_REGISTRY', false],
    [405, withCode('UNSUPPORTED'), 'UNSUPPORTED_BY_REGISTRY', false],
    [400, withCode('MANIFEST_BLOB_UNKNOWN'), 'MANIFEST_PARTS_MISSING', false],
    [400, withCode('MANIFEST_INVALID'), 'REGISTRY_REFUSED', false],
    [400, withCode('DIGEST_INVALID'), 'BLOB_DIGEST_MISMATCH', true],
    [409, withCode('RENAME_IN_PROGRESS'), 'REGISTRY_UNAVAILABLE', true],
    [413, '<html>', 'PAYLOAD_TOO_LARGE', false],
    [416, '', 'UPLOAD_OFFSET_REFUSED', true],
    [429, withCode('TOOMANYREQUESTS'), 'RATE_LIMITED', true],
    [500, withCode('UNKNOWN'), 'REGISTRY_UNAVAILABLE', true],
    [502, '<html>', 'REGISTRY_UNAVAILABLE', true],
    [503, withCode('UNAVAILABLE'), 'REGISTRY_UNAVAILABLE', true],
    [200, '<html>', 'NOT_A_REGISTRY', false],
  ])('explains %i %s', async (status, body, code, retry) => {
    expect(await refusalOf(status, body)).toMatchObject({code, retry, status, side: 'destination'});
  });

  it('quotes the registry, and nothing of the query', async () => {
    const error = await refusalOf(
      400,
      withCode('MANIFEST_INVALID', {reason: 'unknown media type: x'}),
    );
    expect(error.message).toContain(
      'MANIFEST_INVALID: the words: {"reason":"unknown media type: x"}',
    );
    expect(error.message).not.toContain('secret');
  });

  it('quotes no more than a line, and nothing that fools a terminal', async () => {
    const error = await refusalOf(400, `\u001b[31m\n\u202e${'words '.repeat(10_000)}`);
    expect(error.message).not.toMatch(/\p{C}/u);
    expect(error.message.length).toBeLessThan(300);
  });

  it('sees a part that is missing, whatever is said before of its link', async () => {
    const codes = ['DIGEST_INVALID', 'MANIFEST_BLOB_UNKNOWN'].map((code) => ({
      code,
      message: code,
    }));
    const body = JSON.stringify({errors: codes});
    const error = await refusalOf(400, body, {}, {putsManifest: true});
    expect(error.code).toBe('MANIFEST_PARTS_MISSING');
  });

  it('names what to check where uploads are lost again and again', async () => {
    const error = await refusalOf(404, withCode('BLOB_UPLOAD_UNKNOWN'));
    expect(error.hint).toContain('http.secret');
  });

  it('reports how long to wait', async () => {
    const error = await refusalOf(429, '', {'retry-after': '7'});
    expect(error.retryAfterMs).toBe(7000);
  });
});
