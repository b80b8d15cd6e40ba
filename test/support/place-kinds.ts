import {HttpClient} from '../../src/http/client.ts';
import {HostSet} from '../../src/http/host-set.ts';
import {Redactor} from '../../src/http/redaction.ts';
import type {RepositoryReader, RepositoryWriter} from '../../src/model/port.ts';
import {Places} from '../../src/places/places.ts';
import {CredentialStore} from '../../src/registry/credentials/store.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {startDockerRegistry} from './docker-registry.ts';
import {HASTY} from './registry-rig.ts';
import {NEVER} from './streams.ts';
import {tempDirectory} from './temp.ts';
import {emptyRepository, freshRepository, TEST_REGISTRY, userEnvironment} from './test-registry.ts';

/** What a kind of place can do, besides what all of them can. */
interface PlaceAbilities {
  /** Several images, by name. Otherwise one, by the name `latest`. */
  readonly names: boolean;
  /** Tells what refers to an image. Otherwise the fallback tag does. Undefined: nobody knows before it is asked. */
  readonly referrers: boolean | undefined;
  /** Keeps content with a sha512 digest. Undefined: nobody knows before it is tried. */
  readonly sha512: true | undefined;
  /** Its names are not tags, so that any text may be asked for. */
  readonly anyName: boolean;
}

/** One place, empty at first, that is opened again for each session as another process would. */
export interface StartedPlace extends AsyncDisposable {
  readonly session: <T>(use: (sides: Sides) => Promise<T>) => Promise<T>;
}

interface Sides {
  readonly source: RepositoryReader;
  readonly destination: RepositoryWriter;
  /** Makes what was written visible to `source`, which is to be asked only afterwards. */
  readonly finish: () => Promise<void>;
}

interface PlaceKind {
  readonly kind: string;
  readonly can: PlaceAbilities;
  readonly start: () => Promise<StartedPlace>;
}

const ALL: PlaceAbilities = {names: true, referrers: true, sha512: true, anyName: false};

/** Every kind of place that can be written to; or the one registry that is to be tested. */
export const PLACE_KINDS: readonly PlaceKind[] =
  TEST_REGISTRY === undefined ? ownPlaces() : [namedRegistry(TEST_REGISTRY)];

function namedRegistry(name: string): PlaceKind {
  return {
    kind: name,
    can: {...ALL, referrers: undefined, sha512: undefined},
    start: () => {
      const repository = freshRepository(name);
      const {session} = placeAt(repository, new AsyncDisposableStack(), userEnvironment());
      return Promise.resolve({
        session,
        [Symbol.asyncDispose]: () => session(({destination}) => emptyRepository(destination)),
      });
    },
  };
}

function ownPlaces(): readonly PlaceKind[] {
  return [
    {
      kind: 'a registry with all features',
      can: ALL,
      start: async () => {
        const sandbox = await startSandbox();
        return placeAt(`${sandbox.host}/team/app`, sandbox);
      },
    },
    {
      kind: 'docker-registry',
      can: {...ALL, referrers: false},
      start: async () => {
        const registry = await startDockerRegistry();
        return placeAt(`${registry.host}/team/app`, registry);
      },
    },
    {kind: 'oci:', can: {...ALL, anyName: true}, start: () => placeIn((path) => `oci:${path}`)},
    {
      kind: 'oci-archive:',
      can: {...ALL, anyName: true},
      start: () => placeIn((path) => `oci-archive:${path}.tar`),
    },
    {
      kind: 'dir:',
      can: {...ALL, names: false, anyName: true},
      start: () => placeIn((path) => `dir:${path}`),
    },
  ];
}

async function placeIn(nameOf: (path: string) => string): Promise<StartedPlace> {
  const temp = await tempDirectory();
  return placeAt(nameOf(temp.join('place')), temp);
}

/** No login is known. */
const NOBODY = {env: {}, home: '/nonexistent'};

function placeAt(name: string, owner: AsyncDisposable, {env, home} = NOBODY): StartedPlace {
  return {
    async session(use) {
      await using http = new HttpClient({retry: HASTY});
      await using places = new Places({
        http,
        credentials: new CredentialStore({
          env,
          user: {home},
          redactor: new Redactor(),
          signal: NEVER,
        }),
        plainHttp: new HostSet('--plain-http', []),
        learnToken: () => undefined,
        notice: () => undefined,
      });
      return await use({
        source: places.source(name),
        destination: places.destination(name),
        finish: () => places.pack({signal: NEVER}),
      });
    },
    [Symbol.asyncDispose]: async () => {
      await owner[Symbol.asyncDispose]();
    },
  };
}
