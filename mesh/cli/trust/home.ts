/** Where a mesh's trust is written down, as an operator meets it: read, and asked for a rotation. */
import type { RotationRequest, TrustRecord } from "@hauberk/mesh/identity/trust-record.ts";
import {
  askInDirectory,
  readTrustRecord,
  readTrustRequest,
  replaceRequest,
} from "@hauberk/mesh/identity/trust-directory.ts";

/** A mesh's trust. */
export interface TrustHome {
  /** The mesh, as messages name it. */
  readonly name: string;
  readonly record: () => Promise<TrustRecord>;
  readonly request: () => Promise<RotationRequest | undefined>;
  /** `false`: somebody else's request is there. */
  readonly ask: (request: RotationRequest) => Promise<boolean>;
  /** Puts another in the place of the request that is there. */
  readonly replace: (request: RotationRequest) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** The trust of a standalone mesh: files beside its issuer. */
export function directoryHome(name: string, dir: string): TrustHome {
  return {
    name,
    record: () => readTrustRecord(dir),
    request: () => readTrustRequest(dir),
    ask: (request) => askInDirectory(dir, request),
    replace: (request) => replaceRequest(dir, request),
    close: () => Promise.resolve(),
  };
}
