/**
 * Values by two names, such as a repository and a digest. A map of maps: joined names would be a new text for each of some
 * 100,000 values.
 */
export class ByPlace<Name, Value> {
  readonly #places = new Map<string, Map<Name, Value>>();

  get(place: string, name: Name): Value | undefined {
    return this.#places.get(place)?.get(name);
  }

  has(place: string, name: Name): boolean {
    return this.#places.get(place)?.has(name) === true;
  }

  set(place: string, name: Name, value: Value): void {
    const names = this.#places.get(place);
    if (names === undefined) this.#places.set(place, new Map([[name, value]]));
    else names.set(name, value);
  }

  get size(): number {
    return [...this.#places.values()].reduce((sum, {size}) => sum + size, 0);
  }

  /** Place by place, in the order in which they were set. */
  *values(): Generator<Value> {
    for (const names of this.#places.values()) yield* names.values();
  }
}
