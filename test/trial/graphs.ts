import {createHash} from 'node:crypto';
import type {ServerResponse} from 'node:http';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {sendJson} from '../support/http-server.ts';
import {Content, type Registry, serveRegistry} from './registry.ts';
import {type Case, expectEnd, type Trial} from './trial.ts';

const INDEX = 'application/vnd.oci.image.index.v1+json';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar';

type Entry = ReturnType<Content['put']>;
type Graph = Omit<Registry, 'repositories'> & {readonly tags: Readonly<Record<string, Entry>>};

const hashOf = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;
const absent = (text: string, mediaType = MANIFEST): Entry => ({
  mediaType,
  digest: hashOf(text),
  size: 500,
});
const range = <T>(count: number, make: (at: number) => T): T[] =>
  Array.from({length: count}, (_, at) => make(at));
const tagsOf = (count: number, entry: (at: number) => Entry, name = (at: number) => `t${at}`) =>
  Object.fromEntries(range(count, (at) => [name(at), entry(at)]));
const signatureOf = ({digest}: {digest: string}, ending = '.sig') =>
  `${digest.replace(':', '-')}${ending}`;

/** One image, and something made of it. */
function withImage(make: (content: Content, image: Entry) => Omit<Graph, 'content'>): Graph {
  const content = new Content();
  return {content, ...make(content, content.image([content.layer('layer')]))};
}

function nested(depth: number): Graph {
  return withImage((content, image) => {
    let top = image;
    for (let level = 0; level < depth; level++) top = content.index([top], {level});
    return {tags: {top}};
  });
}

/** A descriptor of a layer or a manifest with other values. */
function withDescriptor(more: object): Graph {
  return withImage((content, image) => {
    const layer = content.layer('layer');
    return {
      tags: {
        image: content.image([{...layer, ...more}]),
        index: content.index([{...image, ...more}]),
        config: content.json(
          {
            schemaVersion: 2,
            mediaType: MANIFEST,
            config: {...content.json({os: 'linux', architecture: 'a'}, 'x'), ...more},
            layers: [layer],
          },
          MANIFEST,
        ),
        subject: content.image([layer], {subject: {...image, ...more}}),
      },
    };
  });
}

const listOf = (response: ServerResponse, manifests: readonly object[], link?: string) =>
  sendJson(
    response,
    200,
    {schemaVersion: 2, mediaType: INDEX, manifests},
    link === undefined ? {} : {link: `<${link}>; rel="next"`},
  );

/** An index listed by its tag that lists itself, and others in a circle, by digests that are not theirs. */
function circle(): Graph {
  return withImage((content) => {
    const [one, two] = [absent('one', INDEX), absent('two', INDEX)];
    const bytes = (entry: Entry) =>
      Buffer.from(JSON.stringify({schemaVersion: 2, mediaType: INDEX, manifests: [entry]}));
    const by = new Map([
      [one.digest, bytes(two)],
      [two.digest, bytes(one)],
    ]);
    return {
      tags: {a: one, b: content.index([one, two])},
      instead: (method, path, response) => {
        const digest = /\/manifests\/(.+)$/.exec(path)?.[1] ?? '';
        const found = by.get(digest === 'a' ? one.digest : digest);
        if (found === undefined) return false;
        const stated = digest === 'a' ? one.digest : digest;
        response.writeHead(200, {'content-type': INDEX, 'docker-content-digest': stated});
        response.end(method === 'HEAD' ? undefined : found);
        return true;
      },
    };
  });
}

/** Referrers of referrers, each made when it is asked for. */
function endlessReferrers(each: number): Graph {
  return withImage((content, image) => {
    let count = 0;
    return {
      tags: {image},
      referrers: (subject, response) =>
        listOf(
          response,
          range(each, () =>
            content.image([content.layer('signature')], {
              artifactType: 'x/y',
              subject: {mediaType: MANIFEST, digest: subject, size: 500},
              annotations: {count: String(count++)},
            }),
          ),
        ),
    };
  });
}

const GRAPHS: Readonly<Record<string, () => Graph>> = {
  'indexes 5 deep': () => nested(5),
  'indexes 20 deep': () => nested(20),
  'indexes 1,000 deep': () => nested(1000),
  'indexes in a circle': circle,
  'ten levels of ten, shared': () =>
    withImage((content, image) => {
      let level = [image];
      for (let depth = 0; depth < 10; depth++)
        level = range(10, (at) => content.index(level, {at, depth}));
      return {tags: {top: content.index(level)}};
    }),
  'thirty levels of 300, shared': () =>
    withImage((content, image) => {
      let level = [image];
      for (let depth = 0; depth < 30; depth++)
        level = range(300, (at) => content.index(level, {at, depth}));
      return {tags: {top: content.index(level)}};
    }),
  '10,000 indexes of 10,000, shared': () =>
    withImage((content) => {
      const leaves = range(10_000, (at) => absent(`leaf ${at}`));
      const children = range(200, (at) => content.index(leaves, {at}));
      return {tags: {top: content.index(range(10_000, (at) => children[at % 200] ?? {}))}};
    }),
  '10,000 indexes of 10,000, none shared': () =>
    withImage((content) => {
      const children = range(60, (child) =>
        content.index(range(10_000, (at) => absent(`leaf ${child} ${at}`))),
      );
      return {tags: {top: content.index(range(10_000, (at) => children[at % 60] ?? {}))}};
    }),
  'one child many times': () =>
    withImage((content, image) => ({tags: {top: content.index(Array<Entry>(25_000).fill(image))}})),
  'one child in many forms': () =>
    withImage((content, {mediaType, digest, size}) => ({
      tags: {
        top: content.index(
          range(15_000, (at) => ({
            mediaType,
            digest,
            size: size + at,
            platform: {os: `os${at}`, architecture: 'a'},
          })),
        ),
      },
    })),
  'one layer many times': () =>
    withImage((content) => {
      const layer = content.layer('layer');
      return {tags: {image: content.image(Array<Entry>(25_000).fill(layer))}};
    }),
  'many layers that are not there': () =>
    withImage((content) => ({
      tags: {image: content.image(range(25_000, (at) => absent(`layer ${at}`, LAYER)))},
    })),
  ...Object.fromEntries(
    [0, -1, 2 ** 53, 1e300, -1e300, 1.5, '10', null, [], {}, true].map((size) => [
      `sizes of ${JSON.stringify(size)}`,
      () => withDescriptor({size}),
    ]),
  ),
  'sizes without end': () =>
    withImage((content) => ({
      tags: {
        image: content.put(
          `{"schemaVersion":2,"mediaType":"${MANIFEST}","config":{"mediaType":"x","digest":"${hashOf('x')}","size":1e999},"layers":[]}`,
          MANIFEST,
        ),
      },
    })),
  'data that is not the content': () =>
    withDescriptor({data: Buffer.from('other bytes').toString('base64')}),
  'data of 3 MiB': () => withDescriptor({data: 'A'.repeat(3 * 2 ** 20)}),
  'data of other types': () => withDescriptor({data: {a: [1]}}),
  'addresses of all kinds': () =>
    withDescriptor({
      urls: [
        'file:///etc/passwd',
        'http://169.254.169.254/latest/meta-data/',
        'http://[::1]:1/',
        'http://localhost:1/',
        'javascript:alert(1)',
        '//evil.test/',
        'https://user:password@127.0.0.1:1/',
        '',
      ],
    }),
  '20,000 addresses': () =>
    withDescriptor({
      mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
      urls: range(20_000, (at) => `http://127.0.0.1:1/${at}`),
    }),
  'addresses that are not texts': () => withDescriptor({urls: [1, null, {}]}),
  'names of JavaScript as annotations': () =>
    withImage((content) => ({
      tags: {
        image: content.put(
          `{"schemaVersion":2,"mediaType":"${MANIFEST}","__proto__":{"config":1},"constructor":{},"config":{"mediaType":"x","digest":"${hashOf('x')}","size":1},"layers":[],"annotations":{"__proto__":"x","constructor":"y","toString":"z"}}`,
          MANIFEST,
        ),
      },
    })),
  '200,000 annotations': () =>
    withImage((content, image) => ({
      tags: {
        top: content.index([image], {
          annotations: Object.fromEntries(range(150_000, (at) => [`a${at}`, 'b'])),
        }),
      },
    })),
  'a subject that is itself': () =>
    withImage((content) => {
      const own = absent('own');
      const bytes = JSON.stringify({
        schemaVersion: 2,
        mediaType: MANIFEST,
        config: absent('config', 'x'),
        layers: [],
        subject: own,
      });
      return {
        tags: {image: content.put(bytes, MANIFEST)},
        referrers: (subject, response) => listOf(response, [{...own, digest: subject}]),
      };
    }),
  'a chain of subjects': () =>
    withImage((content, image) => {
      const tags: Record<string, Entry> = {image};
      let subject = image;
      for (let at = 0; at < 2000; at++) {
        subject = content.image([content.layer('x')], {subject, artifactType: 'x/y', at});
        tags[`t${at}`] = subject;
      }
      return {tags};
    }),
  'referrers without end': () => endlessReferrers(1),
  'referrers that branch without end': () => endlessReferrers(20),
  'a million referrers in one answer': () =>
    withImage((_, image) => ({
      tags: {image},
      referrers: (_subject, response) => {
        response.writeHead(200, {'content-type': INDEX});
        response.write('{"schemaVersion":2,"manifests":[');
        const some = range(1000, (at) => JSON.stringify(absent(`referrer ${at}`))).join();
        for (let at = 0; at < 1000; at++) response.write(at === 0 ? some : `,${some}`);
        response.end(']}');
      },
    })),
  'pages of referrers without end': () =>
    withImage((_, image) => {
      let page = 0;
      return {
        tags: {image},
        referrers: (subject, response) =>
          listOf(
            response,
            range(100, (at) => absent(`referrer ${page} ${at}`)),
            `/v2/app/referrers/${subject}?page=${++page}`,
          ),
      };
    }),
  'empty pages of referrers without end': () =>
    withImage((_, image) => {
      let page = 0;
      return {
        tags: {image},
        referrers: (subject, response) =>
          listOf(response, [], `/v2/app/referrers/${subject}?page=${++page}`),
      };
    }),
  '10,000 referrers that are gone': () =>
    withImage((_, image) => ({
      tags: {image},
      referrers: (_subject, response) =>
        listOf(
          response,
          range(9_999, (at) => absent(`gone ${at}`)),
        ),
    })),
  'long lists of referrers for each of 300 images': () =>
    withImage((content) => ({
      tags: tagsOf(300, (at) => content.image([content.layer(`l${at}`)])),
      referrers: (subject, response) =>
        listOf(
          response,
          range(20, (at) => ({
            ...absent(`${subject} ${at}`),
            annotations: {long: 'x'.repeat(100_000)},
          })),
        ),
    })),
  'a chain of 20,000 signatures': () =>
    withImage((content, image) => {
      const tags: Record<string, Entry> = {image};
      let subject = image;
      for (let at = 0; at < 20_000; at++) {
        const signature = content.image([], {at});
        tags[signatureOf(subject)] = signature;
        subject = signature;
      }
      // As a registry lists them: from the end of the chain.
      return {tags: Object.fromEntries(Object.entries(tags).toReversed())};
    }),
  'signatures in a circle': () =>
    withImage((content, image) => {
      const signature = content.image([content.layer('s')]);
      return {
        tags: {image, [signatureOf(image)]: signature, [signatureOf(signature)]: image},
      };
    }),
  '50,000 signatures of one image': () =>
    withImage((_, image) => ({
      tags: {
        image,
        ...tagsOf(
          50_000,
          () => image,
          (at) => signatureOf(image, `.${at}`),
        ),
      },
    })),
  '150,000 signatures that are gone': () =>
    withImage((content, image) => ({
      tags: {
        ...tagsOf(
          150_000,
          () => image,
          (at) => signatureOf(image, `.${at}`),
        ),
        image,
      },
      instead: (_method, path, response) => {
        if (!/\/manifests\/sha256-/.test(path)) return false;
        sendJson(response, 404, {errors: [{code: 'MANIFEST_UNKNOWN'}]});
        return content.bytes.size > 0;
      },
    })),
  'a fallback tag that lists itself and 20,000 more': () =>
    withImage((content, image) => {
      const list = content.index(range(20_000, (at) => absent(`referrer ${at}`)));
      return {tags: {image, [signatureOf(image, '')]: list, [signatureOf(list, '')]: list}};
    }),
  '20,000 tags of one image': () => withImage((_, image) => ({tags: tagsOf(20_000, () => image)})),
  '200,000 tags of one image': () =>
    withImage((_, image) => ({tags: tagsOf(199_000, () => image)})),
  '20,000 indexes that list one image': () =>
    withImage((content, image) => ({tags: tagsOf(20_000, (at) => content.index([image], {at}))})),
  '20,000 images that name one child': () =>
    withImage((content) => ({
      tags: tagsOf(20_000, (at) => content.image([content.layer('l')], {at})),
    })),
  'manifests of nearly 4 MiB for 400 tags': () =>
    withImage((content) => {
      const layers = range(200, (at) => content.layer(`${at}`));
      const long = 'x'.repeat(4_100_000);
      const made = range(20, (at) => content.image(layers, {annotations: {at: String(at), long}}));
      return {tags: tagsOf(400, (at) => made[at % 20] ?? absent('none'))};
    }),
  'manifests of nearly 4 MiB with 20,000 layers each for 100 tags': () =>
    withImage((content) => ({
      tags: tagsOf(100, (at) => content.image(range(20_000, (on) => absent(`${at} ${on}`, LAYER)))),
    })),
  'indexes of nearly 4 MiB with 20,000 images each for 100 tags': () =>
    withImage((content) => ({
      tags: tagsOf(100, (at) => content.index(range(20_000, (on) => absent(`${at} ${on}`)))),
    })),
  'configs of 4 MiB for 100 tags': () =>
    withImage((content) => ({
      tags: tagsOf(100, (at) =>
        content.image([content.layer('l')], {}, {at, history: 'x'.repeat(4 * 2 ** 20 - 200)}),
      ),
    })),
  'deep configs for 100 tags': () =>
    withImage((content) => ({
      tags: tagsOf(100, (at) => {
        const config = content.put(
          `${'['.repeat(1_000_000)}${at}`,
          'application/vnd.oci.image.config.v1+json',
        );
        return content.json({schemaVersion: 2, mediaType: MANIFEST, config, layers: []}, MANIFEST);
      }),
    })),
};

/** Commands that read a repository of the source; `to` is a repository that may be written to. */
const COMMANDS: Readonly<Record<string, (from: string, to: string) => readonly string[][]>> = {
  inventory: (from) => [['inventory', from.replace(/\/.*/, ''), '--format', 'json']],
  'inventory --platform': (from) => [
    ['inventory', from.replace(/\/.*/, ''), '--newest', '3', '--platform', 'linux/amd64'],
  ],
  'plan copy and so on': (from, to) => [
    ['plan', 'copy', from, to, '--out', 'p.json'],
    ['show', 'p.json', '--all'],
    ['apply', 'p.json', '--yes', '--junit', 'r.xml'],
    ['verify', 'p.json', '--read'],
    ['status', 'p.json'],
  ],
  'plan copy --platform': (from, to) => [
    [
      'plan',
      'copy',
      from,
      to,
      '--platform',
      'linux/amd64',
      '--newest',
      '5',
      '--include-foreign',
      '--format',
      'json',
    ],
  ],
  'plan copy --tag': (from, to) => [
    ['plan', 'copy', from, to, '--tag', 'image', '--allow-empty', '--format', 'markdown'],
  ],
  'copy to a layout': (from) => [
    ['copy', from, 'oci:out'],
    ['copy', 'oci:out', 'oci-archive:out.tar'],
  ],
  'plan delete and so on': (from) => [
    ['plan', 'delete', from, '--tag', '*', '--out', 'd.json'],
    ['apply', 'd.json', '--yes'],
  ],
  'plan delete --keep': (from) => [
    [
      'plan',
      'delete',
      from,
      '--tag',
      '*',
      '--keep',
      'image',
      '--keep-newest',
      '1',
      '--format',
      'json',
    ],
  ],
  'copy --delete-source': (from) => [['copy', from, 'oci:moved', '--delete-source', '--yes']],
  doctor: (from) => [['doctor', from]],
};

async function runAgainst(trial: Trial, graph: Graph, command: string): Promise<void> {
  const {tags, ...registry} = graph;
  const deleted = new Set<string>();
  const source = trial.use(
    await serveRegistry({
      ...registry,
      repositories: {app: tags},
      instead: (method, path, response) => {
        if (registry.instead?.(method, path, response) === true) return true;
        // Whatever is to be deleted is.
        if (method === 'DELETE') {
          deleted.add(path);
          response.writeHead(202).end();
          return true;
        }
        if (!deleted.has(path)) return false;
        sendJson(response, 404, {errors: [{code: 'MANIFEST_UNKNOWN'}]});
        return true;
      },
    }),
  );
  const destination = trial.use(await startSandbox());
  for (const args of COMMANDS[command]?.(`${source.host}/app`, `${destination.host}/to`) ?? [])
    expectEnd(await trial.transship(args), [0, 1, 2, 3, 4, 64]);
}

export const graphs: readonly Case[] = Object.entries(GRAPHS).flatMap(([name, make]) =>
  Object.keys(COMMANDS).map((command) => ({
    group: 'indexes and referrers',
    name: `${name}, ${command}`,
    // 200,000 tags are 200,000 requests.
    seconds: 240,
    run: (trial: Trial) => runAgainst(trial, make(), command),
  })),
);
