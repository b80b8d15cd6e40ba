import {readFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import {expect, test} from 'vitest';
import {packageContents} from '../../release/npm-package.ts';
import {readProduct, type Release} from '../../release/release.ts';
import {billOfMaterials, validate} from '../../release/sbom.ts';

interface Bill {
  readonly specVersion: string;
  readonly metadata: {
    readonly timestamp: string;
    readonly component: {readonly name: string; readonly purl: string};
    readonly tools: {readonly components: readonly {readonly name: string}[]};
  };
  readonly components: readonly {
    readonly name: string;
    readonly version: string;
    readonly purl: string;
    readonly licenses: readonly {readonly license: {readonly id: string}}[];
    readonly hashes: readonly {readonly alg: string; readonly content: string}[];
  }[];
  readonly dependencies: readonly {readonly ref: string; readonly dependsOn?: readonly string[]}[];
}

const read = (path: string) =>
  readFile(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');

const product = await readProduct();
const release: Release = {
  version: product.version,
  revision: 'a'.repeat(40),
  created: new Date('2026-12-01T10:00:00Z'),
  product,
  output: '',
  scratch: '',
};

test('the bill of materials of the package lists the libraries in it', async () => {
  const packages = await packageContents();
  const contents = {kind: 'library' as const, name: 'transship', packages, withNode: false};
  const text = await billOfMaterials(release, contents);
  expect(await billOfMaterials(release, contents)).toBe(text);
  const bill = JSON.parse(text) as Bill;
  expect(bill).toMatchObject({
    specVersion: '1.6',
    metadata: {timestamp: '2026-12-01T10:00:00.000Z'},
  });
  expect(bill.metadata.component).toMatchObject({
    name: 'transship',
    purl: `pkg:npm/transship@${product.version}`,
  });
  expect(bill.metadata.tools.components.map(({name}) => name)).toContain('rolldown');
  // Against the lockfile, and against what ARCHITECTURE.md says is in the bundle.
  const lock = JSON.parse(await read('package-lock.json')) as {
    readonly packages: Readonly<
      Record<
        string,
        {readonly version: string; readonly license: string; readonly integrity: string}
      >
    >;
  };
  for (const component of bill.components) {
    const locked = lock.packages[`node_modules/${component.name}`];
    expect(component).toMatchObject({
      version: locked?.version,
      purl: `pkg:npm/${component.name}@${locked?.version}`,
      licenses: [{license: {id: locked?.license}}],
    });
    const [hash] = component.hashes;
    const integrity = Buffer.from(hash?.content ?? '', 'hex').toString('base64');
    expect(`sha512-${integrity}`).toBe(locked?.integrity);
  }
  const [, table = ''] = (await read('ARCHITECTURE.md')).split('## Dependencies');
  const [bundled = ''] = table.replace('| package |', '').split('For development only');
  const named = [...bundled.matchAll(/^\| ([a-z][\w-]*) \| /gm)].map(([, name = '']) => name);
  const inside = bill.components.map(({name}) => name);
  expect(named.filter((name) => !inside.includes(name))).toEqual([]);
  const streamx = bill.dependencies.find(({ref}) => ref.startsWith('pkg:npm/streamx@'));
  expect(streamx?.dependsOn).toContainEqual(expect.stringMatching(/^pkg:npm\/fast-fifo@/));
});

test('what the schema of CycloneDX forbids is no bill of materials', async () => {
  const wrong = JSON.stringify({bomFormat: 'CycloneDX', specVersion: '1.6', components: [{}]});
  await expect(validate(wrong)).rejects.toThrow('required');
});
