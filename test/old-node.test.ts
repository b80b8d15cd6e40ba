import {readFile} from 'node:fs/promises';
import {runInNewContext} from 'node:vm';
import {describe, expect, test} from 'vitest';

const text = await readFile(new URL('../bin/transship.cjs', import.meta.url), 'utf8');
const source = text.replace(/^#!.*/, '');
const {engines, homepage} = JSON.parse(
  await readFile(new URL('../package.json', import.meta.url), 'utf8'),
) as {engines: {node: string}; homepage: string};

/** Runs the program's first file as a Node of this version would. */
function runOn(node: string) {
  const required: string[] = [];
  let stderr = '';
  const process = {
    versions: {node},
    exitCode: undefined as number | undefined,
    stderr: {
      write: (line: string) => {
        stderr += line;
      },
    },
  };
  const require = (path: string) => {
    required.push(path);
    return {engines, homepage};
  };
  runInNewContext(source, {process, require});
  return {required, stderr, code: process.exitCode};
}

describe('the program', () => {
  test.each(['12.22.12', '20.20.2', '22.18.9'])('says on Node %s which it needs', (node) => {
    const {required, stderr, code} = runOn(node);
    expect(stderr.split('\n')[0]).toBe(
      `error: transship needs Node 22.19 or later, and this is Node ${node}`,
    );
    expect(stderr).toContain(`${homepage}/releases`);
    expect(code).toBe(1);
    expect(required).not.toContain('../dist/cli/main.cjs');
  });

  test.each(['22.19.0', '23.0.0', '24.21.0'])('is loaded on Node %s', (node) => {
    expect(runOn(node)).toMatchObject({stderr: '', code: undefined});
    expect(runOn(node).required).toContain('../dist/cli/main.cjs');
  });

  test('begins with a file that any Node can read', () => {
    const code = source.replaceAll(/^\s*\/\/.*$/gm, '');
    expect(code).not.toMatch(/=>|`|\?\?|\?\.|\b(?:const|let|class|import|async)\b/);
  });
});
