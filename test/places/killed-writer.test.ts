import {expect, test} from 'vitest';
import {parseManifest} from '../../src/model/manifest.ts';
import {OCI_MANIFEST} from '../../src/model/media-type.ts';
import type {Tag} from '../../src/model/reference.ts';
import {OciLayout} from '../../src/places/oci-layout.ts';
import {runProgram} from '../support/program.ts';
import {NEVER} from '../support/streams.ts';
import {tempDirectory} from '../support/temp.ts';

const call = {signal: NEVER};
const SOURCES = new URL('../../src/', import.meta.url).href;

/** Puts tags without end and kills itself when so many are there, with others under way. */
const WRITER = `
  const {OciLayout} = await import('${SOURCES}places/oci-layout.ts');
  const {parseManifest} = await import('${SOURCES}model/manifest.ts');
  const [directory, enough] = process.argv.slice(1);
  const layout = new OciLayout(directory);
  let done = 0;
  await Promise.all(Array.from({length: 4}, async (_, writer) => {
    for (let number = 0; ; number += 1) {
      const name = 'v' + writer + '-' + number;
      const text = JSON.stringify({schemaVersion: 2, manifests: [], annotations: {name}});
      const manifest = parseManifest(Buffer.from(text), '', undefined, 'local');
      await layout.putManifest(name, manifest, {signal: new AbortController().signal});
      done += 1;
      if (done === Number(enough)) {
        process.stdout.write(name);
        setImmediate(() => process.kill(process.pid, 'SIGKILL'));
      }
    }
  }));`;

test.each([1, 2, 3, 5, 8, 13])(
  'a writer killed after %i tags leaves a valid layout',
  async (enough) => {
    await using temp = await tempDirectory();
    const args = ['--input-type=module', '-e', WRITER, temp.path, String(enough)];
    const {code, stderr} = await runProgram(process.execPath, args);
    expect({code, stderr}).toEqual({code: 137, stderr: ''});

    const layout = new OciLayout(temp.path);
    const tags = (await layout.listTags(call)) ?? [];
    expect(tags.length).toBeGreaterThanOrEqual(enough);
    for (const tag of tags) {
      const manifest = await layout.getManifest(tag as Tag, call);
      expect(manifest?.view).toMatchObject({annotations: {name: tag}});
    }

    // A lock that it left is free: its owner is dead.
    const config = {mediaType: 'text/plain', digest: `sha256:${'0'.repeat(64)}`, size: 1};
    const bytes = Buffer.from(JSON.stringify({schemaVersion: 2, config, layers: []}));
    const next = parseManifest(bytes, OCI_MANIFEST, undefined, 'local');
    await layout.putManifest('next' as Tag, next, call);
    expect(await layout.listTags(call)).toEqual([...tags, 'next']);
  },
);
