import {EarlySockets, type Target} from '../http/early-sockets.ts';
import {isLoopback} from '../http/origin.ts';
import type {Environment} from '../model/environment.ts';

/** Begins to connect to the registries that a command line names, while the program is loaded: both take 30 ms and more. */
export function headStart(args: readonly string[], env: Environment): EarlySockets {
  const sockets = new EarlySockets();
  for (const target of earlyTargets(args, env)) sockets.begin(target);
  return sockets;
}

/**
 * A host that cannot be a folder, and the beginning of a path. Others are connected to later, as ever: `parseReference`
 * knows them all, and would have to be loaded.
 */
const NAMED_HOST =
  /^(?:docker:\/\/)?(localhost|[a-z0-9-]+(?:\.[a-z0-9-]+)+)(?::(\d{1,5}))?\/[a-z0-9]/i;

/** Docker Hub's registry has another host than its references. */
const DOCKER_HUB = /(?:^|\.)docker\.(?:io|com)$/;

/** Who asks for help connects to nothing, and `--plain-http` changes ports. */
const WITHOUT = /^(?:-h|--help|--plain-http(?:=.*)?)$/;

/** As many as the first requests need: a registry on this machine is asked for its scheme and its tags at once. */
export function earlyTargets(args: readonly string[], env: Environment): readonly Target[] {
  if (args.some((arg) => WITHOUT.test(arg))) return [];
  return placesOf(args).flatMap((place) => {
    const [, name = '', digits] = NAMED_HOST.exec(place) ?? [];
    const host = name.toLowerCase();
    const isNear = isLoopback(host);
    const port = Number(digits ?? (isNear ? 80 : 443));
    // Addresses such as 127.1 are written in full where they are connected to.
    const isWhole = URL.parse(`http://${host}`)?.hostname === host;
    if (!isWhole || DOCKER_HUB.test(host) || port < 1 || port > 65_535) return [];
    if (isNear)
      return [
        {host, port},
        {host, port},
      ];
    return hasProxy(env) ? [] : [{host, port}];
  });
}

/** A word after a flag may belong to it, which only the command knows: none is taken for a place. */
function placesOf(args: readonly string[]): readonly string[] {
  const words = args.filter((word, at) => {
    const before = args[at - 1] ?? '';
    return !word.startsWith('-') && (!before.startsWith('-') || before.includes('='));
  });
  if (words[0] === 'copy') return words.slice(1, 3);
  return words[0] === 'plan' && words[1] === 'copy' ? words.slice(2, 4) : [];
}

function hasProxy(env: Environment): boolean {
  return Object.entries(env).some(([name, value]) => /^(?:https?|all)_proxy$/i.test(name) && value);
}
