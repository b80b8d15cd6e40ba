import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {writeFile} from 'node:fs/promises';
import {connect} from 'node:net';
import {setTimeout as delay} from 'node:timers/promises';
import {needTool} from './debian-tool.ts';
import {cleanEnvironment, type ProgramResult, runProgram} from './program.ts';
import {type TempDirectory, tempDirectory} from './temp.ts';

/** How often the socket is looked for, and how long between. */
const START_ATTEMPTS = 600;
const START_PAUSE_MS = 50;

/** A podman with a storage of its own, which is removed in the end. */
export interface Podman extends AsyncDisposable {
  readonly temp: TempDirectory;
  /** With which programs use its storage. */
  readonly env: Readonly<Record<string, string>>;
  run(...args: readonly string[]): Promise<ProgramResult>;
  /** Starts its service with the Engine API. @returns the address, as `DOCKER_HOST` has it */
  serve(): Promise<string>;
}

export async function startPodman(): Promise<Podman> {
  const program = await needTool('podman');
  const temp = await tempDirectory();
  const config = temp.join('storage.conf');
  const [root, runroot] = [temp.join('root'), temp.join('runroot')];
  await writeFile(config, toml({driver: 'vfs', graphroot: root, runroot}));
  const env = {HOME: temp.join('home'), CONTAINERS_STORAGE_CONF: config};
  let service: ChildProcess | undefined;
  return {
    temp,
    env,
    async run(...args) {
      const result = await runProgram(program, args, {env});
      if (result.code !== 0) throw new Error(`podman ${args.join(' ')}: ${result.stderr}`);
      return result;
    },
    async serve() {
      const socket = temp.join('podman.sock');
      // A service without a time limit, as none of systemd's.
      service = spawn(program, ['system', 'service', '--time', '0', `unix://${socket}`], {
        env: {...cleanEnvironment(), ...env},
        stdio: 'ignore',
      });
      for (let attempt = 1; !(await answers(socket)); attempt += 1) {
        if (attempt === START_ATTEMPTS) throw new Error('the service of podman did not start');
        await delay(START_PAUSE_MS);
      }
      return `unix://${socket}`;
    },
    [Symbol.asyncDispose]: async () => {
      if (service !== undefined && service.exitCode === null) {
        service.kill('SIGKILL');
        await once(service, 'exit');
      }
      await temp[Symbol.asyncDispose]();
    },
  };
}

function toml(values: Readonly<Record<string, string>>): string {
  const lines = Object.entries(values).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  return ['[storage]', ...lines, ''].join('\n');
}

async function answers(socketPath: string): Promise<boolean> {
  const socket = connect(socketPath);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
