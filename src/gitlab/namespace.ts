import {z} from '../model/schema.ts';
import {given} from './given.ts';

/** Where projects live: a group, or a user. */
export interface Namespace {
  readonly id: number;
  readonly kind: 'group' | 'user';
  readonly fullPath: string;
}

/** GitLab: lib/api/entities/namespace_basic.rb. */
export const namespaceSchema = z
  .object({
    id: z.int(),
    // Newer versions know a third kind, that of a project itself; nothing can be moved there.
    kind: z.string(),
    full_path: z.string(),
  })
  .transform(
    ({id, kind, full_path}): Namespace => ({
      id,
      kind: kind === 'user' ? 'user' : 'group',
      fullPath: full_path,
    }),
  );

export interface Group {
  readonly id: number;
  readonly name: string;
  /** The last part of `fullPath`. */
  readonly path: string;
  readonly fullPath: string;
  /** Undefined: a top-level group. */
  readonly parentId?: number;
}

/** GitLab: lib/api/entities/group.rb. */
export const groupSchema = z
  .object({
    id: z.int(),
    name: z.string(),
    path: z.string(),
    full_path: z.string(),
    parent_id: z.int().nullish(),
  })
  .transform(
    ({id, name, path, full_path, parent_id}): Group => ({
      id,
      name,
      path,
      fullPath: full_path,
      ...given({parentId: parent_id}),
    }),
  );

/** A group that a project or a group may be transferred to. */
export interface TransferLocation {
  readonly id: number;
  readonly fullPath: string;
}

/** GitLab: lib/api/entities/public_group_details.rb. */
export const transferLocationSchema = z
  .object({id: z.int(), full_path: z.string()})
  .transform(({id, full_path}): TransferLocation => ({id, fullPath: full_path}));

/** The first part of a full path: the top-level group or the user. */
export function rootOf(fullPath: string): string {
  return fullPath.split('/')[0] ?? '';
}
