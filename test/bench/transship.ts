import {from, to} from './copy-job.ts';
import type {Tool} from './tool.ts';

/** What is measured, without any flag that changes how it works. @param main its built `cli/main.cjs` */
export function transship(label: string, main: string): Tool {
  return {
    name: 'transship',
    program: process.execPath,
    versionArgs: [main, '--version'],
    install: 'npm run build',
    variants: [
      {
        label,
        kind: 'ours',
        command: (job) => ({
          file: process.execPath,
          args: [main, 'copy', '--progress', 'none', from(job), to(job)],
        }),
      },
    ],
  };
}
