import {writeFile} from 'node:fs/promises';
import {needTool} from './debian-tool.ts';
import {type ProgramResult, runProgram} from './program.ts';
import {type TempDirectory, tempDirectory} from './temp.ts';

/** A podman with a storage of its own, which is removed in the end. */
export interface Podman extends AsyncDisposable {
  readonly temp: TempDirectory;
  /** With which programs use its storage. */
  readonly env: Readonly<Record<string, string>>;
  run(...args: readonly string[]): Promise<ProgramResult>;
}

export async function startPodman(): Promise<Podman> {
  const program = await needTool('podman');
  const temp = await tempDirectory();
  const config = temp.join('storage.conf');
  const [root, runroot] = [temp.join('root'), temp.join('runroot')];
  await writeFile(config, toml({driver: 'vfs', graphroot: root, runroot}));
  const env = {HOME: temp.join('home'), CONTAINERS_STORAGE_CONF: config};
  return {
    temp,
    env,
    async run(...args) {
      const result = await runProgram(program, args, {env});
      if (result.code !== 0) throw new Error(`podman ${args.join(' ')}: ${result.stderr}`);
      return result;
    },
    [Symbol.asyncDispose]: async () => {
      await temp[Symbol.asyncDispose]();
    },
  };
}

function toml(values: Readonly<Record<string, string>>): string {
  const lines = Object.entries(values).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  return ['[storage]', ...lines, ''].join('\n');
}
