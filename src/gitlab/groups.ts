import {TransshipError} from '../model/error.ts';
import type {Visibility} from '../model/plan.ts';
import type {Call} from '../model/port.ts';
import {z} from '../model/schema.ts';
import {confirm, DEFAULT_PATIENCE, type Patience} from './confirm.ts';
import {apiPath, type Connection} from './connection.ts';
import {
  ACCESS_LEVEL,
  given,
  type Group,
  groupSchema,
  type Namespace,
  namespaceSchema,
  type Project,
  projectSchema,
  type TransferLocation,
  transferLocationSchema,
} from './entities.ts';
import type {GitLabRefusalContext} from './refusal.ts';

/** The registry is asked about every project of the group before the answer (it was seen to take a minute). */
const SLOW_ANSWER_MS = 180_000;

const REFUSED: GitLabRefusalContext = {
  forbidden: {
    code: 'TRANSFER_FORBIDDEN',
    hint: 'use the token of a group owner who can create subgroups in the target group',
  },
  notFound: {
    code: 'GROUP_NOT_FOUND',
    hint: 'check the target group, and that the owner of the token can see it',
  },
};

/** Somebody with a role in a group. */
export interface Member {
  readonly username: string;
  readonly accessLevel: number;
}

const memberSchema = z
  .object({username: z.string(), access_level: z.int()})
  .transform(({username, access_level: accessLevel}): Member => ({username, accessLevel}));

/** What a new group is made with. */
export interface NewGroup {
  readonly path: string;
  /** Undefined: a top-level group. */
  readonly parentId?: number;
  readonly visibility: Visibility;
}

/** Calls about groups and namespaces (GitLab: doc/api/groups.md, lib/api/groups.rb, lib/api/namespaces.rb). */
export class Groups {
  readonly #connection: Connection;
  readonly #patience: Patience;

  constructor(connection: Connection, patience: Patience = DEFAULT_PATIENCE) {
    this.#connection = connection;
    this.#patience = patience;
  }

  /** By id or full path; undefined: there is none, or none that the token may see. */
  async find(idOrPath: number | string, {signal}: Call): Promise<Group | undefined> {
    const query = {with_projects: false};
    return this.#connection.find({path: apiPath`groups/${idOrPath}`, query, signal}, groupSchema);
  }

  /** @throws TransshipError GROUP_NOT_FOUND */
  async get(idOrPath: number | string, call: Call): Promise<Group> {
    const group = await this.find(idOrPath, call);
    if (group) return group;
    throw new TransshipError('GROUP_NOT_FOUND', `GitLab shows no group "${idOrPath}"`, {
      side: 'gitlab',
      hint: 'check the path, and that the owner of the token can see the group',
      status: 404,
    });
  }

  /** A group or a user, by id or full path. */
  async findNamespace(idOrPath: number | string, {signal}: Call): Promise<Namespace | undefined> {
    return this.#connection.find({path: apiPath`namespaces/${idOrPath}`, signal}, namespaceSchema);
  }

  /**
   * The groups whose images the token's owner may list: those that it is a member of, with at least the role of a
   * reporter.
   */
  async ofMember({signal}: Call): Promise<readonly Group[]> {
    const query = {min_access_level: ACCESS_LEVEL.reporter, order_by: 'id', sort: 'asc'};
    return this.#connection.list({path: 'groups', query, signal}, groupSchema);
  }

  /** All projects of the group and of its subgroups, those that were shared with it left out. */
  async projects(id: number, {signal}: Call): Promise<readonly Project[]> {
    const query = {include_subgroups: true, with_shared: false, order_by: 'id', sort: 'asc'};
    return this.#connection.list(
      {path: apiPath`groups/${id}/projects`, query, signal},
      projectSchema,
    );
  }

  /** Everybody with a role in the group, its own or inherited (GitLab: doc/api/members.md, `members/all`). */
  async members(id: number, {signal}: Call): Promise<readonly Member[]> {
    return this.#connection.list({path: apiPath`groups/${id}/members/all`, signal}, memberSchema);
  }

  /** The role of a user in the group, its own or inherited; 0: none. */
  async levelOf(id: number, userId: number, {signal}: Call): Promise<number> {
    const path = apiPath`groups/${id}/members/all/${userId}`;
    return (await this.#connection.find({path, signal}, memberSchema))?.accessLevel ?? 0;
  }

  /** The projects of the group itself whose name or path has `search` in it. */
  async projectsNamed(id: number, search: string, {signal}: Call): Promise<readonly Project[]> {
    const query = {include_subgroups: false, with_shared: false, search};
    return this.#connection.list(
      {path: apiPath`groups/${id}/projects`, query, signal},
      projectSchema,
    );
  }

  /**
   * Creates a group (GitLab: doc/api/groups.md, "Create a group").
   * @throws TransshipError NAME_TAKEN, NAME_RESERVED, FORBIDDEN
   */
  async create({path, parentId, visibility}: NewGroup, {signal}: Call): Promise<Group> {
    const body = {path, name: path, visibility, ...given({parent_id: parentId})};
    return this.#connection.read({method: 'POST', path: 'groups', body, signal}, groupSchema);
  }

  async transferLocations(
    id: number,
    search: string | undefined,
    {signal}: Call,
  ): Promise<readonly TransferLocation[]> {
    return this.#connection.list(
      {path: apiPath`groups/${id}/transfer_locations`, query: {search}, signal},
      transferLocationSchema,
    );
  }

  /**
   * Moves the group into another one, or to the top, and waits until it is there.
   * @param parentId undefined: it becomes a top-level group
   * @throws TransshipError TRANSFER_REPOSITORIES_PRESENT, TRANSFER_TAGS_PRESENT, NAME_TAKEN, TRANSFER_FORBIDDEN,
   *   GROUP_NOT_FOUND, CHANGE_NOT_SEEN
   */
  async transfer(id: number, parentId: number | undefined, call: Call): Promise<Group> {
    return this.#change(
      id,
      {
        method: 'POST',
        path: apiPath`groups/${id}/transfer`,
        body: parentId === undefined ? {} : {group_id: parentId},
      },
      (group) => group.parentId === parentId,
      call,
    );
  }

  /**
   * Changes the last part of the group's path.
   * @throws TransshipError TRANSFER_REPOSITORIES_PRESENT, TRANSFER_TAGS_PRESENT, NAME_TAKEN, CHANGE_NOT_SEEN
   */
  async changePath(id: number, path: string, call: Call): Promise<Group> {
    const request = {method: 'PUT', path: apiPath`groups/${id}`, body: {path}} as const;
    return this.#change(id, request, (group) => group.path === path, call);
  }

  async #change(
    id: number,
    request: {method: 'PUT' | 'POST'; path: string; body: object},
    isDone: (group: Group) => boolean,
    call: Call,
  ): Promise<Group> {
    const {signal} = call;
    const changed = await confirm(
      {
        request: async () => {
          const options = {headersTimeoutMs: SLOW_ANSWER_MS, refused: REFUSED, signal};
          await this.#connection.read({...request, ...options}, z.unknown());
          return 'accepted';
        },
        read: () => this.get(id, call),
        isDone,
        unseen: ({fullPath}) => `the group is still ${fullPath}`,
      },
      this.#patience,
      call,
    );
    return changed ?? this.get(id, call);
  }
}
