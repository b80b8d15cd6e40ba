import type {Digest} from '../model/digest.ts';
import type {RepositoryPath, Tag} from '../model/reference.ts';

// blobs/<algorithm>/<hex>                                  the bytes of blobs and manifests
// repositories/<name>/_blobs/<algorithm>/<hex>             this repository has the blob
// repositories/<name>/_manifests/<algorithm>/<hex>         this repository has the manifest; holds the media type
// repositories/<name>/_tags/<tag>                          holds a digest
// repositories/<name>/_referrers/<subject>/<digest>        this manifest has that subject (`:` written as `/`)
// repositories/<name>/_uploads/<id>                        the bytes of an upload so far
// No part of a repository's name starts with "_", so the folders of one never meet those of another.

export const REPOSITORIES_FOLDER = 'repositories';

export function contentFile(digest: Digest): string {
  return `blobs/${slashed(digest)}`;
}

export function repositoryFolder(repository: string): string {
  return `${REPOSITORIES_FOLDER}/${repository}`;
}

export function blobLink(repository: RepositoryPath, digest: Digest): string {
  return `${repositoryFolder(repository)}/_blobs/${slashed(digest)}`;
}

export function manifestLink(repository: RepositoryPath, digest: Digest): string {
  return `${repositoryFolder(repository)}/_manifests/${slashed(digest)}`;
}

export function tagFolder(repository: RepositoryPath): string {
  return `${repositoryFolder(repository)}/_tags`;
}

export function tagFile(repository: RepositoryPath, tag: Tag): string {
  return `${tagFolder(repository)}/${tag}`;
}

export function referrerFolder(repository: RepositoryPath, subject: Digest): string {
  return `${repositoryFolder(repository)}/_referrers/${slashed(subject)}`;
}

export function uploadFile(repository: RepositoryPath, id: string): string {
  return `${repositoryFolder(repository)}/_uploads/${id}`;
}

function slashed(digest: Digest): string {
  return digest.replace(':', '/');
}
