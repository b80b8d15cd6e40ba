import {writeFile} from 'node:fs/promises';
import type {ServerResponse} from 'node:http';
import {describe, expect, test} from 'vitest';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {loadLayout} from '../../src/sandbox/load-layout.ts';
import {type Intercept, jsonReply} from '../../src/sandbox/exchange.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {type ArrivedRequest, sendError, sendJson, startHttpServer} from '../support/http-server.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

async function startSource(intercept: Intercept = (_, next) => next()) {
  const source = await startSandbox({intercept});
  await loadLayout(source.storage, layoutDirectory('helm'), 'in' as RepositoryPath);
  return source;
}

const lines = (text: string): readonly string[] => text.trimEnd().split('\n');

describe('--debug', () => {
  test('shows requests, responses, redirects and the reasons of retries', async () => {
    await using storage = await startHttpServer((_request, response) =>
      sendError(response, 403, 'X'),
    );
    let refusals = 0;
    await using source = await startSource(async ({route, method}, next) => {
      if (route.kind === 'tags' && refusals++ === 0)
        return jsonReply(503, {errors: [{code: 'UNAVAILABLE', message: 'busy'}]});
      if (route.kind !== 'blob' || method !== 'GET') return next();
      return {status: 307, headers: {location: `${storage.url}/b?x=1`, 'content-length': '0'}};
    });
    await using target = await startSandbox();
    const places = [`${source.host}/in`, `${target.host}/out`];
    const {stderr} = await transship(['copy', ...places, '--debug']);
    const said = lines(stderr).map((line) => line.replace(/^\d\d:\d\d:\d\d\.\d{3} /, ''));
    const tags = `http://${source.host}/v2/in/tags/list?n=1000`;
    const [first = '0'] = said.flatMap((line) => /^#(\d+) > GET \S*in\/tags/.exec(line)?.[1] ?? []);
    expect(said).toContain(`#${first} > GET ${tags}`);
    expect(said).toEqual(
      expect.arrayContaining([
        expect.stringMatching(
          new RegExp(`^#${first} < 503 in \\d+ ms from ${source.host}, (new|reused) connection$`),
        ),
        expect.stringContaining('"message":"busy"'),
        expect.stringMatching(
          /^retry in \d+ ms: GET \S+tags\S+: attempt 1 failed: .* answered 503$/,
        ),
        `   location: ${storage.url}/b?x=REDACTED`,
        expect.stringMatching(new RegExp(`^#\\d+ > GET ${storage.url}/b\\?x=REDACTED$`)),
        expect.stringMatching(/^#\d+ = 642 bytes in \d+ ms$/),
        expect.stringContaining('manifest.v1+json'),
      ]),
    );
    // Two requests and more over one connection.
    expect(said.some((line) => line.endsWith('reused connection'))).toBe(true);
    const quiet = await transship(['copy', ...places]);
    expect(quiet.stderr).not.toContain('#1 >');
  });

  test('says through which proxy, and why a connection failed', async () => {
    await using proxy = await startHttpServer((_request, response) => {
      response.destroy();
    });
    const env = {HTTP_PROXY: `http://ada:hunter22@${proxy.host}`};
    const args = ['copy', 'registry.test/a', '127.0.0.1:1/b', '--plain-http', 'registry.test'];
    const {stderr} = await transship([...args, '--debug'], {env});
    expect(stderr).toContain(
      `> GET http://registry.test/v2/a/tags/list?n=1000 through the proxy ${proxy.host}`,
    );
    expect(stderr).toMatch(/! failed after \d+ ms and 0 bytes: /);
    expect(stderr).not.toContain('hunter22');
  });

  test('with progress as JSON, every line is an event', async () => {
    await using source = await startSource();
    await using target = await startSandbox();
    const places = [`${source.host}/in`, `${target.host}/out`];
    const run = await transship(['copy', ...places, '--debug', '--progress', 'json']);
    const events = lines(run.stderr).map((line) => JSON.parse(line) as Record<string, unknown>);
    const types = new Set(events.map(({type}) => type));
    expect([...types]).toEqual(
      expect.arrayContaining(['http-request', 'http-response', 'http-end', 'run-ended']),
    );
    const idsOf = (wanted: string) =>
      new Set(events.flatMap(({type, id}) => (type === wanted ? [id] : [])));
    expect(idsOf('http-response')).toEqual(idsOf('http-request'));
  });
});

/** A secret for each place that a server or a user may put one in. */
const PLANTED = [
  'basic-auth',
  'token',
  'refresh',
  'cookie',
  'location-query',
  'location-user',
  'link-query',
  'realm-query',
  'realm-user',
  'body-url',
  'body-field',
  'body-parameter',
  'proxy-user',
  'deep-token',
].map((place) => `zz${place}zz`);
const secretOf = (place: string): string => `zz${place}zz`;

/** Refuses everything, and quotes all that it knows. */
function refuse({headers}: ArrivedRequest, response: ServerResponse, host: string): void {
  const shown = headers.authorization ?? '';
  const filler = 'x'.repeat(900);
  sendJson(
    response,
    403,
    {
      errors: [
        {
          code: 'DENIED',
          // One is cut by the end of what is shown.
          message: `see http://u:${secretOf('location-user')}@${host}/?q=${secretOf('body-url')} token=${secretOf('body-parameter')}`,
          detail: {refresh_token: secretOf('body-field'), filler, shown, again: shown.repeat(600)},
        },
      ],
    },
    {
      'set-cookie': `session=${secretOf('cookie')}`,
      location: `http://u:${secretOf('location-user')}@${host}/x?sig=${secretOf('location-query')}`,
      link: `</v2/a/tags/list?key=${secretOf('link-query')}>; rel="next"`,
      'www-authenticate': `Bearer realm="http://u:${secretOf('realm-user')}@${host}/t"`,
      'x-other': secretOf('body-field'),
    },
  );
}

test.each(['plain', 'json', 'none'])(
  'no planted secret is shown, with progress %s',
  async (progress) => {
    await using temp = await tempDirectory();
    await using server = await startHttpServer((request, response) => {
      const {headers, url} = request;
      const realm = `${server.url}/token?k=${secretOf('realm-query')}`;
      if (url.pathname === '/token')
        sendJson(response, 200, {token: secretOf('token'), refresh_token: secretOf('refresh')});
      else if (headers.authorization === undefined)
        sendError(response, 401, 'UNAUTHORIZED', {
          'www-authenticate': `Bearer realm="${realm}",service="s"`,
        });
      else refuse(request, response, server.host);
    });
    await using proxy = await startHttpServer(async ({target, headers}, response) => {
      const {authorization} = headers;
      const answer = await fetch(target, {
        headers: authorization ? {authorization} : {},
        redirect: 'manual',
      });
      const passed = [...answer.headers].filter(
        ([name]) => !/^(content-length|connection|transfer-encoding|keep-alive)$/.test(name),
      );
      response.writeHead(answer.status, Object.fromEntries(passed)).end(await answer.text());
    });
    const file = temp.join('auth.json');
    const to = `oci:${temp.join('to')}`;
    const login = Buffer.from(`ada:${secretOf('basic-auth')}`).toString('base64');
    await writeFile(file, JSON.stringify({auths: {'registry.test': {auth: login}}}));
    const asked = new URL(server.url);
    const place = `${asked.host}/a:v1`;
    await writeFile(file, JSON.stringify({auths: {[asked.host]: {auth: login}}}));
    for (const env of [
      {},
      {HTTP_PROXY: `http://p:${secretOf('proxy-user')}@${proxy.host}`, NO_PROXY: ''},
    ]) {
      const flags = ['--authfile', file, '--progress', progress, '--debug'];
      const {stdout, stderr} = await transship(['copy', place, to, ...flags], {env});
      expect(stderr).toContain(progress === 'json' ? '"http-request"' : '> GET');
      const said = stdout + stderr;
      expect(said).toContain('403');
      const forms = [
        ...PLANTED,
        login,
        ...PLANTED.map((one) => Buffer.from(one).toString('base64')),
      ];
      expect(forms.filter((secret) => said.includes(secret))).toEqual([]);
      // Nor the half of one: all of them begin so.
      expect(said).not.toMatch(/zz[a-z]/);
    }
  },
);
