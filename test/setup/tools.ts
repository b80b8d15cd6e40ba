import {provideTool, type Tool} from '../support/debian-tool.ts';

const TOOLS: readonly Tool[] = [
  'docker-registry',
  'skopeo',
  'podman',
  'buildah',
  'rsync',
  'groff',
  'chromium',
  'zsh',
  'fish',
];

/**
 * Once before all tests: fetches what is missing. To fail here is no failure: the tests that need the program say so,
 * all others run.
 */
export default async function setup(): Promise<void> {
  for (const tool of TOOLS) {
    try {
      await provideTool(tool);
    } catch (error) {
      process.stderr.write(`${tool}: ${error instanceof Error ? error.message : String(error)}\n`);
    }
  }
}
