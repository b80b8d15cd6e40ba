/** A copy from registry to registry, of one image or of a whole repository. */
export interface CopyJob {
  /** `host:port` */
  readonly source: string;
  /** `host:port` */
  readonly destination: string;
  /** Its path, the same on both sides. */
  readonly repository: string;
  /** All that it has. A single one is copied as one image. */
  readonly tags: readonly string[];
  /** Every distinct blob. */
  readonly digests: readonly string[];
  /** The destination has it all already. */
  readonly isDone: boolean;
}

/** Whether it is about one image. */
export function isOne({tags}: CopyJob): boolean {
  return tags.length === 1;
}

/** Where to copy from, `host/path`, with the tag where there is only one. */
export function from(job: CopyJob): string {
  return placeAt(job.source, job);
}

/** Where to copy to, written likewise. */
export function to(job: CopyJob): string {
  return placeAt(job.destination, job);
}

/** A place without the last part of its path. */
export function parentOf(place: string): string {
  return place.slice(0, place.lastIndexOf('/'));
}

function placeAt(host: string, job: CopyJob): string {
  const name = `${host}/${job.repository}`;
  return isOne(job) ? [name, ...job.tags].join(':') : name;
}
